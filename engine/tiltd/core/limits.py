"""The limits in force: what the client gave, else the Tiltfile, else the defaults (HEALTH)."""

from tiltd.model.desired import Settings
from tiltd.model.health import Limits
from tiltd.model.state import LimitOverrides, Mode, State

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


def timeout(s: State) -> float | None:
    """How long the whole run may take, in seconds; `up` has no end."""
    if s.session is None or s.session.spec.mode is Mode.UP:
        return None
    settings = s.project.settings if s.project else Settings()
    return _first(s.session.spec.limits.timeout, settings.ci_timeout, DEFAULT_TIMEOUT)


def _first(*values: float | None) -> float | None:
    return next((v for v in values if v is not None), None)
