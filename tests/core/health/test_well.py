"""Pods that were found well are not judged again, which shows only in the time it takes."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import k8s
from tests.builders.k8s import T0, back_off, box, ended, pod, running, waiting
from tests.core.health.judging import Json, scope
from tiltd.core.health import Clock, assess_object, observe
from tiltd.core.health.well import Well
from tiltd.model.health import Assessment, Limits, Memory, Verdict

WEB = k8s.deployment(3, updated=3, available=3)
SET = k8s.replica_set(WEB)
_BOXES = (
    box(running(3)),
    box(running(95)),
    box(running(3), ready=False),
    box(running(30), restarts=1, last=ended(1, at=29)),
    box(back_off(), restarts=3, last=ended(1, at=50)),
    box(waiting("ContainerCreating")),
    box(ended(0)),
)


def of(pods: Sequence[Json], now: float, memory: Memory, well: Well | None = None) -> Assessment:
    seen = scope(now, SET, *pods, memory=memory)
    return assess_object(WEB, replace(seen, well=well))


def three(kinds: Sequence[int]) -> list[Json]:
    return [pod(_BOXES[kind], name=f"web-{number}", owner=SET) for number, kind in enumerate(kinds)]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(range(len(_BOXES))), min_size=3, max_size=3),
            st.integers(min_value=0, max_value=20),
        ),
        max_size=8,
    )
)
def test_what_is_remembered_changes_no_verdict_at_any_time(
    looks: list[tuple[list[int], int]],
) -> None:
    memory, well, now = Memory(), Well(), 90.0
    pods, before = three([0, 0, 0]), [0, 0, 0]
    for kinds, later in looks:
        now += later
        for number, kind in enumerate(kinds):
            if kind != before[number]:
                pods[number] = three(kinds)[number]
        before = kinds
        memory = observe(memory, pods, Clock(T0 + now), began_at=T0)
        well.begin()
        assert of(pods, now, memory, well) == of(pods, now, memory)


def test_of_three_pods_only_the_one_that_changed_is_judged_again() -> None:
    pods, well = three([0, 0, 0]), Well()
    memory = observe(Memory(), pods, Clock(T0 + 100), began_at=T0)
    first = of(pods, 100, memory, well).findings
    pods[1] = three([0, 0, 0])[1]
    well.begin()
    second = of(pods, 110, memory, well).findings
    same = {id(finding) for finding in first} & {id(finding) for finding in second}
    assert second == first
    assert len(same) == 2


def test_a_pod_that_was_well_is_judged_by_new_limits() -> None:
    pods, well = three([3, 0, 0]), Well()
    memory = observe(Memory(), pods, Clock(T0 + 100), began_at=T0)
    assert of(pods, 100, memory, well).verdict is Verdict.HEALTHY
    strict = scope(100, SET, *pods, memory=memory, limits=Limits(stable_for=1000))
    assert assess_object(WEB, replace(strict, well=well)).verdict is Verdict.PROGRESSING


def test_an_earlier_moment_knows_nothing_of_a_later_one() -> None:
    pods, well = three([1, 0, 0]), Well()
    memory = observe(Memory(), pods, Clock(T0 + 96), began_at=T0)
    assert of(pods, 110, memory, well).verdict is Verdict.HEALTHY
    assert of(pods, 97, memory, well).verdict is Verdict.PROGRESSING


def test_a_look_at_some_pods_is_remembered_as_a_look_at_all() -> None:
    pods = three([0, 0, 4])
    everything = observe(Memory(), pods, Clock(T0 + 100), began_at=T0)
    pods[0], gone = three([3, 0, 4])[0], pods.pop()
    news = {pods[0]["metadata"]["uid"]: T0 + 110}
    clock = Clock(T0 + 110)
    some = observe(everything, pods, clock, began_at=T0, fresh=news)
    assert some == observe(everything, pods, clock, began_at=T0)
    assert (gone["metadata"]["uid"], "main") not in some.tracks
    assert [track.legacy for track in some.gone] == [4]
