"""Take a name, decide, act, record; again and again.

The loop is the only one who starts and cancels work.  A node has at most one action running; while
it runs, each wake-up asks again what the node needs, and if that is no longer this action, the
action is cancelled: a newer change, or the end of the session, needs no other way to stop work.
Work is bounded by kind, builds and commands by `max_parallel_updates`; a node whose kind is at its
bound waits for a place and is then asked again, because by that time it may need something else.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn, Protocol, assert_never

from tiltd.core import work
from tiltd.core.reconcile import reconcile
from tiltd.core.wake import everyone
from tiltd.model.actions import Action, Work
from tiltd.model.decisions import Act, Decision, Done, Hold, Record
from tiltd.model.events import AttemptEnded, AttemptStarted, Event
from tiltd.model.names import CLUSTER, NodeName
from tiltd.model.problems import Code, Problem
from tiltd.model.state import AttemptOutcome, State
from tiltd.ports import PermanentError, Phase, TransientError
from tiltd.runtime.clock import Clock
from tiltd.runtime.store import Store
from tiltd.runtime.workqueue import WorkQueue

BOUNDS: Mapping[Work, int] = {
    Work.LOAD: 1,
    Work.CONNECT: 1,
    Work.LOOK: 1,
    Work.READ: 4,
    Work.BUILD: 3,
    Work.APPLY: 40,
    Work.DELETE: 40,
    Work.COMMAND: 8,
    Work.LIVE_UPDATE: 8,
    Work.SERVE: 1000,
}
_FIRST = frozenset({CLUSTER})
# Decide for at most so many names before I/O gets its turn.
_BATCH = 64


class _Stopwatch:
    """Takes the time of an action's phases; one begins where the one before ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._phase, self._since = "", 0.0
        self._spent: dict[str, float] = {}

    def begin(self, name: str) -> None:
        now = self._clock.now()
        if self._phase:
            self._spent[self._phase] = self._spent.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = name, now

    def end(self) -> Mapping[str, float]:
        self.begin("")
        return self._spent


class Worker(Protocol):
    """Does one action in the outside world (`runtime.worker`)."""

    async def do(self, action: Action, phase: Phase) -> tuple[Event, ...]:
        """Do it, telling its phases; the facts that follow.

        Raises:
            TransientError: it may heal by itself.
            PermanentError: it will not.
        """
        ...


@dataclass(slots=True)
class _Running:
    """A piece of work under way.

    A task that has not begun can't be cancelled: it would end without a word.  It is told instead,
    and cancels itself as its first step.  And it is cancelled once: a second time would disturb
    its cleaning up.
    """

    task: asyncio.Task[None]
    wanted: str
    kind: Work
    on_request: bool = False
    begun: bool = False
    cancelled: bool = False

    def cancel(self) -> None:
        if self.begun and not self.cancelled:
            self.task.cancel()
        self.cancelled = True


class Controller:
    """See the module.

    Args:
        store: what is known.
        worker: does the work.
        clock: the present.
        bounds: how much of each kind of work runs at once.
    """

    def __init__(
        self, store: Store, worker: Worker, clock: Clock, bounds: Mapping[Work, int] = BOUNDS
    ) -> None:
        self._store, self._worker, self._clock = store, worker, clock
        self._bounds = dict(bounds)
        self._queue = WorkQueue()
        self._said: dict[NodeName, Event] = {}
        self._running: dict[NodeName, _Running] = {}
        self._waiting: dict[Work, dict[NodeName, None]] = {kind: {} for kind in Work}
        self._waits_for: dict[NodeName, Work] = {}
        self._offered: dict[NodeName, Work] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        store.listen(self._wake)
        for name in everyone(store.state):
            self._queue.add(name)

    async def run(self) -> NoReturn:
        """Never ends; cancelling it cancels all work and waits for it."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._round(await self._queue.get(), group)
                    await asyncio.sleep(0)
        finally:
            self._queue.close()

    async def idle(self) -> None:
        """Wait until no action runs."""
        await self._idle.wait()

    def _bound(self, kind: Work, limit: int) -> None:
        """Change how much of a kind of work runs at once."""
        self._bounds[kind] = limit
        for _ in range(limit - self._busy(kind)):
            self._offer(kind)

    def cancel(self, nodes: frozenset[NodeName]) -> tuple[NodeName, ...]:
        """Cancel what these nodes are doing, because somebody asked; those that did something."""
        cancelled = [n for n in sorted(nodes) if n in self._running]
        for name in cancelled:
            running = self._running[name]
            running.on_request = True
            running.cancel()
        return tuple(cancelled)

    def _wake(self, old: State, new: State, nodes: frozenset[NodeName]) -> None:
        if new.project is not old.project and new.project is not None:
            for kind in (Work.BUILD, Work.COMMAND):
                self._bound(kind, new.project.settings.max_parallel_updates)
        if new.session is None or new.session.ended is not None:
            # Nothing is done any more, so that only who does something is concerned.
            nodes &= self._running.keys() | self._waits_for.keys()
        if new.graph is not old.graph:
            # Of those that are gone, likewise.
            gone = old.graph.nodes.keys() - new.graph.nodes.keys()
            nodes -= gone - self._running.keys() - self._waits_for.keys()
        # What asks the cluster comes first: the others are looked at while that answers.  Sorted,
        # what is alike comes together: see `_round`.
        for name in (*(nodes & _FIRST), *sorted(nodes - _FIRST)):
            self._queue.add(name)

    def _round(self, first: NodeName, group: asyncio.TaskGroup) -> None:
        """Decide for some that wait, and record together what nodes of one kind say.

        None of those decides by what another one of them says, and before anything else is decided
        or begun it is recorded.
        """
        for name in self._some(first):
            if self._said and _kind(name) != _kind(next(iter(self._said))):
                self._record()
            self._step(name, group)
        self._record()

    def _some(self, first: NodeName) -> Iterator[NodeName]:
        yield first
        for _ in range(_BATCH - 1):
            name = self._queue.take()
            if name is None:
                return
            yield name

    def _record(self) -> None:
        if self._said:
            said, self._said = self._said, {}
            self._store.record(said)

    def _step(self, name: NodeName, group: asyncio.TaskGroup) -> None:
        offered = self._offered.pop(name, None)
        if name in self._waits_for:
            del self._waiting[self._waits_for.pop(name)][name]
        self._decide(name, group)
        if offered is not None and not self._uses(name, offered):
            self._offer(offered)

    def _decide(self, name: NodeName, group: asyncio.TaskGroup) -> None:
        decision = reconcile(name, self._store.state, self._clock.now())
        running = self._running.get(name)
        if running is not None:
            if not self._still_wanted(running, decision):
                running.cancel()
            return
        match decision:
            case Record(event=event, until=until):
                self._said[name] = event
                self._look_again(name, until)
            case Hold(until=until) | Done(until=until):
                self._look_again(name, until)
            case Act() if self._said:
                self._record()
                self._decide(name, group)
            case Act(action=action):
                self._start(name, action, group)
            case _:
                assert_never(decision)

    def _look_again(self, name: NodeName, until: float | None) -> None:
        if until is not None:
            self._queue.add_at(name, self._clock.loop_time(until))

    @staticmethod
    def _still_wanted(running: _Running, decision: Decision) -> bool:
        return isinstance(decision, Act) and work.wanted(decision.action) == running.wanted

    def _start(self, name: NodeName, action: Action, group: asyncio.TaskGroup) -> None:
        kind = work.kind(action)
        if self._busy(kind) >= self._bounds[kind]:
            self._waiting[kind][name] = None
            self._waits_for[name] = kind
            return
        wanted = work.wanted(action)
        self._idle.clear()
        task = group.create_task(self._act(name, action), name=f"{kind.value} {name}")
        self._running[name] = _Running(task, wanted, kind)
        self._store.dispatch(AttemptStarted(name, kind.value, wanted, self._clock.now()))

    def _busy(self, kind: Work) -> int:
        return sum(r.kind is kind for r in self._running.values())

    def _offer(self, kind: Work) -> None:
        """Ask the one that has waited longest for a place; it may need something else by now.

        One only: to ask all who wait, at the end of each piece of work, takes quadratic time.
        """
        name = next(iter(self._waiting[kind]), None)
        if name is not None:
            del self._waiting[kind][name], self._waits_for[name]
            self._offered[name] = kind
            self._queue.add(name)

    def _uses(self, name: NodeName, kind: Work) -> bool:
        """Whether a node has taken the place that it was offered, or another was faster."""
        running = self._running.get(name)
        return name in self._waiting[kind] or (running is not None and running.kind is kind)

    async def _act(self, name: NodeName, action: Action) -> None:
        stopwatch = _Stopwatch(self._clock)
        facts: tuple[Event, ...] = ()
        outcome, problem, transient = AttemptOutcome.CANCELLED, None, False
        running = self._running[name]
        running.begun = True
        try:
            if running.cancelled:
                raise asyncio.CancelledError  # noqa: TRY301 - as if it had come during the work
            facts = await self._worker.do(action, stopwatch.begin)
            outcome = AttemptOutcome.SUCCEEDED
        except (TransientError, PermanentError) as error:  # anything else is a bug: it ends us
            outcome, problem = AttemptOutcome.FAILED, error.problem
            transient = isinstance(error, TransientError)
        except asyncio.CancelledError:
            if running.on_request:
                hint = "trigger it to try again"
                outcome = AttemptOutcome.FAILED
                problem = Problem(Code.CANCELLED, "cancelled on request", hint=hint)
            raise
        finally:
            self._finish(name)
            now = self._clock.now()
            ended = AttemptEnded(name, outcome, now, problem, transient, stopwatch.end())
            self._store.dispatch(*facts, ended)

    def _finish(self, name: NodeName) -> None:
        self._offer(self._running.pop(name).kind)
        if not self._running:
            self._idle.set()


def _kind(name: NodeName) -> str:
    return name.partition("/")[0]
