"""Live updates in the whole engine, around fakes, in virtual time."""

import asyncio
import copy
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import project as build
from tests.fakes.inside import Insides
from tests.runtime.test_custom_deploy import applies
from tests.runtime.test_engine import controls_deployments
from tests.runtime.world import World, world
from tiltd import ports
from tiltd.core import live_targets
from tiltd.model.actions import Work
from tiltd.model.desired import (
    Command,
    CustomDeploy,
    DockerBuild,
    Image,
    KubernetesTarget,
    LiveUpdateStep,
    Project,
    Resource,
)
from tiltd.model.events import FilesChanged, Triggered
from tiltd.model.health import Verdict
from tiltd.model.names import ImageName, ResourceName, live_node
from tiltd.model.problems import Code, Problem
from tiltd.model.state import AttemptOutcome, Mode, Outcome, State

WEB = ResourceName("web")
IMG = ImageName("img")


class Source:
    """The folder of an image, with real files that the fakes are told of."""

    def __init__(self, engine: World, folder: Path) -> None:
        self._engine, self.folder = engine, folder
        self.prefix = ""
        self.write(main="one", **{"yarn.lock": "one"})

    def steps(self, *more: LiveUpdateStep) -> tuple[LiveUpdateStep, ...]:
        return (
            build.step("fall_back_on", f"{self.folder}/go.mod"),
            build.step("sync", f"{self.folder}/src", remote="/app"),
            *more,
        )

    def image(self, *steps: LiveUpdateStep, name: str = "img") -> Image:
        made = build.image(name)
        assert isinstance(made.build, DockerBuild)
        return replace(made, build=replace(made.build, context=str(self.folder)), live_update=steps)

    def write(self, **files: str | None) -> tuple[str, ...]:
        """Change files of `src`, or remove them; the paths that changed."""
        paths = [self.folder / "src" / name for name in files]
        for path, text in zip(paths, files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text, encoding="utf-8")
        self.told()
        return tuple(map(str, paths))

    def told(self) -> None:
        """What a look at the folder gives."""
        known = {
            f"{self.prefix}{path.relative_to(self.folder)}": f"f644 {path.read_bytes().decode()}"
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }
        digest = str(known)
        self._engine.inputs.listings[digest] = known
        self._engine.inputs.contents[str(self.folder)] = digest

    def save(self, **files: str | None) -> None:
        """Change files while the engine watches."""
        self._engine.store.dispatch(FilesChanged(self.write(**files)))

    def save_beside(self, name: str, text: str) -> None:
        """Change a file that no step takes in."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        self.told()
        self._engine.store.dispatch(FilesChanged((str(path),)))


@pytest.fixture
async def engine() -> AsyncIterator[World]:
    async with world() as made:
        controls_deployments(made.cluster)
        yield made


@pytest.fixture
def source(engine: World, tmp_path: Path) -> Source:
    return Source(engine, tmp_path)


def project(*images: Image, manual: bool = False) -> Project:
    manifest = build.deployment("web", *(i.name for i in images))
    return build.project(build.kubernetes("web", manifest, manual=manual), images=images)


def well(s: State, name: ResourceName = WEB) -> bool:
    known = s.resources.get(name)
    health = known.health if known is not None and known.judged else None
    return health is not None and health.verdict is Verdict.HEALTHY


def verdict(s: State, name: ResourceName = WEB) -> set[Verdict]:
    health = s.resources[name].health
    return set() if health is None else {health.verdict}


async def up(engine: World, *images: Image, manual: bool = False) -> None:
    await engine.start(project(*images, manual=manual), Mode.UP)
    await engine.until(well)


def inside(engine: World) -> Insides:
    return engine.cluster.inside


def held(engine: World, container: str = "web-1-x/c0") -> dict[str, bytes | None]:
    return inside(engine).files[f"c://{container}"]


def last(engine: World) -> AttemptOutcome | None:
    progress = engine.state.progress.get(live_node(WEB))
    return progress.last.outcome if progress is not None and progress.last is not None else None


async def updated(engine: World, path: str, content: bytes | None) -> None:
    await engine.until(lambda s: held(engine).get(path, b"-") == content and well(s))


def replaced(engine: World, number: int = 0, **status: Any) -> None:
    """The kubelet tells of a container."""
    pod = copy.deepcopy(engine.cluster.get("Pod", "web-1-x"))
    pod["status"]["containerStatuses"][number] |= status
    engine.cluster.change(pod, status=pod["status"], manager="kubelet")


async def test_a_changed_file_is_copied_and_nothing_is_built_or_applied(
    engine: World, source: Source
) -> None:
    setup = build.step("run", argv=("sh", "-c", "setup"))
    yarn = build.step("run", f"{source.folder}/src/yarn.lock", argv=("yarn",))
    await up(engine, source.image(*source.steps(setup, yarn)))
    source.save(main="two")
    await updated(engine, "/app/main", b"two")
    assert held(engine) == {"/app/main": b"two"}, "and nothing else"
    assert inside(engine).ran == [("web-1-x/c0", "setup")]
    source.save(**{"yarn.lock": "two"})
    await updated(engine, "/app/yarn.lock", b"two")
    await engine.until(
        lambda _: inside(engine).ran[1:] == [("web-1-x/c0", r) for r in ("setup", "yarn")]
    )
    assert engine.images.built == ["img"]
    assert engine.cluster.applied == ["Deployment/web"]
    text = engine.text("web")
    assert "live update of web-1-x/c0: copying 1 file" in text
    assert "[1/2] setup" in text
    assert "web-1-x/c0 is updated" in text
    progress = engine.state.progress[live_node(WEB)]
    assert progress.last is not None
    assert progress.last.work == Work.LIVE_UPDATE.value


async def test_a_removed_file_is_removed_and_one_that_is_changed_back_is_copied_back(
    engine: World, source: Source
) -> None:
    await up(engine, source.image(*source.steps()))
    source.save(main=None)
    await updated(engine, "/app/main", None)
    source.save(main="one")
    await updated(engine, "/app/main", b"one")
    assert engine.state.synced == {"c://web-1-x/c0": {}}
    assert engine.images.built == ["img"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("README", "no sync() covers"), ("go.mod", "fall_back_on() names")],
)
async def test_a_file_that_can_not_be_copied_in_takes_a_build_and_says_why(
    engine: World, source: Source, name: str, reason: str
) -> None:
    await up(engine, source.image(*source.steps()))
    source.save(main="two")
    await updated(engine, "/app/main", b"two")
    source.save_beside(name, "two")
    await engine.until(lambda s: engine.images.built == ["img", "img"] and well(s))
    assert engine.cluster.applied == ["Deployment/web"] * 2
    assert f"building img anew: {reason} " in engine.text("web")
    source.save(main="three")
    await engine.until(
        lambda s: held(engine, "web-2-x/c0").get("/app/main") == b"three" and well(s)
    )
    assert engine.images.built == ["img", "img"], "with the build, live updates go on"


async def test_a_failing_step_fails_the_update_until_the_next_change(
    engine: World, source: Source
) -> None:
    await up(engine, source.image(*source.steps(build.step("run", argv=("check",)))))
    inside(engine).exits["check"], inside(engine).prints["check"] = 3, "line 7: no\n"
    source.save(main="two")
    await engine.until(lambda s: last(engine) is AttemptOutcome.FAILED and not well(s))
    failure = engine.state.progress[live_node(WEB)].failure
    assert failure is not None
    assert failure.problem.message.endswith("check ended with exit code 3")
    assert failure.problem.detail == "line 7: no"
    assert held(engine) == {"/app/main": b"two"}
    await asyncio.sleep(30)
    assert len(inside(engine).ran) == 1, "the same is not tried again"
    inside(engine).exits["check"] = 0
    source.save(main="three")
    await updated(engine, "/app/main", b"three")
    assert engine.images.built == ["img"]


@pytest.mark.parametrize("how", ["exit", "refused"])
async def test_where_files_can_not_be_copied_the_image_is_built(
    engine: World, source: Source, how: str
) -> None:
    await up(engine, source.image(*source.steps()))
    if how == "exit":
        inside(engine).exits["tar"] = 127
    else:
        inside(engine).errors["tar"] = ports.PermanentError(Problem(Code.COMMAND, "read-only"))
    source.save(main="two")
    await engine.until(lambda s: engine.images.built == ["img", "img"] and well(s))
    assert "building img anew: the update of web-1-x/c0 failed: " in engine.text("web")
    assert engine.state.progress[live_node(WEB)].failure is None


async def test_a_connection_that_is_not_made_is_tried_again(engine: World, source: Source) -> None:
    await up(engine, source.image(*source.steps()))
    away = Problem(Code.CLUSTER_UNREACHABLE, "away")
    inside(engine).errors["tar"] = ports.TransientError(away)
    source.save(main="two")
    await updated(engine, "/app/main", b"two")
    assert engine.images.built == ["img"]
    assert engine.state.progress[live_node(WEB)].failure is None


async def test_a_container_that_begins_anew_gets_all_that_its_image_lacks(
    engine: World, source: Source
) -> None:
    await up(engine, source.image(*source.steps()))
    source.save(main="two")
    await updated(engine, "/app/main", b"two")
    now = engine.cluster.stamp()
    replaced(engine, containerID="c://again", state={"running": {"startedAt": now}}, restartCount=1)
    await engine.until(lambda _: held(engine, "again") == {"/app/main": b"two"})
    await engine.until(lambda s: set(s.synced) == {"c://again"})
    assert engine.images.built == ["img"]


async def test_what_changes_while_a_container_starts_waits_for_it(
    engine: World, source: Source
) -> None:
    await up(engine, source.image(*source.steps()))
    replaced(engine, state={"waiting": {"reason": "ContainerCreating"}}, containerID="")
    await asyncio.sleep(1)
    source.save(main="two")
    await asyncio.sleep(60)
    assert inside(engine).files == {}
    now = engine.cluster.stamp()
    replaced(engine, containerID="c://web-1-x/c0", state={"running": {"startedAt": now}})
    await updated(engine, "/app/main", b"two")
    assert engine.images.built == ["img"]


async def test_a_crashing_container_is_not_updated_but_built_anew(
    engine: World, source: Source
) -> None:
    await up(engine, source.image(*source.steps()))
    replaced(engine, state={"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=3)
    await engine.until(lambda s: not well(s))
    source.save(main="two")
    await engine.until(lambda s: engine.images.built == ["img", "img"] and well(s))
    words = "the container web-1-x/c0 does not run (CrashLoopBackOff)"
    assert f"building img anew: {words}" in engine.text("web")


async def test_without_a_container_the_image_is_built(engine: World, source: Source) -> None:
    await up(engine, source.image(*source.steps()))
    engine.cluster.remove(engine.cluster.get("Pod", "web-1-x"))
    source.save(main="two")
    await engine.until(lambda _: engine.images.built == ["img", "img"])
    assert "building img anew: no container runs it" in engine.text("web")


async def test_an_initial_sync_copies_everything_into_each_new_container(
    engine: World, source: Source
) -> None:
    await up(engine, source.image(build.step("initial_sync"), *source.steps()))
    assert held(engine) == {"/app/main": b"one", "/app/yarn.lock": b"one"}
    source.save(main="two")
    await updated(engine, "/app/main", b"two")
    assert engine.images.built == ["img"]


async def test_files_of_a_base_are_copied_into_the_containers_of_what_is_built_on_it(
    engine: World, source: Source
) -> None:
    base = source.image(name="base")
    app = build.live(build.image("app", "base"), *source.steps())
    manifest = build.deployment("web", "app")
    made = build.project(build.kubernetes("web", manifest), images=[base, app])
    await engine.start(made, Mode.UP)
    await engine.until(well)
    source.save(main="two")
    await updated(engine, "/app/main", b"two")
    assert engine.images.built == ["base", "app"]
    source.save_beside("README", "two")
    await engine.until(lambda s: engine.images.built[2:] == ["base", "app"] and well(s))


async def test_a_base_is_built_where_somebody_deploys_it_without_live_updates(
    engine: World, source: Source
) -> None:
    base = source.image(name="base")
    app = build.live(build.image("app", "base"), *source.steps())
    await up(engine, base, app)
    source.save(main="two")
    await engine.until(lambda s: engine.images.built[2:] == ["base", "app"] and well(s))
    assert inside(engine).files == {}


async def test_a_manual_resource_is_updated_when_it_is_triggered(
    engine: World, source: Source
) -> None:
    await up(engine, source.image(*source.steps()), manual=True)
    source.save(main="two")
    await asyncio.sleep(30)
    assert inside(engine).files == {}
    engine.store.dispatch(Triggered(WEB))
    await updated(engine, "/app/main", b"two")
    assert engine.images.built == ["img"]


async def test_an_update_is_not_cut_short_by_the_next_change(engine: World, source: Source) -> None:
    await up(engine, source.image(*source.steps(build.step("run", argv=("long",)))))
    inside(engine).holds["long"] = hold = asyncio.Event()
    source.save(main="two")
    await engine.until(lambda _: held(engine).get("/app/main") == b"two")
    source.save(main="three")
    await asyncio.sleep(30)
    assert held(engine) == {"/app/main": b"two"}
    hold.set()
    await updated(engine, "/app/main", b"three")
    assert [text for _, text in inside(engine).ran] == ["long", "long"]


async def test_ci_builds_and_nothing_else(engine: World, source: Source) -> None:
    image = source.image(build.step("initial_sync"), *source.steps())
    ended = await engine.ci(project(image))
    assert ended.outcome is Outcome.HEALTHY
    source.write(main="two")
    ended = await engine.ci()
    assert ended.outcome is Outcome.HEALTHY
    assert engine.images.built == ["img", "img"]
    assert inside(engine).files == {}
    assert not live_targets.handles(IMG, engine.state)


async def test_after_live_updates_ci_builds_what_the_files_are(
    engine: World, source: Source
) -> None:
    await up(engine, source.image(*source.steps()))
    before = engine.state.images[IMG].ready
    source.save(main="two")
    await updated(engine, "/app/main", b"two")
    assert engine.state.images[IMG].ready is before, "the tag stays what it was built of"
    session = engine.state.session
    assert session is not None
    engine.sessions.stop(session.spec.id)
    await engine.sessions.settled()
    assert (await engine.ci()).outcome is Outcome.HEALTHY
    after = engine.state.images[IMG].ready
    assert before is not None
    assert after is not None
    assert after.key != before.key
    assert engine.images.built == ["img", "img"]
    assert engine.cluster.applied == ["Deployment/web"] * 2


async def test_a_service_of_docker_compose_is_updated_and_restarted(
    engine: World, source: Source
) -> None:
    image = source.image(*source.steps(build.step("restart_container")))
    service = build.compose("web", image="img")
    await engine.start(build.project(service, images=[image]), Mode.UP)
    await engine.until(well)
    before = engine.compose.containers["web"]
    verdicts: set[Verdict] = set()
    engine.store.listen(lambda _, new, __: verdicts.update(verdict(new)))
    source.save(main="two")
    files = engine.compose.inside.files
    await engine.until(lambda s: bool(engine.compose.inside.restarted) and well(s))
    assert files == {before.id: {"/app/main": b"two"}}
    assert engine.compose.containers["web"].id == before.id
    assert verdicts == {Verdict.HEALTHY, Verdict.PROGRESSING}, "a restart of ours is no crash"
    assert len(engine.compose.ups) == 1
    assert engine.images.built == ["img"]
    source.save_beside("go.mod", "two")
    await engine.until(lambda s: len(engine.compose.ups) == 2 and well(s))
    assert engine.compose.containers["web"].id != before.id
    assert len(engine.compose.inside.restarted) == 1, "what is brought up anew is left alone"
    engine.compose.make("web", status="exited", exit_code=1)
    source.save(main="three")
    await engine.until(lambda s: len(engine.compose.ups) == 3 and well(s))
    assert "building img anew: the container shop-web-1 is exited" in engine.text("web")


def deployed_by_command(
    engine: World, source: Source, *, image: str = "", container: str = ""
) -> Resource:
    """A Deployment of somebody else's image, that a command applies."""
    source.prefix = "0/"  # it is the first of the `deps`
    source.told()
    engine.processes.prints["apply"] = applies(engine)
    custom = CustomDeploy(
        apply=Command(("sh", "-c", "apply"), str(source.folder)),
        delete=Command(("sh", "-c", "delete"), str(source.folder)),
        deps=(str(source.folder),),
        live_update=source.steps(),
        image_selector=image,
        container_selector=container,
    )
    return Resource(WEB, KubernetesTarget((), custom=custom))


@pytest.mark.parametrize(
    "selector", [{"image": "nginx"}, {"container": "c0"}], ids=["image", "name"]
)
async def test_what_a_command_deployed_is_updated_and_deployed_anew_where_that_will_not_do(
    engine: World, source: Source, selector: dict[str, str]
) -> None:
    await engine.start(build.project(deployed_by_command(engine, source, **selector)), Mode.UP)
    await engine.until(well)
    source.save(main="two")
    await updated(engine, "/app/main", b"two")
    assert engine.processes.ran == ["apply"]
    source.save_beside("README", "two")
    await engine.until(lambda _: engine.processes.ran == ["apply", "apply"])
    assert "deploying web anew: no sync() covers " in engine.text("web")
    assert engine.images.built == []
    source.save(main="three")
    await engine.until(lambda _: held(engine).get("/app/main") == b"three")
    assert engine.processes.ran == ["apply", "apply"]


@pytest.mark.parametrize(
    "selector", [{"image": "redis"}, {"container": "c1"}], ids=["image", "name"]
)
async def test_where_no_container_is_meant_the_command_runs_again(
    engine: World, source: Source, selector: dict[str, str]
) -> None:
    await engine.start(build.project(deployed_by_command(engine, source, **selector)), Mode.UP)
    await engine.until(well)
    source.save(main="two")
    await engine.until(lambda _: engine.processes.ran == ["apply", "apply"])
    assert "deploying web anew: no container runs it" in engine.text("web")


async def test_ci_runs_the_command_once_and_updates_nothing(engine: World, source: Source) -> None:
    resource = deployed_by_command(engine, source, container="c0")
    assert (await engine.ci(build.project(resource))).outcome is Outcome.HEALTHY
    assert engine.processes.ran == ["apply"]
    assert inside(engine).files == {}
