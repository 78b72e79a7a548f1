"""`down`: one object deleted when nothing that needs it is left."""

from tiltd.core import holds, removing
from tiltd.core.removing import Fate
from tiltd.model.actions import Delete
from tiltd.model.decisions import Decision, Done, Hold
from tiltd.model.desired import Manifest
from tiltd.model.names import CLUSTER, object_node
from tiltd.model.state import State


def reconcile(manifest: Manifest, s: State, now: float) -> Decision:
    """See the module."""
    node = object_node(manifest.id)
    if hold := holds.not_wanted(node, s):
        return hold
    match removing.fate(manifest, s):
        case Fate.DELETED | Fate.ABSENT | Fate.KEPT | Fate.NAMESPACE_KEPT:
            return Done()
        case Fate.FAILED:
            return Hold("failed", "it could not be deleted")
        case Fate.PENDING:
            return _pending(manifest, s, now)


def _pending(manifest: Manifest, s: State, now: float) -> Decision:
    found = s.found.get(manifest.id)
    if found is None:
        return Hold("looking", "looking at what is in the cluster", on=(CLUSTER,))
    if before := removing.first(object_node(manifest.id), s):
        return Hold("waiting-for-object", removing.must_go(before, s), on=before)
    action = Delete(manifest, found, removing.TIMEOUT)
    return holds.unless_failed(object_node(manifest.id), action, s, now)
