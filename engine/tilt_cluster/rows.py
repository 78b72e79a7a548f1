"""Rows of the kinds that people list now and then, and what cells are made of.

`tables` has the rows of the others, and the columns.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.kind_types import METRIC_SOURCES
from tilt_cluster.objects import Object

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY


Cells = Sequence[Any]


def ago(text: str | None) -> str:
    """A time's age as kubectl writes it (`5m10s`); `<unknown>` for none."""
    if not text:
        return "<unknown>"
    return duration(time.time() - fields.parse(text))


def duration(seconds: float) -> str:
    """A duration, as coarse as kubectl writes it."""
    whole = max(int(seconds), 0)
    minutes, hours, days = whole // _MINUTE, whole // _HOUR, whole // _DAY
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if minutes < 10:  # noqa: PLR2004 - kubectl's own steps, from here on
        return f"{minutes}m" + (f"{whole % _MINUTE}s" if whole % _MINUTE else "")
    if hours < 3:  # noqa: PLR2004
        return f"{minutes}m"
    if hours < 8:  # noqa: PLR2004
        return f"{hours}h" + (f"{minutes % 60}m" if minutes % 60 else "")
    if days < 2:  # noqa: PLR2004
        return f"{hours}h"
    if days < 8:  # noqa: PLR2004
        return f"{days}d" + (f"{hours % 24}h" if hours % 24 else "")
    if whole < 2 * _YEAR:
        return f"{days}d"
    return f"{days // 365}y" + (f"{days % 365}d" if days % 365 else "")


def age(obj: Object) -> str:
    """An object's age."""
    return ago(fields.get(obj, "metadata", "creationTimestamp"))


def selector(given: Any) -> str:
    """A label selector in one cell."""
    labels: Mapping[str, str] = fields.get(given, "matchLabels", default={})
    found = [f"{key}={value}" for key, value in sorted(labels.items())]
    for one in fields.get(given, "matchExpressions", default=()):
        listed = ",".join(sorted(one.get("values") or ()))
        key = one.get("key", "")
        found.append(
            {
                "In": f"{key} in ({listed})",
                "NotIn": f"{key} notin ({listed})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }.get(one.get("operator"), key)
        )
    return ",".join(found) or "<none>"


def images(spec: Any) -> Cells:
    """Names and images of a pod's containers."""
    listed: Sequence[Any] = fields.get(spec, "containers", default=())
    return [
        ",".join(one["name"] for one in listed),
        ",".join(one.get("image", "") for one in listed),
    ]


def modes(given: Sequence[str]) -> str:
    """Access modes, in short."""
    short = {
        "ReadWriteOnce": "RWO",
        "ReadOnlyMany": "ROX",
        "ReadWriteMany": "RWX",
        "ReadWriteOncePod": "RWOP",
    }
    return ",".join(short.get(one, one) for one in given)


def _labels(given: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((given or {}).items())) or "<none>"


def _said(obj: Object, *path: str, default: Any = "<none>") -> Any:
    return fields.get(obj, *path, default=default)


def _created(obj: Object) -> Cells:
    return [fields.name(obj), fields.get(obj, "metadata", "creationTimestamp")]


def _pod_template(obj: Object) -> Cells:
    template: Any = obj.get("template") or {}
    labels = fields.get(template, "metadata", "labels", default={})
    return [fields.name(obj), *images(template.get("spec")), _labels(labels)]


def _controller(obj: Object) -> Cells:
    return [
        fields.name(obj),
        _said(obj, "spec", "replicas", default=0),
        _said(obj, "status", "replicas", default=0),
        _said(obj, "status", "readyReplicas", default=0),
        age(obj),
        *images(fields.get(obj, "spec", "template", "spec")),
        _labels(fields.get(obj, "spec", "selector")),
    ]


def _volume(obj: Object) -> Cells:
    claim = fields.get(obj, "spec", "claimRef", default={})
    return [
        fields.name(obj),
        _said(obj, "spec", "capacity", "storage", default=""),
        modes(fields.get(obj, "spec", "accessModes", default=())),
        _said(obj, "spec", "persistentVolumeReclaimPolicy", default=""),
        _said(obj, "status", "phase", default=""),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _said(obj, "spec", "storageClassName", default=""),
        _said(obj, "spec", "volumeAttributesClassName", default="<unset>"),
        _said(obj, "status", "reason", default=""),
        age(obj),
        _said(obj, "spec", "volumeMode", default="<unset>"),
    ]


def _quota(obj: Object) -> Cells:
    hard: Mapping[str, Any] = fields.get(obj, "status", "hard", default={})
    used: Mapping[str, Any] = fields.get(obj, "status", "used", default={})
    shown = {key: f"{key}: {used.get(key, 0)}/{hard[key]}" for key in sorted(hard)}
    limits = [text for key, text in shown.items() if key.startswith("limits")]
    requests = [text for key, text in shown.items() if not key.startswith("limits")]
    return [fields.name(obj), ", ".join(requests), ", ".join(limits), age(obj)]


def _ingress_class(obj: Object) -> Cells:
    given: Mapping[str, Any] = fields.get(obj, "spec", "parameters", default={})
    parameters = "<none>"
    if given:
        group = given.get("apiGroup")
        kind = given.get("kind", "") + (f".{group}" if group else "")
        parameters = f"{kind}/{given.get('name', '')}"
    return [fields.name(obj), _said(obj, "spec", "controller"), parameters, age(obj)]


def _policy(obj: Object) -> Cells:
    return [fields.name(obj), selector(fields.get(obj, "spec", "podSelector")), age(obj)]


_SHOWN = 2


def _target(metric: Mapping[str, Any]) -> str:
    source: Mapping[str, Any] = metric.get(METRIC_SOURCES.get(metric.get("type", ""), "")) or {}
    target: Mapping[str, Any] = source.get("target") or {}
    wanted = target.get("averageUtilization")
    text = f"{wanted}%" if wanted is not None else ""
    if not text and target.get("averageValue") is not None:
        spread = metric.get("type") in ("Object", "External")
        text = str(target["averageValue"]) + (" (avg)" if spread else "")
    text = text or str(target.get("value", "<auto>"))
    name = f"{source['name']}: " if "name" in source else ""
    return f"{name}<unknown>/{text}"


def _autoscaler(obj: Object) -> Cells:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    target: Mapping[str, Any] = spec.get("scaleTargetRef") or {}
    metrics: Sequence[Any] = spec.get("metrics") or ()
    if spec.get("targetCPUUtilizationPercentage") is not None:
        share = {"averageUtilization": spec["targetCPUUtilizationPercentage"]}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": share}}]
    shown = ", ".join(map(_target, metrics[:_SHOWN])) or "<none>"
    if len(metrics) > _SHOWN:
        shown += f" + {len(metrics) - _SHOWN} more..."
    least = spec.get("minReplicas")
    return [
        fields.name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        shown,
        "<unset>" if least is None else str(least),
        spec.get("maxReplicas", 0),
        fields.get(obj, "status", "currentReplicas", default=0),
        age(obj),
    ]


def _budget(obj: Object) -> Cells:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    return [
        fields.name(obj),
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        fields.get(obj, "status", "disruptionsAllowed", default=0),
        age(obj),
    ]


def _binding(obj: Object) -> Cells:
    role: Mapping[str, Any] = obj.get("roleRef") or {}
    subjects: Sequence[Any] = obj.get("subjects") or ()

    def of(kind: str) -> str:
        return ", ".join(
            f"{one.get('namespace', '')}/{one['name']}" if kind == "ServiceAccount" else one["name"]
            for one in subjects
            if one.get("kind") == kind
        )

    shown = f"{role.get('kind', '')}/{role.get('name', '')}"
    return [fields.name(obj), shown, age(obj), of("User"), of("Group"), of("ServiceAccount")]


def _storage_class(obj: Object) -> Cells:
    marked = "storageclass.kubernetes.io/is-default-class"
    default = " (default)" if fields.annotations(obj).get(marked) == "true" else ""
    return [
        fields.name(obj) + default,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        age(obj),
    ]


def _priority_class(obj: Object) -> Cells:
    return [
        fields.name(obj),
        obj.get("value", 0),
        obj.get("globalDefault", False),
        age(obj),
        obj.get("preemptionPolicy", ""),
    ]


def _lease(obj: Object) -> Cells:
    return [fields.name(obj), _said(obj, "spec", "holderIdentity", default=""), age(obj)]


def _listed(found: Sequence[str]) -> str:
    if not found:
        return "<unset>"
    more = f" + {len(found) - _MOST} more..." if len(found) > _MOST else ""
    return ",".join(found[:_MOST]) + more


_MOST = 3


def _slice(obj: Object) -> Cells:
    ports = [str(one.get("port", "*")) for one in obj.get("ports") or ()]
    addresses = [one for end in obj.get("endpoints") or () for one in end.get("addresses") or ()]
    return [
        fields.name(obj),
        obj.get("addressType", ""),
        _listed(ports),
        _listed(addresses),
        age(obj),
    ]


def _runtime_class(obj: Object) -> Cells:
    return [fields.name(obj), obj.get("handler", ""), age(obj)]


def _revision(obj: Object) -> Cells:
    owners: Sequence[Any] = fields.get(obj, "metadata", "ownerReferences", default=())
    lead = next((one for one in owners if one.get("controller")), None)
    shown = "<none>"
    if lead:
        group = lead["apiVersion"].rpartition("/")[0]
        kind = lead["kind"].lower() + (f".{group}" if group else "")
        shown = f"{kind}/{lead['name']}"
    return [fields.name(obj), shown, obj.get("revision", 0), age(obj)]


def _hooks(obj: Object) -> Cells:
    return [fields.name(obj), len(obj.get("webhooks") or ()), age(obj)]


CELLS: Mapping[str, Callable[[Object], Cells]] = {
    "clusterrolebindings": _binding,
    "clusterroles": _created,
    "controllerrevisions": _revision,
    "csistoragecapacities": _created,
    "endpointslices": _slice,
    "horizontalpodautoscalers": _autoscaler,
    "ingressclasses": _ingress_class,
    "leases": _lease,
    "limitranges": _created,
    "mutatingwebhookconfigurations": _hooks,
    "networkpolicies": _policy,
    "persistentvolumes": _volume,
    "poddisruptionbudgets": _budget,
    "podtemplates": _pod_template,
    "priorityclasses": _priority_class,
    "replicationcontrollers": _controller,
    "resourcequotas": _quota,
    "rolebindings": _binding,
    "roles": _created,
    "runtimeclasses": _runtime_class,
    "storageclasses": _storage_class,
    "validatingwebhookconfigurations": _hooks,
}
"""By resource name."""
