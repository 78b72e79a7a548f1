"""Verdicts and what they are made of; the rules are in `core.health`."""

from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """How a thing is; the larger, the worse. What each means for `ci` is in docs/health.md."""

    HEALTHY = 0
    PROGRESSING = 1
    FAILING = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often something may be wrong. Seconds; `readiness=None` is "for ever".

    Args:
        stable_for: how long a container must have run without a restart.
        crash_budget: restarts per container.
        grace: for scheduling, configuration, mounts, quota, provisioning.
        readiness: per resource, from its apply.
        tolerate: how long any failure of a pod is borne (`ci_settings(k8s_grace_period=)`).
    """

    stable_for: float = 5.0
    crash_budget: int = 2
    grace: float = 30.0
    readiness: float | None = 300.0
    tolerate: float = 0.0


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object of the cluster, or a container in a pod."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    container: str = ""

    def __str__(self) -> str:
        """`Pod/web-1`, or `container main`."""
        return f"container {self.container}" if self.container else f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement.

    Args:
        rule: its id (`pod.crash-loop`).
        object: what it is about.
        reason: in Kubernetes' own word.
        message: one sentence for a person.
        observed: the observed value and the limit (`restarts 3 of 2`); may be empty.
        since: since when it is so (seconds since the epoch, our clock).
        until: when it must be judged again, because a limit ends then.
        chain: from the applied object down to `object`.
        warnings: what does not change the verdict but should be seen.
    """

    verdict: Verdict
    rule: str
    object: ObjectRef
    reason: str = ""
    message: str = ""
    observed: str = ""
    since: float | None = None
    until: float | None = None
    chain: tuple[ObjectRef, ...] = ()
    warnings: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """A resource's verdict: the worst of its findings, which are kept, worst first."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    @property
    def until(self) -> float | None:
        """When the first of the limits ends."""
        times = [f.until for f in self.findings if f.until is not None]
        return min(times, default=None)
