"""What is watched, and which lives of containers are read."""

import pytest

from tests.builders import k8s, state
from tests.builders import project as build
from tests.builders.k8s import T0, Json, back_off, box, ended, running, waiting
from tiltd.core import follow
from tiltd.model.desired import Manifest
from tiltd.model.events import ClusterChanged
from tiltd.model.names import ResourceName
from tiltd.model.observed import ContainerRun, Uid
from tiltd.model.state import Mode, State

WEB = ResourceName("web")


def with_pod(container: tuple[Json, Json], *, skew: float = 0.0) -> State:
    manifest = build.deployment("web")
    s = state.connected(build.project(build.kubernetes("web", manifest)), skew=skew)
    s = state.applied(s, manifest, uid="web")
    deployment = k8s.obj("apps/v1", "Deployment", "web")
    deployment["metadata"]["uid"] = "web"
    rs = k8s.obj("apps/v1", "ReplicaSet", "web-1", owner=deployment)
    return state.seen(s, rs, k8s.pod(container, owner=rs))


def life(restart: int, *, previous: bool = False, since: float = 0.0) -> ContainerRun:
    return ContainerRun(
        WEB, "default", "web-1", Uid("pod-web-1"), "main", restart, previous=previous, since=since
    )


def test_a_container_runs_since_the_api_server_said_so_and_not_since_that_was_listened_to() -> None:
    s = with_pod(box(waiting("ContainerCreating")))
    up = {u: b for u, b in s.live.objects.items() if b["kind"] == "Pod"}
    (uid, body), status = up.popitem(), k8s.pod(box(running(3)))["status"]
    told = ClusterChanged(T0 + 4, ({**body, "status": status},), ages=(0.25,))
    memory = state.after(s, told).resources[WEB].memory
    assert memory.tracks[uid, "main"].running_since == T0 + 3.75


@pytest.mark.parametrize(
    ("container", "live", "over"),
    [
        pytest.param(box(waiting("ContainerCreating")), [], [], id="not begun"),
        pytest.param(box(running(3)), [life(0)], [], id="first"),
        pytest.param(
            box(running(-50)), [life(0, since=T0)], [], id="only news of what ran before us"
        ),
        pytest.param(box(ended(1, since=3, at=4)), [], [life(0)], id="crashed"),
        pytest.param(
            box(back_off(), restarts=2, last=ended(1, since=3, at=4)),
            [],
            [life(2)],
            id="between two lives, the count is that of the one that is over",
        ),
        pytest.param(
            box(running(14), restarts=3, last=ended(1, since=3, at=4)),
            [life(3)],
            [life(2, previous=True)],
            id="up again: the one before, too",
        ),
        pytest.param(
            box(ended(1, since=14, at=15), restarts=3, last=ended(1, since=3, at=4)),
            [],
            [life(3), life(2, previous=True)],
            id="crashed again",
        ),
        pytest.param(
            box(running(-50), restarts=3, last=ended(1, since=-70, at=-60)),
            [life(3, since=T0)],
            [],
            id="a crash of yesterday is no news",
        ),
        pytest.param(
            box(back_off(), restarts=7, last=ended(1, since=-70, at=-60)),
            [],
            [life(7)],
            id="unless it is still down: that explains the verdict",
        ),
        pytest.param(
            box(ended(0, since=-70, at=-60)), [], [life(0, since=T0)], id="done yesterday"
        ),
    ],
)
def test_lives_whose_logs_are_read(
    container: tuple[Json, Json], live: list[ContainerRun], over: list[ContainerRun]
) -> None:
    s = with_pod(container)
    of_each = [follow.object_runs(WEB, uid, s) for uid in s.live.by_resource[WEB]]
    assert frozenset[ContainerRun]().union(*of_each) == frozenset([*live, *over])
    assert follow.log_runs(s) == frozenset([*live, *over])
    assert follow.finished_runs(s) == frozenset(over)
    started_again = live if any(run.previous for run in over) else []
    assert follow.restarted_runs(s) == frozenset(started_again)


def test_times_of_the_cluster_are_taken_by_its_own_clock() -> None:
    assert follow.log_runs(with_pod(box(running(3)), skew=100)) == {life(0, since=T0 + 100)}


def kinds(s: State) -> set[tuple[str, bool]]:
    return {(scope.kind, scope.ours) for scope in follow.watch_scopes(s)}


def custom() -> Manifest:
    body = {"apiVersion": "x.example/v1", "kind": "Db", "metadata": {"name": "db"}}
    return build.manifest(body)


PODS = {("ReplicaSet", False), ("Pod", False), ("Event", False)}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        pytest.param(build.config_map("c", a="1"), set[tuple[str, bool]](), id="static"),
        pytest.param(build.deployment("web"), {("Deployment", True), *PODS}, id="workload"),
        pytest.param(custom(), {("Db", True), *PODS}, id="an operator may make pods of it"),
    ],
)
def test_only_kinds_whose_changes_can_change_a_verdict_are_watched(
    manifest: Manifest, expected: set[tuple[str, bool]]
) -> None:
    s = state.connected(build.project(build.kubernetes("web", manifest)))
    assert kinds(s) == expected
    assert ("ConfigMap", True) not in kinds(s)


def test_down_watches_nothing_by_itself() -> None:
    project = build.project(build.kubernetes("web", build.deployment("web")))
    assert follow.watch_scopes(state.connected(project, Mode.DOWN)) == frozenset()


def test_what_does_not_take_part_is_not_watched() -> None:
    web = build.kubernetes("web", build.deployment("web"), auto_init=False)
    assert follow.watch_scopes(state.connected(build.project(web))) == frozenset()
