"""A resource as the object that Tilt's API has for it: scripts that ask for it go on working.

Of `UIResource` (tilt.dev/v1alpha1) the fields that we have a value for, and all that we know beyond
it in `status.tiltd`, by the schema of the report.

Source: Tilt's API reference, api.tilt.dev, "UIResource v1alpha1".
"""

from typing import Any

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.outputs import document
from tilt_client.render import waiting
from tilt_client.render.known import Known

READY, UP_TO_DATE = "Ready", "UpToDate"
_RUNTIME = {
    pb.VERDICT_UNSPECIFIED: "none",
    pb.VERDICT_HEALTHY: "ok",
    pb.VERDICT_PROGRESSING: "pending",
    pb.VERDICT_FAILING: "error",
    pb.VERDICT_FAILED: "error",
}


def of(resource: pb.Resource, known: Known) -> dict[str, Any]:
    """The object of a resource."""
    status: dict[str, Any] = {
        "order": resource.order,
        "updateStatus": update(resource, known),
        "runtimeStatus": runtime(resource, known),
        "disableStatus": {"state": "Enabled" if resource.enabled else "Disabled"},
        "conditions": [_condition(name, resource, known) for name in (UP_TO_DATE, READY)],
        "endpointLinks": [{"url": link.url, "name": link.name} for link in resource.links],
    }
    if resource.HasField("started_at"):
        status["lastDeployTime"] = document.stamp(resource.started_at)
    if resource.HasField("hold"):
        status["waiting"] = {"reason": resource.hold.code, "on": _waited_for(resource)}
    if resource.pods:
        newest = resource.pods[-1]
        status["k8sResourceInfo"] = {
            "podName": newest.name,
            "podStatus": newest.phase,
            "podRestarts": sum(c.restarts for c in newest.containers),
            "allContainersReady": all(c.ready for c in newest.containers if not c.init),
        }
    return {
        "apiVersion": "tilt.dev/v1alpha1",
        "kind": "UIResource",
        "metadata": {"name": resource.name, "labels": {name: name for name in resource.labels}},
        "status": {**status, "tiltd": document.resource(resource, known)},
    }


def listed(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Several of them, as one."""
    return {"apiVersion": "tilt.dev/v1alpha1", "kind": "UIResourceList", "items": objects}


def condition(name: str, resource: pb.Resource, known: Known) -> bool:
    """Whether a condition is True."""
    if name == READY:
        return resource.enabled and resource.verdict == pb.VERDICT_HEALTHY
    return update(resource, known) == "ok"


def update(resource: pb.Resource, known: Known) -> str:
    """How far its builds, applies and commands are."""
    phases = {_phase(target) for target in resource.targets}
    if not resource.enabled or known.asleep(resource):
        return "none"
    if pb.TARGET_PHASE_FAILED in phases:
        return "error"
    if pb.TARGET_PHASE_RUNNING in phases:
        return "in_progress"
    return "pending" if phases - {pb.TARGET_PHASE_DONE} else "ok"


def runtime(resource: pb.Resource, known: Known) -> str:
    """How what runs is doing."""
    if not resource.enabled or known.asleep(resource):
        return "none"
    serves = any(target.id.startswith("serve/") for target in resource.targets)
    if resource.kind == pb.RESOURCE_KIND_LOCAL and not serves:
        return "not_applicable"
    return _RUNTIME[resource.verdict]


def _phase(target: pb.Target) -> "pb.TargetPhase.ValueType":
    """A process that serves is up to date while it runs."""
    serving = target.attempt.work == "serve" and target.phase == pb.TARGET_PHASE_RUNNING
    return pb.TARGET_PHASE_DONE if serving else target.phase


def _condition(name: str, resource: pb.Resource, known: Known) -> dict[str, Any]:
    met = condition(name, resource, known)
    finding = resource.findings[0] if resource.findings else pb.Finding()
    reason = finding.reason or finding.rule if name == READY else update(resource, known)
    message = "" if met else waiting.why(resource)
    status = "True" if met else "False"
    return {"type": name, "status": status, "reason": reason, "message": message}


def _waited_for(resource: pb.Resource) -> list[dict[str, str]]:
    return [{"name": name} for name in resource.hold.on]
