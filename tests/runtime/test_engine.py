"""The whole engine around fakes, in virtual time: desired in, the state of the world out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.builders import project as build
from tests.fakes.cluster import FakeCluster
from tests.fakes.images import FakeImages
from tests.fakes.local import FakeInputs
from tests.runtime.world import World, world
from tiltd import ports
from tiltd.model.actions import EnsureImage
from tiltd.model.desired import Command, CustomBuild, DockerBuild, PodReadiness, Settings
from tiltd.model.events import FilesChanged, Triggered
from tiltd.model.names import ImageName, ResourceName
from tiltd.model.problems import Code, Place, Problem
from tiltd.model.state import ImageReady, Mode, Outcome, SessionSpec, State
from tiltd.ports import PermanentError, TransientError

Obj = dict[str, Any]


@pytest.fixture
async def engine() -> AsyncIterator[World]:
    async with world() as made:
        yield made


def controls_deployments(cluster: FakeCluster, *, after: float = 1.0, fails: bool = False) -> None:
    """Play the controllers: a ReplicaSet, a pod, and its start."""

    seen: set[tuple[str, int]] = set()

    def deploy(c: FakeCluster, live: Obj) -> None:
        name, generation = live["metadata"]["name"], live["metadata"]["generation"]
        if (name, generation) in seen:
            return
        seen.add((name, generation))
        revision = f"{name}-{generation}"
        labels = {**live["spec"]["template"]["metadata"]["labels"], "pod-template-hash": revision}
        owner = _owner(live)
        replica_set = c.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": revision,
                    "namespace": "default",
                    "labels": labels,
                    "ownerReferences": [owner],
                    "annotations": {"deployment.kubernetes.io/revision": str(generation)},
                },
                "spec": {"replicas": 1, "template": live["spec"]["template"]},
            }
        )
        containers = live["spec"]["template"]["spec"]["containers"]
        pod = c.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{revision}-x",
                    "namespace": "default",
                    "labels": labels,
                    "ownerReferences": [_owner(replica_set)],
                    "creationTimestamp": c.stamp(),
                },
                "spec": {"containers": containers},
                "status": {"phase": "Pending"},
            }
        )
        c.later(after, lambda: crash(c, pod) if fails else ready(c, live, pod))

    cluster.on("Deployment", deploy)


def _owner(live: Obj) -> Obj:
    metadata = live["metadata"]
    return {
        "kind": live["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def ready(c: FakeCluster, live: Obj, pod: Obj) -> None:
    now = c.stamp()
    conditions = [
        {"type": t, "status": "True"} for t in ("Ready", "ContainersReady", "PodScheduled")
    ]
    statuses = [
        {
            "name": container["name"],
            "ready": True,
            "started": True,
            "restartCount": 0,
            "containerID": f"c://{pod['metadata']['name']}/{container['name']}",
            "state": {"running": {"startedAt": now}},
        }
        for container in pod["spec"]["containers"]
    ]
    c.change(
        pod, status={"phase": "Running", "conditions": conditions, "containerStatuses": statuses}
    )
    status = {
        "observedGeneration": c.get("Deployment", live["metadata"]["name"])["metadata"][
            "generation"
        ],
        **dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1),
        "conditions": [
            {"type": "Available", "status": "True"},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ],
    }
    c.change(live, status=status)


def crash(c: FakeCluster, pod: Obj) -> None:
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": c.stamp(), "startedAt": c.stamp()}
    statuses = [
        {
            "name": container["name"],
            "ready": False,
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": ended},
        }
        for container in pod["spec"]["containers"]
    ]
    conditions = [{"type": "PodScheduled", "status": "True"}]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": statuses}
    for container in statuses:
        c.say(pod, str(container["name"]), "last words\n", restart=3)
    c.change(pod, status=status)


async def test_an_app_is_built_pushed_applied_and_found_healthy(engine: World) -> None:
    controls_deployments(engine.cluster)
    web = build.kubernetes("web", build.config_map("conf", a="1"), build.deployment("web", "img"))
    ended = await engine.ci(build.project(web, images=[build.image("img")]))
    assert ended.outcome is Outcome.HEALTHY
    assert engine.images.built == ["img"]
    assert sorted(engine.cluster.applied) == ["ConfigMap/conf", "Deployment/web"]
    container = engine.cluster.get("Deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].startswith("img:tilt-")
    assert engine.state.session is not None
    assert (
        6 <= ended.at - engine.state.session.started_at < 8
    )  # a second to start, five to be stable


async def test_a_second_run_without_changes_does_no_work(engine: World) -> None:
    controls_deployments(engine.cluster)
    web = build.kubernetes("web", build.config_map("conf", a="1"), build.deployment("web", "img"))
    await engine.ci(build.project(web, images=[build.image("img")]))
    engine.images.built.clear()
    engine.images.pushed.clear()
    engine.cluster.applied.clear()
    ended = await engine.ci()
    assert ended.outcome is Outcome.HEALTHY
    assert (engine.images.built, engine.images.pushed, engine.cluster.applied) == ([], [], [])
    assert engine.state.session is not None
    assert ended.at - engine.state.session.started_at < 1


async def test_only_what_changed_is_built_and_applied(engine: World) -> None:
    controls_deployments(engine.cluster)
    a = build.kubernetes("a", build.deployment("a", "one"))
    b = build.kubernetes("b", build.deployment("b", "two"))
    await engine.ci(build.project(a, b, images=[build.image("one"), build.image("two")]))
    engine.images.built.clear()
    engine.cluster.applied.clear()
    engine.inputs.contents["/src/two"] = "changed"
    ended = await engine.ci()
    assert ended.outcome is Outcome.HEALTHY
    assert engine.images.built == ["two"]
    assert engine.cluster.applied == ["Deployment/b"]


async def test_a_changed_base_rebuilds_what_is_built_on_it(engine: World) -> None:
    controls_deployments(engine.cluster)
    web = build.kubernetes("web", build.deployment("web", "app"))
    images = [build.image("base"), build.image("app", "base")]
    await engine.ci(build.project(web, images=images))
    assert engine.images.built == ["base", "app"]
    engine.inputs.contents["/src/base"] = "changed"
    await engine.ci()
    assert engine.images.built == ["base", "app", "base", "app"]


async def test_somebody_elses_change_to_our_field_is_put_right(engine: World) -> None:
    conf = build.kubernetes("conf", build.config_map("conf", a="1"))
    await engine.ci(build.project(conf))
    live = engine.cluster.get("ConfigMap", "conf")
    engine.cluster.change(live, data={"a": "2"})
    engine.cluster.applied.clear()
    await engine.ci()
    assert engine.cluster.applied == ["ConfigMap/conf"]
    assert engine.cluster.get("ConfigMap", "conf")["data"] == {"a": "1"}


async def test_a_crash_loop_ends_the_run_at_once(engine: World) -> None:
    controls_deployments(engine.cluster, fails=True)
    web = build.kubernetes("web", build.deployment("web"))
    ended = await engine.ci(build.project(web))
    assert ended.outcome is Outcome.FAILED
    assert [p.resource for p in ended.problems] == ["web"]
    assert "exit code 1" in ended.problems[0].message


async def test_what_ended_the_run_when_it_was_first_seen_has_its_last_words(engine: World) -> None:
    controls_deployments(engine.cluster, fails=True)
    web = build.kubernetes("web", build.deployment("web"))
    await engine.ci(build.project(web))
    told = engine.logs.tail("web", "pod/web-1-x/c0/3", 5)
    assert [entry.text for entry in told] == ["last words"]


async def test_a_failed_build_stops_everything_that_runs(engine: World) -> None:
    problem = Problem(Code.BUILD, "RUN false failed", Place("/src/bad/Dockerfile", 2))
    engine.images._failures[ImageName("bad")] = PermanentError(problem)
    engine.processes.seconds["long"] = 1000
    web = build.kubernetes("web", build.deployment("web", "bad"))
    ended = await engine.ci(
        build.project(web, build.local("other", "long"), images=[build.image("bad")])
    )
    assert ended.outcome is Outcome.FAILED
    assert [str(p) for p in ended.problems] == ["/src/bad/Dockerfile:2: RUN false failed"]
    assert engine.processes.stopped == ["long"]
    assert not engine.processes.running


async def test_a_busy_world_is_tried_again(engine: World) -> None:
    busy = TransientError(Problem(Code.APPLY, "the API server is busy"))
    engine.cluster.errors["ConfigMap/conf"].extend([busy, busy])
    engine.images._faults[ImageName("img")] = 2
    controls_deployments(engine.cluster)
    conf = build.kubernetes("conf", build.config_map("conf"))
    web = build.kubernetes("web", build.deployment("web", "img"))
    ended = await engine.ci(build.project(conf, web, images=[build.image("img")]))
    assert ended.outcome is Outcome.HEALTHY


async def test_resources_wait_for_what_they_depend_on_but_images_do_not(engine: World) -> None:
    controls_deployments(engine.cluster, after=3)
    first = build.kubernetes("first", build.deployment("first"))
    second = build.kubernetes("second", build.deployment("second", "img"), deps=["first"])
    await engine.start(build.project(first, second, images=[build.image("img")]), Mode.CI)
    state = await engine.until(
        lambda s: (
            s.images.get(ImageName("img")) is not None
            and s.images[ImageName("img")].ready is not None
        )
    )
    assert not state.resources[ResourceName("first")].ready_once
    assert (await engine.ended()).outcome is Outcome.HEALTHY
    assert engine.cluster.applied == ["Deployment/first", "Deployment/second"]


async def test_local_commands_run_one_at_a_time_unless_told_otherwise(engine: World) -> None:
    one, two = build.local("one", "1"), build.local("two", "2")
    ended = await engine.ci(build.project(one, two))
    assert ended.outcome is Outcome.HEALTHY
    assert engine.processes.most_running == 1
    engine.processes.most_running = 0
    three = build.local("three", "3", allow_parallel=True)
    four = build.local("four", "4", allow_parallel=True)
    await engine.ci(build.project(three, four))
    assert engine.processes.most_running == 2


async def test_a_project_without_objects_needs_no_cluster(engine: World) -> None:
    await engine.ci(build.project(build.local("only", "true")))
    assert engine.connections == 0


async def test_a_failing_command_fails_the_run_with_its_exit_code(engine: World) -> None:
    engine.processes.exits["check"] = 3
    ended = await engine.ci(build.project(build.local("check", "check")))
    assert ended.outcome is Outcome.FAILED
    assert [(p.resource, p.code) for p in ended.problems] == [("check", Code.COMMAND)]
    assert "exit code 3" in ended.problems[0].message


async def test_a_served_process_must_keep_running(engine: World) -> None:
    engine.processes.serve_ends["serve"] = 2.0
    slow = build.local("slow", "slow")
    engine.processes.seconds["slow"] = 100
    ended = await engine.ci(build.project(build.local("web", serve="serve"), slow))
    assert ended.outcome is Outcome.FAILED
    assert "web" in ended.problems[0].message


async def test_served_processes_end_with_the_session(engine: World) -> None:
    ended = await engine.ci(build.project(build.local("web", serve="serve")))
    assert ended.outcome is Outcome.HEALTHY
    assert engine.processes.stopped == ["serve"]


async def test_the_deadline_names_what_is_not_healthy(engine: World) -> None:
    controls_deployments(engine.cluster, after=1000)
    ended = await engine.ci(
        build.project(build.kubernetes("web", build.deployment("web"))), timeout=30
    )
    assert ended.outcome is Outcome.TIMEOUT
    assert "after 30s: web" in ended.problems[0].message


async def test_the_tiltfile_can_set_the_deadline(engine: World) -> None:
    controls_deployments(engine.cluster, after=1000)
    web = build.kubernetes("web", build.deployment("web"))
    ended = await engine.ci(build.project(web, settings=Settings(ci_timeout=7)))
    assert "after 7s" in ended.problems[0].message


async def test_a_broken_tiltfile_ends_the_run(engine: World) -> None:
    problem = Problem(Code.TILTFILE, "undefined: nope", Place("/src/shop/Tiltfile", 3, 1))
    engine.tiltfiles.error = PermanentError(problem)
    ended = await engine.ci()
    assert (ended.outcome, ended.problems) == (Outcome.TILTFILE, (problem,))


async def test_resources_that_wait_for_each_other_are_a_mistake_with_the_way_around(
    engine: World,
) -> None:
    a, b = build.local("a", "a", deps=["b"]), build.local("b", "b", deps=["a"])
    ended = await engine.ci(build.project(a, b))
    assert ended.outcome is Outcome.TILTFILE
    assert "resource/a" in ended.problems[0].message


async def test_what_does_not_start_by_itself_is_not_waited_for(engine: World) -> None:
    manual = build.local("manual", "manual", auto_init=False)
    ended = await engine.ci(build.project(build.local("auto", "auto"), manual))
    assert ended.outcome is Outcome.HEALTHY
    assert engine.processes.ran == ["auto"]


async def test_up_follows_changed_files_until_it_is_stopped(engine: World) -> None:
    controls_deployments(engine.cluster)
    web = build.kubernetes("web", build.deployment("web", "img"))
    await engine.start(build.project(web, images=[build.image("img")]), Mode.UP)
    await engine.until(lambda s: any(r.ready_once for r in s.resources.values()))
    engine.inputs.contents["/src/img"] = "changed"
    engine.store.dispatch(FilesChanged(("/src/img/main.py",)))
    await engine.until(lambda _: engine.images.built == ["img", "img"])
    await engine.until(lambda _: engine.cluster.applied == ["Deployment/web", "Deployment/web"])
    assert engine.sessions.active is not None
    engine.sessions.stop(engine.sessions.active.spec.id)
    assert (await engine.ended()).outcome is Outcome.CANCELLED


async def test_objects_are_applied_in_the_order_that_they_need(engine: World) -> None:
    spec = {"volumes": [{"name": "v", "configMap": {"name": "late"}}]}
    web = build.kubernetes(
        "web", build.deployment("web", spec=spec), pod_readiness=PodReadiness.IGNORE
    )
    rest = build.kubernetes("uncategorized", build.config_map("late"))
    await engine.ci(build.project(web, rest))
    assert engine.cluster.applied == ["ConfigMap/late", "Deployment/web"]


async def test_an_object_that_somebody_deletes_is_made_again(engine: World) -> None:
    controls_deployments(engine.cluster)
    web = build.kubernetes("web", build.deployment("web"))
    await engine.ci(build.project(web))
    await engine.start(mode=Mode.UP)  # this one finds it unchanged
    await engine.until(lambda s: any(r.ready_once for r in s.resources.values()))
    engine.cluster.applied.clear()
    engine.cluster.remove(engine.cluster.get("Deployment", "web"))
    await engine.until(lambda _: engine.cluster.applied == ["Deployment/web"])
    assert engine.cluster.get("Deployment", "web")


async def test_an_apply_is_not_undone_by_news_that_are_older(engine: World) -> None:
    web = build.kubernetes("web", build.deployment("web"))
    await engine.start(build.project(web), Mode.UP)
    await engine.until(lambda s: bool(s.applied))
    live = engine.cluster.get("Deployment", "web")
    old = {**live, "metadata": {**live["metadata"], "resourceVersion": "0", "generation": 0}}
    engine.sessions._seen((old,), (), (0.0,))
    assert engine.state.live.objects[live["metadata"]["uid"]]["metadata"]["generation"] == 1


async def test_waiting_for_what_nobody_starts_fails_at_once(engine: World) -> None:
    db = build.kubernetes("db", build.deployment("db"), auto_init=False)
    web = build.kubernetes("web", build.deployment("web"), deps=["db"])
    ended = await engine.ci(build.project(db, web))
    assert ended.outcome is Outcome.FAILED
    assert "web depends on db" in ended.problems[0].message
    assert engine.cluster.applied == []


async def test_in_up_it_waits_until_that_is_triggered(engine: World) -> None:
    controls_deployments(engine.cluster)
    db = build.kubernetes("db", build.deployment("db"), auto_init=False)
    web = build.kubernetes("web", build.deployment("web"), deps=["db"])
    await engine.start(build.project(db, web), Mode.UP)
    await engine.until(lambda s: bool(s.looked))
    assert engine.cluster.applied == []
    engine.store.dispatch(Triggered(ResourceName("db")))
    await engine.until(lambda s: len(s.applied) == 2)
    assert engine.cluster.applied == ["Deployment/db", "Deployment/web"]


async def test_a_trigger_in_ci_is_waited_for(engine: World) -> None:
    engine.processes.seconds.update(quick=1, slow=100)
    project = build.project(
        build.local("quick", "quick"), build.local("slow", "slow", allow_parallel=True)
    )
    await engine.start(project)
    await engine.until(lambda _: engine.processes.ran == ["quick"])
    engine.processes.seconds["quick"] = 500
    engine.store.dispatch(Triggered(ResourceName("quick")))
    assert (await engine.ended()).outcome is Outcome.HEALTHY
    assert engine.processes.ran == ["quick", "slow", "quick"]


async def test_a_reload_that_drops_a_resource_stops_what_it_does(engine: World) -> None:
    engine.processes.seconds["long"] = 1000
    keep, drop = build.local("keep", "keep"), build.local("drop", "long", allow_parallel=True)
    await engine.start(build.project(keep, drop), Mode.UP)
    await engine.until(lambda _: "long" in engine.processes.running)
    engine.tiltfiles.project = build.project(keep)
    engine.store.dispatch(FilesChanged(("/src/shop/Tiltfile",)))
    await engine.until(lambda _: engine.processes.stopped == ["long"])
    assert list(engine.state.resources) == ["keep"]


async def test_a_reload_that_changes_how_an_image_is_built_reads_its_files_again(
    engine: World,
) -> None:
    web = build.kubernetes("web", build.deployment("web", "img"))
    image = build.image("img")
    await engine.start(build.project(web, images=[image]), Mode.UP)
    await engine.until(lambda _: engine.images.built == ["img"])
    assert isinstance(image.build, DockerBuild)
    moved = replace(image, build=replace(image.build, context="/src/other"))
    engine.inputs.contents["/src/other"] = "other"
    engine.tiltfiles.project = build.project(web, images=[moved])
    engine.store.dispatch(FilesChanged(("/src/shop/Tiltfile",)))
    await engine.until(lambda _: engine.images.built == ["img", "img"])


async def test_a_session_that_is_stopped_while_it_builds_leaves_nothing_running(
    engine: World,
) -> None:
    engine.processes.seconds["long"] = 1000
    web = build.kubernetes("web", build.deployment("web", "img"))
    await engine.start(
        build.project(web, build.local("l", "long"), images=[build.image("img")]), Mode.UP
    )
    await engine.until(lambda _: "long" in engine.processes.running)
    assert engine.sessions.active is not None
    engine.sessions.stop(engine.sessions.active.spec.id)
    await engine.sessions.settled()
    assert not engine.processes.running
    assert engine.cluster.closed


async def test_only_the_next_session_waits_until_one_is_remembered(engine: World) -> None:
    go, noted = asyncio.Event(), list[State]()

    async def remember(state: State) -> None:
        await go.wait()
        noted.append(state)

    engine.sessions._remember = remember
    project = build.project(build.kubernetes("a", build.config_map("a")))
    await engine.start(project)
    await engine.until(lambda s: s.session is not None and s.session.settled)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(engine.start(project))
        await asyncio.sleep(1)
        assert not following.done()
        go.set()
    assert [s.project for s in noted] == [project]


async def test_one_session_knows_nothing_of_the_project_of_the_one_before(engine: World) -> None:
    await engine.ci(build.project(build.kubernetes("a", build.config_map("a"))))
    ended = await engine.ci(build.project(build.kubernetes("b", build.config_map("b"))))
    assert ended.outcome is Outcome.HEALTHY
    assert list(engine.state.resources) == ["b"]
    assert len(engine.state.applied) == 1


async def test_with_nothing_to_do_ci_is_over_at_once(engine: World) -> None:
    ended = await engine.ci(build.project())
    assert ended.outcome is Outcome.HEALTHY


async def test_what_stays_busy_ends_with_the_deadline(engine: World) -> None:
    busy = TransientError(Problem(Code.APPLY, "the API server is busy"))
    engine.cluster.errors["ConfigMap/conf"].extend([busy] * 1000)
    conf = build.kubernetes("conf", build.config_map("conf"))
    ended = await engine.ci(build.project(conf), timeout=60)
    assert ended.outcome is Outcome.TIMEOUT


async def test_a_limit_of_the_command_line_beats_the_tiltfiles(engine: World) -> None:
    controls_deployments(engine.cluster, after=1000)
    web = build.kubernetes("web", build.deployment("web"))
    ended = await engine.ci(build.project(web, settings=Settings(ci_timeout=7)), timeout=9)
    assert "after 9s" in ended.problems[0].message


async def test_a_resource_can_wait_for_a_local_one(engine: World) -> None:
    first = build.local("first", "first")
    conf = build.kubernetes("conf", build.config_map("conf"), deps=["first"])
    engine.processes.exits["first"] = 0
    assert (await engine.ci(build.project(first, conf))).outcome is Outcome.HEALTHY
    assert engine.processes.ran == ["first"]
    assert engine.cluster.applied == ["ConfigMap/conf"]


class Busy(FakeImages):
    """While it builds, somebody writes into the folder."""

    def __init__(self, inputs: FakeInputs, *contents: str) -> None:
        super().__init__()
        self.left, self._inputs = list(contents), inputs

    async def ensure(
        self,
        action: EnsureImage,
        spec: SessionSpec,
        log: ports.Log,
        phase: ports.Phase,
        check: ports.Check,
    ) -> ImageReady:
        async def after() -> None:
            if self.left:
                self._inputs.contents["/src/img"] = self.left.pop(0)
            await check()

        return await super().ensure(action, spec, log, phase, after)


@asynccontextmanager
async def writing(*contents: str) -> AsyncGenerator[World]:
    async with world(lambda inputs: Busy(inputs, *contents)) as made:
        controls_deployments(made.cluster)
        yield made


async def test_files_that_change_during_the_build_are_built_again_under_their_own_key() -> None:
    async with writing("other") as engine:
        web = build.kubernetes("web", build.deployment("web", "img"))
        ended = await engine.ci(build.project(web, images=[build.image("img")]))
        assert ended.outcome is Outcome.HEALTHY
        assert engine.images.built == ["img", "img"]
        made = engine.state.images[ImageName("img")]
        assert made.inputs == "other"
        assert made.ready is not None
        assert engine.images.engine == {made.ready.refs.local}, "nothing under the first key's tag"
        assert "files of img changed while it was being built: building it again" in engine.text(
            "web"
        )


async def test_files_that_never_come_to_rest_are_told_and_hold_nothing_up() -> None:
    async with writing("1", "2", "3", "4", "5") as engine:
        web = build.kubernetes("web", build.deployment("web", "img"))
        ended = await engine.ci(build.project(web, images=[build.image("img")]))
        assert ended.outcome is Outcome.HEALTHY
        assert engine.images.built == ["img"] * 3
        assert "leave out with .dockerignore" in engine.text("web")


async def test_what_a_custom_builds_command_writes_itself_is_no_reason_to_run_it_again() -> None:
    async with writing("other") as engine:
        web = build.kubernetes("web", build.deployment("web", "img"))
        command = CustomBuild(Command(("make",), "/src/img"), deps=("/src/img",))
        image = replace(build.image("img"), build=command)
        ended = await engine.ci(build.project(web, images=[image]))
        assert ended.outcome is Outcome.HEALTHY
        assert engine.images.built == ["img"]
        assert "name in ignore= what the command itself writes" in engine.text("web")
