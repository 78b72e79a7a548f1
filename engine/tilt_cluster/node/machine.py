"""The Node object: what the Engine's machine has, and whether it can take pods."""

import time
from collections.abc import Mapping
from typing import Any

from tilt_cluster import fields
from tilt_cluster.node.world import NODE
from tilt_cluster.objects import Object

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PODS = "250"
_VERSION = "v1.36.0+tilt"
_CALM = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


def describe(info: Mapping[str, Any], gateway: str) -> Object:
    """The Node as it is made first.

    Args:
        info: the Engine's answer to `GET /info`; empty if it can't be asked.
        gateway: the node's address.
    """
    machine = str(info.get("Architecture", ""))
    architecture = _ARCHITECTURES.get(machine, machine) or "amd64"
    labels = {
        "kubernetes.io/arch": architecture,
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": NODE,
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "node-role.kubernetes.io/control-plane": "",
    }
    return {
        "metadata": {"name": NODE, "labels": labels},
        "spec": spec(ready=bool(info)),
        "status": status(info, gateway, None, ready=bool(info), message=""),
    }


def spec(*, ready: bool) -> Object:
    """The spec of the Node: tainted while it can't take pods."""
    if ready:
        return {}
    key = "node.kubernetes.io/not-ready"
    return {"taints": [{"key": key, "effect": "NoSchedule"}]}


def status(
    info: Mapping[str, Any], gateway: str, old: Object | None, *, ready: bool, message: str
) -> Object:
    """The status of the Node.

    Args:
        info: as above; the sizes of the old status stay if it is empty.
        gateway: the node's address.
        old: the Node as it is stored.
        ready: the Engine answers.
        message: why not.
    """
    now = fields.stamp(time.time())
    machine = str(info.get("Architecture", ""))
    size = {
        "cpu": str(info.get("NCPU", 0)),
        "memory": f"{int(info.get('MemTotal', 0)) // 1024}Ki",
        "ephemeral-storage": "100Gi",
        "pods": _PODS,
    }
    before: Mapping[str, Any] = fields.get(old, "status", default={})
    if not info and before:
        size = before.get("capacity", size)
    conditions = [_condition(old, kind, "False", reason, text, now) for kind, reason, text in _CALM]
    if ready:
        text = "kubelet is posting ready status"
        conditions.append(_condition(old, "Ready", "True", "KubeletReady", text, now))
    else:
        text = f"container runtime is down: {message}"
        conditions.append(_condition(old, "Ready", "False", "KubeletNotReady", text, now))
    details = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "bootID": "",
        "containerRuntimeVersion": f"docker://{info.get('ServerVersion', '')}",
        "kernelVersion": str(info.get("KernelVersion", "")),
        "kubeProxyVersion": "",
        "kubeletVersion": _VERSION,
        "machineID": str(info.get("ID", "")),
        "operatingSystem": "linux",
        "osImage": str(info.get("OperatingSystem", "")),
        "systemUUID": str(info.get("ID", "")),
    }
    return {
        "addresses": [
            {"type": "InternalIP", "address": gateway},
            {"type": "Hostname", "address": NODE},
        ],
        "capacity": size,
        "allocatable": size,
        "conditions": conditions,
        "nodeInfo": details if info else before.get("nodeInfo", details),
    }


def _condition(
    old: Object | None, kind: str, value: str, reason: str, message: str, now: str
) -> Object:
    known = fields.condition(old, kind) if old is not None else None
    same = known is not None and known.get("status") == value
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": known.get("lastTransitionTime", now) if known and same else now,
    }
