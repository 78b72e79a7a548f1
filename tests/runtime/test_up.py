"""`up`: what a change leads to, what waits for a trigger, and what it looks like meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.builders import project as build
from tests.fakes.images import FakeImages
from tests.runtime.test_engine import controls_deployments
from tests.runtime.world import World, world
from tiltd.core import affected
from tiltd.core.reconcile import reconcile
from tiltd.model.decisions import Hold
from tiltd.model.desired import Resource
from tiltd.model.events import FilesChanged, Triggered
from tiltd.model.health import Verdict
from tiltd.model.names import ImageName, NodeName, ResourceName
from tiltd.model.problems import Code, Problem
from tiltd.model.state import Mode, State
from tiltd.ports import LoadError

WEB = ResourceName("web")
IMG = ImageName("img")
BROKEN = LoadError(
    Problem(Code.TILTFILE, "no such name"), ("/src/shop/Tiltfile", "/src/shop/lib.star")
)


@pytest.fixture
async def engine() -> AsyncIterator[World]:
    async with world() as made:
        controls_deployments(made.cluster)
        yield made


def healthy(s: State, name: ResourceName = WEB) -> bool:
    health = s.resources[name].health if name in s.resources else None
    return health is not None and health.verdict is Verdict.HEALTHY


async def running(engine: World, *resources: Resource, images: tuple[str, ...] = ("img",)) -> None:
    project = build.project(*resources, images=[build.image(i) for i in images])
    await engine.start(project, Mode.UP)
    await engine.until(lambda s: all(healthy(s, r.name) for r in resources))


def hold(engine: World, node: str) -> str:
    decision = reconcile(NodeName(node), engine.state, engine.clock.now())
    assert isinstance(decision, Hold), decision
    return decision.code


async def settled(engine: World) -> None:
    """Until nothing is being done; what is due at once has been begun by then."""
    for _ in range(20):
        await asyncio.sleep(0.1)
        await engine.controller.idle()


async def test_a_tiltfile_that_was_broken_from_the_beginning_is_read_when_it_is_mended(
    engine: World,
) -> None:
    engine.tiltfiles.error = BROKEN
    await engine.start(build.project(build.local("a", "a")), Mode.UP)
    await engine.until(lambda s: bool(s.mending))
    assert affected.followed(engine.state) == set(BROKEN.watched)
    assert engine.text() == "no such name", "there is no report of an end that would tell it"
    engine.tiltfiles.error = None
    engine.store.dispatch(FilesChanged(("/src/shop/lib.star",)))
    await engine.until(lambda _: engine.processes.ran == ["a"])
    assert engine.state.mending == ()


async def test_what_a_broken_reload_has_read_is_watched_beside_what_the_old_one_needs(
    engine: World,
) -> None:
    await engine.start(build.project(build.local("a", "a", files=["/src/a"])), Mode.UP)
    await engine.until(lambda _: engine.processes.ran == ["a"])
    engine.tiltfiles.error = BROKEN
    engine.store.dispatch(FilesChanged(("/src/shop/Tiltfile",)))
    await engine.until(lambda s: bool(s.mending))
    assert affected.followed(engine.state) == {*BROKEN.watched, "/src/a"}
    loads = engine.tiltfiles.loads
    engine.tiltfiles.error = None
    engine.store.dispatch(FilesChanged(("/src/shop/lib.star",)))
    await engine.until(lambda s: not s.mending)
    assert engine.tiltfiles.loads == loads + 1


async def test_a_circle_is_mended_by_a_change_too(engine: World) -> None:
    a, b = build.local("a", "a", deps=["b"]), build.local("b", "b", deps=["a"])
    await engine.start(build.project(a, b), Mode.UP)
    await engine.until(lambda s: bool(s.mending))
    engine.tiltfiles.project = build.project(replace(a, resource_deps=()), b)
    engine.store.dispatch(FilesChanged(("/src/shop/Tiltfile",)))
    await engine.until(lambda _: engine.processes.ran == ["a", "b"])


async def test_ci_watches_no_files(engine: World) -> None:
    await engine.start(build.project(build.local("a", "a", files=["/src/a"])))
    await engine.until(lambda s: s.project is not None)
    assert affected.followed(engine.state) == frozenset()


async def test_a_manual_resource_starts_by_itself_and_then_waits_for_a_trigger(
    engine: World,
) -> None:
    await running(engine, build.kubernetes("web", build.deployment("web", "img"), manual=True))
    engine.inputs.contents["/src/img"] = "changed"
    engine.store.dispatch(FilesChanged(("/src/img/main.py",)))
    await settled(engine)
    assert engine.images.built == ["img"]
    assert hold(engine, "image/img") == "waiting-for-trigger"
    assert hold(engine, "resource/web") == "waiting-for-trigger"
    assert healthy(engine.state), "what runs is as well as it was"
    engine.store.dispatch(Triggered(WEB))
    await engine.until(lambda _: engine.cluster.applied == ["Deployment/web"] * 2)
    assert engine.images.built == ["img", "img"]
    assert not engine.state.resources[WEB].due
    assert not engine.state.images[IMG].due


async def test_a_manual_command_waits_for_a_trigger(engine: World) -> None:
    await engine.start(build.project(build.local("a", "a", files=["/src/a"], manual=True)), Mode.UP)
    await engine.until(lambda _: engine.processes.ran == ["a"])
    engine.store.dispatch(FilesChanged(("/src/a/x",)))
    await settled(engine)
    assert engine.processes.ran == ["a"]
    assert hold(engine, "command/a") == "waiting-for-trigger"
    engine.store.dispatch(Triggered(ResourceName("a")))
    await engine.until(lambda _: engine.processes.ran == ["a", "a"])


async def test_an_image_that_others_need_is_built_but_the_manual_resource_keeps_what_it_has(
    engine: World,
) -> None:
    slow = build.kubernetes("web", build.deployment("web", "img"), manual=True)
    await running(engine, slow, build.kubernetes("api", build.deployment("api", "img")))
    engine.cluster.applied.clear()
    engine.inputs.contents["/src/img"] = "changed"
    engine.store.dispatch(FilesChanged(("/src/img/main.py",)))
    await engine.until(lambda _: engine.cluster.applied == ["Deployment/api"])
    await settled(engine)
    assert engine.cluster.applied == ["Deployment/api"]
    engine.store.dispatch(Triggered(WEB))
    await engine.until(lambda _: engine.cluster.applied == ["Deployment/api", "Deployment/web"])


async def test_a_reload_that_changes_a_manual_resource_waits_for_a_trigger(engine: World) -> None:
    await running(engine, build.kubernetes("web", build.deployment("web"), manual=True), images=())
    other = build.kubernetes("web", build.deployment("web", replicas=2), manual=True)
    engine.tiltfiles.project = build.project(other)
    engine.store.dispatch(FilesChanged(("/src/shop/Tiltfile",)))
    await engine.until(lambda s: s.resources[WEB].due)
    await settled(engine)
    assert engine.cluster.applied == ["Deployment/web"]
    engine.store.dispatch(Triggered(WEB))
    await engine.until(lambda _: engine.cluster.applied == ["Deployment/web"] * 2)


async def test_in_ci_manual_means_nothing(engine: World) -> None:
    web = build.kubernetes("web", build.deployment("web", "img"), manual=True)
    ended = await engine.ci(build.project(web, images=[build.image("img")]))
    assert ended.outcome.value == "healthy"


async def test_a_resource_is_not_green_while_its_new_image_is_being_built() -> None:
    gate = asyncio.Event()
    gate.set()
    async with world(lambda _: FakeImages(holds={IMG: gate})) as engine:
        controls_deployments(engine.cluster)
        await running(engine, build.kubernetes("web", build.deployment("web", "img")))
        gate.clear()
        engine.inputs.contents["/src/img"] = "changed"
        engine.store.dispatch(FilesChanged(("/src/img/main.py",)))
        state = await engine.until(lambda s: not healthy(s))
        health = state.resources[WEB].health
        assert health is not None
        assert (health.verdict, health.worst.rule) == (Verdict.PROGRESSING, "update.pending")
        assert health.worst.message == "image img is being built anew"
        gate.set()
        await engine.until(lambda _: engine.cluster.applied == ["Deployment/web"] * 2)
        await engine.until(healthy)


async def test_a_change_that_gives_the_same_image_leaves_it_green(engine: World) -> None:
    await running(engine, build.kubernetes("web", build.deployment("web", "img")))
    verdicts: list[bool] = []
    engine.store.listen(lambda _old, new, _nodes: verdicts.append(healthy(new)))
    engine.store.dispatch(FilesChanged(("/src/img/notes.md",)))
    await settled(engine)
    assert engine.inputs.reads == ["/src/img"] * 3, "before the build, after it, and now"
    assert all(verdicts)
