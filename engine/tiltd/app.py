"""Build every part, start in order, stop in reverse.

Start: pools, store, workers, server.  Stop: the session ends, then the store and the logs close, so
that open streams end by themselves; then the server, the workers, the followers and the pools.

Calls are answered before the adapters are imported, let alone kubernetes, docker and networkx:
`_warm` has that done in a thread, and the first action waits for what it needs.
"""

import asyncio
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast

from tiltd.core import affected
from tiltd.model.events import FilesChanged
from tiltd.model.names import NodeName
from tiltd.model.state import State
from tiltd.runtime import imports, places
from tiltd.runtime.clock import Clock
from tiltd.runtime.controller import Controller
from tiltd.runtime.idleness import Idleness
from tiltd.runtime.logs import LogStore
from tiltd.runtime.memory import Memory
from tiltd.runtime.planning import Planner
from tiltd.runtime.sessions import Sessions
from tiltd.runtime.spill import Spill
from tiltd.runtime.store import Store
from tiltd.runtime.tasks import running
from tiltd.runtime.threads import Pool, alone, bugs_told
from tiltd.runtime.worker import Outside, Worker
from tiltd.server.serve import Server
from tiltd.server.servicer import Daemon

if TYPE_CHECKING:
    from tiltd.outside import LocalOutside

GRACE = 0.5
_STOP = 2.0
_IDLENESS = 0.25


@dataclass(frozen=True, slots=True)
class Config:
    """What the command line says.

    Args:
        project_dir: the folder that is served.
        address: where to listen: `unix:PATH`.
        idle_timeout: stop after so many seconds without session or client; `None`: never.
        one_session: stop as soon as the first session has ended and its client is gone.
        log_folder: where log lines go that memory has no room for.
    """

    project_dir: str
    address: str
    idle_timeout: float | None
    one_session: bool
    log_folder: str = ""


class App:
    """One daemon, from start to stop."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._clock = Clock()
        self._stopping, self._answering = asyncio.Event(), asyncio.Event()
        self._bug: BaseException | None = None
        self.store = Store()
        self.logs = LogStore(clock=self._clock.now, spill=Spill(config.log_folder))
        self._compute = Pool("compute", 1)
        self._outside: LocalOutside | None = None
        self._ports: asyncio.Future[Outside] = asyncio.get_running_loop().create_future()
        self.worker = Worker(self._ports, self.store, self.logs, self._compute, self._clock)
        self.controller = Controller(self.store, self.worker, self._clock)
        memory = Memory(places.state(os.environ))
        self.planner = Planner(self._ports, self.logs, self._compute, memory)
        self.sessions = Sessions(
            self.store,
            self.controller,
            self.worker,
            self.logs,
            self._clock,
            self.planner.remember,
        )
        self.store.listen(self._notice)
        self._server = Server(
            Daemon(
                project_dir=config.project_dir,
                idle_timeout=-1.0 if config.idle_timeout is None else config.idle_timeout,
                started_at=self._clock.now(),
                store=self.store,
                sessions=self.sessions,
                controller=self.controller,
                planner=self.planner,
                logs=self.logs,
                clock=self._clock,
                stop=self.stop,
            ),
            config.address,
        )

    def stop(self) -> None:
        """Ask the daemon to stop."""
        self._stopping.set()

    def fail(self, bug: BaseException) -> None:
        """Stop, and end with this bug's traceback: a part of the daemon is gone."""
        self._bug = self._bug or bug
        self.stop()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until `stop`; `ready` is called once calls are answered.

        Raises:
            ExceptionGroup: of the bug that ended it, if one did.
        """
        with bugs_told(self.fail):
            await self._run(ready)

    async def _run(self, ready: Callable[[], None]) -> None:
        try:
            async with running(
                worker=self.worker.run(),
                controller=self.controller.run(),
                sessions=self.sessions.run(),
                idleness=self._watch_idleness(),
                warm=self._warm(),
            ):
                await self._server.start()
                ready()
                self._answering.set()
                asked = False
                try:
                    await self._stopping.wait()
                    asked = self._bug is None
                finally:
                    await self._end(asked=asked)
                if self._bug is not None:
                    raise self._bug
        finally:
            if self._outside is not None:
                await self._outside.close()
            self._compute.close()
            self.logs.forget()

    async def _end(self, *, asked: bool) -> None:
        if not asked:  # nobody is to take what follows for somebody's wish to stop
            await self._server.stop(0)
        active = self.sessions.active
        if active is not None:
            self.sessions.stop(active.spec.id)
        with suppress(TimeoutError):  # what hangs is cancelled with its task
            async with asyncio.timeout(_STOP):
                await self.sessions.settled()
        self.store.close()
        self.logs.close()
        await self._server.stop(GRACE)

    async def _watch_idleness(self) -> NoReturn:
        """Stop when nobody needs us any more."""
        loop, servicer = asyncio.get_running_loop(), self._server.servicer
        idleness = Idleness(loop.time(), self._config.idle_timeout, self._config.one_session)
        while True:
            if idleness.over(
                loop.time(),
                self.store.state.session,
                streams=servicer.streams,
                told=servicer.told,
                planned=servicer.planned,
            ):
                self.stop()
            await asyncio.sleep(_IDLENESS)

    async def _warm(self) -> NoReturn:
        """Import in a thread what the first session is about to need."""
        await self._answering.wait()
        module = await alone("warm", imports.load, "tiltd.outside")
        self._outside = cast("LocalOutside", module.LocalOutside(self.logs))
        self._ports.set_result(self._outside.ports)
        self._follow_files(self.store.state)
        for name in module.HEAVY:
            await alone("warm", imports.load, name)
        # What is there by now stays: garbage is looked for among what comes (`__main__`).
        gc.freeze()
        gc.enable()
        while True:
            await asyncio.Event().wait()

    def _notice(self, old: State, new: State, _nodes: frozenset[NodeName]) -> None:
        if (
            new.project is not old.project
            or new.session is not old.session
            or new.mending != old.mending
        ):
            self._follow_files(new)

    def _follow_files(self, state: State) -> None:
        if self._outside is not None:
            self._outside.files.follow(affected.followed(state), self._changed)

    def _changed(self, paths: tuple[str, ...]) -> None:
        self.store.dispatch(FilesChanged(paths))
