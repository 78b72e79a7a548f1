"""`down`: one object deleted when nothing that needs it is left."""

from tiltd.core import holds, removing
from tiltd.core.removing import Fate
from tiltd.model.actions import Delete
from tiltd.model.decisions import Decision, Done, Hold
from tiltd.model.desired import Manifest
from tiltd.model.names import CLUSTER, object_node
from tiltd.model.state import State

_TIMEOUT = 120.0
"""Seconds that a delete may take: pods have 30 to end by default, and finalizers their own."""


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
    before = removing.first(manifest, s)
    if before:
        named = ", ".join(str(o) for o in before[:3]) + (" …" if before[3:] else "")
        on = tuple(object_node(o) for o in before)
        return Hold("waiting-for-object", f"{named} must be gone first", on=on)
    action = Delete(manifest, found, _TIMEOUT)
    return holds.unless_failed(object_node(manifest.id), action, s, now)
