"""Which limit counts: the client's, else the Tiltfile's, else the default."""

import pytest

from tests.builders import project as build
from tests.builders import state
from tests.builders.k8s import T0
from tiltd.core import limits
from tiltd.model.desired import Settings
from tiltd.model.health import Limits
from tiltd.model.problems import Code, Problem
from tiltd.model.state import Failure, LimitOverrides, Mode, State

TILTFILE = Settings(ci_timeout=60.0, ci_readiness_timeout=20.0, k8s_grace_period=7.0)


def with_limits(settings: Settings | None = None, mode: Mode = Mode.CI, **given: float) -> State:
    overrides = LimitOverrides(**given)  # type: ignore[arg-type] # as a client's flags
    return state.loaded(build.project(settings=settings), mode, overrides)


def test_without_a_word_the_defaults_hold() -> None:
    assert limits.health(with_limits()) == Limits()
    assert limits.timeout(with_limits()) == 1800.0


def test_the_tiltfile_beats_the_default() -> None:
    s = with_limits(TILTFILE)
    assert limits.health(s) == Limits(readiness=20.0, tolerate=7.0)
    assert limits.timeout(s) == 60.0


def test_the_client_beats_the_tiltfile() -> None:
    s = with_limits(TILTFILE, readiness=1.0, timeout=2.0, stable_for=0.0, crash_budget=0, grace=0.0)
    told = limits.health(s)
    assert (told.readiness, told.stable_for, told.crash_budget, told.grace) == (1.0, 0.0, 0, 0.0)
    assert limits.timeout(s) == 2.0


def test_up_has_no_end() -> None:
    assert limits.timeout(with_limits(TILTFILE, Mode.UP, timeout=5.0)) is None


@pytest.mark.parametrize(
    ("code", "again", "end"),
    [
        pytest.param(Code.BUILD, False, 0.0, id="not tried again: at once"),
        pytest.param(Code.REFUSED, True, 9.0, id="refused for now: the grace"),
        pytest.param(Code.CLUSTER_UNREACHABLE, True, 44.0, id="away: as long as readiness may"),
    ],
)
def test_when_a_failure_is_final(code: Code, again: bool, end: float) -> None:  # noqa: FBT001 - a column of the table
    s = with_limits(grace=9.0, readiness=44.0)
    failure = Failure("key", Problem(code, "no"), 1, T0 + 1 if again else None, since=T0)
    assert limits.gives_up_at(failure, s) == T0 + end
    assert limits.final(failure, s, T0 + end)
    assert end == 0.0 or not limits.final(failure, s, T0 + end - 0.1)
