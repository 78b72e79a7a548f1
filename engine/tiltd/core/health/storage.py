"""Claims: bound, or rightly unbound because no pod has asked for the volume yet."""

from dataclasses import replace

from tiltd.core.health import budgets, events, fields
from tiltd.core.health.conditions import report
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import Scope
from tiltd.model.health import Finding, Verdict

_RULE = "claim.binding"
_TROUBLE = ("ProvisioningFailed", "FailedBinding")
_PASSING = ("WaitForFirstConsumer", "WaitForPodScheduled", "ExternalProvisioning", "Provisioning")


def claim(obj: Obj, scope: Scope) -> Finding:
    """A PersistentVolumeClaim."""
    match fields.text(obj, "status", "phase"):
        case "Bound":
            return report(obj, Verdict.HEALTHY, _RULE, "is bound")
        case "Lost":
            lost = report(obj, Verdict.FAILED, "claim.lost", "has lost its volume")
            return replace(
                lost, reason="Lost", hint="its PersistentVolume is gone: delete the claim"
            )
        case _:
            return _pending(obj, scope)


def _pending(obj: Obj, scope: Scope) -> Finding:
    newest = events.newest(scope.events(obj), *_TROUBLE, *_PASSING)
    if newest and newest.reason in _TROUBLE:
        words = f"gets no volume: {newest.message}"
        failed = report(obj, Verdict.FAILED, "claim.provisioning", words)
        failed = replace(failed, reason=newest.reason, hint=_hint(obj, newest.message))
        began = scope.now if newest.first is None else newest.first
        return budgets.graced(failed, scope, began, "unprovisioned")
    waits = _waits_for_pod(obj, scope) or (newest and newest.reason == "WaitForFirstConsumer")
    if waits and not _used(obj, scope):
        return report(obj, Verdict.HEALTHY, _RULE, "waits for the first pod that uses it")
    told = f": {newest.message}" if newest else ""
    return report(obj, Verdict.PROGRESSING, _RULE, f"is not bound yet{told}")


def _waits_for_pod(obj: Obj, scope: Scope) -> bool:
    wanted = fields.text(obj, "spec", "storageClassName")
    return any(
        fields.text(c, "volumeBindingMode") == "WaitForFirstConsumer"
        for c in scope.objects.kind("StorageClass")
        if fields.named(c) == wanted
    )


def _used(obj: Obj, scope: Scope) -> bool:
    """Whether a pod that is there mounts the claim."""
    place = fields.text(obj, "metadata", "namespace")
    return any(
        fields.text(volume, "persistentVolumeClaim", "claimName") == fields.named(obj)
        for pod in scope.objects.kind("Pod")
        if fields.text(pod, "metadata", "namespace") == place
        for volume in fields.rows(pod, "spec", "volumes")
    )


def _hint(obj: Obj, message: str) -> str:
    if "not found" in message:
        name = fields.text(obj, "spec", "storageClassName")
        return f"the cluster has no StorageClass {name}: correct storageClassName or leave it out"
    if "no storage class is set" in message:
        return "the cluster has no default StorageClass: name one in storageClassName"
    return ""
