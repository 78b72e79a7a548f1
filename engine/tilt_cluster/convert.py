"""One object in another of its kind's versions.

Versions of built-in kinds mostly have one schema.  Two differ: HorizontalPodAutoscaler (v1 has only
a CPU target) and Event (core, and events.k8s.io).  Custom kinds change `apiVersion` only.
"""

from collections.abc import Mapping
from typing import Any

from tilt_cluster import catalog, fields
from tilt_cluster.objects import Object

_EVENT_PAIRS = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("source", "deprecatedSource"),
    ("reportingComponent", "reportingController"),
)


def outward(kind: catalog.Kind, version: str, obj: Object) -> Object:
    """A stored object as a client of a version sees it."""
    api_version = kind.api_version(version)
    if obj["apiVersion"] == api_version:
        return obj
    found: dict[str, Any] = {**obj, "apiVersion": api_version}
    if kind.kind == "HorizontalPodAutoscaler":
        found["spec"] = _simple(obj["spec"])
        if "status" in obj:
            kept = ("currentReplicas", "desiredReplicas", "lastScaleTime", "observedGeneration")
            found["status"] = {key: obj["status"][key] for key in kept if key in obj["status"]}
    elif kind.kind == "Event":
        for old, new in _EVENT_PAIRS:
            if old in found:
                found[new] = found.pop(old)
    return found


def inward(kind: catalog.Kind, obj: Mapping[str, Any]) -> dict[str, Any]:
    """A client's object as it is stored."""
    api_version = kind.api_version()
    found: dict[str, Any] = {**obj}
    if obj.get("apiVersion") in (None, api_version) and kind.group != "events.k8s.io":
        return found
    if kind.kind == "HorizontalPodAutoscaler":
        found["spec"] = _full(fields.get(obj, "spec", default={}))
    elif kind.kind == "Event":
        for old, new in _EVENT_PAIRS:
            if new in found:
                found[old] = found.pop(new)
        api_version = "v1"
    found["apiVersion"] = api_version
    return found


def _simple(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found = {
        key: spec[key] for key in ("scaleTargetRef", "minReplicas", "maxReplicas") if key in spec
    }
    for metric in spec.get("metrics") or ():
        target = fields.get(metric, "resource", "target", "averageUtilization")
        if fields.get(metric, "resource", "name") == "cpu" and target is not None:
            found["targetCPUUtilizationPercentage"] = target
    return found


def _full(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found = {**spec}
    target = found.pop("targetCPUUtilizationPercentage", None)
    if target is not None:
        goal = {"type": "Utilization", "averageUtilization": target}
        found["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": goal}}]
    return found
