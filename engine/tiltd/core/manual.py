"""`TRIGGER_MODE_MANUAL`: a resource starts by itself, but only a trigger updates it.

A change to its files is noted as due, and each part that would have work says what it waits for.
An image that a resource with automatic updates needs, too, is built at once; the manual one stays
at what it has until it is triggered.
"""

from collections.abc import Iterable
from dataclasses import replace

from tiltd.core import graph as graphs
from tiltd.core.affected import Affected
from tiltd.model.decisions import Hold
from tiltd.model.desired import KubernetesTarget, Resource, TriggerMode
from tiltd.model.graph import Graph
from tiltd.model.names import ImageName, ResourceName, image_node
from tiltd.model.state import Mode, State


def is_manual(resource: Resource) -> bool:
    """Whether only a trigger updates it."""
    return resource.trigger_mode is TriggerMode.MANUAL


def differs(before: Resource, after: Resource) -> bool:
    """Whether a resource of a Tiltfile that was read again would be updated.

    Each reading makes objects anew, so they are compared by what they hold.  Ports that are
    forwarded are another matter: to open them takes no update.
    """
    old, new = before.target, after.target
    if not isinstance(old, KubernetesTarget) or not isinstance(new, KubernetesTarget):
        return old != new
    bare = [replace(target, manifests=(), port_forwards=()) for target in (old, new)]
    held = [
        [(m.id, m.api_version, m.body, m.images, m.image_paths) for m in target.manifests]
        for target in (old, new)
    ]
    return bare[0] != bare[1] or held[0] != held[1]


def concerned(s: State, hit: Affected) -> frozenset[ResourceName]:
    """The manual resources to which changed files matter."""
    users = {n for image in hit.images for n in graphs.works_for(s.graph, image_node(image))}
    return frozenset(
        name
        for name in users | hit.resources
        if name in s.graph.resources and is_manual(s.graph.resources[name])
    )


def holds_image(graph: Graph, active: frozenset[ResourceName], name: ImageName) -> bool:
    """Whether all who need an image, and take part, wait for a trigger."""
    users = graphs.works_for(graph, image_node(name)) & active
    return bool(users) and all(is_manual(graph.resources[user]) for user in users)


def hold(names: Iterable[ResourceName], s: State) -> Hold | None:
    """What resources wait for that have changed."""
    due = sorted(n for n in names if n in s.resources and s.resources[n].due)
    if not due or s.session is None or s.session.spec.mode is not Mode.UP:
        return None
    reason = f"changed; {', '.join(due)} is updated when it is triggered (trigger_mode)"
    return Hold("waiting-for-trigger", reason)
