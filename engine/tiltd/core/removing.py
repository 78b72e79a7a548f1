"""`down`: what becomes of each object of the project.

Deleted is only what the Tiltfile names, and of that only what carries this project's label: an
object of the same name that somebody else made is not ours to delete.  The order is that of the
graph, reversed: an object goes when all that was applied after it, because it needs it, has gone.
What is kept (by its annotation, or because Namespaces were not asked for) holds up nobody, and
neither does what can't be deleted.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final

from tiltd.core import follow, limits, podspec
from tiltd.model import graph
from tiltd.model.desired import JSON, Manifest
from tiltd.model.names import NodeName, ObjectId, object_node
from tiltd.model.problems import Code, Problem
from tiltd.model.state import State

POLICY_ANNOTATION: Final = "tilt.dev/down-policy"
"""`keep` as its value leaves the object where it is (Tilt's docs, "tilt down")."""


class Fate(Enum):
    """What becomes of an object."""

    PENDING = "pending"
    DELETED = "deleted"
    ABSENT = "absent"
    KEPT = "kept"
    NAMESPACE_KEPT = "namespace-kept"
    FAILED = "failed"


def fate(manifest: Manifest, s: State) -> Fate:
    """See `Fate`; pending until it is known whether it is there."""
    if manifest.id in s.removed:
        return Fate.DELETED
    scope = follow.scope(manifest, s, ours=True)
    if scope in s.unreadable:
        return Fate.FAILED
    if scope not in s.looked:
        return Fate.PENDING
    found = s.found.get(manifest.id)
    if found is None:
        return Fate.ABSENT
    if _keeps(manifest.body) or _keeps(found):
        return Fate.KEPT
    down = s.session.spec if s.session else None
    if manifest.id.kind == "Namespace" and not (down and down.delete_namespaces):
        return Fate.NAMESPACE_KEPT
    return Fate.FAILED if _failed(object_node(manifest.id), s) else Fate.PENDING


def fates(s: State) -> Iterator[tuple[Manifest, Fate]]:
    """Of every object that takes part, in the project's order."""
    for name, manifest in s.graph.manifests.items():
        if object_node(name) in s.wanted:
            yield manifest, fate(manifest, s)


def first(manifest: Manifest, s: State) -> tuple[ObjectId, ...]:
    """The objects that have to be gone before this one."""
    users = _users(object_node(manifest.id), s)
    known = ((n, s.graph.nodes[n]) for n in dict.fromkeys(users) if n in s.wanted)
    return tuple(
        node.manifest.id
        for _, node in known
        if isinstance(node, graph.ObjectNode) and fate(node.manifest, s) is Fate.PENDING
    )


def unlisted(manifest: Manifest, s: State) -> Problem | None:
    """An object of a kind that we may not list: nobody knows whether it is there."""
    words = s.unreadable.get(follow.scope(manifest, s, ours=True))
    if words is None or manifest.id in s.removed:
        return None
    return Problem(
        Code.CLUSTER_FORBIDDEN,
        f"{manifest.id} can't be looked for, so it was not deleted: {words}",
        hint="Ask for the right to list these, or delete it yourself.",
    )


def _users(node: NodeName, s: State) -> Iterator[NodeName]:
    """Who waits for a node; through a resource, the parts of those that depend on it."""
    for user in s.graph.dependents.get(node, ()):
        if user.startswith("resource/"):
            yield from s.graph.dependents.get(user, ())
        else:
            yield user


def _keeps(body: JSON) -> bool:
    annotations = podspec.section(podspec.section(body, "metadata"), "annotations")
    return annotations.get(POLICY_ANNOTATION) == "keep"


def _failed(node: NodeName, s: State) -> bool:
    """Whether the last try was one too many."""
    progress = s.progress.get(node)
    if progress is None or progress.failure is None or progress.last is None:
        return False
    end = limits.gives_up_at(progress.failure, s)
    return end is not None and (progress.last.ended_at or 0.0) >= end
