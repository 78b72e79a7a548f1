"""The limits in force: what the client gave, else the Tiltfile, else the defaults (HEALTH)."""

from tiltd.model.desired import Settings
from tiltd.model.health import Limits
from tiltd.model.problems import Code
from tiltd.model.state import Failure, LimitOverrides, Mode, State

DEFAULT_TIMEOUT = 1800.0


def health(s: State) -> Limits:
    """Budgets and graces for judging."""
    given = s.session.spec.limits if s.session else LimitOverrides()
    settings = s.project.settings if s.project else Settings()
    base = Limits()
    return Limits(
        stable_for=base.stable_for if given.stable_for is None else given.stable_for,
        crash_budget=base.crash_budget if given.crash_budget is None else given.crash_budget,
        grace=base.grace if given.grace is None else given.grace,
        readiness=_first(given.readiness, settings.ci_readiness_timeout, base.readiness),
        tolerate=settings.k8s_grace_period or base.tolerate,
    )


def gives_up_at(failure: Failure, s: State) -> float | None:
    """When a failed try counts as final although it is tried again; `None`: never.

    What the cluster refuses for now (a quota, a webhook, a namespace that is not there) has the
    grace; what is busy or can't be reached (a registry, the cluster) as long as readiness may take.
    """
    if failure.retry_at is None:
        return failure.since
    given = health(s)
    limit = given.grace if failure.problem.code is Code.REFUSED else given.readiness
    return None if limit is None else failure.since + limit


def final(failure: Failure, s: State, now: float) -> bool:
    """Whether a failed try is one that nothing here will mend any more."""
    end = gives_up_at(failure, s)
    return end is not None and now >= end


def timeout(s: State) -> float | None:
    """How long the whole run may take, in seconds; `up` has no end."""
    if s.session is None or s.session.spec.mode is Mode.UP:
        return None
    settings = s.project.settings if s.project else Settings()
    return _first(s.session.spec.limits.timeout, settings.ci_timeout, DEFAULT_TIMEOUT)


def _first(*values: float | None) -> float | None:
    return next((v for v in values if v is not None), None)
