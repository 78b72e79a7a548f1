"""A server that dies three seconds after it started did not start.

Every main container must have been running for `stable_for` (or the owner's `minReadySeconds`).
`startedAt` is cut to the second, so the container may be up to a second younger than it says; the
first look that saw this instance running bounds that from above, if there was one.

One whose log has ended is over, as its node knows that ends the log; only the pod's status does not
say so yet.  A kubelet with much to do has been seen to take more than 5 s for that.  So the status
has the grace to follow.  If it has not by then it is believed: there are nodes that end each log
that one tries to follow (virtual ones).
"""

from dataclasses import replace

from tiltd.core.health import fields
from tiltd.core.health.case import Case
from tiltd.core.health.clock import RESOLUTION
from tiltd.core.health.containers import Container, Role
from tiltd.model.health import Finding, Verdict

RULE = "pod.stabilising"
SILENT = "pod.log-ended"


def judge(case: Case) -> Finding | None:
    """The wait for the youngest main container that runs; None, if all have run long enough."""
    running = [c for c in case.containers if c.role is Role.MAIN and c.running]
    if not running:
        return None
    if silent := next(filter(None, (_silent(c, case) for c in running)), None):
        return silent
    started, youngest = max(((_started(c, case), c) for c in running), key=lambda pair: pair[0])
    stable = started + case.settle
    if case.scope.now >= stable:
        return None
    up = max(0.0, case.scope.now - started)
    finding = Finding(
        Verdict.PROGRESSING,
        RULE,
        case.of(youngest),
        message=f"The {youngest.title} of pod {case.name} is up; waiting to see that it stays up",
    )
    return replace(
        finding, observed=f"up {up:.0f}s of {case.settle:g}s", since=started, until=stable
    )


def _silent(container: Container, case: Case) -> Finding | None:
    """The wait for the status of one whose log has ended."""
    since, limit = case.track(container).silent_since, case.scope.limits.grace
    if since is None or case.scope.now >= since + limit:
        return None
    return Finding(
        Verdict.PROGRESSING,
        SILENT,
        case.of(container),
        message=f"The log of {container.title} of pod {case.name} has ended, so it has probably "
        "exited; waiting for the pod's status to say so",
        observed=f"ended {max(0.0, case.scope.now - since):.0f}s of {limit:g}s ago",
        since=since,
        until=since + limit,
    )


def _started(container: Container, case: Case) -> float:
    """The latest moment at which it can have started."""
    first_seen = case.track(container).running_since
    told = case.scope.at(container.running, "startedAt")
    seen = case.scope.now if first_seen is None else first_seen
    return seen if told is None else min(seen, told + RESOLUTION)


def restarts(case: Case) -> tuple[str, ...]:
    """A warning for each container that has come back from crashes in this run."""
    found: list[str] = []
    for container in case.containers:
        crashes = case.track(container).crashes
        if crashes:
            times = "once" if crashes == 1 else f"{crashes} times"
            reason = fields.text(container.exit, "reason")
            because = f" ({reason})" if reason else ""
            found.append(
                f"the {container.title} of pod {case.name} was restarted {times}{because} "
                "before it stayed up"
            )
    return tuple(found)
