"""How the tests of this folder ask for a verdict: at a second after `T0`, in a world of one."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.builders.k8s import T0
from tiltd.core.health import Clock, Context, Objects, Reference, Scope, assess_object
from tiltd.model.desired import PodReadiness
from tiltd.model.health import Assessment, Limits, Memory

Json = dict[str, Any]


def scope(
    now: float = 100,
    *items: Json,
    events: Sequence[Json] = (),
    limits: Limits | None = None,
    applied: float | None = 0,
    changed: float | None = None,
    pending: Sequence[Reference] = (),
    brought: Mapping[Reference, float] | None = None,
    readiness: PodReadiness | None = None,
    expects_pods: bool = False,
    memory: Memory | None = None,
    skew: float = 0,
) -> Scope:
    """A scope; all times are seconds after T0."""
    context = Context(
        applied_at=None if applied is None else T0 + applied,
        changed_at=None if changed is None else T0 + changed,
        pending=frozenset(pending),
        applied={ref: T0 + at for ref, at in (brought or {}).items()},
        pod_readiness=readiness,
        expects_pods=expects_pods,
        memory=memory or Memory(),
    )
    clock = Clock(T0 + now, skew)
    return Scope(Objects(items, tuple(events)), clock, limits or Limits(), context)


def judge(obj: Json, now: float = 100, *items: Json, **more: Any) -> Assessment:
    """Assess `obj` at `now`."""
    return assess_object(obj, scope(now, *items, **more))
