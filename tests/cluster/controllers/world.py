"""A world of plain objects in which a controller's generator can be run to a standstill."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers.plan import Create, Delete, Key, Status, Steps, Tell, Update, View
from tilt_cluster.objects import (
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    NODES,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    ApiError,
    Facts,
    Object,
    Resource,
)

NOW = 1_800_000_000.0
_KINDS = {
    ("v1", "Pod"): PODS,
    ("apps/v1", "ReplicaSet"): REPLICA_SETS,
    ("apps/v1", "Deployment"): DEPLOYMENTS,
    ("apps/v1", "StatefulSet"): STATEFUL_SETS,
    ("apps/v1", "DaemonSet"): DAEMON_SETS,
    ("batch/v1", "Job"): JOBS,
    ("v1", "Node"): NODES,
}


class World:
    """Objects by resource; writes are applied as the API would, without its checks."""

    def __init__(self) -> None:
        self.objects: dict[Resource, list[Object]] = {}
        self.told: list[str] = []
        self.refuse: Callable[[Resource, Object], ApiError | None] = lambda _r, _o: None
        self._count = 0

    @property
    def facts(self) -> Facts:
        return Facts("test", Path("/nowhere"), "https://127.0.0.1:1", 1, "CA")

    def put(self, resource: Resource, obj: Mapping[str, Any]) -> Object:
        """Add an object, with the metadata that the API would give it."""
        self._count += 1
        metadata = {
            "namespace": "ns",
            "uid": f"u{self._count}",
            "generation": 1,
            "creationTimestamp": fields.stamp(NOW + self._count),
            **obj["metadata"],
        }
        if "name" not in metadata:
            metadata["name"] = f"{metadata.pop('generateName')}{self._count}"
        stored = {**copy.deepcopy(dict(obj)), "metadata": metadata}
        self.objects.setdefault(resource, []).append(stored)
        return stored

    def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        for one in self.objects.get(resource, ()):
            if fields.name(one) == name and namespace in {"", fields.namespace(one)}:
                return one
        return None

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: Object | None = None,
        owner: str | None = None,
    ) -> Sequence[Object]:
        return [
            one
            for one in self.objects.get(resource, ())
            if namespace in {None, fields.namespace(one)}
            and (labels is None or fields.selects(labels, fields.labels(one)))
            and (owner is None or (fields.controller(one) or {}).get("uid") == owner)
        ]

    def resource_of(self, api_version: str, kind: str) -> Resource | None:
        return _KINDS.get((api_version, kind))

    def resources(self) -> Sequence[Resource]:
        return list(self.objects)

    def namespaced(self, resource: Resource) -> bool:
        return resource != NODES

    def change(self, resource: Resource, name: str, **parts: Any) -> None:
        """Replace top-level parts of an object, as somebody else would."""
        group = self.objects[resource]
        for index, one in enumerate(group):
            if fields.name(one) == name:
                group[index] = {**one, **parts}

    def ready(self, resource: Resource = PODS, since: float = NOW - 100) -> None:
        """Let every pod run and be ready."""
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": fields.stamp(since)}
        for pod in list(self.objects.get(resource, ())):
            self.change(
                resource, fields.name(pod), status={"phase": "Running", "conditions": [ready]}
            )

    def sync(
        self, rule: Callable[[View, Key, float], Steps], name: str, now: float = NOW
    ) -> float | None:
        """Run a controller once, and apply what it writes."""
        steps = rule(self, Key("ns", name), now)
        outcome: Object | ApiError | None = None
        while True:
            try:
                write = steps.send(outcome)
            except StopIteration as stop:
                again: float | None = stop.value
                return again
            outcome = self._apply(write)

    def _apply(self, write: Create | Update | Status | Delete | Tell) -> Object | ApiError | None:
        match write:
            case Create(resource, obj):
                return self.refuse(resource, obj) or self.put(resource, obj)
            case Update(resource, obj):
                current = self.find(resource, fields.name(obj), fields.namespace(obj))
                return self._replace(resource, {**obj, "status": fields.get(current, "status")})
            case Status(resource, obj):
                current = self.find(resource, fields.name(obj), fields.namespace(obj))
                return self._replace(resource, {**(current or obj), "status": obj.get("status")})
            case Delete(resource, obj, _):
                self.objects[resource] = [
                    one for one in self.objects[resource] if fields.uid(one) != fields.uid(obj)
                ]
                return obj
            case Tell(_, _, _, reason, message):
                self.told.append(f"{reason}: {message}")
                return None

    def _replace(self, resource: Resource, obj: Object) -> Object:
        group = self.objects[resource]
        for index, one in enumerate(group):
            if fields.uid(one) == fields.uid(obj):
                group[index] = obj
        return obj


def template(name: str = "web", image: str = "web:1", **spec: Any) -> dict[str, Any]:
    """A pod template."""
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": image}], **spec},
    }
