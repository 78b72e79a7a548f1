"""A resource's pods, as `status` and `describe` show them."""

from collections.abc import Iterator

from tilt_api.v1 import tilt_pb2 as pb
from tiltd.core import podspec
from tiltd.core.health.clock import Clock
from tiltd.model.desired import JSON
from tiltd.model.names import ResourceName
from tiltd.model.state import State

_STATUSES = (("initContainerStatuses", True), ("containerStatuses", False))


def of(s: State, name: ResourceName) -> list[pb.Pod]:
    """The pods that are there, oldest first."""
    clock = Clock(0.0, s.cluster.skew if s.cluster else 0.0)
    bodies = (s.live.objects[u] for u in s.live.by_resource.get(name, frozenset()))
    found = [_pod(body, clock) for body in bodies if body.get("kind") == "Pod"]
    return sorted(found, key=lambda pod: (pod.created_at, pod.namespace, pod.name))


def _pod(body: JSON, clock: Clock) -> pb.Pod:
    metadata, status = podspec.section(body, "metadata"), podspec.section(body, "status")
    ending = bool(metadata.get("deletionTimestamp"))
    return pb.Pod(
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        phase="Terminating" if ending else str(status.get("phase") or ""),
        created_at=clock.host(str(metadata.get("creationTimestamp") or "")),
        node=str(podspec.section(body, "spec").get("nodeName") or ""),
        containers=_containers(status),
    )


def _containers(status: JSON) -> Iterator[pb.Container]:
    for key, init in _STATUSES:
        for row in podspec.rows(status.get(key)):
            state = podspec.section(row, "state")
            word = next(iter(state), "waiting")
            yield pb.Container(
                name=str(row.get("name") or ""),
                image=str(row.get("image") or ""),
                init=init,
                ready=bool(row.get("ready")),
                restarts=int(row.get("restartCount") or 0),
                state=word,
                reason=str(podspec.section(state, word).get("reason") or ""),
            )
