"""What a judgement is: values only.

A `Finding` is one judgement about one object or container.  An `Assessment` is all findings about
an object or a resource; the worst of them is its verdict, and of equals the one that is deepest in
the chain (a container says more than its Deployment).  Times are seconds of the host's clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tiltd.core.health import fields
from tiltd.core.health.fields import Obj


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


def ref(obj: Obj, container: str | None = None, *, kind: str = "") -> ObjectRef:
    """The reference to `obj`; `kind` is for list items, which come without theirs."""
    return ObjectRef(
        kind=fields.text(obj, "kind") or kind,
        namespace=fields.text(obj, "metadata", "namespace"),
        name=fields.named(obj),
        uid=fields.uid(obj),
        container=container,
    )


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


def assessment(findings: Iterable[Finding]) -> Assessment:
    """Order `findings` by weight: worse, then deeper (if healthy: shallower), then as given.

    Raises:
        ValueError: there are none; having nothing to say is not a verdict.
    """
    ordered = sorted(findings, key=_weight)
    if not ordered:
        raise ValueError("an assessment needs at least one finding")
    return Assessment(tuple(ordered))


def _weight(finding: Finding) -> tuple[int, int]:
    """Trouble is told best by the deepest, health by the whole."""
    depth = len(finding.chain)
    well = finding.verdict is Verdict.HEALTHY
    return -finding.verdict.value, depth if well else -depth


def earliest(moments: Iterable[float | None]) -> float | None:
    """The first of the moments that there are."""
    return min((moment for moment in moments if moment is not None), default=None)
