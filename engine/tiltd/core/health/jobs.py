"""Jobs: they say themselves whether they succeeded, and count their own failures.

A Job that has the condition `Failed` has failed at once, and so has one with `FailureTarget`, which
announces it while the last pods still end (KEP-3998).  Until then a failed pod is the Job's own
business (`backoffLimit`): its crashes are Failing at most.  A pod that cannot start at all is not.
"""

from dataclasses import replace

from tiltd.core.health import conditions, exits, fields, pods, workloads
from tiltd.core.health.conditions import report
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import Scope
from tiltd.core.health.verdict import ref
from tiltd.model.health import Finding, Verdict

_DEFAULT_BACKOFF_LIMIT = 6


def judge(obj: Obj, scope: Scope) -> Finding:
    """How the Job itself stands."""
    for kind in ("Failed", "FailureTarget"):
        if conditions.is_true(obj, kind):
            return _failed(obj, scope, conditions.condition(obj, kind))
    if conditions.is_true(obj, "Complete"):
        return report(obj, Verdict.HEALTHY, "job.complete", "has completed")
    if fields.flag(obj, "spec", "suspend"):
        waits = report(obj, Verdict.PROGRESSING, "job.suspended", "is suspended")
        return replace(waits, hint="set spec.suspend to false, or leave the Job out of this run")
    if refused := workloads.create_failed(obj, scope):
        return refused
    return _running(obj)


def _running(obj: Obj) -> Finding:
    failed = fields.number(obj, "status", "failed")
    done = fields.number(obj, "status", "succeeded")
    wanted = fields.number(obj, "spec", "completions", default=1)
    if failed:
        limit = fields.number(obj, "spec", "backoffLimit", default=_DEFAULT_BACKOFF_LIMIT)
        observed = f"failed pods {failed} of {limit}"
        finding = report(obj, Verdict.FAILING, "job.retrying", f"tries again after {observed}")
        return replace(finding, observed=observed)
    observed = f"completed {done} of {wanted}"
    finding = report(obj, Verdict.PROGRESSING, "job.running", f"is running, {observed}")
    return replace(finding, observed=observed)


def _failed(obj: Obj, scope: Scope, found: Obj) -> Finding:
    finding = report(obj, Verdict.FAILED, "job.failed", "has failed", found)
    finding = replace(finding, since=scope.at(found, "lastTransitionTime"))
    lines = sorted(
        scope.objects.lines(obj),
        key=lambda ln: fields.text(ln[-1], "metadata", "creationTimestamp"),
    )
    for *_, pod in reversed(lines):
        if container := pods.last_exit(pod):
            ended = container.exit
            chain = (ref(obj), ref(pod, kind="Pod"), ref(pod, container.name, kind="Pod"))
            words = (
                f"; the last: {container.title} of pod {fields.named(pod)}, {exits.words(ended)}"
            )
            limit = fields.text(container.spec, "resources", "limits", "memory")
            return replace(
                finding,
                chain=chain,
                message=finding.message + words,
                exit_code=exits.code(ended),
                signal=exits.signal(ended),
                life=container.ended_life,
                hint=exits.advice(ended, limit),
            )
    return finding
