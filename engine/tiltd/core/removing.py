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
from tiltd.model.desired import JSON, ComposeProject, Manifest
from tiltd.model.names import NodeName, ResourceName, deploy_node, object_node, service_node
from tiltd.model.problems import Code, Problem
from tiltd.model.state import State

POLICY_ANNOTATION: Final = "tilt.dev/down-policy"
"""`keep` as its value leaves the object where it is (Tilt's docs, "tilt down")."""


TIMEOUT: Final = 120.0
"""Seconds that a removal may take: pods have 30 to end by default, and finalizers their own."""


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
    if keeps(manifest.body) or keeps(found):
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


def first(node: NodeName, s: State) -> tuple[NodeName, ...]:
    """What has to be gone before this node's object, or what its command removes."""
    users = dict.fromkeys(_users(node, s))
    return tuple(name for name in users if name in s.wanted and _left(name, s))


def must_go(names: tuple[NodeName, ...], s: State) -> str:
    """`Deployment/web, redis … must be gone first`."""
    named = ", ".join(_shown(name, s) for name in names[:3]) + (" …" if names[3:] else "")
    return f"{named} must be gone first"


def undeployed(name: ResourceName, s: State) -> Fate:
    """What becomes of what a command or Docker Compose deployed."""
    if s.resources[name].undeployed:
        return Fate.ABSENT if s.resources[name].absent else Fate.DELETED
    node = s.graph.nodes.get(service_node(name))
    if isinstance(node, graph.ServiceNode):
        return Fate.FAILED if _project_failed(node.target.project, s) else Fate.PENDING
    return Fate.FAILED if _failed(deploy_node(name), s) else Fate.PENDING


def _project_failed(project: ComposeProject, s: State) -> bool:
    """Docker Compose removes a project's services together."""
    return any(
        _failed(name, s)
        for name, node in s.graph.nodes.items()
        if isinstance(node, graph.ServiceNode) and node.target.project.name == project.name
    )


def left(s: State) -> tuple[str, ...]:
    """What is still to be removed, as people call it."""
    return tuple(_shown(name, s) for name in s.graph.nodes if name in s.wanted and _left(name, s))


def _left(name: NodeName, s: State) -> bool:
    node = s.graph.nodes[name]
    match node:
        case graph.ObjectNode(manifest=manifest):
            return fate(manifest, s) is Fate.PENDING
        case graph.DeployNode(resource=resource) | graph.ServiceNode(resource=resource):
            return undeployed(resource.name, s) is Fate.PENDING
        case _:
            return False


def _shown(name: NodeName, s: State) -> str:
    node = s.graph.nodes[name]
    return str(node.manifest.id) if isinstance(node, graph.ObjectNode) else name.partition("/")[2]


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


def keeps(body: JSON) -> bool:
    """Whether its annotation asks to leave it where it is."""
    annotations = podspec.section(podspec.section(body, "metadata"), "annotations")
    return annotations.get(POLICY_ANNOTATION) == "keep"


def _failed(node: NodeName, s: State) -> bool:
    """Whether the last try was one too many."""
    progress = s.progress.get(node)
    if progress is None or progress.failure is None or progress.last is None:
        return False
    end = limits.gives_up_at(progress.failure, s)
    return end is not None and (progress.last.ended_at or 0.0) >= end
