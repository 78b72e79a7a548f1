"""A Docker Compose service: it runs, stays up, and its healthcheck passes where it has one.

A container that ends well is a job that is done, unless something says that it is a server: it
publishes a port, it has a healthcheck, or the project is to be waited for as `docker compose up
--wait` does.  A container that ends badly has failed at once where nobody starts it again; where
the Engine does (`restart`), its restarts count against the crash budget, those of this session
only.  A healthcheck has failed when the Engine says so, which is after its own retries; the grace
is on top.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tiltd.core.health import exits
from tiltd.model.health import Finding, Limits, ObjectRef, Verdict, earliest
from tiltd.model.observed import ServiceContainer
from tiltd.model.state import ServiceUp

STABILISING: Final = "compose.stabilising"
"""The rule of the wait that ends when a container has run for long enough."""
PENDING: Final = "compose.pending"
_ENDING: Final = "compose.ending"
_FOREGROUND: Final = (
    "its main process ended by itself: run the server in the foreground; a job publishes no ports "
    "and has no healthcheck"
)
_NO_WAIT: Final = "docker_compose(wait=True) asks that every service keeps running: leave it out"
_OUT_OF_MEMORY: Final = "raise mem_limit (deploy.resources.limits.memory) or use less"


@dataclass(frozen=True, slots=True)
class Service:
    """What is asked of a service.

    Args:
        name: of its resource.
        replicas: how many containers it has.
        server: it publishes ports, so it must keep running.
        ends: others wait for it to end well.
        wait: everything must keep running (`docker compose up --wait`).
    """

    name: str
    replicas: int = 1
    server: bool = False
    ends: bool = False
    wait: bool = False


def assess(service: Service, up: ServiceUp | None, limits: Limits, now: float) -> list[Finding]:
    """The findings about a service, one for each container.

    Args:
        service: what is asked of it.
        up: it was brought up as it has to be now; None if it was not, or not yet.
        limits: the budgets.
        now: host time.
    """
    subject = ObjectRef("Service", "", service.name)
    if up is None:
        message = f"{service.name} has not been brought up yet"
        return [Finding(Verdict.PROGRESSING, PENDING, (subject,), message=message)]
    if not up.seen:
        message = f"{service.name} is up; waiting to see it run"
        return [Finding(Verdict.PROGRESSING, "compose.starting", (subject,), message=message)]
    if not up.containers:
        if service.replicas == 0:
            message = f"{service.name} is to have no container, and has none"
            return [Finding(Verdict.HEALTHY, "compose.none", (subject,), message=message)]
        message = f"{service.name} has no container any more"
        return [Finding(Verdict.PROGRESSING, "compose.gone", (subject,), message=message)]
    judge = _Judge(service, up, limits, now)
    return [judge.by_deadline(judge.container(c)) for c in up.containers]


@dataclass(frozen=True, slots=True)
class _Judge:
    service: Service
    up: ServiceUp
    limits: Limits
    now: float

    def container(self, c: ServiceContainer) -> Finding:
        crashes = max(0, c.restarts - self.up.baselines.get(c.id, 0))
        if crashes > self.limits.crash_budget or c.status == "restarting":
            return self._crashed(c, crashes)
        match c.status:
            case "running":
                return replace(self._running(c), warnings=tuple(_restarts(c, crashes)))
            case "exited" | "dead":
                return self._ended(c)
            case "paused":
                hint = f"docker unpause {c.name}"
                return self._about(c, Verdict.FAILING, "compose.paused", "is paused", hint)
            case _ if c.error:
                return self._ended(c)
            case _:
                message = f"is {c.status}, not running yet"
                return self._about(c, Verdict.PROGRESSING, "compose.starting", message)

    def _running(self, c: ServiceContainer) -> Finding:
        said = f": {c.health_said}" if c.health_said else ""
        if c.health == "unhealthy":
            return self._unhealthy(c, said)
        if c.health == "starting":
            message = f"is running, its healthcheck doesn't pass yet{said}"
            hint = exits.hint(c.health_said)
            return self._about(c, Verdict.PROGRESSING, "compose.probe", message, hint)
        if self.service.ends:
            message = "is running; others wait for it to end well"
            return self._about(c, Verdict.PROGRESSING, _ENDING, message)
        if self.now < c.started_at + self.limits.stable_for:
            return self._stabilising(c)
        if c.health:
            return self._about(c, Verdict.HEALTHY, "compose.ready", "is running and healthy")
        return self._about(c, Verdict.HEALTHY, "compose.running", "is running")

    def _stabilising(self, c: ServiceContainer) -> Finding:
        stable_for = self.limits.stable_for
        message = "is up; waiting to see that it stays up"
        found = self._about(c, Verdict.PROGRESSING, STABILISING, message)
        observed = f"up {max(0.0, self.now - c.started_at):.0f}s of {stable_for:g}s"
        until = c.started_at + stable_for
        return replace(found, observed=observed, since=c.started_at, until=until)

    def _unhealthy(self, c: ServiceContainer, said: str) -> Finding:
        """The Engine has tried it `retries` times; with `wait` that is final."""
        since = self.up.unhealthy_since.get(c.id, self.now)
        end = since if self.service.wait else since + self.limits.grace
        over = self.now >= end
        hint = exits.hint(c.health_said) or (
            "see what it prints, or give it more time (healthcheck: start_period, retries)"
        )
        verdict = Verdict.FAILED if over else Verdict.FAILING
        message = f"is running, but its healthcheck fails{said}"
        found = self._about(c, verdict, "compose.unhealthy", message, hint)
        observed = f"unhealthy {self.now - since:.0f}s of {end - since:g}s"
        return replace(found, observed=observed, since=since, until=None if over else end)

    def _ended(self, c: ServiceContainer) -> Finding:
        if c.error:
            hint = "mend what the sentence names, or see docker inspect"
            message = f"could not be started: {c.error}"
            return self._about(c, Verdict.FAILED, "compose.start-failed", message, hint)
        server = (self.service.server or bool(c.health)) and not self.service.ends
        if c.exit_code == 0 and not (server or self.service.wait):
            found = self._about(c, Verdict.HEALTHY, "compose.done", "has ended well")
            return replace(found, exit_code=0, since=c.finished_at)
        how = "has ended" if c.exit_code else "has ended, though it must keep running"
        hint = "" if c.exit_code else _FOREGROUND if server else _NO_WAIT
        found = self._about(c, Verdict.FAILED, "compose.exited", f"{how}, {_words(c)}", hint)
        return _with_exit(found, c)

    def _crashed(self, c: ServiceContainer, crashes: int) -> Finding:
        """A crash counts even while the next life goes on: not the moment of the look decides."""
        again = "; it runs again" if c.status == "running" else ""
        plural = "" if crashes == 1 else "s"
        # A new life has wiped out how the one before it ended.
        how = "" if c.status == "running" else f", {_words(c)}"
        message = f"keeps ending{how}, {crashes} restart{plural} so far{again}"
        over = crashes > self.limits.crash_budget
        verdict = Verdict.FAILED if over else Verdict.FAILING
        found = self._about(c, verdict, "compose.crash-loop", message)
        observed = f"restarts {crashes} of {self.limits.crash_budget}"
        found = found if c.status == "running" else _with_exit(found, c)
        return replace(found, observed=observed)

    def by_deadline(self, found: Finding) -> Finding:
        """Whatever still has to get better has had its time; a wait for stability is no lack."""
        if found.verdict.settled or found.rule in {STABILISING, _ENDING}:
            return found
        if self.limits.readiness is None:
            return found
        deadline = self.up.at + self.limits.readiness
        if self.now < deadline:
            return replace(found, until=earliest((found.until, deadline)))
        late = f"ready after more than {self.now - self.up.at:.0f}s of {self.limits.readiness:g}s"
        return replace(
            found,
            verdict=Verdict.FAILED,
            rule="readiness.deadline",
            message=f"Not ready in time: {found.message}",
            observed=late,
            until=None,
        )

    def _about(
        self, c: ServiceContainer, verdict: Verdict, rule: str, message: str, hint: str = ""
    ) -> Finding:
        service = ObjectRef("Service", "", self.service.name)
        chain = (service, ObjectRef("Container", "", c.name, uid=c.id, container=c.name))
        which = f" (container {c.name})" if len(self.up.containers) > 1 else ""
        message = f"{self.service.name}{which} {message}"
        return Finding(verdict, rule, chain, message=message, hint=hint)


def _restarts(c: ServiceContainer, crashes: int) -> Iterator[str]:
    if crashes:
        times = "once" if crashes == 1 else f"{crashes} times"
        yield f"the container {c.name} was restarted {times} before it stayed up"


def _exit(c: ServiceContainer) -> dict[str, object]:
    return {"exitCode": c.exit_code, "reason": "OOMKilled" if c.oom_killed else ""}


def _words(c: ServiceContainer) -> str:
    how = exits.words(_exit(c))
    return f"killed for using more memory than it may ({how})" if c.oom_killed else how


def _with_exit(found: Finding, c: ServiceContainer) -> Finding:
    ended = _exit(c)
    return replace(
        found,
        reason="OOMKilled" if c.oom_killed else "",
        exit_code=c.exit_code,
        signal=exits.signal(ended),
        hint=found.hint or (_OUT_OF_MEMORY if c.oom_killed else exits.advice(ended, "")),
        since=c.finished_at or None,
    )
