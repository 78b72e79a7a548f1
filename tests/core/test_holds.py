"""When the same is tried again, and what is waited for."""

import pytest

from tests.builders import project as build
from tests.builders import state
from tests.builders.k8s import T0
from tiltd.core import backoff, holds
from tiltd.model.actions import LoadTiltfile
from tiltd.model.decisions import Act, Hold
from tiltd.model.events import AttemptEnded, AttemptStarted, HealthJudged
from tiltd.model.health import Assessment, Finding, ObjectRef, Verdict
from tiltd.model.names import TILTFILE, NodeName, ResourceName, resource_node
from tiltd.model.problems import Code, Problem
from tiltd.model.state import AttemptOutcome, State

ACTION = LoadTiltfile(7)
A, B = ResourceName("a"), ResourceName("b")


def failed(*, transient: bool, wanted: str = "load 7", times: int = 1) -> State:
    s = state.started()
    problem = Problem(Code.TILTFILE, "broken")
    for _ in range(times):
        s = state.after(
            s,
            AttemptStarted(TILTFILE, "load", wanted, T0),
            AttemptEnded(TILTFILE, AttemptOutcome.FAILED, T0, problem, transient),
        )
    return s


def test_what_has_not_failed_is_done() -> None:
    assert holds.unless_failed(TILTFILE, ACTION, state.started(), T0) == Act(ACTION)


def test_what_failed_for_good_is_not_tried_again_until_something_else_is_wanted() -> None:
    s = failed(transient=False)
    assert holds.unless_failed(TILTFILE, ACTION, s, T0 + 1e6) == Hold("failed", "broken")
    other = LoadTiltfile(8)
    assert holds.unless_failed(TILTFILE, other, s, T0) == Act(other)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_what_may_heal_is_tried_again_after_a_pause_that_grows(times: int) -> None:
    s = failed(transient=True, times=times)
    due = T0 + backoff.delay(times)
    before = holds.unless_failed(TILTFILE, ACTION, s, due - 0.01)
    assert isinstance(before, Hold)
    assert (before.code, before.until) == ("backing-off", due)
    assert f"try {times + 1} follows" in before.reason
    assert holds.unless_failed(TILTFILE, ACTION, s, due) == Act(ACTION)


def test_a_dependency_is_waited_for_until_it_was_ready_once() -> None:
    s = state.loaded(build.project(build.local("a", "true"), build.local("b", "true", deps=["a"])))
    hold = holds.dependencies((A,), s)
    assert hold == Hold("waiting-for-dependency", "waiting for a", on=(resource_node(A),))
    for verdict in (Verdict.HEALTHY, Verdict.FAILING):
        finding = Finding(verdict, "local.command", (ObjectRef("Local", "", "a"),))
        s = state.after(s, HealthJudged(A, Assessment((finding,)), T0))
        assert holds.dependencies((A,), s) is None, "what is started stays started"


def test_a_dependency_that_is_gone_is_not_waited_for() -> None:
    assert holds.dependencies((B,), state.loaded(build.project())) is None


def test_what_nobody_needs_is_not_started() -> None:
    s = state.loaded(build.project(build.local("a", "true", auto_init=False)))
    hold = holds.not_wanted(NodeName("command/a"), s)
    assert hold is not None
    assert hold.code == "not-started"
    on = state.loaded(build.project(build.local("a", "true")))
    assert holds.not_wanted(NodeName("command/a"), on) is None
