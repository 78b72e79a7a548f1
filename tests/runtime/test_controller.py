"""Starting and ending work, with a worker that the test steers and nothing else."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.builders import project as build
from tiltd.core import graph as graphs
from tiltd.model import events
from tiltd.model.actions import Action, LoadTiltfile, RunCommand
from tiltd.model.desired import Project, Resource, Settings
from tiltd.model.names import TILTFILE, NodeName, ResourceName, SessionId, command_node
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Code, Problem
from tiltd.model.state import AttemptOutcome, Mode, Outcome, SessionSpec
from tiltd.ports import PermanentError, Phase
from tiltd.runtime.clock import Clock
from tiltd.runtime.controller import Controller
from tiltd.runtime.store import Store
from tiltd.runtime.tasks import running

SPEC = SessionSpec(SessionId("s"), Mode.UP, "/src/shop/Tiltfile")


class Hands:
    """A worker whose work lasts until the test says so."""

    def __init__(self) -> None:
        self.begun: list[Action] = []
        self.cancelled: list[Action] = []
        self.cleaned: list[Action] = []
        self.doing = self.most = 0
        self.go = asyncio.Event()
        self.cleaning = 0.0
        self.project = Project("/src/shop/Tiltfile")

    async def do(self, action: Action, phase: Phase) -> tuple[events.Event, ...]:
        phase("work")
        if isinstance(action, LoadTiltfile):
            graph = graphs.build(self.project, "default")
            loaded = events.TiltfileLoaded(self.project, graph, KubeContext(), action.generation)
            return (loaded,)
        self.begun.append(action)
        self.doing += 1
        self.most = max(self.most, self.doing)
        try:
            await self.go.wait()
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            self.cancelled.append(action)
            await asyncio.sleep(self.cleaning)
            self.cleaned.append(action)
            raise
        finally:
            self.doing -= 1
        if isinstance(action, RunCommand):
            return (events.CommandDone(action.resource, action.key),)
        return ()


class Desk:
    def __init__(self, at_once: int) -> None:
        self.store, self.hands, self.clock = Store(), Hands(), Clock(1000.0)
        self.controller = Controller(self.store, self.hands, self.clock)
        self.settings = Settings(max_parallel_updates=at_once)

    def start(self, *names: str, parallel: bool = True) -> None:
        self.declare(*(build.local(n, n, allow_parallel=parallel) for n in names))
        self.store.dispatch(events.SessionStarted(SPEC, self.clock.now()))

    def declare(self, *resources: Resource) -> None:
        self.hands.project = build.project(*resources, settings=self.settings)

    def reload(self) -> None:
        self.store.dispatch(events.FilesChanged(("/src/shop/Tiltfile",)))

    def end(self) -> None:
        self.store.dispatch(events.SessionEnded(Outcome.CANCELLED, self.clock.now()))

    def outcome(self, name: str) -> AttemptOutcome | None:
        progress = self.store.state.progress.get(command_node(ResourceName(name)))
        return progress.last.outcome if progress and progress.last else None

    async def turns(self) -> None:
        """Let everybody do what can be done now."""
        await asyncio.sleep(0.001)


@asynccontextmanager
async def desk(*, at_once: int = 3) -> AsyncGenerator[Desk]:
    made = Desk(at_once)
    async with running(controller=made.controller.run()):
        yield made


async def test_work_that_is_cancelled_before_its_first_step_is_over_all_the_same() -> None:
    async with desk() as d:

        def end_at_once(_old: object, _new: object, nodes: frozenset[NodeName]) -> None:
            session = d.store.state.session
            if TILTFILE in nodes and d.store.state.progress and session and not session.ended:
                d.end()  # in the same turn of the loop in which the task was made

        d.store.listen(end_at_once)
        d.start("a")
        await asyncio.wait_for(d.controller.idle(), 1)
        await d.turns()
        assert d.store.state.progress[TILTFILE].running is None
        last = d.store.state.progress[TILTFILE].last
        assert last is not None
        assert last.outcome is AttemptOutcome.CANCELLED


async def test_cleaning_up_is_not_disturbed_by_further_wake_ups() -> None:
    async with desk() as d:
        d.start("a")
        await d.turns()
        d.hands.cleaning = 5.0
        d.end()
        await d.turns()
        for _ in range(3):
            d.store.dispatch(events.FilesChanged(("/src/shop/Tiltfile",)))
            await d.turns()
        await d.controller.idle()
        assert len(d.hands.cancelled) == len(d.hands.cleaned) == 1


async def test_a_bound_holds_and_everybody_gets_a_place() -> None:
    async with desk(at_once=3) as d:
        names = [f"n{i}" for i in range(20)]
        d.start(*names)
        await d.turns()
        assert len(d.hands.begun) == 3
        d.hands.go.set()
        async for state in d.store.snapshots():
            if all(r.command_done for r in state.resources.values()):
                break
        assert d.hands.most == 3


async def test_a_bound_that_is_raised_lets_those_in_who_wait() -> None:
    async with desk(at_once=1) as d:
        d.start("a", "b", "c")
        await d.turns()
        assert len(d.hands.begun) == 1
        d.settings = Settings(max_parallel_updates=3)
        d.declare(*d.store.state.graph.resources.values())
        d.reload()
        await d.turns()
        assert len(d.hands.begun) == 3


async def test_a_place_that_is_declined_goes_to_the_next() -> None:
    async with desk(at_once=1) as d:
        d.start("a", "b", "c")
        await d.turns()
        first = d.hands.begun[0]
        assert isinstance(first, RunCommand)
        waiting = [n for n in "abc" if n != first.resource]
        # The first of those who wait has nothing to do any more when its turn comes.
        state = d.store.state
        d.declare(*(r for r in state.graph.resources.values() if r.name != waiting[0]))
        d.reload()
        await d.turns()
        d.hands.go.set()
        async for seen in d.store.snapshots():
            if len(seen.resources) == 2 and all(r.command_done for r in seen.resources.values()):
                break
        names = {a.resource for a in d.hands.begun if isinstance(a, RunCommand)}
        assert names == {first.resource, waiting[1]}


async def test_cancelling_on_request_is_a_failure_that_stands_until_a_trigger() -> None:
    async with desk() as d:
        d.start("a", "b")
        await d.turns()
        assert d.controller.cancel(frozenset({command_node(ResourceName("a"))})) == ("command/a",)
        await d.turns()
        assert d.outcome("a") is AttemptOutcome.FAILED
        failure = d.store.state.progress[command_node(ResourceName("a"))].failure
        assert failure is not None
        assert failure.problem.code is Code.CANCELLED
        assert d.outcome("b") is None
        d.hands.begun.clear()
        d.store.dispatch(events.Triggered(ResourceName("a")))
        await d.turns()
        assert [a.resource for a in d.hands.begun if isinstance(a, RunCommand)] == ["a"]


async def test_nothing_can_be_cancelled_that_does_not_run() -> None:
    async with desk() as d:
        assert d.controller.cancel(frozenset({TILTFILE})) == ()
        await d.turns()


async def test_a_bug_in_a_worker_ends_the_daemon() -> None:
    class Broken(Hands):
        async def do(self, action: Action, phase: Phase) -> tuple[events.Event, ...]:
            await super().do(action, phase)
            raise ZeroDivisionError

    async def lives_on() -> None:
        async with desk() as d:
            d.controller._worker = Broken()
            d.start("a")
            await asyncio.sleep(10)

    with pytest.raises(BaseExceptionGroup) as caught:
        await lives_on()
    assert caught.group_contains(ZeroDivisionError)


async def test_a_failure_is_recorded_with_its_problem() -> None:
    class Failing(Hands):
        async def do(self, action: Action, phase: Phase) -> tuple[events.Event, ...]:
            if isinstance(action, LoadTiltfile):
                return await super().do(action, phase)
            raise PermanentError(Problem(Code.COMMAND, "no"))

    async with desk() as d:
        d.controller._worker = Failing()
        d.controller._worker.project = build.project(build.local("a", "a"))
        d.store.dispatch(events.SessionStarted(SPEC, d.clock.now()))
        await d.turns()
        assert d.outcome("a") is AttemptOutcome.FAILED
