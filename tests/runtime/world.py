"""The whole engine around fakes, in virtual time: say what is desired, look what the world is."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from tests.fakes.cluster import FakeCluster
from tests.fakes.compose import FakeCompose
from tests.fakes.images import FakeImages
from tests.fakes.local import FakeInputs, FakeProcesses, FakeTiltfiles
from tiltd.model.desired import Project
from tiltd.model.names import SessionId
from tiltd.model.observed import KubeContext
from tiltd.model.state import Cache, Ended, LimitOverrides, Mode, SessionSpec, State
from tiltd.runtime.clock import Clock
from tiltd.runtime.controller import Controller
from tiltd.runtime.logs import LogStore
from tiltd.runtime.memory import Memory
from tiltd.runtime.planning import Planner
from tiltd.runtime.sessions import Sessions
from tiltd.runtime.store import Store
from tiltd.runtime.tasks import running
from tiltd.runtime.worker import Outside, Worker
from tiltd.tiltfile import printed

P = ParamSpec("P")
R = TypeVar("R")
EPOCH = 1_800_000_000.0


class InlinePool:
    """Calls at once: virtual time knows nothing of threads."""

    async def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        await asyncio.sleep(0)
        return fn(*args, **kwargs)


class FakeContexts:
    def __init__(self) -> None:
        self.context = KubeContext(
            "kind-test", "kind-test", "default", "https://here", is_local=True
        )

    async def read(self, spec: SessionSpec) -> KubeContext:
        del spec
        await asyncio.sleep(0)
        return self.context


class World:
    """All parts of a daemon but its server."""

    def __init__(
        self,
        images: Callable[[FakeInputs], FakeImages] | None = None,
        state_folder: Path | None = None,
    ) -> None:
        self.clock = Clock(EPOCH)
        self.store = Store()
        self.logs = LogStore(clock=self.clock.now)
        self.tiltfiles, self.inputs = FakeTiltfiles(), FakeInputs()
        self.images = images(self.inputs) if images else FakeImages()
        self.processes = FakeProcesses(self.clock)
        self.compose = FakeCompose(self.clock)
        self.cluster = FakeCluster("shop", epoch=EPOCH)
        self.connections = 0
        outside = Outside(
            self.tiltfiles,
            FakeContexts(),
            self.inputs,
            self.images,
            self.processes,
            printed.read,
            self._connect,
            self.compose,
        )
        coming: asyncio.Future[Outside] = asyncio.get_running_loop().create_future()
        coming.set_result(outside)
        self.worker = Worker(coming, self.store, self.logs, InlinePool(), self.clock)
        self.controller = Controller(self.store, self.worker, self.clock)
        self.planner = Planner(coming, self.logs, InlinePool(), Memory(state_folder))
        self.sessions = Sessions(
            self.store,
            self.controller,
            self.worker,
            self.logs,
            self.clock,
            self.planner.remember,
        )
        self._number = 0

    def _connect(self, label: str) -> FakeCluster:
        assert label == "shop"
        self.connections += 1
        self.cluster.closed = False
        self.cluster._closing = asyncio.Event()
        return self.cluster

    @property
    def state(self) -> State:
        return self.store.state

    async def start(
        self,
        project: Project | None = None,
        mode: Mode = Mode.CI,
        *,
        keep_going: bool = False,
        delete_namespaces: bool = False,
        no_prune: bool = False,
        no_drift: bool = False,
        no_heal: bool = False,
        cache: Cache = Cache.WRITE,
        rebuild: tuple[str, ...] = (),
        tiltfile: str = "/src/shop/Tiltfile",
        **limits: float,
    ) -> None:
        """Start a session on `project`."""
        if project is not None:
            self.tiltfiles.project = project
        self._number += 1
        spec = SessionSpec(
            SessionId(f"s{self._number}"),
            mode,
            tiltfile,
            env={"HOME": "/nowhere"},
            limits=LimitOverrides(**limits),  # type: ignore[arg-type]
            keep_going=keep_going,
            delete_namespaces=delete_namespaces,
            no_prune=no_prune,
            no_drift=no_drift,
            no_heal=no_heal,
            cache=cache,
            rebuild=rebuild,
        )
        await self.sessions.start(spec)

    async def ended(self) -> Ended:
        """Wait for the verdict."""
        async for state in self.store.snapshots():
            if state.session is not None and state.session.ended is not None:
                return state.session.ended
        raise AssertionError("the store was closed")

    async def ci(
        self, project: Project | None = None, *, keep_going: bool = False, **limits: float
    ) -> Ended:
        """Run a session to its verdict, and until it is settled."""
        limited: dict[str, Any] = dict(limits)
        await self.start(project, Mode.CI, keep_going=keep_going, **limited)
        ended = await self.ended()
        await self.sessions.settled()
        return ended

    async def until(self, reached: Callable[[State], bool]) -> State:
        """Wait until the state is so."""
        async for state in self.store.snapshots():
            if reached(state):
                return state
        raise AssertionError("the store was closed")

    def text(self, resource: str = "") -> str:
        """What was logged for a resource."""
        entries = self.logs._entries.values()
        return "\n".join(e.text for e in entries if e.resource == resource)


@asynccontextmanager
async def world(
    images: Callable[[FakeInputs], FakeImages] | None = None,
    state_folder: Path | None = None,
) -> AsyncGenerator[World]:
    made = World(images, state_folder)
    async with running(
        worker=made.worker.run(), controller=made.controller.run(), sessions=made.sessions.run()
    ):
        yield made
