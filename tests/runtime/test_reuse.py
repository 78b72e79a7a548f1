"""Which images are used as they are, which are built again, and what others find of ours."""

import pytest

from tests.builders import project as build
from tests.runtime.test_planning import kube
from tests.runtime.world import World, world
from tiltd.model.desired import Project
from tiltd.model.events import FilesChanged
from tiltd.model.names import ImageName
from tiltd.model.problems import Code
from tiltd.model.state import Cache, Ended, Mode, Outcome

WEB, BASE, OTHER = ImageName("web"), ImageName("base"), ImageName("other")


def app() -> Project:
    return build.project(
        kube("shop", build.deployment("web", "web")),
        kube("more", build.deployment("other", "other")),
        images=[build.image("base"), build.image("web", "base"), build.image("other")],
    )


async def ci(
    engine: World,
    *,
    cache: Cache = Cache.WRITE,
    rebuild: tuple[str, ...] = (),
    no_drift: bool = False,
) -> Ended:
    engine.images.built.clear()
    engine.cluster.applied.clear()
    await engine.start(app(), cache=cache, rebuild=rebuild, no_drift=no_drift)
    ended = await engine.ended()
    await engine.sessions.settled()
    return ended


def used(engine: World, name: str = "web") -> str:
    spec = engine.cluster.get("Deployment", name)["spec"]["template"]["spec"]
    return str(spec["containers"][0]["image"])


async def test_what_is_rebuilt_is_deployed_and_stays_in_use() -> None:
    async with world() as engine:
        await ci(engine)
        plain = used(engine)
        await ci(engine, rebuild=("web",))
        assert engine.images.built == [WEB]
        assert engine.cluster.applied == ["Deployment/web"]
        assert used(engine) == f"{plain}-r1"
        await ci(engine)
        assert (engine.images.built, engine.cluster.applied) == ([], [])
        await ci(engine, rebuild=("web",))
        assert used(engine) == f"{plain}-r2"


async def test_what_is_built_on_a_rebuilt_base_is_rebuilt_and_nothing_else() -> None:
    async with world() as engine:
        await ci(engine)
        await ci(engine, rebuild=("base",))
        assert engine.images.built == [BASE, WEB]


async def test_a_resource_stands_for_its_images() -> None:
    async with world() as engine:
        await ci(engine)
        await ci(engine, rebuild=("more",))
        assert engine.images.built == [OTHER]


async def test_an_unknown_name_is_a_users_error_that_lists_the_others() -> None:
    async with world() as engine:
        ended = await ci(engine, rebuild=("wbe",))
        assert ended.outcome is Outcome.TILTFILE
        (problem,) = ended.problems
        assert problem.code is Code.USAGE
        assert "'wbe'" in problem.message
        assert "web" in problem.hint


async def test_up_rebuilds_once_and_then_what_changes() -> None:
    async with world() as engine:
        await ci(engine)
        engine.images.built.clear()
        await engine.start(app(), Mode.UP, rebuild=("web",))
        await engine.until(lambda s: len(s.applied) == 2)
        assert engine.images.built == [WEB]
        engine.inputs.contents["/src/web"] = "other"
        engine.store.dispatch(FilesChanged(("/src/web/a",)))
        await engine.until(lambda s: s.images[WEB].inputs == "other" and len(s.applied) == 2)
        await engine.until(
            lambda s: (ready := s.images[WEB].ready) is not None and "-r" not in ready.refs.local
        )
        assert engine.images.built == [WEB, WEB]


@pytest.mark.parametrize(
    ("cache", "builds"),
    [
        pytest.param(Cache.WRITE, 0, id="what is there is used"),
        pytest.param(Cache.READ, 0, id="as well when nothing is left for others"),
        pytest.param(Cache.OFF, 3, id="unless nothing is to be used"),
    ],
)
async def test_what_is_there_is_used_as_asked(cache: Cache, builds: int) -> None:
    async with world() as engine:
        await ci(engine)
        await ci(engine, cache=cache)
        assert len(engine.images.built) == builds


@pytest.mark.parametrize("cache", [Cache.READ, Cache.OFF])
async def test_what_is_built_privately_is_found_by_nobody(cache: Cache) -> None:
    async with world() as engine:
        ended = await ci(engine, cache=cache)
        assert ended.outcome is Outcome.HEALTHY
        assert len(engine.images.built) == 3
        private = used(engine)
        await ci(engine)
        assert len(engine.images.built) == 3
        assert used(engine) != private
        assert private.startswith(used(engine))


async def test_drift_is_put_right_and_told_or_a_failure_where_that_is_asked_for() -> None:
    async with world() as engine:
        await ci(engine)
        live = engine.cluster.get("Deployment", "web")
        engine.cluster.change(live, manager="kubectl", spec={**live["spec"], "replicas": 3})
        ended = await ci(engine, no_drift=True)
        assert ended.outcome is Outcome.FAILED
        (problem,) = ended.problems
        assert problem.code is Code.DRIFT
        assert "Deployment/web: somebody else has changed it: spec.replicas 3 → 1" in str(problem)
        assert engine.cluster.get("Deployment", "web")["spec"]["replicas"] == 3
        assert engine.cluster.applied == []
        assert (await ci(engine)).outcome is Outcome.HEALTHY
        assert engine.cluster.get("Deployment", "web")["spec"]["replicas"] == 1
        assert "spec.replicas 3 → 1; it is put right" in engine.text("shop")
        assert (await ci(engine, no_drift=True)).outcome is Outcome.HEALTHY
