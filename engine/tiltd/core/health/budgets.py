"""Turning time into verdicts: grace, tolerance, deadline.

Each takes a finding and gives it back with the verdict that the clock allows, the observed value
beside its limit, and the moment at which that changes.
"""

from dataclasses import replace

from tiltd.core.health.scope import Scope
from tiltd.model.health import Finding, Verdict, earliest


def graced(finding: Finding, scope: Scope, since: float, label: str) -> Finding:
    """Failing for the grace, then Failed.

    Args:
        finding: as it would be reported.
        scope: for the limit, and the apply from which the grace counts at the earliest.
        since: when the trouble began, host time.
        label: names the observed value, `unschedulable`.
    """
    limit = scope.limits.grace
    start = scope.from_apply(since)
    over = scope.now >= start + limit
    return replace(
        finding,
        verdict=Verdict.FAILED if over else Verdict.FAILING,
        observed=f"{label} {max(0.0, scope.now - start):.0f}s of {limit:g}s",
        since=since,
        until=None if over else start + limit,
    )


def tolerated(finding: Finding, scope: Scope, since: float) -> Finding:
    """`k8s_grace_period`: what failed for good is Failing until `since` is that long ago."""
    end = scope.from_apply(since) + scope.limits.tolerate
    if finding.verdict is not Verdict.FAILED or scope.now >= end:
        return finding
    return replace(finding, verdict=Verdict.FAILING, until=end)


def by_deadline(finding: Finding, scope: Scope) -> Finding:
    """The readiness deadline: whatever still has to get better has had its time.

    A wait for stability, or for the end of one whose log has ended, is no lack of readiness and
    isn't cut short.
    """
    applied, limit = scope.context.applied_at, scope.limits.readiness
    exempt = finding.verdict.settled or finding.rule in {"pod.stabilising", "pod.log-ended"}
    if exempt or None in (applied, limit):
        return finding
    deadline = (applied or 0.0) + (limit or 0.0)
    if scope.now < deadline:
        return replace(finding, until=earliest((finding.until, deadline)))
    return replace(
        finding,
        verdict=Verdict.FAILED,
        rule="readiness.deadline",
        message=f"Not ready in time: {finding.message or finding.rule}",
        observed=f"ready after more than {scope.now - (applied or 0.0):.0f}s of {limit:g}s"
        + (f", {finding.observed}" if finding.observed else ""),
        until=None,
    )
