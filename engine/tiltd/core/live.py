"""Whose is a live object?

A resource's live objects are those that it applied, what these own (ReplicaSets, Pods, to any
depth, by `ownerReferences`), pods that its `extra_pod_selectors` choose, and the events about any
of them (by uid: names come again, uids don't).  Watches deliver these in any order, so an object
whose owner is not known yet waits as an orphan under its owner's uid, and is taken in when that
owner turns up.  Nothing is written on pods for this, so what runs is what the manifest says.
"""

from collections.abc import Iterable, Mapping
from typing import cast

from tiltd.core import podspec
from tiltd.model import desired
from tiltd.model.desired import JSON
from tiltd.model.graph import Graph
from tiltd.model.names import ObjectId, ResourceName
from tiltd.model.observed import Live, Uid


def uid(body: JSON) -> Uid:
    """The object's uid."""
    return Uid(str(podspec.section(body, "metadata").get("uid", "")))


def object_id(body: JSON) -> ObjectId:
    """The name of a live object."""
    metadata = podspec.section(body, "metadata")
    group, _, _ = str(body.get("apiVersion", "")).rpartition("/")
    return ObjectId(
        group,
        str(body.get("kind", "")),
        str(metadata.get("namespace") or ""),
        str(metadata.get("name", "")),
    )


def trimmed(body: JSON) -> JSON:
    """The object without its bookkeeping, which is often the larger half of it."""
    metadata = {k: v for k, v in podspec.section(body, "metadata").items() if k != "managedFields"}
    return {**body, "metadata": metadata}


def find(known: Mapping[ObjectId, object], body: JSON, namespace: str) -> ObjectId | None:
    """The name under which the project knows a live object, if it does.

    Args:
        known: the project's objects.
        body: the live one.
        namespace: the default one: a manifest that names none goes there.
    """
    full = object_id(body)
    if full in known:
        return full
    bare = ObjectId(full.group, full.kind, "", full.name)
    return bare if full.namespace == namespace and bare in known else None


def adopt(
    live: Live, graph: Graph, namespace: str, seen: Iterable[JSON], gone: Iterable[Uid]
) -> tuple[Live, frozenset[ResourceName]]:
    """Take in what was seen, let go what is gone; and the resources that this concerns."""
    registry = _Registry(live, graph, namespace)
    for body in seen:
        registry.add(body)
    for name in gone:
        registry.remove(name)
    return registry.result()


class _Registry:
    """`Live`, open for changes during one event."""

    def __init__(self, live: Live, graph: Graph, namespace: str) -> None:
        self.graph, self.namespace = graph, namespace
        self.objects = dict(live.objects)
        self.owner = dict(live.owner)
        self.by_resource = dict(live.by_resource)
        self.orphans = dict(live.orphans)
        self.touched: set[ResourceName] = set()

    def result(self) -> tuple[Live, frozenset[ResourceName]]:
        live = Live(self.objects, self.owner, self.by_resource, self.orphans)
        return live, frozenset(self.touched)

    def add(self, body: JSON) -> None:
        name = uid(body)
        self.objects[name] = trimmed(body)
        owner = self.owner.get(name) or self._owner(body)
        if owner is not None:
            self._take(name, owner)
            return
        for above in _above(body):
            self.orphans[above] = self.orphans.get(above, frozenset()) | {name}

    def remove(self, name: Uid) -> None:
        body = self.objects.pop(name, None)
        for above in _above(body) if body is not None else ():
            left = self.orphans.get(above, frozenset()) - {name}
            if left:
                self.orphans[above] = left
            else:
                self.orphans.pop(above, None)
        # The owner stays known: events about an object come after its end.
        owner = self.owner.get(name)
        if owner is not None:
            self.touched.add(owner)
            self.by_resource[owner] = self.by_resource.get(owner, frozenset()) - {name}

    def _take(self, name: Uid, owner: ResourceName) -> None:
        self.touched.add(owner)
        self.owner[name] = owner
        if name in self.objects:
            self.by_resource[owner] = self.by_resource.get(owner, frozenset()) | {name}
        for orphan in self.orphans.pop(name, frozenset()):
            self._take(orphan, owner)

    def _owner(self, body: JSON) -> ResourceName | None:
        known = find(self.graph.resource_of, body, self.namespace)
        if known is not None:
            return self.graph.resource_of[known]
        for above in _above(body):
            if above in self.owner:
                return self.owner[above]
        return self._selecting(body) if body.get("kind") == "Pod" else None

    def _selecting(self, pod: JSON) -> ResourceName | None:
        labels = podspec.section(podspec.section(pod, "metadata"), "labels")
        for resource in self.graph.resources.values():
            target = resource.target
            if isinstance(target, desired.KubernetesTarget):
                for selector in target.extra_pod_selectors:
                    if selector and all(labels.get(k) == v for k, v in selector.items()):
                        return resource.name
        return None


def _above(body: JSON) -> list[Uid]:
    """The uids by which an object belongs to another: its owners, or what an event is about."""
    if body.get("kind") == "Event":
        about = podspec.section(body, "involvedObject")
        return [Uid(cast("str", about["uid"]))] if about.get("uid") else []
    owners = podspec.rows(podspec.section(body, "metadata").get("ownerReferences"))
    return [Uid(str(o.get("uid"))) for o in owners]
