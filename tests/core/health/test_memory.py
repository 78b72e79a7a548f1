"""What looks at different times add up to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import k8s
from tests.builders.k8s import T0, back_off, box, ended, pod, running
from tests.core.health.judging import Json, judge
from tiltd.core.health import Clock, heard, observe
from tiltd.model.health import Memory, Verdict
from tiltd.model.names import ResourceName
from tiltd.model.observed import ContainerRun

OWNER = k8s.replica_set(k8s.deployment())


def look(memory: Memory, now: float, *pods: Json, began: float = 0) -> Memory:
    return observe(memory, pods, Clock(T0 + now), began_at=T0 + began)


def web(restarts: int, name: str = "a", made: float = 10) -> Json:
    state = running(made) if restarts == 0 else back_off()
    return pod(box(state, restarts=restarts, last=ended(1)), name=name, owner=OWNER, made=made)


def crashes(memory: Memory, of: Json) -> int:
    return memory.tracks[of["metadata"]["uid"], "main"].crashes


def test_crashes_between_two_looks_count() -> None:
    memory = look(look(Memory(), 20, web(0)), 60, web(3))
    assert crashes(memory, web(3)) == 3


def test_restarts_from_before_the_run_do_not_count() -> None:
    old = pod(box(running(0), restarts=7, last=ended(1, at=-500)), made=-1000)
    memory = look(Memory(), 20, old, began=10)
    assert crashes(memory, old) == 0
    assert judge(old, 20, memory=memory, applied=10).verdict is Verdict.HEALTHY
    crashed = pod(box(back_off(), restarts=8, last=ended(1, at=25)), made=-1000)
    memory = look(memory, 30, crashed, began=10)
    found = judge(crashed, 30, memory=memory, applied=10).worst
    assert (found.verdict, found.observed) == (Verdict.FAILING, "restarts 1 of 2")


def test_a_pod_that_has_long_been_crashing_fails_at_first_sight_by_the_kubelet_s_back_off() -> None:
    old = pod(box(back_off("5m0s"), restarts=90, last=ended(1, at=5)), made=-1000)
    memory = look(Memory(), 20, old, began=10)
    assert crashes(memory, old) == 5
    assert judge(old, 20, memory=memory, applied=10).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("pause", "count"),
    [
        pytest.param(0, 1, id="the first restart is immediate"),
        pytest.param(11, 2, id="10 s"),
        pytest.param(22, 3, id="20 s"),
        pytest.param(302, 6, id="5 min"),
    ],
)
def test_or_by_the_pause_that_its_last_restart_had_to_wait(pause: float, count: int) -> None:
    """Kubelets of 1.36 show the exit rather than the back-off while they wait."""
    exit_before = ended(1, at=-pause)
    old = pod(box(ended(1, since=0, at=1), restarts=90, last=exit_before), made=-1000)
    assert crashes(look(Memory(), 20, old, began=10), old) == count


def test_unless_this_run_has_changed_something_since_its_last_crash() -> None:
    old = pod(box(back_off("5m0s"), restarts=90, last=ended(1, at=5)), made=-1000)
    assert judge(old, 20, applied=10, changed=12).verdict is Verdict.FAILING
    again = pod(box(back_off("5m0s"), restarts=91, last=ended(1, at=15)), made=-1000)
    assert judge(again, 20, applied=10, changed=12).verdict is Verdict.FAILED


def test_a_crash_before_the_first_look_but_after_the_start_counts() -> None:
    old = pod(box(running(15), restarts=8, last=ended(1, at=14)), made=-1000)
    assert crashes(look(Memory(), 20, old, began=10), old) == 1


def test_a_replacement_inherits_the_crashes_of_one_replaced_pod() -> None:
    memory = look(Memory(), 20, web(1, "a"), web(2, "b"))
    memory = look(memory, 30, web(0, "c", made=30))
    # "b" had crashed twice, and being replaced while it was down is one more restart.
    assert crashes(look(memory, 40, web(1, "c", made=30)), web(0, "c")) == 1 + 3
    memory = look(memory, 40, web(0, "c", made=30), web(0, "d", made=40))
    assert crashes(look(memory, 50, web(1, "d", made=40)), web(0, "d")) == 1 + 2


def test_an_heir_that_does_not_crash_has_nothing_to_answer_for() -> None:
    memory = look(look(Memory(), 20, web(2, "a")), 30, web(0, "b", made=30))
    assert crashes(memory, web(0, "b")) == 0
    assert judge(web(0, "b", made=30), 60, memory=memory).verdict is Verdict.HEALTHY


def test_a_pod_leaves_its_crashes_behind_as_soon_as_it_starts_to_leave() -> None:
    memory = look(Memory(), 20, web(2, "a"))
    leaving = pod(box(ended(143), restarts=2), name="a", owner=OWNER, made=10, deleted=25)
    memory = look(memory, 30, leaving, web(0, "b", made=30))
    memory = look(memory, 40, leaving, web(1, "b", made=30))
    assert crashes(memory, web(0, "b")) == 1 + 3
    assert memory.gone == ()


def test_a_pod_of_another_revision_inherits_nothing() -> None:
    memory = look(Memory(), 20, web(2, "a"))
    other = k8s.replica_set(k8s.deployment(), 2)
    fresh = pod(box(back_off(), restarts=1), name="b", owner=other, made=30)
    assert crashes(look(memory, 30, fresh), fresh) == 1


def test_a_stateful_pod_inherits_from_its_own_name_only() -> None:
    db = k8s.stateful_set(2)
    first = pod(box(back_off(), restarts=2), name="db-0", owner=db, made=10)
    memory = look(Memory(), 20, first)
    second = pod(box(back_off(), restarts=1), name="db-1", owner=db, made=30)
    assert crashes(look(memory, 30, second), second) == 1
    heir = pod(box(back_off(), restarts=1), name="db-0", owner=db, made=30)
    heir["metadata"]["uid"] = "another"
    assert crashes(look(memory, 30, heir), heir) == 1 + 3


def test_first_sight_of_a_running_instance_bounds_its_start() -> None:
    up = pod(box(running(10)), made=9)
    assert judge(up, 12).worst.until == T0 + 16  # startedAt is cut to the second
    memory = look(Memory(), 10.2, up)
    assert judge(up, 12, memory=memory).worst.until == T0 + 15.2


def test_a_restart_starts_the_wait_for_stability_anew() -> None:
    memory = look(Memory(), 10, pod(box(running(10)), made=9))
    again = pod(box(running(60), restarts=1, last=ended(1, at=59)), made=9)
    memory = look(memory, 61, again)
    assert judge(again, 62, memory=memory).worst.rule == "pod.stabilising"


def test_one_whose_log_has_ended_is_not_well_before_its_status_has_followed() -> None:
    up = pod(box(running(10)), made=9)
    memory = heard(look(Memory(), 10, up), life(up), T0 + 13)
    found = judge(up, 20, memory=memory).worst
    assert (found.verdict, found.rule) == (Verdict.PROGRESSING, "pod.log-ended")
    assert (found.until, found.observed) == (T0 + 43, "ended 7s of 30s ago")
    assert judge(up, 20, memory=look(memory, 20, up)).worst.rule == "pod.log-ended"
    assert judge(up, 43, memory=memory).verdict is Verdict.HEALTHY  # its node ends all logs
    goes_on = heard(memory, life(up), None)
    assert judge(up, 20, memory=goes_on).verdict is Verdict.HEALTHY


def test_the_end_of_a_log_is_not_the_end_of_the_next_life() -> None:
    again = pod(box(running(60), restarts=1, last=ended(1, at=59)), made=9)
    first = pod(box(running(10)), made=9)
    early = look(heard(look(Memory(), 10, first), life(first), T0 + 59), 61, again)
    late = heard(look(Memory(), 61, again), life(first), T0 + 62)
    for memory in (early, late):
        assert judge(again, 70, memory=memory).verdict is Verdict.HEALTHY


def test_the_deadline_is_not_for_one_whose_log_has_ended() -> None:
    up = pod(box(running(10)), made=9)
    memory = heard(look(Memory(), 10, up), life(up), T0 + 299)
    assert judge(up, 301, memory=memory).verdict is Verdict.PROGRESSING


def life(of: Json) -> ContainerRun:
    metadata = of["metadata"]
    restarts = of["status"]["containerStatuses"][0]["restartCount"]
    return ContainerRun(
        ResourceName("web"), "default", metadata["name"], metadata["uid"], "main", restarts
    )


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_the_count_does_not_depend_on_how_often_one_looks(steps: list[int]) -> None:
    """Looking after every step, and only at the end, must come to the same."""
    often, total = look(Memory(), 20, web(0)), 0
    for step in steps:
        total += step
        often = look(often, 30, web(total))
    once = look(Memory(), 40, web(total))
    assert crashes(often, web(total)) == crashes(once, web(total)) == total
