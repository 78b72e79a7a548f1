"""Pods that were found well stay so until something of theirs is another.

To judge a pod takes most of the time of a verdict, and of the pods of a resource one changes at a
time.  So those that were found well are remembered with all that this was concluded from.  Time
is no part of that: a pod is well only once it has been up for long enough, and then it has been so
ever after.  Anything else than well is judged anew each time, since a limit may have ended.

This is a memory of answers: it changes how long one takes, never what it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tiltd.core.health import containers, fields
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import Scope
from tiltd.model.desired import PodReadiness
from tiltd.model.health import Finding, Verdict

Line = tuple[Obj, ...]
"""From the object that is judged down to the pod."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found at some time.

    Args:
        line: kept, so that no other object gets the place in memory by which it is known.
        keys: of the tracks of the pod's containers.
        basis: what else it was concluded from.
    """

    line: Line
    keys: tuple[tuple[str, str], ...]
    basis: tuple[object, ...]
    at: float
    findings: Sequence[Finding]


@dataclass(slots=True)
class Well:
    """The pods of one resource; see the module."""

    _now: dict[tuple[int, ...], _Answer] = field(default_factory=dict[tuple[int, ...], _Answer])
    _before: dict[tuple[int, ...], _Answer] = field(default_factory=dict[tuple[int, ...], _Answer])

    def begin(self) -> None:
        """Another judgement of the resource begins: what the last one had no use for goes."""
        self._before, self._now = self._now, {}

    def recall(self, line: Line, scope: Scope, readiness: PodReadiness) -> Sequence[Finding] | None:
        """What was found about the pod at the end of `line`, if it was well and all is as then."""
        place = tuple(map(id, line))
        known = self._now.get(place) or self._before.get(place)
        if known is None or scope.now < known.at:
            return None
        if known.basis != _basis(line[-1], known.keys, scope, readiness):
            return None
        self._now[place] = known
        return known.findings

    def note(
        self, line: Line, scope: Scope, readiness: PodReadiness, findings: Sequence[Finding]
    ) -> None:
        """Remember what was found, if the pod is well."""
        if all(f.verdict is Verdict.HEALTHY and f.until is None for f in findings):
            pod = line[-1]
            keys = tuple((fields.uid(pod), c.name) for c in containers.of_pod(pod))
            basis = _basis(pod, keys, scope, readiness)
            self._now[tuple(map(id, line))] = _Answer(line, keys, basis, scope.now, findings)


def _basis(
    pod: Obj, keys: tuple[tuple[str, str], ...], scope: Scope, readiness: PodReadiness
) -> tuple[object, ...]:
    """What a verdict on a pod that is well depends on, besides the objects of its line."""
    context = scope.context
    return (
        readiness,
        scope.limits,
        scope.clock.skew,
        context.applied_at,
        tuple(map(context.memory.tracks.get, keys)),
        scope.objects.about(fields.uid(pod)),
    )
