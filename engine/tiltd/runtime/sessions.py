"""One session at a time: start it, stop it, and know when it is really over.

A session is over in two steps.  `ended` is its verdict: from then on nothing new is started and
what runs is cancelled.  `settled` comes when all work has stopped and the logs have run dry: who
reads the log then has all of it.  The next session starts only after that, so no work of one ever
meets the state of another.
"""

import asyncio
import operator
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from tiltd.core import follow, forwards
from tiltd.model import events
from tiltd.model.desired import JSON
from tiltd.model.names import NodeName, ResourceName, SessionId
from tiltd.model.observed import ContainerRun, Uid
from tiltd.model.state import Outcome, ResourceState, Session, SessionSpec, State
from tiltd.ports import Cluster, Log
from tiltd.runtime.clock import Clock
from tiltd.runtime.controller import Controller
from tiltd.runtime.forwarding import Forwarding
from tiltd.runtime.logs import LogStore
from tiltd.runtime.store import Store
from tiltd.runtime.worker import Worker

# How long the logs of pods that are over may take to arrive after the verdict, where the cluster is
# slow to give them; nothing waits once they are there, and not much where somebody wants to go.
_DRAIN, _DRAIN_WHEN_CANCELLED = 5.0, 1.0
# The same after a failure for those that have been started again: they have no end, but what one of
# them has said so far may be all that is left of what all of them say.
_DRAIN_AGAIN = 0.5


def _frame(state: State) -> tuple[object, ...]:
    """What decides about the scopes that are watched."""
    return state.session, state.cluster, state.active, state.graph, state.deployed


def _differ(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """By identity: to compare thousands of objects at each event takes longer than all else."""
    return len(one) != len(other) or not all(map(operator.is_, one, other))


@dataclass(frozen=True, slots=True)
class _Noted:
    """A resource as it was, its live objects by uid, and those lives of theirs that have logs."""

    resource: ResourceState | None
    bodies: Mapping[Uid, JSON]
    runs: Mapping[Uid, frozenset[ContainerRun]]


_NOT_YET = _Noted(None, {}, {})


def _noted(before: _Noted, name: ResourceName, s: State) -> _Noted:
    """What is to be noted now: of objects that are as they were, what was noted before."""
    bodies = {uid: s.live.objects[uid] for uid in s.live.by_resource.get(name, frozenset())}
    runs = {
        uid: before.runs[uid]
        if before.bodies.get(uid) is body
        else follow.object_runs(name, uid, s)
        for uid, body in bodies.items()
    }
    return _Noted(s.resources[name], bodies, runs)


class BusyError(Exception):
    """A session runs already."""

    def __init__(self, session: Session) -> None:
        super().__init__(f"session {session.spec.id} is running")
        self.session = session


class UnknownSessionError(Exception):
    """No such session is running."""


Remember = Callable[[State], Awaitable[None]]
"""Awaited once for each session that has settled; nobody but the next one waits for that."""


class Sessions:
    """See the module."""

    def __init__(
        self,
        store: Store,
        controller: Controller,
        worker: Worker,
        logs: LogStore,
        clock: Clock,
        remember: Remember,
    ) -> None:
        self._remember = remember
        self._store, self._controller, self._worker = store, controller, worker
        self._logs, self._clock = logs, clock
        self._starting = asyncio.Lock()
        self._changed, self._remembered = asyncio.Event(), asyncio.Event()
        self._remembered.set()
        self._frame: tuple[object, ...] = ()
        self._runs: dict[ResourceName, _Noted] = {}
        self._forwarding = Forwarding(store, logs)
        store.listen(self._notice)

    @property
    def active(self) -> Session | None:
        """The session that runs."""
        session = self._store.state.session
        return session if session is not None and session.ended is None else None

    async def start(self, spec: SessionSpec) -> int:
        """Start a session; the sequence number of the last log line before it.

        Raises:
            BusyError: another one runs.
        """
        async with self._starting:
            if self.active is not None:
                raise BusyError(self.active)
            await self.settled()
            sequence = self._logs.last
            self._store.dispatch(events.SessionStarted(spec, self._clock.now()))
            return sequence

    def stop(self, name: SessionId) -> None:
        """End a session without a verdict.

        Raises:
            UnknownSessionError: it is not the one that runs.
        """
        if self.active is None or self.active.spec.id != name:
            raise UnknownSessionError(name)
        ended = events.SessionEnded(Outcome.CANCELLED, self._clock.now())
        self._store.dispatch(ended)

    async def settled(self) -> None:
        """Wait until no session is running or ending, and the last one is remembered."""
        async for state in self._store.snapshots():
            if state.session is None or state.session.settled:
                break
        await self._remembered.wait()

    async def run(self) -> NoReturn:
        """Follow what the running session needs followed, and settle those that end. For ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._follow(self._store.state)
            session = self._store.state.session
            if session is not None and session.ended is not None and not session.settled:
                await self._settle()

    async def _settle(self) -> None:
        await self._controller.idle()
        cluster, state = self._worker.cluster, self._store.state
        if cluster is not None:
            self._follow_logs(cluster, state)  # what ended the session may just have been seen
            ended = state.session.ended if state.session else None
            outcome = ended.outcome if ended is not None else None
            seconds = _DRAIN_WHEN_CANCELLED if outcome is Outcome.CANCELLED else _DRAIN
            await cluster.drain(follow.finished_runs(state), seconds)
            if outcome in (Outcome.FAILED, Outcome.TIMEOUT):
                await cluster.drain(follow.restarted_runs(state), _DRAIN_AGAIN)
        await self._worker.forget()
        self._logs.flush()
        self._remembered.clear()
        self._store.dispatch(events.SessionSettled())
        try:
            await self._remember(state)
        finally:
            self._remembered.set()

    def _notice(self, old: State, new: State, _nodes: frozenset[NodeName]) -> None:
        if old.live is not new.live or _differ(_frame(old), _frame(new)):
            self._changed.set()

    def _follow(self, state: State) -> None:
        cluster = self._worker.cluster
        ended = state.session is None or state.session.ended is not None
        if cluster is None or state.cluster is None or ended:
            self._frame, self._runs = (), {}
            self._forwarding.follow(cluster, {})
            return
        frame = (cluster, *_frame(state))
        if _differ(self._frame, frame):
            self._frame, self._runs = frame, {}
            cluster.follow(follow.watch_scopes(state), self._seen)
        self._follow_logs(cluster, state)
        self._forwarding.follow(cluster, forwards.wanted(state))

    def _follow_logs(self, cluster: Cluster, state: State) -> None:
        if self._note_runs(state):
            runs = frozenset(
                run for known in self._runs.values() for runs in known.runs.values() for run in runs
            )
            cluster.follow_logs(runs, self._log)

    def _note_runs(self, state: State) -> bool:
        """Bring what is known of each resource's logs up to date; whether that changed anything."""
        changed = not self._runs
        for name in state.active:
            before = self._runs.get(name, _NOT_YET)
            if before.resource is not state.resources[name]:
                known = _noted(before, name, state)
                changed = changed or before is _NOT_YET or before.runs != known.runs
                self._runs[name] = known
        return changed

    def _seen(self, seen: tuple[JSON, ...], gone: tuple[Uid, ...], ages: tuple[float, ...]) -> None:
        self._store.dispatch(events.ClusterChanged(self._clock.now(), seen, gone, ages))

    def _log(self, run: ContainerRun) -> Log:
        """Each life has a span of its own: a report shows the end of the one that crashed."""
        span = f"pod/{run.pod}/{run.container}/{run.restart}"
        return self._logs.writer(ResourceName(run.resource), span)
