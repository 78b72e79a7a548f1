"""The status of a pod as the kubelet writes it: phase, conditions, the state of each container."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilt_cluster import fields
from tilt_cluster.node import order
from tilt_cluster.node.containers import Run, Slot, spec_of
from tilt_cluster.objects import Object

_MESSAGE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pod is.

    Args:
        pod_ip: empty if it has no network yet.
        host_ip: the node's.
        since: when the node took it on (Unix seconds).
        network: whether its network is up.
    """

    pod_ip: str
    host_ip: str
    since: float
    network: bool


def of_pod(
    pod: Object,
    slots: Sequence[Slot],
    plan: order.Plan,
    place: Place,
    images: Mapping[str, str],
    now: float,
) -> Object:
    """The whole status.

    Args:
        pod: as it is stored; its old conditions keep their times.
        slots: its containers.
        plan: what will be done with them.
        place: addresses and times.
        images: the image reference of each container.
        now: Unix seconds.
    """
    old: Mapping[str, Any] = fields.get(pod, "status", default={})
    phase = old.get("phase") if old.get("phase") in {"Succeeded", "Failed"} else plan.phase
    result: dict[str, Any] = {
        key: old[key] for key in ("reason", "message", "nominatedNodeName") if key in old
    }
    result |= {
        "phase": phase,
        "observedGeneration": fields.generation(pod) or 1,
        "conditions": _conditions(pod, slots, plan, place, str(phase), now),
        "hostIP": place.host_ip,
        "hostIPs": [{"ip": place.host_ip}],
        "startTime": old.get("startTime") or fields.stamp(place.since),
        "qosClass": old.get("qosClass") or quality(pod),
    }
    if place.pod_ip:
        result["podIP"] = place.pod_ip
        result["podIPs"] = [{"ip": place.pod_ip}]
    initial = [slot for slot in slots if slot.kind in {"init", "sidecar"}]
    beside = [slot for slot in slots if slot.kind == "ephemeral"]
    main = [slot for slot in slots if slot.kind == "main"]
    if initial:
        result["initContainerStatuses"] = [
            _container(pod, slot, images, initial=True) for slot in initial
        ]
    result["containerStatuses"] = [
        _container(pod, slot, images, initial=bool(initial)) for slot in main
    ]
    if beside:
        result["ephemeralContainerStatuses"] = [
            _container(pod, slot, images, initial=False) for slot in beside
        ]
    return result


def quality(pod: Object) -> str:
    """`qosClass`."""
    every: list[Object] = [
        *fields.get(pod, "spec", "containers", default=()),
        *fields.get(pod, "spec", "initContainers", default=()),
    ]
    any_set, guaranteed = False, True
    for container in every:
        limits = fields.get(container, "resources", "limits", default={})
        requests = {**limits, **fields.get(container, "resources", "requests", default={})}
        for name in ("cpu", "memory"):
            any_set = any_set or name in limits or name in requests
            same = fields.quantity(limits.get(name)) == fields.quantity(requests.get(name))
            guaranteed = guaranteed and name in limits and same
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _state(run: Run, slot: Slot) -> Object:
    if run.running:
        return {"running": {"startedAt": fields.stamp(run.started)}}
    if run.exited:
        return {"terminated": _terminated(run)}
    waiting = slot.waiting
    return {"waiting": {"reason": waiting.reason if waiting else "ContainerCreating"}}


def _terminated(run: Run) -> Object:
    result = {
        "exitCode": run.exit_code,
        "reason": run.reason,
        "startedAt": fields.stamp(run.started),
        "finishedAt": fields.stamp(run.finished),
        "containerID": f"docker://{run.id}",
    }
    return {**result, **({"message": run.message[:_MESSAGE_MAX]} if run.message else {})}


def _container(pod: Object, slot: Slot, images: Mapping[str, str], *, initial: bool) -> Object:
    run = slot.current
    spec = spec_of(pod, slot)
    result: dict[str, Any] = {
        "name": slot.name,
        "state": {},
        "lastState": {},
        "ready": is_ready(slot),
        "restartCount": slot.restarts,
        "image": images.get(slot.name, str(spec.get("image", ""))),
        "imageID": "",
        "started": slot.running and slot.started,
    }
    if slot.waiting is not None and not slot.running:
        waiting = {"reason": slot.waiting.reason, "message": slot.waiting.message}
        result["state"] = {"waiting": {k: v for k, v in waiting.items() if v}}
        if run is not None and run.exited:
            result["lastState"] = {"terminated": _terminated(run)}
    elif run is None:
        waiting_for = "PodInitializing" if initial else "ContainerCreating"
        result["state"] = {"waiting": {"reason": waiting_for}}
    else:
        result["state"] = _state(run, slot)
        if slot.last is not None:
            result["lastState"] = {"terminated": _terminated(slot.last)}
    if run is not None:
        result["containerID"] = f"docker://{run.id}"
        result["imageID"] = (
            f"docker-pullable://{run.image_id}"
            if "@" in run.image_id
            else (f"docker://{run.image_id}" if run.image_id else "")
        )
    return result


def is_ready(slot: Slot) -> bool:
    """Whether a container counts as ready: an init container once it has succeeded."""
    if slot.kind == "init":
        run = slot.exited
        return run is not None and run.exit_code == 0
    return slot.kind != "ephemeral" and slot.running and slot.started and slot.ready


def _conditions(
    pod: Object, slots: Sequence[Slot], plan: order.Plan, place: Place, phase: str, now: float
) -> list[Object]:
    old: Sequence[Object] = fields.get(pod, "status", "conditions", default=())
    ended = phase in {"Succeeded", "Failed"}
    reason = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "")
    must = [slot for slot in slots if slot.kind in {"sidecar", "main"}]
    unready = [slot.name for slot in must if not is_ready(slot)]
    incomplete = [
        slot.name
        for slot in slots
        if (slot.kind == "init" and not is_ready(slot))
        or (slot.kind == "sidecar" and not (slot.running and slot.started))
    ]
    not_ready = (
        "False",
        "ContainersNotReady",
        f"containers with unready status: [{' '.join(unready)}]",
    )
    containers = ("False", reason, "") if ended else (not_ready if unready else ("True", "", ""))
    gates = [
        str(one["conditionType"]) for one in fields.get(pod, "spec", "readinessGates", default=())
    ]
    missing = [gate for gate in gates if not fields.is_true(pod, gate)]
    ready = containers
    if missing and containers[0] == "True":
        status = f'corresponding condition of pod readiness gate "{missing[0]}" does not exist.'
        ready = ("False", "ReadinessGatesNotReady", status)
    initialized = ("True", reason if phase == "Succeeded" else "", "")
    if not plan.initialized and incomplete and not ended:
        message = f"containers with incomplete status: [{' '.join(incomplete)}]"
        initialized = ("False", "ContainersNotInitialized", message)
    wanted = {
        "PodReadyToStartContainers": ("True" if place.network else "False", "", ""),
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": containers,
        "PodScheduled": ("True", "", ""),
    }
    others = [one for one in old if one.get("type") not in wanted]
    known = {str(one.get("type")): one for one in old}
    made = [
        _condition(known.get(kind), kind, values, fields.generation(pod) or 1, now)
        for kind, values in wanted.items()
    ]
    return [*others, *made]


def _condition(
    old: Object | None, kind: str, values: tuple[str, str, str], generation: int, now: float
) -> Object:
    status, reason, message = values
    same = old is not None and old.get("status") == status
    since = old.get("lastTransitionTime") if old is not None and same else None
    result: dict[str, Any] = {
        "type": kind,
        "observedGeneration": generation,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": since or fields.stamp(now),
    }
    if reason:
        result["reason"] = reason
    if message:
        result["message"] = message
    return result
