"""Events about objects, as clients read them: repeated ones are one event with a count.

An event that says the same of the same object again raises `count` and `lastTimestamp` instead of
making a new one, as client-go's recorder does; events older than an hour are removed, as by
Kubernetes' TTL.  Nobody fails because an event can't be written.
"""

import contextlib
import time
from dataclasses import dataclass
from typing import Literal

from tilt_cluster import fields
from tilt_cluster.objects import EVENTS, ApiError, Cluster, Object, Resource

_KEPT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _About:
    """What makes two events the same."""

    uid: str
    field: str
    kind: str
    reason: str
    message: str


class Recorder:
    """Writes events on behalf of one component.

    Args:
        cluster: where.
        component: who says it (`kubelet`, `deployment-controller` …).
        host: the node's name, for the node.
    """

    def __init__(self, cluster: Cluster, component: str, host: str = "") -> None:
        self._cluster = cluster
        self._component = component
        self._host = host
        self._known: dict[_About, tuple[str, str, float]] = {}

    def tell(
        self,
        resource: Resource,
        obj: Object,
        kind: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        *,
        field: str = "",
    ) -> None:
        """Write an event.

        Args:
            resource: of the object.
            obj: what it is about.
            kind: Normal or Warning.
            reason: one word in CamelCase.
            message: for a person.
            field: which part of the object (`spec.containers{web}`).
        """
        now = time.time()
        about = _About(fields.uid(obj), field, kind, reason, message)
        with contextlib.suppress(ApiError):
            if not self._repeat(about, now):
                self._first(about, resource, obj, now)

    def _repeat(self, about: _About, now: float) -> bool:
        known = self._known.get(about)
        found = self._cluster.find(EVENTS, known[1], known[0]) if known else None
        if known is None or found is None:
            return False
        count = int(found.get("count") or 1) + 1
        self._cluster.update(EVENTS, {**found, "count": count, "lastTimestamp": fields.stamp(now)})
        self._known[about] = (known[0], known[1], now)
        return True

    def _first(self, about: _About, resource: Resource, obj: Object, now: float) -> None:
        self._expire(now)
        namespace = fields.namespace(obj) or "default"
        name = f"{fields.name(obj)}.{time.time_ns():x}"
        api_version, kind = self._cluster.kind_of(resource)
        involved = {
            "kind": kind,
            "namespace": fields.namespace(obj),
            "name": fields.name(obj),
            "uid": about.uid,
            "apiVersion": api_version,
            "resourceVersion": fields.get(obj, "metadata", "resourceVersion"),
            "fieldPath": about.field,
        }
        stamp = fields.stamp(now)
        source = {"component": self._component, "host": self._host}
        self._cluster.create(
            EVENTS,
            {
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": {key: value for key, value in involved.items() if value},
                "reason": about.reason,
                "message": about.message,
                "type": about.kind,
                "count": 1,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "source": {key: value for key, value in source.items() if value},
                "reportingComponent": self._component,
                "reportingInstance": self._host,
            },
        )
        self._known[about] = (namespace, name, now)

    def _expire(self, now: float) -> None:
        old = [about for about, (_, _, at) in self._known.items() if now - at > _KEPT_SECONDS]
        for about in old:
            namespace, name, _ = self._known.pop(about)
            with contextlib.suppress(ApiError):
                self._cluster.delete(EVENTS, name, namespace)
