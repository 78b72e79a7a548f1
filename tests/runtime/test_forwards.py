"""Port forwards of a session, from the first pod to the end; what they tell and who waits."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.builders import project as build
from tests.fakes.forwards import FIRST_FREE, FakeForwards
from tests.runtime.test_engine import controls_deployments
from tests.runtime.test_up import healthy, settled
from tests.runtime.world import World, world
from tiltd.model.desired import KubernetesTarget, PortForward, Project, Resource, TriggerMode
from tiltd.model.events import FilesChanged
from tiltd.model.names import ResourceName
from tiltd.model.observed import Forward, PodPort
from tiltd.model.state import Mode, Outcome

WEB = ResourceName("web")
FORWARD = Forward(WEB, "localhost", 8080, 80)


@pytest.fixture
async def engine() -> AsyncIterator[World]:
    async with world() as made:
        controls_deployments(made.cluster)
        yield made


def web(*given: PortForward) -> Resource:
    made = build.kubernetes("web", build.deployment("web"))
    assert isinstance(made.target, KubernetesTarget)
    forwards = given or (PortForward(8080, 80),)
    return replace(made, target=replace(made.target, port_forwards=forwards))


def forwards(engine: World) -> FakeForwards:
    return engine.cluster.forwards


async def reload(engine: World, project: Project) -> None:
    engine.tiltfiles.project = project
    engine.store.dispatch(FilesChanged((project.tiltfile,)))


async def test_a_port_is_open_from_the_first_pod_to_the_end_of_up(engine: World) -> None:
    await engine.start(build.project(web()), Mode.UP)
    assert not forwards(engine).open
    await engine.until(lambda s: FORWARD in s.forwards)
    assert forwards(engine).open == {FORWARD: PodPort("default", "web-1-x", 80)}
    await engine.until(healthy)
    assert (
        engine.text("web")
        .splitlines()
        .count("port forward: localhost:8080 leads to port 80 of pod web-1-x")
        == 1
    )
    session = engine.sessions.active
    assert session is not None
    engine.sessions.stop(session.spec.id)
    await engine.sessions.settled()
    assert not forwards(engine).open
    assert not engine.state.forwards


async def test_ci_has_it_too_and_who_depends_on_it_finds_it_open(engine: World) -> None:
    forwards(engine).held = True
    check = build.local("check", "curl localhost:8080", deps=["web"])
    await engine.start(build.project(web(), check))
    await engine.until(healthy)
    await settled(engine)
    assert not engine.processes.running
    assert not engine.processes.ran
    forwards(engine).held = False
    forwards(engine).look()
    ended = await engine.ended()
    assert ended.outcome is Outcome.HEALTHY
    assert engine.processes.ran == ["curl localhost:8080"]
    await engine.sessions.settled()
    assert not forwards(engine).open


async def test_it_follows_the_pod_that_takes_the_place_of_the_other(engine: World) -> None:
    await engine.start(build.project(web()), Mode.UP)
    await engine.until(healthy)
    engine.cluster.change(
        engine.cluster.get("Deployment", "web"),
        spec={**engine.cluster.get("Deployment", "web")["spec"], "paused": False},
    )
    await engine.until(lambda s: "web-2-x" in str(forwards(engine).open) and healthy(s))
    assert list(engine.state.forwards) == [FORWARD]
    assert "leads to port 80 of pod web-2-x" in engine.text("web")


async def test_a_port_in_use_is_told_once_and_fails_nothing(engine: World) -> None:
    forwards(engine).taken.add(8080)
    await engine.start(build.project(web()), Mode.UP)
    await engine.until(healthy)
    forwards(engine).look()
    assert engine.text("web").count("port forward: localhost:8080 is in use") == 1
    assert engine.state.resources[WEB].ready_once
    forwards(engine).taken.clear()
    forwards(engine).look()
    assert engine.state.forwards[FORWARD].local_port == 8080
    assert "port forward: localhost:8080 leads to" in engine.text("web")


async def test_connections_that_come_to_nothing_are_told_once(engine: World) -> None:
    await engine.start(build.project(web()), Mode.UP)
    await engine.until(healthy)
    for _ in range(3):
        forwards(engine).fail(FORWARD, "nothing listens on port 80 of pod web-1-x")
    assert engine.text("web").count("localhost:8080: nothing listens on port 80") == 1
    assert healthy(engine.state)


async def test_what_failed_with_one_pod_is_forgotten_with_the_next(engine: World) -> None:
    await engine.start(build.project(web()), Mode.UP)
    await engine.until(healthy)
    forwards(engine).fail(FORWARD, "nothing listens on port 80 of pod web-1-x")
    live = engine.cluster.get("Deployment", "web")
    engine.cluster.change(live, spec={**live["spec"], "paused": False})
    await engine.until(lambda s: not s.forwards[FORWARD].problem)
    assert engine.text("web").count("leads to port 80 of pod web-2-x") == 1


async def test_a_changed_port_is_no_update_that_a_trigger_would_be_for(engine: World) -> None:
    await engine.start(build.project(replace(web(), trigger_mode=TriggerMode.MANUAL)), Mode.UP)
    await engine.until(healthy)
    other = replace(web(PortForward(9090, 80)), trigger_mode=TriggerMode.MANUAL)
    await reload(engine, build.project(other))
    await engine.until(lambda s: Forward(WEB, "localhost", 9090, 80) in s.forwards)
    assert not engine.state.resources[WEB].due


async def test_what_the_tiltfile_changes_is_opened_and_closed(engine: World) -> None:
    await engine.start(build.project(web()), Mode.UP)
    await engine.until(healthy)
    await reload(engine, build.project(web(PortForward(9090, 80), PortForward(0, 81))))
    nine, free = Forward(WEB, "localhost", 9090, 80), Forward(WEB, "localhost", 0, 81)
    await engine.until(lambda s: set(s.forwards) == {nine, free})
    assert set(forwards(engine).open) == {nine, free}
    assert engine.state.forwards[free].local_port > FIRST_FREE
    await reload(engine, build.project(build.local("other", "true")))
    await engine.until(lambda s: not s.forwards)


async def test_a_served_process_is_not_disturbed_by_a_new_forward(engine: World) -> None:
    check = build.local("watcher", serve="watch it", deps=["web"])
    await engine.start(build.project(web(), check), Mode.UP)
    await engine.until(lambda s: healthy(s, ResourceName("watcher")))
    forwards(engine).held = True
    await reload(engine, build.project(web(PortForward(9090, 80)), check))
    await engine.until(lambda s: s.loaded_generation == 2)
    await asyncio.sleep(10)
    assert not engine.processes.stopped
    forwards(engine).held = False
    forwards(engine).look()
    await engine.until(lambda s: len(s.forwards) == 1)
    assert not engine.processes.stopped
