"""Objects as the API server of Kubernetes 1.36 reports them, from the few facts of a test.

Times are seconds after `T0`, a moment in host time; the cluster's clock agrees unless a test says
otherwise.  Owners are passed as objects, so that the references are right by construction.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

T0 = 1_800_000_000.0

Json = dict[str, Any]


def stamp(seconds: float) -> str:
    """`seconds` after T0 as the API server writes it: cut to the second."""
    moment = datetime.fromtimestamp(int(T0 + seconds), tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def obj(
    api: str,
    kind: str,
    name: str,
    *,
    owner: Json | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    made: float = 0,
    generation: int | None = None,
    deleted: float | None = None,
    spec: Json | None = None,
    status: Json | None = None,
    **top: Any,
) -> Json:
    """Any object; its uid follows from kind and name."""
    meta: Json = {
        "name": name,
        "namespace": "default",
        "uid": f"{kind}-{name}".lower(),
        "creationTimestamp": stamp(made),
    }
    if owner is not None:
        reference = {k: owner[k] for k in ("apiVersion", "kind")}
        named = {k: owner["metadata"][k] for k in ("name", "uid")}
        meta["ownerReferences"] = [{**reference, **named, "controller": True}]
    optional = {
        "labels": dict(labels) if labels else None,
        "annotations": dict(annotations) if annotations else None,
        "generation": generation,
        "deletionTimestamp": None if deleted is None else stamp(deleted),
    }
    meta |= {key: value for key, value in optional.items() if value is not None}
    parts = {"spec": spec, "status": status}
    found = {key: value for key, value in parts.items() if value is not None}
    return {"apiVersion": api, "kind": kind, "metadata": meta, **found, **top}


def condition(
    kind: str,
    status: str = "True",
    *,
    reason: str = "",
    message: str = "",
    at: float = 0,
    **more: Any,
) -> Json:
    """One condition of a status."""
    words = {"reason": reason, "message": message}
    told = {key: value for key, value in words.items() if value}
    return {"type": kind, "status": status, "lastTransitionTime": stamp(at), **told, **more}


# States of containers.


def running(since: float = 0) -> Json:
    """`state.running`."""
    return {"running": {"startedAt": stamp(since)}}


def waiting(reason: str, message: str = "") -> Json:
    """`state.waiting`."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def ended(
    code: int, *, reason: str = "", at: float = 1, since: float = 0, message: str = ""
) -> Json:
    """`state.terminated` (or `lastState`)."""
    told: Json = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "startedAt": stamp(since),
        "finishedAt": stamp(at),
        "containerID": f"containerd://ended-{at:g}",
    }
    return {"terminated": told | ({"message": message} if message else {})}


def back_off(seconds: str = "10s") -> Json:
    """Waiting for the next restart after a crash."""
    words = f"back-off {seconds} restarting failed container=main pod=web_default(uid)"
    return waiting("CrashLoopBackOff", words)


def box(
    state: Json | None = None,
    *,
    name: str = "main",
    ready: bool | None = None,
    restarts: int = 0,
    last: Json | None = None,
    started: bool | None = None,
    **spec: Any,
) -> tuple[Json, Json]:
    """A container: specification and status; without `state` the kubelet hasn't reported it yet."""
    specified: Json = {"name": name, "image": f"example.com/{name}:1", **spec}
    if state is None:
        return specified, {}
    up = "running" in state
    reported: Json = {
        "name": name,
        "image": specified["image"],
        "state": state,
        "lastState": last or {},
        "ready": up if ready is None else ready,
        "started": up if started is None else started,
        "restartCount": restarts,
    }
    if up:
        reported["containerID"] = f"containerd://{name}-{restarts}"
    return specified, reported


def pod(
    *boxes: tuple[Json, Json],
    name: str = "web-1",
    init: Sequence[tuple[Json, Json]] = (),
    owner: Json | None = None,
    labels: Mapping[str, str] | None = None,
    made: float = 0,
    deleted: float | None = None,
    phase: str = "",
    reason: str = "",
    message: str = "",
    policy: str = "Always",
    conditions: Sequence[Json] | None = None,
    node: str | None = "node",
    **spec: Any,
) -> Json:
    """A pod; conditions and phase follow from the containers unless given."""
    states = [status for _, status in (*init, *boxes)]
    main = [status for _, status in boxes]
    all_up = bool(main) and all(s.get("ready") for s in main)
    told = conditions
    if told is None:
        told = [
            condition(
                "PodReadyToStartContainers",
                _bool(
                    any(s.get("restartCount") or "running" in s.get("state", {}) for s in states)
                ),
            ),
            condition("Ready", _bool(all_up), reason="" if all_up else "ContainersNotReady"),
            condition("PodScheduled", at=made),
        ]
    words = {"reason": reason, "message": message}
    status: Json = {
        "phase": phase
        or ("Running" if any("running" in s.get("state", {}) for s in states) else "Pending"),
        "conditions": list(told),
        "containerStatuses": [s for s in main if s],
        "initContainerStatuses": [s for _, s in init if s],
        **{key: value for key, value in words.items() if value},
    }
    specified: Json = {
        "restartPolicy": policy,
        "containers": [s for s, _ in boxes],
        **({"initContainers": [s for s, _ in init]} if init else {}),
        **({"nodeName": node} if node else {}),
        **spec,
    }
    return obj(
        "v1",
        "Pod",
        name,
        owner=owner,
        labels=labels,
        made=made,
        deleted=deleted,
        spec=specified,
        status=status,
    )


def _bool(value: bool) -> str:  # noqa: FBT001 - a condition's status, positional as in `str(x)`
    return "True" if value else "False"


def event(
    about: Json,
    reason: str,
    message: str,
    *,
    at: float = 0,
    first: float | None = None,
    container: str = "",
    warning: bool = True,
) -> Json:
    """An event about `about`, or about one of its containers."""
    meta = about["metadata"]
    involved = {"kind": about["kind"], **{k: meta[k] for k in ("name", "namespace", "uid")}}
    path = {"fieldPath": f"spec.containers{{{container}}}"} if container else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{reason}.{at:g}", "namespace": "default"},
        "involvedObject": {**involved, **path},
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "firstTimestamp": stamp(at if first is None else first),
        "lastTimestamp": stamp(at),
        "eventTime": None,
        "count": 1,
    }


# Workloads.


def deployment(
    replicas: int = 1,
    *,
    updated: int = 0,
    total: int | None = None,
    available: int = 0,
    conditions: Sequence[Json] = (),
    generation: int = 1,
    observed: int | None = 1,
    deleted: float | None = None,
    **spec: Any,
) -> Json:
    """Deployment `web`; absent counts are zero, as in reality."""
    counts = {
        "replicas": updated if total is None else total,
        "updatedReplicas": updated,
        "availableReplicas": available,
        "readyReplicas": available,
    }
    status: Json = {key: value for key, value in counts.items() if value}
    if observed is not None:
        status |= {"observedGeneration": observed, "conditions": list(conditions)}
    return obj(
        "apps/v1",
        "Deployment",
        "web",
        generation=generation,
        deleted=deleted,
        spec={"replicas": replicas, **spec},
        status=status,
    )


def replica_set(owner: Json, revision: int = 1, *, name: str = "", **status: Any) -> Json:
    """The ReplicaSet of a Deployment's revision."""
    return obj(
        "apps/v1",
        "ReplicaSet",
        name or f"web-{revision}",
        owner=owner,
        made=revision,
        annotations={"deployment.kubernetes.io/revision": str(revision)},
        spec={"replicas": 1},
        status={"replicas": 1, "observedGeneration": 1, **status},
    )


def stateful_set(
    replicas: int = 1,
    *,
    ready: int = 0,
    updated: int = 0,
    current: str = "r1",
    update: str = "r1",
    strategy: Json | None = None,
    **spec: Any,
) -> Json:
    """StatefulSet `db`."""
    status: Json = {
        "observedGeneration": 1,
        "replicas": replicas,
        "availableReplicas": ready,
        "currentRevision": current,
        "updateRevision": update,
        **({"readyReplicas": ready} if ready else {}),
        **({"updatedReplicas": updated} if updated else {}),
    }
    how = strategy or {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    wanted = {"replicas": replicas, "updateStrategy": how, **spec}
    return obj("apps/v1", "StatefulSet", "db", generation=1, spec=wanted, status=status)


def daemon_set(
    desired: int,
    *,
    updated: int = 0,
    available: int = 0,
    strategy: str = "RollingUpdate",
    observed: int | None = 1,
) -> Json:
    """DaemonSet `agent`."""
    status: Json = {
        "desiredNumberScheduled": desired,
        "currentNumberScheduled": desired,
        "numberMisscheduled": 0,
        "numberReady": available,
        **({"updatedNumberScheduled": updated} if updated else {}),
        **({"numberAvailable": available} if available else {}),
        **({} if observed is None else {"observedGeneration": observed}),
    }
    spec = {"updateStrategy": {"type": strategy}}
    return obj("apps/v1", "DaemonSet", "agent", generation=1, spec=spec, status=status)


def job(*conditions: Json, failed: int = 0, backoff_limit: int = 6, suspend: bool = False) -> Json:
    """Job `migrate`."""
    spec = {"backoffLimit": backoff_limit, "completions": 1, "parallelism": 1, "suspend": suspend}
    status: Json = {"conditions": list(conditions), **({"failed": failed} if failed else {})}
    return obj("batch/v1", "Job", "migrate", generation=1, spec=spec, status=status)


def custom(*conditions: Json, generation: int = 1, observed: int | None = None) -> Json:
    """A custom resource `Widget/w`."""
    status: Json = {"conditions": list(conditions)} if conditions else {}
    if observed is not None:
        status["observedGeneration"] = observed
    return obj("example.com/v1", "Widget", "w", generation=generation, spec={}, status=status)
