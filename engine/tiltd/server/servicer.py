"""The RPCs, each a thin reading of the store or a word to the sessions.

`Watch` reads a board (`server.board`) that holds each message with the revision at which it last
changed, so a client that comes back with a sequence number gets what changed since, without any
history being kept; if the project itself was loaded anew, it gets everything.  Changes are
gathered for a moment, and the longer the more work it is to tell them: a thousand applies are a
few messages, and most of the time is for the applies.  The end of a session is told at once.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from grpc import aio

from tilt_api.v1 import tilt_pb2 as pb
from tilt_api.v1 import tilt_pb2_grpc
from tilt_api.version import VERSION
from tiltd.model import events
from tiltd.model.names import NodeName, ResourceName, SessionId, resource_node
from tiltd.model.state import Cache, Mode, SessionSpec, State
from tiltd.ports import PermanentError, TransientError
from tiltd.runtime.clock import Clock
from tiltd.runtime.controller import Controller
from tiltd.runtime.logs import Batch, LogStore
from tiltd.runtime.planning import Planner
from tiltd.runtime.sessions import BusyError, Sessions, UnknownSessionError
from tiltd.runtime.store import Store
from tiltd.server import convert, plans, projects, status
from tiltd.server.board import Board

_AHEAD = 0.01
_GATHER = 0.05
_SHARE = 0.1
"""How much of the daemon's time may be spent on telling one client what changes."""
_EACH = 2e-5
"""Seconds that it takes at least to tell how a node is; what it took last counts if it is more."""
_LEVELS = ("debug", "info", "warn", "error")
_LEVEL_NAMES = {
    "debug": pb.LOG_LEVEL_DEBUG,
    "info": pb.LOG_LEVEL_INFO,
    "warn": pb.LOG_LEVEL_WARN,
    "error": pb.LOG_LEVEL_ERROR,
}
_MODES = {pb.MODE_CI: Mode.CI, pb.MODE_UP: Mode.UP, pb.MODE_DOWN: Mode.DOWN}

Context = aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Daemon:
    """What the servicer needs of the rest.

    Args:
        project_dir: the folder that this daemon serves.
        stop: asks the daemon to stop.
    """

    project_dir: str
    idle_timeout: float
    started_at: float
    store: Store
    sessions: Sessions
    controller: Controller
    planner: Planner
    logs: LogStore
    clock: Clock
    stop: Callable[[], None]


class Servicer(tilt_pb2_grpc.TiltServicer):
    """See the module."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._instance = uuid4().hex
        self._board = Board(daemon.store, self._converter)
        self.streams = 0
        self.planned = False
        self.told = ""
        """The session whose end nobody is left to be told of."""

    def _converter(self, state: State) -> convert.Converter:
        daemon = self._daemon
        return convert.Converter(state, daemon.clock.now(), daemon.logs.scrubber)

    async def GetInfo(self, request: pb.GetInfoRequest, context: Context) -> pb.GetInfoResponse:
        """Who answers."""
        daemon, session = self._daemon, self._daemon.store.state.session
        return pb.GetInfoResponse(
            version=VERSION,
            pid=os.getpid(),
            project_dir=daemon.project_dir,
            started_at=daemon.started_at,
            instance_id=self._instance,
            session_id=session.spec.id if session else "",
            session_active=daemon.sessions.active is not None,
            idle_timeout=daemon.idle_timeout,
        )

    async def StartSession(
        self, request: pb.StartSessionRequest, context: Context
    ) -> pb.StartSessionResponse:
        """Start a session."""
        if request.mode not in _MODES:
            problem = pb.Problem(code="usage", message="mode must be set")
            await status.refuse(context, grpc.StatusCode.INVALID_ARGUMENT, problem)
        spec = replace(
            await self._spec(request, context),
            mode=_MODES[request.mode],
            limits=convert.overrides(request.limits),
            bound_to_client=request.end_with_client,
            keep_going=request.keep_going,
            delete_namespaces=request.delete_namespaces,
            no_prune=request.no_prune,
            no_drift=request.no_drift,
            no_heal=request.no_heal,
            cache=convert.CACHES.get(request.cache, Cache.WRITE),
            rebuild=tuple(request.rebuild),
        )
        try:
            sequence = await self._daemon.sessions.start(spec)
        except BusyError as error:
            await status.refuse(context, grpc.StatusCode.FAILED_PRECONDITION, _busy(error))
        return pb.StartSessionResponse(session_id=spec.id, log_sequence=sequence)

    async def StopSession(
        self, request: pb.StopSessionRequest, context: Context
    ) -> pb.StopSessionResponse:
        """End the running session."""
        try:
            self._daemon.sessions.stop(SessionId(request.session_id))
        except UnknownSessionError:
            message = f"session {request.session_id} is not running"
            problem = pb.Problem(code="usage", message=message)
            await status.refuse(context, grpc.StatusCode.NOT_FOUND, problem)
        return pb.StopSessionResponse()

    async def Plan(self, request: pb.PlanRequest, context: Context) -> pb.PlanResponse:
        """What a session would do."""
        spec = await self._spec(request, context)
        daemon = self._daemon
        lines = plans.Lines(daemon.clock.now)
        async with self._looking(context):
            drawn = await daemon.planner.draw(spec, lines, offline=request.offline)
        converter = self._converter(drawn.state)
        return plans.message(drawn, lines, daemon.logs.scrubber, converter.problem)

    async def Load(self, request: pb.LoadRequest, context: Context) -> pb.LoadResponse:
        """What a Tiltfile asks for."""
        spec = await self._spec(request, context)
        daemon = self._daemon
        lines = plans.Lines(daemon.clock.now)
        async with self._looking(context):
            loaded, _ = await daemon.planner.load(spec, lines)
        scrubber = daemon.logs.scrubber
        return pb.LoadResponse(
            project=projects.document(loaded, scrubber),
            resources=len(loaded.project.resources),
            images=len(loaded.project.images),
            log=lines.lines(scrubber),
            warnings=plans.warnings(loaded.project, scrubber),
        )

    async def _spec(
        self,
        request: pb.StartSessionRequest | pb.PlanRequest | pb.LoadRequest,
        context: Context,
    ) -> SessionSpec:
        if not Path(request.tiltfile_path).is_absolute():
            problem = pb.Problem(code="usage", message="tiltfile_path must be absolute")
            await status.refuse(context, grpc.StatusCode.INVALID_ARGUMENT, problem)
        return SessionSpec(
            id=SessionId(uuid4().hex[:12]),
            mode=Mode.CI,
            tiltfile=request.tiltfile_path,
            args=tuple(request.args),
            context=request.context,
            namespace=request.namespace,
            env=dict(request.env),
            cwd=request.working_dir,
        )

    @asynccontextmanager
    async def _looking(self, context: Context) -> AsyncGenerator[None]:
        """While something is looked at beside the session; what is wrong refuses the call."""
        self.streams += 1
        try:
            yield
        except (PermanentError, TransientError) as error:
            wrong = self._converter(self._daemon.store.state).problem(error.problem)
            await status.refuse(context, grpc.StatusCode.FAILED_PRECONDITION, wrong)
        finally:
            self.streams -= 1
            self.planned = True

    async def GetSnapshot(
        self,
        request: pb.GetSnapshotRequest,
        context: Context,
    ) -> pb.GetSnapshotResponse:
        """The whole state, once."""
        state = self._daemon.store.state
        converter = self._converter(state)
        resources = converter.resources(state.graph.resources)
        snapshot = pb.Snapshot(session=converter.session(), resources=resources)
        return pb.GetSnapshotResponse(snapshot=snapshot)

    async def Watch(
        self,
        request: pb.WatchRequest,
        context: Context,
    ) -> AsyncIterator[pb.WatchResponse]:
        """The state, then its changes."""
        since = request.since if request.instance_id == self._instance else 0
        self.streams += 1
        try:
            each = _EACH
            async for _ in self._daemon.store.snapshots():
                await self._gather(each if since else 0.0)
                state, due = self._daemon.store.state, self._board.due()
                began = time.thread_time()
                self._board.refresh(state)
                message = self._board.since(since)
                each = max(_EACH, (time.thread_time() - began) / due if due else 0.0)
                since = state.revision
                if message is not None:
                    message.instance_id = self._instance
                    yield message
                if not _over(state):
                    await self._daemon.store.pause(_GATHER, _over)
        finally:
            self.streams -= 1
            self._client_gone(request.session_id)

    async def _gather(self, each: float) -> None:
        """Let what a change asks for begin; it is told then.

        Args:
            each: seconds that it takes to tell how a node is.
        """
        store, loop = self._daemon.store, asyncio.get_running_loop()
        began = now = loop.time()
        while now < (end := began + max(_AHEAD, each * self._board.due() / _SHARE)):
            await store.pause(end - now, _over)
            now = loop.time()
            if now < end:  # it is over, or the store has closed
                return

    def _client_gone(self, session_id: str) -> None:
        """A session that was started to end with its client ends."""
        session = self._daemon.store.state.session
        if session is not None and session_id in {"", session.spec.id}:
            self.told = session.spec.id
        active = self._daemon.sessions.active
        if active is not None and active.spec.bound_to_client and active.spec.id == session_id:
            self._daemon.sessions.stop(active.spec.id)

    async def StreamLogs(
        self,
        request: pb.StreamLogsRequest,
        context: Context,
    ) -> AsyncIterator[pb.StreamLogsResponse]:
        """Log lines, at the client's pace."""
        level = (
            max(request.min_level, pb.LOG_LEVEL_DEBUG) if request.min_level else pb.LOG_LEVEL_INFO
        )
        reading = self._daemon.logs.read(
            request.since,
            resources=frozenset(request.resources) or None,
            levels=frozenset(_LEVELS[level - 1 :]),
            follow=request.follow,
        )
        self.streams += 1
        try:
            async for batch in reading:
                yield _log_message(batch)
        finally:
            self.streams -= 1
            await reading.aclose()

    async def Trigger(self, request: pb.TriggerRequest, context: Context) -> pb.TriggerResponse:
        """Update a resource now."""
        name = await self._known(request.resource, context)
        self._daemon.store.dispatch(events.Triggered(name))
        return pb.TriggerResponse()

    async def Cancel(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        """Cancel what a resource is doing."""
        name = await self._known(request.resource, context)
        graph = self._daemon.store.state.graph
        parts = set(graph.dependencies.get(resource_node(name), ()))
        own = {n for n in parts if not n.startswith("resource/")}
        images = {i for n in own for i in graph.dependencies.get(n, ()) if i.startswith("image/")}
        nodes: frozenset[NodeName] = frozenset(own | images)
        return pb.CancelResponse(cancelled=self._daemon.controller.cancel(nodes))

    async def _known(self, name: str, context: Context) -> ResourceName:
        resources = self._daemon.store.state.graph.resources
        if name not in resources:
            hint = f"there are: {', '.join(resources) or 'none'}"
            problem = pb.Problem(code="usage", message=f"no resource {name!r}", hint=hint)
            await status.refuse(context, grpc.StatusCode.NOT_FOUND, problem)
        return ResourceName(name)

    async def Shutdown(self, request: pb.ShutdownRequest, context: Context) -> pb.ShutdownResponse:
        """Stop the daemon."""
        self._daemon.stop()
        return pb.ShutdownResponse()


def _over(state: State) -> bool:
    return state.session is not None and state.session.ended is not None


def _busy(error: BusyError) -> pb.Problem:
    spec = error.session.spec
    return pb.Problem(
        code="busy",
        message=f"a session is running in this project already: `{spec.mode.value}`"
        f" of {spec.tiltfile}",
        hint="wait for it, stop it (Ctrl-C where it runs), or `tilt-client daemon stop`",
    )


def _log_message(batch: Batch) -> pb.StreamLogsResponse:
    lines = [
        pb.LogLine(
            sequence=e.seq,
            time=e.time,
            resource=e.resource,
            span=e.span,
            level=_LEVEL_NAMES[e.level],
            text=e.text,
        )
        for e in batch.entries
    ]
    return pb.StreamLogsResponse(lines=lines, dropped=batch.dropped)
