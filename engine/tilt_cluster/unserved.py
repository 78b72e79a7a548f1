"""What is stored, and what nobody here acts on: told to whoever writes it, in Warning headers.

Like the rules of `shapes`, it is said by type, so that a pod's field is told in any template.  What
a single node fulfils of itself (spreading, preferences) needs no word.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tilt_cluster import fields, schema
from tilt_cluster.objects import Object
from tilt_cluster.schema import is_list, is_map

Test = Callable[[Any], bool]
_ELSEWHERE = frozenset({"apiVersion", "kind", "metadata", "status"})


def _given(value: Any) -> bool:
    return value not in (None, "", False, [], {})


def _other(*usual: Any) -> Test:
    return lambda value: value is not None and value not in usual


def _of_type(*kinds: str) -> Test:
    return lambda value: fields.get(value or {}, "type") in kinds


def _required(value: Any) -> bool:
    return bool(fields.get(value or {}, "requiredDuringSchedulingIgnoredDuringExecution"))


_FIELDS: Mapping[str, Mapping[str, Test]] = {
    "PodSpec": {
        "hostUsers": lambda value: value is False,
        "hostnameOverride": _given,
        "resourceClaims": _given,
        "runtimeClassName": _given,
        "setHostnameAsFQDN": _given,
    },
    "Affinity": {"podAffinity": _required, "podAntiAffinity": _required},
    "Container": {"restartPolicyRules": _given},
    "EnvVarSource": {"fileKeyRef": _given},
    "PodSecurityContext": {
        "appArmorProfile": _of_type("Localhost"),
        "seLinuxOptions": _given,
        "seccompProfile": _of_type("Localhost"),
        "supplementalGroupsPolicy": _other("Merge"),
        "windowsOptions": _given,
    },
    "SecurityContext": {
        "appArmorProfile": _of_type("Localhost"),
        "procMount": _other("Default"),
        "seLinuxOptions": _given,
        "seccompProfile": _of_type("Localhost"),
        "windowsOptions": _given,
    },
    "VolumeMount": {"recursiveReadOnly": _other("Disabled")},
    "EmptyDirVolumeSource": {"medium": _given, "sizeLimit": _given},
    "ServiceSpec": {"externalIPs": _given, "loadBalancerSourceRanges": _given},
    "StatefulSetPersistentVolumeClaimRetentionPolicy": {
        "whenDeleted": _other("Retain"),
        "whenScaled": _other("Retain"),
    },
    "JobSpec": {"managedBy": _other("kubernetes.io/job-controller")},
    "PodDisruptionBudgetSpec": {"unhealthyPodEvictionPolicy": _given},
    "PersistentVolumeClaimSpec": {"dataSource": _given},
    "StorageClass": {"allowVolumeExpansion": _given, "mountOptions": _given},
}


def warnings(of: schema.Schema, obj: Object) -> Iterator[str]:
    """What of an object of a built-in kind nobody acts on."""
    if obj["kind"] == "HorizontalPodAutoscaler":
        yield "the embedded cluster stores this, but doesn't scale: nobody measures"
        return
    for path in _walk(of, {key: obj[key] for key in obj if key not in _ELSEWHERE}, ""):
        yield f"{path}: the embedded cluster stores this, but doesn't act on it"


def _walk(of: schema.Schema, value: Any, path: str) -> Iterator[str]:
    if is_map(value) and of.is_struct:
        tests = _FIELDS.get(of.short)
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            if tests and key in tests and tests[key](item):
                yield where
                continue
            child = of.field(key)
            if child is not None and (is_map(item) or is_list(item)):
                yield from _walk(child, item, where)
    elif is_list(value) and of.items.is_struct:
        for at, item in enumerate(value):
            yield from _walk(of.items, item, f"{path}[{at}]")
