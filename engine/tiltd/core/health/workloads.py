"""Controllers that keep replicas: is the count as desired, in the newest revision?

Each rule looks at the counts that the controller reports; the pods are judged beside it
(`resource`).  Counts that are absent are zero; an absent `observedGeneration` means that the
controller has not seen the object at all, which the counts of a fresh DaemonSet (all zero, as
desired) would hide.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from tiltd.core.health import (
    budgets,
    conditions,
    events,
    fields,
    missing,
    pods,
    starting,
)
from tiltd.core.health.conditions import report
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import Scope
from tiltd.model.health import Finding, Verdict

DEADLINE = "deployment.progress-deadline"
_QUOTA_HINT = "raise the quota, or ask for less in resources"


def judge(obj: Obj, scope: Scope) -> Finding:
    """How the workload itself stands, without a look at its pods."""
    if not fields.has(obj, "status", "observedGeneration"):
        message = "has not been looked at by its controller yet"
        return report(obj, Verdict.PROGRESSING, "object.unobserved", message)
    return _RULES[fields.text(obj, "kind")](obj, scope)


def desired(obj: Obj) -> int:
    """How many pods of the newest revision there should be."""
    if fields.text(obj, "kind") == "DaemonSet":
        return fields.number(obj, "status", "desiredNumberScheduled")
    return fields.number(obj, "spec", "replicas", default=1)


def seen(obj: Obj, count: int, finding: Finding) -> Finding:
    """Healthy only when the pods that the counts speak of have been seen too.

    Watches of different kinds run at different speeds: without the pods, nobody knows that they
    have been up for long enough.
    """
    if finding.verdict is not Verdict.HEALTHY or count >= desired(obj) or paused(obj):
        return finding
    rest = f"counts {desired(obj)} pods, of which {count} have been seen so far"
    return report(obj, Verdict.PROGRESSING, "workload.pods-unseen", rest)


def paused(obj: Obj) -> bool:
    """Whether it is a paused Deployment."""
    return fields.text(obj, "kind") == "Deployment" and fields.flag(obj, "spec", "paused")


def create_failed(obj: Obj, scope: Scope) -> Finding | None:
    """Pods that the API server refuses to the controller (quota, webhook, service account).

    Only ReplicaSets and Deployments have a condition for it; the others tell by events, which count
    while the newest of them is a failure.
    """
    newest = events.newest(scope.events(obj), "FailedCreate", "SuccessfulCreate")
    if newest is None or newest.reason != "FailedCreate":
        return None
    since = scope.now if newest.first is None else newest.first
    return _refused(obj, scope, newest.reason, newest.message, since)


def _deployment(obj: Obj, scope: Scope) -> Finding:
    if paused(obj):
        healthy = report(obj, Verdict.HEALTHY, "deployment.paused", "is paused")
        return replace(healthy, warnings=(f"{healthy.chain[0]} is paused: changes don't roll out",))
    if desired(obj) == 0:
        return _none_wanted(obj)
    return _no_progress(obj, scope) or _replica_failure(obj, scope) or _rollout(obj)


def _no_progress(obj: Obj, scope: Scope) -> Finding | None:
    progress = conditions.condition(obj, "Progressing")
    stuck = fields.text(progress, "status") == "False"
    if not stuck or fields.text(progress, "reason") != "ProgressDeadlineExceeded":
        return None
    seconds = fields.number(obj, "spec", "progressDeadlineSeconds", default=600)
    since = scope.at(progress, "lastTransitionTime")
    verdict = Verdict.FAILING if scope.stale(since) else Verdict.FAILED
    message = f"made no progress for {seconds}s (progressDeadlineSeconds)"
    failed = report(obj, verdict, DEADLINE, message, progress)
    return replace(failed, since=since)


def _rollout(obj: Obj) -> Finding:
    wanted, updated = desired(obj), fields.number(obj, "status", "updatedReplicas")
    if updated < wanted:
        return _counting(obj, "updated", updated, wanted)
    if (old := fields.number(obj, "status", "replicas") - updated) > 0:
        return _counting(obj, "old replicas left", old, 0)
    available = fields.number(obj, "status", "availableReplicas")
    return _counting(obj, "available", available, wanted)


def _stateful_set(obj: Obj, scope: Scope) -> Finding:
    wanted = desired(obj)
    if wanted == 0:
        return _none_wanted(obj)
    ready = fields.number(obj, "status", "readyReplicas")
    updated = fields.number(obj, "status", "updatedReplicas")
    strategy = fields.section(obj, "spec", "updateStrategy")
    if fields.text(strategy, "type") == "OnDelete":
        return _counting(obj, "ready", ready, wanted)
    partition = fields.number(strategy, "rollingUpdate", "partition")
    if updated < wanted - partition:
        return _stuck(obj, scope, _counting(obj, "updated", updated, wanted - partition))
    if ready < wanted:
        return _counting(obj, "ready", ready, wanted)
    current, update = (fields.text(obj, "status", f"{r}Revision") for r in ("current", "update"))
    if not partition and current != update:
        message = f"is moving from revision {current} to {update}"
        return report(obj, Verdict.PROGRESSING, "workload.rollout", message)
    return _counting(obj, "ready", ready, wanted)


def _stuck(obj: Obj, scope: Scope, finding: Finding) -> Finding:
    """Name the old pod that holds an ordered rollout up: the controller waits for it for ever."""
    newest = fields.text(obj, "status", "updateRevision")
    for *_, pod in scope.objects.lines(obj):
        old = fields.text(pod, "metadata", "labels", "controller-revision-hash") != newest
        ready = conditions.is_true(pod, "Ready")
        if old and not ready and not pods.leaving(pod):
            name = fields.named(pod)
            message = f"{finding.message}; pod {name} of the earlier revision is not ready"
            hint = f"a StatefulSet waits for a broken pod before it replaces it: delete pod {name}"
            return replace(finding, message=message, hint=hint)
    return finding


def _daemon_set(obj: Obj, _: Scope) -> Finding:
    wanted = desired(obj)
    if wanted == 0:
        nowhere = report(obj, Verdict.HEALTHY, "workload.zero", "matches no node")
        return replace(
            nowhere, warnings=(f"{nowhere.chain[0]} matches no node, so it has no pods",)
        )
    updated = fields.number(obj, "status", "updatedNumberScheduled")
    on_delete = fields.text(obj, "spec", "updateStrategy", "type") == "OnDelete"
    if updated < wanted and not on_delete:
        return _counting(obj, "updated", updated, wanted)
    return _counting(obj, "available", fields.number(obj, "status", "numberAvailable"), wanted)


def _replica_set(obj: Obj, scope: Scope) -> Finding:
    if desired(obj) == 0:
        return _none_wanted(obj)
    if refused := _replica_failure(obj, scope):
        return refused
    available = fields.number(obj, "status", "availableReplicas")
    return _counting(obj, "available", available, desired(obj))


def _none_wanted(obj: Obj) -> Finding:
    return report(obj, Verdict.HEALTHY, "workload.zero", "wants no replicas")


def _counting(obj: Obj, what: str, count: int, wanted: int) -> Finding:
    """Healthy when the count is reached, or brought down to none."""
    observed = f"{what} {count} of {wanted}"
    done = count == wanted if wanted == 0 else count >= wanted
    verdict = Verdict.HEALTHY if done else Verdict.PROGRESSING
    return replace(report(obj, verdict, "workload.replicas", f"has {observed}"), observed=observed)


def _replica_failure(obj: Obj, scope: Scope) -> Finding | None:
    found = conditions.condition(obj, "ReplicaFailure")
    if fields.text(found, "status") != "True":
        return None
    since = scope.at(found, "lastTransitionTime")
    began = scope.now if since is None else since
    return _refused(obj, scope, fields.text(found, "reason"), fields.text(found, "message"), began)


def _refused(obj: Obj, scope: Scope, reason: str, message: str, since: float) -> Finding:
    finding = report(
        obj, Verdict.FAILING, "workload.create-failed", f"may not create pods: {message}"
    )
    hint = _QUOTA_HINT if "exceeded quota" in message else ""
    wanted = missing.reference(message, fields.text(obj, "metadata", "namespace"))
    finding = replace(
        finding, reason=reason, hint=hint or (starting.advice(message) if wanted else "")
    )
    if missing.awaited(wanted, scope.context):
        return starting.awaiting(finding)
    since = missing.since(wanted, scope.context, since)
    return budgets.graced(finding, scope, since, "refused")


_RULES: Final[Mapping[str, Callable[[Obj, Scope], Finding]]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "ReplicaSet": _replica_set,
    "ReplicationController": _replica_set,
}
