"""Verdicts and what they are made of: values only; the rules are in `core.health`.

A `Finding` is one judgement about one object or container.  An `Assessment` is all findings about
an object or a resource; the worst of them is its verdict, and of equals the one that is deepest in
the chain (a container says more than its Deployment).  A `Memory` is what was seen of containers
between two looks.  Times are seconds of the host's clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum


class Verdict(Enum):
    """How it stands with something; a higher value is worse."""

    HEALTHY = 0
    PROGRESSING = 1
    FAILING = 2
    FAILED = 3

    @property
    def settled(self) -> bool:
        """Whether waiting cannot change it for the better."""
        return self in {Verdict.HEALTHY, Verdict.FAILED}


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object of the cluster, or one container of a pod."""

    kind: str
    namespace: str
    name: str
    uid: str = ""
    container: str | None = None

    def __str__(self) -> str:
        return f"container {self.container}" if self.container else f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Limits:
    """The budgets, in seconds except for `crash_budget`.

    Args:
        stable_for: how long a main container must run before it counts.
        crash_budget: restarts per container.
        grace: for scheduling, config, mounts, quota, provisioning.
        readiness: per object from its apply, not for Jobs; None is for ever.
        tolerate: any pod failure, from its pod's creation or the apply, whichever is later
            (`ci_settings(k8s_grace_period=)`).
    """

    stable_for: float = 5.0
    crash_budget: int = 2
    grace: float = 30.0
    readiness: float | None = 300.0
    tolerate: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement.

    Args:
        verdict: how it stands.
        rule: the rule's id, `pod.crash-loop`.
        chain: from the applied object down to the one that it is about.
        reason: Kubernetes' own word, where it has one.
        message: one sentence for a person.
        observed: the observed value and its limit, `restarts 3 of 2`.
        since: when it began.
        until: when it must be looked at again although nothing may happen in the cluster until
            then, because a budget, a grace, a wait for stability or a deadline ends.
        warnings: what is worth a line though it does not decide.
        exit_code: of the container's or process's last exit.
        signal: that ended it.
        life: of a container that has ended: which of its lives that was (its restarts until then).
        hint: what to do about it.
    """

    verdict: Verdict
    rule: str
    chain: tuple[ObjectRef, ...]
    reason: str = ""
    message: str = ""
    observed: str = ""
    since: float | None = None
    until: float | None = None
    warnings: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    life: int | None = None
    hint: str = ""

    @property
    def object(self) -> ObjectRef:
        """What it is about."""
        return self.chain[-1]

    @property
    def path(self) -> str:
        """The chain as people read it."""
        return " → ".join(map(str, self.chain))


@dataclass(frozen=True, slots=True)
class Assessment:
    """All findings about something, at least one, the worst first."""

    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Finding:
        """The finding that decides."""
        return self.findings[0]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict."""
        return self.worst.verdict

    @property
    def until(self) -> float | None:
        """The earliest moment at which anything in it must be looked at again."""
        return earliest(finding.until for finding in self.findings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of all findings, each once."""
        return tuple(dict.fromkeys(w for finding in self.findings for w in finding.warnings))


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of one container of one pod.

    Args:
        lineage: whom a replacement may inherit from: owner, revision, container.
        restarts: the kubelet's count at the last look.
        baseline: how many of these happened before the run.
        inherited: crashes of the replaced pods that this one stands for.
        down: it was not up at the last look.
        waiting: the reason for which it waits.
        waiting_since: when that reason was first seen, host time.
        running: id of the instance that runs.
        running_since: when that instance was first seen running, host time.
        silent_since: when that instance's log ended, host time.
    """

    lineage: str
    restarts: int
    baseline: int
    inherited: int = 0
    down: bool = False
    waiting: str = ""
    waiting_since: float | None = None
    running: str = ""
    running_since: float | None = None
    silent_since: float | None = None

    @property
    def crashes(self) -> int:
        """Restarts that count against the budget."""
        return self._own + (self.inherited if self._own or self.down else 0)

    @property
    def due(self) -> int:
        """Restarts that count, with the one that it needs if it is down."""
        return self.crashes + (1 if self.down else 0)

    @property
    def _own(self) -> int:
        return max(0, self.restarts - self.baseline)

    @property
    def legacy(self) -> int:
        """What an heir takes over: replacing a container that is down is one more restart."""
        return self._own + self.inherited + (1 if self.down else 0)


@dataclass(frozen=True, slots=True)
class Memory:
    """All tracks, of pods that are there and of those that have no heir yet (`gone`).

    A track is kept by the pod's uid and the container's name.
    """

    tracks: Mapping[tuple[str, str], Track] = field(default_factory=dict[tuple[str, str], Track])
    gone: tuple[Track, ...] = ()


def earliest(moments: Iterable[float | None]) -> float | None:
    """The first of the moments that there are."""
    return min((moment for moment in moments if moment is not None), default=None)
