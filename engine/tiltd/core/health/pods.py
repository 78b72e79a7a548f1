"""A pod: questions in order; the first with an answer decides, containers answer all at once.

disturbed by the cluster → ended → without a node → containers (crashed, cannot start, not ready) →
not set up by its node → not ready → not yet stable → healthy.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tiltd.core.health import (
    budgets,
    containers,
    crashes,
    exits,
    fields,
    probes,
    scheduling,
    stability,
    starting,
)
from tiltd.core.health.case import Case, Keeper
from tiltd.core.health.fields import Obj
from tiltd.model.desired import PodReadiness
from tiltd.model.health import Finding, Verdict

# Reasons of a pod that its node, the scheduler or an administrator ended, not its program.
# Kubelet: eviction, graceful node shutdown, admission; node lifecycle and pod GC controllers.
_DISTURBED: Final = frozenset(
    {
        "Evicted",
        "NodeAffinity",
        "NodeLost",
        "NodeShutdown",
        "Preempted",
        "Preempting",
        "Shutdown",
        "Terminated",
        "UnexpectedAdmissionError",
    }
)


def judge(case: Case) -> tuple[Finding, ...]:
    """All there is to say about the pod: at least one finding, and one only if it is well."""
    found = next(filter(None, (question(case) for question in _QUESTIONS)), None) or (
        _healthy(case),
    )
    made = case.scope.made(case.pod)
    return tuple(budgets.tolerated(finding, case.scope, made) for finding in found)


def leaving(pod: Obj) -> bool:
    """Whether it is on its way out, so that it counts no more."""
    return fields.has(pod, "metadata", "deletionTimestamp")


def disturbed(pod: Obj) -> bool:
    """Whether the cluster ended it, or is about to (KEP-3329: condition DisruptionTarget)."""
    reason = fields.text(pod, "status", "reason")
    conditions = fields.rows(pod, "status", "conditions")
    target = any(
        fields.text(c, "type") == "DisruptionTarget" and fields.text(c, "status") == "True"
        for c in conditions
    )
    lost = fields.text(pod, "status", "phase") == "Unknown"
    return target or lost or reason in _DISTURBED or reason.startswith("OutOf")


def _disturbance(case: Case) -> tuple[Finding, ...]:
    if not disturbed(case.pod):
        return ()
    reason = fields.text(case.pod, "status", "reason") or _target_reason(case)
    told = fields.text(case.pod, "status", "message").strip()
    gone = fields.text(case.pod, "status", "phase") == "Failed"
    lost_for_good = gone and case.keeper is Keeper.NOBODY
    message = f"Pod {case.name} was ended by the cluster ({reason or 'node lost'})"
    message += f": {told}" if told else ""
    message += "; nothing replaces a bare pod" if lost_for_good else "; its replacement counts"
    verdict = Verdict.FAILED if lost_for_good else Verdict.PROGRESSING
    finding = case.finding(verdict, "pod.disrupted", message, reason=reason)
    hint = "let a Deployment or Job make the pod, so that it is replaced" if lost_for_good else ""
    return (replace(finding, hint=hint),)


def _target_reason(case: Case) -> str:
    return fields.text(case.condition("DisruptionTarget"), "reason")


def _ended(case: Case) -> tuple[Finding, ...]:
    phase = fields.text(case.pod, "status", "phase")
    if phase == "Succeeded":
        return (case.finding(Verdict.HEALTHY, "pod.succeeded", f"Pod {case.name} has completed"),)
    if phase != "Failed":
        return ()
    verdict = Verdict.FAILED if case.keeper is Keeper.NOBODY else Verdict.FAILING
    crashed = [c for c in case.containers if c.ended and not c.done]
    found = tuple(filter(None, (crashes.judge(c, case) for c in crashed)))
    if found:
        return tuple(
            replace(f, rule="pod.failed", verdict=_worse(f.verdict, verdict)) for f in found
        )
    reason = fields.text(case.pod, "status", "reason")
    told = fields.text(case.pod, "status", "message")
    message = f"Pod {case.name} has failed" + (f": {told}" if told else "")
    return (case.finding(verdict, "pod.failed", message, reason=reason),)


def _worse(one: Verdict, other: Verdict) -> Verdict:
    return one if one.value >= other.value else other


def _unscheduled(case: Case) -> tuple[Finding, ...]:
    found = scheduling.unscheduled(case)
    return (found,) if found else ()


def _containers(case: Case) -> tuple[Finding, ...]:
    found = (
        crashes.judge(c, case)
        if _crashing(c, case)
        else starting.judge(c, case) or probes.judge(c, case)
        for c in case.containers
    )
    return tuple(f for f in found if f)


def _crashing(container: containers.Container, case: Case) -> bool:
    """Whether its crashes are what matters: it is down, over its budget, or not up again for sure.

    One that has recovered within the budget is judged by what it does now, with a warning.
    """
    track = case.track(container)
    limited = case.keeper is not Keeper.JOB
    over = limited and track.crashes > case.scope.limits.crash_budget
    return container.down or (over and not container.done)


def _unprepared(case: Case) -> tuple[Finding, ...]:
    found = scheduling.unprepared(case)
    return (found,) if found else ()


def _unready(case: Case) -> tuple[Finding, ...]:
    condition = case.condition("Ready")
    if fields.text(condition, "status") == "True":
        return ()
    reason, told = fields.text(condition, "reason"), fields.text(condition, "message")
    message = f"Pod {case.name} is not ready yet" + (f": {told}" if told else "")
    return (case.finding(Verdict.PROGRESSING, "pod.not-ready", message, reason=reason),)


def _unfinished(case: Case) -> tuple[Finding, ...]:
    if case.readiness is not PodReadiness.SUCCEEDED:
        return ()
    message = f"Pod {case.name} runs; waiting for it to complete"
    return (case.finding(Verdict.PROGRESSING, "pod.not-completed", message),)


def _unstable(case: Case) -> tuple[Finding, ...]:
    found = stability.judge(case)
    return (replace(found, warnings=stability.restarts(case)),) if found else ()


def _healthy(case: Case) -> Finding:
    finding = case.finding(Verdict.HEALTHY, "pod.ready", f"Pod {case.name} is ready and stays up")
    return replace(finding, warnings=stability.restarts(case))


_QUESTIONS: Final[Sequence[Callable[[Case], tuple[Finding, ...]]]] = (
    _disturbance,
    _ended,
    _unscheduled,
    _containers,
    _unprepared,
    _unfinished,
    _unready,
    _unstable,
)


def last_exit(pod: Obj) -> containers.Container | None:
    """The container of `pod` that ended badly most lately."""
    bad = [c for c in containers.of_pod(pod) if c.exit and (exits.code(c.exit) or 0) != 0]
    return max(bad, key=lambda c: fields.text(c.exit, "finishedAt"), default=None)
