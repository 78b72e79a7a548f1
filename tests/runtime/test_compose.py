"""Docker Compose services in the whole engine, around fakes, in virtual time."""

from dataclasses import replace

import pytest

from tests.builders import project as build
from tests.runtime.world import EPOCH, world
from tiltd.core import removing
from tiltd.core.removing import Fate
from tiltd.model.actions import Work
from tiltd.model.desired import TriggerMode
from tiltd.model.events import FilesChanged, Triggered
from tiltd.model.health import Verdict
from tiltd.model.names import NodeName, ResourceName
from tiltd.model.state import Mode, Outcome, State

DB, API = ResourceName("db"), ResourceName("api")


def running(name: ResourceName, s: State) -> bool:
    progress = s.progress.get(NodeName(f"service/{name}"))
    attempt = progress.running if progress else None
    return attempt is not None and attempt.work == Work.SERVE.value


def fates(s: State) -> list[tuple[ResourceName, Fate]]:
    return [(name, removing.undeployed(name, s)) for name in s.graph.resources]


def healthy(s: State) -> bool:
    known = s.resources.get(DB)
    return (
        known is not None
        and known.health is not None
        and known.judged
        and (known.health.verdict is Verdict.HEALTHY)
    )


async def test_a_service_that_stays_up_is_healthy() -> None:
    async with world() as w:
        ended = await w.ci(build.project(build.compose("db")))
        assert ended.outcome is Outcome.HEALTHY
        assert ended.at - EPOCH == pytest.approx(5.5, abs=0.1)
        assert [name for name, _ in w.compose.ups] == ["db"]
        assert not w.compose.watching
        assert w.compose.containers["db"].status == "running"
        assert "db is running" in w.text("db")


async def test_a_service_that_can_not_be_brought_up_ends_the_run() -> None:
    async with world() as w:
        w.compose.fails["db"] = "port is already allocated"
        ended = await w.ci(build.project(build.compose("db")))
        assert ended.outcome is Outcome.FAILED
        assert "port is already allocated" in ended.problems[0].message
        assert len(ended.problems) == 1


async def test_a_service_that_ends_badly_ends_the_run_at_once() -> None:
    async with world() as w:
        w.compose.becomes["db"] = {"status": "exited", "exit_code": 1}
        ended = await w.ci(build.project(build.compose("db"), build.local("slow", "sleep")))
        assert ended.outcome is Outcome.FAILED
        assert ended.problems[0].message == "db has ended, exit code 1"
        assert ended.problems[0].rule == "compose.exited"
        assert ended.at - EPOCH < 2
        assert "db is exited" in w.text("db"), "what it printed is read before the verdict"


async def test_a_job_is_done_and_its_server_waits_for_it() -> None:
    services = build.compose_project({"migrate": {"image": "m"}, "api": {"image": "a"}})
    project = build.project(
        build.compose("migrate", of=services, ends=True),
        build.compose("api", of=services, deps=["migrate"]),
    )
    async with world() as w:
        await w.start(project)
        await w.until(lambda s: running(ResourceName("migrate"), s))
        assert [name for name, _ in w.compose.ups] == ["migrate"]
        w.compose.make("migrate", status="exited", exit_code=0)
        ended = await w.ended()
        assert ended.outcome is Outcome.HEALTHY
        assert [name for name, _ in w.compose.ups] == ["migrate", "api"]


async def test_an_image_of_the_project_reaches_its_service_under_its_key() -> None:
    async with world() as w:
        project = build.project(
            build.compose(
                "api", {"image": "shop/api", "build": {"context": "."}}, image="shop/api"
            ),
            images=[build.image("shop/api")],
        )
        assert (await w.ci(project)).outcome is Outcome.HEALTHY
        ((_, sent),) = w.compose.ups
        assert str(sent["image"]).startswith("shop/api:tilt-")
        assert "build" not in sent


async def test_a_changed_image_is_brought_up_anew_and_an_unchanged_service_is_left_alone() -> None:
    async with world() as w:
        project = build.project(
            build.compose("api", image="shop/api"),
            build.compose("db"),
            images=[build.image("shop/api")],
        )
        await w.start(project, Mode.UP)
        await w.until(lambda s: running(API, s) and running(DB, s))
        before = dict(w.compose.containers)
        w.inputs.contents["/src/shop/api"] = "other"
        w.store.dispatch(FilesChanged(("/src/shop/api/main.py",)))
        await w.until(lambda s: len(w.compose.ups) == 3 and running(API, s))
        assert w.compose.containers["api"].id != before["api"].id
        assert w.compose.containers["db"] == before["db"]


async def test_a_trigger_makes_a_service_anew() -> None:
    async with world() as w:
        await w.start(build.project(build.compose("db")), Mode.UP)
        await w.until(lambda s: running(DB, s))
        before = w.compose.containers["db"].id
        w.store.dispatch(Triggered(DB))
        await w.until(lambda s: len(w.compose.ups) == 2 and running(DB, s))
        assert w.compose.containers["db"].id != before


async def test_a_changed_context_of_docker_composes_own_build_is_built_again() -> None:
    async with world() as w:
        await w.start(build.project(build.compose("db", built=True)), Mode.UP)
        await w.until(lambda s: running(DB, s))
        w.store.dispatch(FilesChanged(("/src/other/x",)))
        w.store.dispatch(FilesChanged(("/src/db/main.py",)))
        await w.until(lambda s: len(w.compose.ups) == 2 and running(DB, s))
        assert [name for name, _ in w.compose.ups] == ["db", "db"]


async def test_what_somebody_removes_comes_again() -> None:
    async with world() as w:
        await w.start(build.project(build.compose("db")), Mode.UP)
        await w.until(lambda s: running(DB, s) and healthy(s))
        w.compose.remove("db")
        await w.until(lambda s: len(w.compose.ups) == 2 and running(DB, s))
        assert "db" in w.compose.containers


async def test_crashes_over_the_budget_fail_even_while_it_runs_again() -> None:
    async with world() as w:
        await w.start(build.project(build.compose("db")))
        await w.until(lambda s: running(DB, s))
        w.compose.make("db", restarts=3)
        ended = await w.ended()
        assert ended.outcome is Outcome.FAILED
        assert ended.problems[0].rule == "compose.crash-loop"


async def test_restarts_of_before_are_no_crashes_of_this_session() -> None:
    async with world() as w:
        project = build.project(build.compose("db"))
        await w.ci(project)
        w.compose.make("db", restarts=9)
        assert (await w.ci(project)).outcome is Outcome.HEALTHY


async def test_an_unhealthy_service_fails_after_the_grace() -> None:
    async with world() as w:
        w.compose.becomes["db"] = {"health": "unhealthy", "health_said": "no"}
        ended = await w.ci(build.project(build.compose("db")), grace=10)
        assert ended.problems[0].rule == "compose.unhealthy"
        assert ended.at - EPOCH == pytest.approx(10.5, abs=0.2)


async def test_an_engine_that_is_away_for_a_while_spoils_nothing() -> None:
    async with world() as w:
        w.compose.broken["db"] = 2
        ended = await w.ci(build.project(build.compose("db")))
        assert ended.outcome is Outcome.HEALTHY


async def test_a_service_that_is_not_started_by_itself_waits_for_a_trigger() -> None:
    async with world() as w:
        project = build.project(build.compose("db", auto_init=False), build.compose("api"))
        await w.start(project, Mode.UP)
        await w.until(lambda s: running(API, s))
        assert [name for name, _ in w.compose.ups] == ["api"]
        w.store.dispatch(Triggered(DB))
        await w.until(lambda s: running(DB, s))


async def test_a_project_is_removed_once_for_all_its_services() -> None:
    services = build.compose_project({"db": {"image": "redis"}, "api": {"image": "a"}})
    project = build.project(
        build.compose("db", of=services), build.compose("api", of=services, deps=["db"])
    )
    async with world() as w:
        await w.ci(project)
        await w.start(project, Mode.DOWN)
        assert (await w.ended()).outcome is Outcome.HEALTHY
        assert w.compose.downs == ["shop"]
        assert not w.compose.containers
        assert [f for _, f in fates(w.state)] == [Fate.DELETED, Fate.DELETED]
        await w.start(project, Mode.DOWN)
        assert (await w.ended()).outcome is Outcome.HEALTHY
        assert [f for _, f in fates(w.state)] == [Fate.ABSENT, Fate.ABSENT]


async def test_a_service_may_be_built_on_what_is_in_the_cluster() -> None:
    """A Kubernetes resource, a local one and a service wait for each other as all do."""
    async with world() as w:
        project = build.project(
            build.kubernetes("config", build.config_map("c")),
            build.compose("db", deps=["config"]),
            build.local("seed", "seed", deps=["db"]),
        )
        w.compose.seconds["db"] = 2
        assert (await w.ci(project)).outcome is Outcome.HEALTHY
        assert w.processes.ran == ["seed"]


async def test_a_manual_service_stays_as_it_is_until_it_is_triggered() -> None:
    service = replace(build.compose("api", image="shop/api"), trigger_mode=TriggerMode.MANUAL)
    async with world() as w:
        await w.start(build.project(service, images=[build.image("shop/api")]), Mode.UP)
        await w.until(lambda s: running(API, s))
        w.inputs.contents["/src/shop/api"] = "other"
        w.store.dispatch(FilesChanged(("/src/shop/api/main.py",)))
        state = await w.until(lambda s: s.resources[API].due)
        assert running(API, state)
        w.store.dispatch(Triggered(API))
        await w.until(lambda s: len(w.compose.ups) == 2 and running(API, s))


async def test_a_service_that_is_listed_no_longer_goes_with_the_first_that_is() -> None:
    both = build.compose_project({"api": {"image": "a"}, "db": {"image": "redis"}})
    one = build.compose_project({"db": {"image": "redis"}})
    async with world() as w:
        first = build.project(build.compose("api", of=both), build.compose("db", of=both))
        await w.start(first, Mode.UP)
        await w.until(lambda s: running(API, s) and running(DB, s))
        before = w.compose.containers["db"]
        w.tiltfiles.project = build.project(build.compose("db", of=one))
        w.store.dispatch(FilesChanged(("/src/shop/Tiltfile",)))
        await w.until(lambda s: len(w.compose.ups) == 3 and running(DB, s))
        assert API not in w.state.services
        assert w.compose.containers["db"] == before
