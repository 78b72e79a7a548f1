"""A local command runs in each new session, and within one only for something new."""

from pathlib import Path

from tests.builders import project as build
from tests.runtime.test_planning import CHECK, planned
from tests.runtime.world import World, world
from tiltd.core import keys
from tiltd.core.plan import Step
from tiltd.model.desired import Command, LocalTarget, Project, Resource
from tiltd.model.events import FilesChanged, Triggered
from tiltd.model.names import ResourceName, command_node
from tiltd.model.state import Mode, Outcome, State

FOLDER = "/src/check"
NAME = ResourceName("check")


def app(text: str = "test", **env: str) -> Project:
    made = Command(("sh", "-c", text), "/src/shop", env)
    return build.project(Resource(NAME, LocalTarget(cmd=made, deps=(FOLDER,))))


async def seen(engine: World, generation: int) -> None:
    """Wait until the command has succeeded, or needed nothing, after so many changes."""

    def reached(s: State) -> bool:
        if NAME not in s.resources:
            return False
        target = s.graph.resources[NAME].target
        assert isinstance(target, LocalTarget)
        assert target.cmd is not None
        done = s.resources[NAME].command_done
        return done == keys.command_key(target.cmd, generation)

    await engine.until(reached)


async def test_a_write_that_changes_nothing_runs_nothing_in_up() -> None:
    async with world() as engine:
        await engine.start(app(), Mode.UP)
        await seen(engine, 1)
        engine.store.dispatch(FilesChanged((f"{FOLDER}/a",)))
        await seen(engine, 2)
        assert engine.processes.ran == ["test"]
        assert "nothing that it depends on is different" in engine.text("check")
        engine.inputs.contents[FOLDER] = "new"
        engine.store.dispatch(FilesChanged((f"{FOLDER}/a",)))
        await seen(engine, 3)
        assert engine.processes.ran == ["test", "test"]


async def test_a_trigger_runs_it_in_any_case() -> None:
    async with world() as engine:
        await engine.start(app(), Mode.UP)
        await seen(engine, 1)
        engine.store.dispatch(Triggered(NAME))
        await seen(engine, 2)
        assert engine.processes.ran == ["test", "test"]


async def test_what_failed_meanwhile_is_run_again_although_its_files_are_as_before() -> None:
    async with world() as engine:
        await engine.start(app(), Mode.UP)
        await seen(engine, 1)
        engine.processes.exits["test"] = 1
        engine.inputs.contents[FOLDER] = "broken"
        engine.store.dispatch(FilesChanged((f"{FOLDER}/a",)))
        node = command_node(NAME)
        await engine.until(lambda s: s.progress[node].failure is not None)
        engine.processes.exits["test"] = 0
        engine.inputs.contents[FOLDER] = "same"
        engine.store.dispatch(FilesChanged((f"{FOLDER}/a",)))
        await seen(engine, 3)
        assert engine.processes.ran == ["test"] * 3


async def test_each_new_session_runs_it_and_a_plan_says_what_has_changed(tmp_path: Path) -> None:
    async with world(state_folder=tmp_path) as engine:
        first = (await planned(engine, app()))[CHECK]
        assert first.reason == "local commands run in every session"
        assert (await engine.ci(app())).outcome is Outcome.HEALTHY
        same = (await planned(engine))[CHECK]
        assert same.step is Step.RUN
        assert same.key == same.last == first.key
        assert same.reason == "local commands run in every session; nothing has changed"
        assert (await engine.ci(app())).outcome is Outcome.HEALTHY
        assert engine.processes.ran == ["test", "test"]

        engine.inputs.contents[FOLDER] = "new"
        found = (await planned(engine, app(TOKEN="hush"), offline=True))[CHECK]
        assert found.key != same.key
        assert found.reason.endswith("; changed: command env TOKEN, files (~ file)")
        assert all("hush" not in part.value for part in found.parts)
        assert [p.value for p in found.parts if p.name == "dep"] == [FOLDER]
