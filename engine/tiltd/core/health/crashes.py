"""Containers that end although they should run, or end badly.

The budget counts restarts, of this run only and with those of replaced pods (`memory`).  One that
is down after its last restart has failed there and then: the next one is over the budget whatever
comes of it, so nobody has to wait out the kubelet's back-off.  A container over its budget has
failed even while its next instance runs: the verdict must not depend on the moment of the look.
Two keepers of counts are respected: a Job's pods are counted by the Job (`backoffLimit`), and a pod
that nobody restarts has failed at once.  A program that could not even be started (`StartError`)
fails at once too, wherever the kubelet reports it.
"""

from dataclasses import replace

from tiltd.core.health import events, exits, fields, starting
from tiltd.core.health.case import Case, Keeper
from tiltd.core.health.containers import Container, Role
from tiltd.model.health import Finding, Verdict

_NOT_STARTED = {"StartError", "ContainerCannotRun"}


def judge(container: Container, case: Case) -> Finding | None:
    """What is to be said about crashes of `container`: None, if it has not crashed in this run."""
    track = case.track(container)
    if not (container.down or track.crashes):
        return None
    if fields.text(container.exit, "reason") in _NOT_STARTED and not container.running:
        return starting.broken(container, case, container.exit)
    limit = case.scope.limits.crash_budget
    finished = case.scope.at(container.exit, "finishedAt")
    stale = container.down and case.scope.stale(finished)
    finding = Finding(
        _verdict(container, case, over=track.due > limit and not stale),
        # Whether the pod's phase says so already is a matter of moments: the rule is the same.
        "pod.failed" if _final(container) else "pod.crash-loop",
        case.of(container),
        reason=_reason(container),
        message=_sentence(container, case),
        since=finished,
        exit_code=exits.code(container.exit),
        signal=exits.signal(container.exit),
        life=container.ended_life,
        hint=_hint(container, case),
    )
    if case.keeper is Keeper.JOB or _final(container):
        return finding
    again = ", and down again" if track.due > limit >= track.crashes else ""
    return replace(finding, observed=f"restarts {track.crashes} of {limit}{again}")


def _final(container: Container) -> bool:
    """Whether the kubelet will not start it again."""
    policy = container.restart_policy
    return bool(container.ended) and policy == "Never"


def _verdict(container: Container, case: Case, *, over: bool) -> Verdict:
    if case.keeper is Keeper.JOB:
        return Verdict.FAILING
    if _final(container):
        return Verdict.FAILED if case.keeper is Keeper.NOBODY else Verdict.FAILING
    return Verdict.FAILED if over else Verdict.FAILING


def _reason(container: Container) -> str:
    ended = fields.text(container.exit, "reason")
    if ended not in {"", "Error", "Completed"}:
        return ended
    return fields.text(container.waiting, "reason") or ended


def liveness(container: Container, case: Case) -> str:
    """Which probe had `container` killed, and its words; empty if none did."""
    killing = [e for e in case.events if e.reason == "Killing" and e.container == container.name]
    probe = next(
        (p for p in ("liveness", "startup") for e in killing if f"{p} probe" in e.message), ""
    )
    if not probe:
        return ""
    said = events.newest(
        (e for e in case.events if e.message.startswith(f"{probe.capitalize()} probe")),
        "Unhealthy",
        container=container.name,
    )
    words = _one_line(said.message).partition(":")[2].strip() if said else ""
    return f"killed because its {probe} probe failed" + (f" ({words})" if words else "")


def _sentence(container: Container, case: Case) -> str:
    ended = container.exit
    title = f"The {container.title} of pod {case.name}"
    how = liveness(container, case)
    code = exits.words(ended) if ended else "no exit reported"
    if fields.text(ended, "reason") == "OOMKilled":
        how = "killed for using more memory than it may"
    if not how:
        stays = container.role is not Role.INIT and exits.code(ended) == 0
        how = "ended, though it must keep running" if stays else "ended"
    said = _one_line(fields.text(ended, "message"))
    count = case.track(container).crashes
    again = f", {count} restart{'' if count == 1 else 's'} so far" if count else ""
    now = "; it runs again" if container.running else ""
    return f"{title}: {how}, {code}{again}{now}" + (f": {said}" if said else "")


def _hint(container: Container, case: Case) -> str:
    limit = fields.text(container.spec, "resources", "limits", "memory")
    if how := liveness(container, case):
        return exits.hint(how) or (
            "give the server more time (initialDelaySeconds, a startupProbe, timeoutSeconds), "
            "or find out why it stops answering"
        )
    if exits.code(container.exit) == 0 and container.role is not Role.INIT:
        return "its main process ended by itself: run the server in the foreground, or use a Job"
    return exits.advice(container.exit, limit)


def _one_line(message: str) -> str:
    """The last line that says something: runtimes and programs put the cause there."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
