"""Namespaces: what each one gets when it is made, and emptying one that is deleted."""

from collections.abc import Sequence

from tilt_cluster import fields
from tilt_cluster.controllers import conditions
from tilt_cluster.controllers.plan import Create, Delete, Key, Status, Steps, Update, View
from tilt_cluster.objects import (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
    Object,
    Resource,
)

_CA = "kube-root-ca.crt"
_CA_NOTE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters."
)


def sync_contents(view: View, key: Key, _now: float) -> Steps:
    """The default ServiceAccount and the CA's ConfigMap of an active namespace."""
    found = view.find(NAMESPACES, key.name)
    if found is None or fields.deleting(found):
        return None
    metadata: Object = {"name": "default", "namespace": key.name}
    if view.find(SERVICE_ACCOUNTS, "default", key.name) is None:
        yield Create(SERVICE_ACCOUNTS, {"metadata": metadata})
    data = {"ca.crt": view.facts.ca}
    old = view.find(CONFIG_MAPS, _CA, key.name)
    if old is None:
        notes = {"kubernetes.io/description": _CA_NOTE}
        metadata = {"name": _CA, "namespace": key.name, "annotations": notes}
        yield Create(CONFIG_MAPS, {"metadata": metadata, "data": data})
    elif old.get("data") != data:
        yield Update(CONFIG_MAPS, {**old, "data": data})
    return None


def sync_deletion(view: View, key: Key, now: float) -> Steps:
    """Delete everything in a namespace that is being deleted, then let it go."""
    found = view.find(NAMESPACES, key.name)
    if found is None or not fields.deleting(found):
        return None
    if fields.get(found, "status", "phase") != "Terminating":
        status = {**fields.get(found, "status", default={}), "phase": "Terminating"}
        stored = yield Status(NAMESPACES, fields.with_status(found, status))
        found = stored if isinstance(stored, dict) else found
    left = _contents(view, key.name)
    for resource, obj in left:
        if not fields.deleting(obj):
            yield Delete(resource, obj, "Background")
    left = _contents(view, key.name)
    if left:
        found = view.find(NAMESPACES, key.name) or found
        yield Status(NAMESPACES, fields.with_status(found, _remaining(found, left, now)))
        return 2.0
    found = view.find(NAMESPACES, key.name)
    if found is None:
        return None
    spec = fields.get(found, "spec", default={})
    kept = [one for one in spec.get("finalizers") or () if one != "kubernetes"]
    yield Update(NAMESPACES, {**found, "spec": {**spec, "finalizers": kept}})
    return None


def _contents(view: View, namespace: str) -> list[tuple[Resource, Object]]:
    """What is in a namespace: pods first, since they take longest; events last."""
    resources = [one for one in view.resources() if view.namespaced(one)]
    resources.sort(key=lambda one: (one == EVENTS, one != PODS))
    seen: set[str] = set()
    found: list[tuple[Resource, Object]] = []
    for resource in resources:
        for obj in view.list(resource, namespace):
            if fields.uid(obj) not in seen:  # events are two resources
                seen.add(fields.uid(obj))
                found.append((resource, obj))
    return found


def _remaining(found: Object, left: Sequence[tuple[Resource, Object]], now: float) -> Object:
    counts: dict[str, int] = {}
    finalizers: dict[str, int] = {}
    for resource, obj in left:
        counts[str(resource)] = counts.get(str(resource), 0) + 1
        for one in fields.get(obj, "metadata", "finalizers", default=()):
            finalizers[one] = finalizers.get(one, 0) + 1
    kept: list[Object] = list(fields.get(found, "status", "conditions", default=()))
    listed = ", ".join(f"{name} has {count} resource instances" for name, count in counts.items())
    kept = conditions.put(
        kept,
        "NamespaceContentRemaining",
        "True",
        now,
        reason="SomeResourcesRemain",
        message=f"Some resources are remaining: {listed}",
    )
    if finalizers:
        listed = ", ".join(
            f"{name} in {count} resource instances" for name, count in finalizers.items()
        )
        kept = conditions.put(
            kept,
            "NamespaceFinalizersRemaining",
            "True",
            now,
            reason="SomeFinalizersRemain",
            message=f"Some content in the namespace has finalizers remaining: {listed}",
        )
    return {**fields.get(found, "status", default={}), "conditions": kept}
