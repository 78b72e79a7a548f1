"""Whose is a live object?

A resource's live objects are those that it applied, what these own (ReplicaSets, Pods, to any
depth, by `ownerReferences`), pods that its `extra_pod_selectors` choose, and the events about any
of them (by uid: names come again, uids don't).  With the discovery strategy `selectors-only` pods
count only where a selector chooses them.  Watches deliver these in any order, so an object
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
    whole = podspec.section(body, "metadata")
    if "managedFields" not in whole:
        return body
    return {**body, "metadata": {k: v for k, v in whole.items() if k != "managedFields"}}


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
    if not full.namespace:  # cluster-scoped, which a manifest with a namespace is too
        same = (full.group, full.kind, full.name)
        return next((k for k in known if (k.group, k.kind, k.name) == same), None)
    bare = ObjectId(full.group, full.kind, "", full.name)
    return bare if full.namespace == namespace and bare in known else None


def named(
    known: Mapping[ObjectId, object], bodies: Iterable[JSON], namespace: str
) -> dict[ObjectId, JSON]:
    """Live objects by the names under which the project knows them; see `find`."""
    found = ((find(known, body, namespace), body) for body in bodies)
    return {name: body for name, body in found if name is not None}


def adopt(
    live: Live,
    graph: Graph,
    namespace: str,
    seen: Iterable[JSON],
    gone: Iterable[Uid],
    owners: Mapping[Uid, ResourceName],
) -> tuple[Live, frozenset[ResourceName]]:
    """Take in what was seen, let go what is gone; and the resources that this concerns.

    Args:
        live: what was known.
        graph: the project.
        namespace: the default one.
        seen: objects; one that is older than what is known of it tells nothing.
        gone: uids.
        owners: whose some of them are, where that is known by other means than their names.
    """
    registry = _Registry(live, graph, namespace)
    registry.owner.update(owners)
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
        if _older(body, self.objects.get(name)):
            return
        self.objects[name] = trimmed(body)
        owner = self.owner.get(name) or self._owner(body)
        if owner is not None and self._counts(body, owner):
            self._take(name, owner)
            return
        for above in _above(body):
            self.orphans[above] = self.orphans.get(above, frozenset()) | {name}
        selecting = self._selecting(body) if body.get("kind") == "Pod" else None
        if selecting is not None:  # until its owner turns up, whose word is stronger
            self._take(name, selecting)

    def remove(self, name: Uid) -> None:
        body = self.objects.pop(name, None)
        for above in _above(body) if body is not None else ():
            left = self.orphans.get(above, frozenset()) - {name}
            if left:
                self.orphans[above] = left
            else:
                self.orphans.pop(above, None)
        # The owner stays known: events about an object come after its end. About events come none.
        ending = body is not None and body.get("kind") == "Event"
        owner = self.owner.pop(name, None) if ending else self.owner.get(name)
        if owner is not None:
            self.touched.add(owner)
            self.by_resource[owner] = self.by_resource.get(owner, frozenset()) - {name}

    def _take(self, name: Uid, owner: ResourceName) -> None:
        self.touched.add(owner)
        before = self.owner.get(name)
        self.owner[name] = owner
        known = self.by_resource.get(owner, frozenset())
        if name in self.objects and name not in known:
            self.by_resource[owner] = known | {name}
        below = set(self.orphans.pop(name, frozenset()))
        if before is not None and before != owner:
            self.touched.add(before)
            self.by_resource[before] = self.by_resource.get(before, frozenset()) - {name}
            below |= {u for u, body in self.objects.items() if name in _above(body)}
        for orphan in below:
            if self._counts(self.objects.get(orphan, {}), owner):
                self._take(orphan, owner)

    def _owner(self, body: JSON) -> ResourceName | None:
        known = find(self.graph.resource_of, body, self.namespace)
        if known is not None:
            return self.graph.resource_of[known]
        return next((self.owner[a] for a in _above(body) if a in self.owner), None)

    def _counts(self, body: JSON, owner: ResourceName) -> bool:
        """Whether the resource above an object wants it: not each pod, with `selectors-only`."""
        resource = self.graph.resources.get(owner)
        target = resource.target if resource is not None else None
        if body.get("kind") != "Pod" or not isinstance(target, desired.KubernetesTarget):
            return True
        if target.discovery_strategy != desired.SELECTORS_ONLY or _selects(target, body):
            return True
        return find(self.graph.resource_of, body, self.namespace) is not None

    def _selecting(self, pod: JSON) -> ResourceName | None:
        for resource in self.graph.resources.values():
            target = resource.target
            if isinstance(target, desired.KubernetesTarget) and _selects(target, pod):
                return resource.name
        return None


def _selects(target: desired.KubernetesTarget, pod: JSON) -> bool:
    labels = podspec.section(podspec.section(pod, "metadata"), "labels")
    return any(
        selector and all(labels.get(k) == v for k, v in selector.items())
        for selector in target.extra_pod_selectors
    )


def _older(body: JSON, known: JSON | None) -> bool:
    """Whether a watch tells late what an apply's answer has overtaken.

    Versions of one object can be compared as numbers (KEP-5504); what is no number is believed.
    """
    if known is None:
        return False
    new, old = (podspec.section(b, "metadata").get("resourceVersion") for b in (body, known))
    both = isinstance(new, str) and isinstance(old, str) and new.isdecimal() and old.isdecimal()
    return both and int(str(new)) < int(str(old))


def _above(body: JSON) -> list[Uid]:
    """The uids by which an object belongs to another: its owners, or what an event is about."""
    if body.get("kind") == "Event":
        about = podspec.section(body, "involvedObject")
        return [Uid(cast("str", about["uid"]))] if about.get("uid") else []
    owners = podspec.rows(podspec.section(body, "metadata").get("ownerReferences"))
    return [Uid(str(o.get("uid"))) for o in owners]
