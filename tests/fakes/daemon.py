"""A scripted tiltd: the contract on a real socket, with answers written down beforehand.

A script is a list of steps that a session plays: changes of the state, log lines, waits.  In a
test it runs in the test's process (`serving`); for tests of how a client starts a daemon it is a
program (`python -m tests.fakes.daemon NAME …`), which keeps the daemon's side of the start: the
lock, the socket, the word on the ready pipe.
"""

# ruff: noqa: N802, ARG002 - the contract gives the methods their names and arguments

import argparse
import contextlib
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import grpc
from google.protobuf import any_pb2
from google.rpc import status_pb2  # pyright: ignore[reportMissingTypeStubs] - it has none

from tilt_api import address, handshake
from tilt_api.v1 import tilt_pb2 as pb
from tilt_api.v1 import tilt_pb2_grpc
from tilt_api.version import VERSION

Context = Any
T = TypeVar("T")
SESSION = "s1"
STARTED = 1000.0


@dataclass(frozen=True)
class Change:
    """Resources and, if given, fields of the session that change."""

    resources: tuple[pb.Resource, ...] = ()
    session: pb.Session | None = None


@dataclass(frozen=True)
class Say:
    """Lines that are logged."""

    lines: tuple[str, ...]
    resource: str = ""
    span: str = ""
    level: "pb.LogLevel.ValueType" = pb.LOG_LEVEL_INFO


@dataclass(frozen=True)
class End:
    """The session is over; the lines come between the verdict and the log's end."""

    outcome: "pb.Outcome.ValueType"
    problems: tuple[pb.Problem, ...] = ()
    last: Say | None = None
    seconds: float = 12.3


@dataclass(frozen=True)
class AwaitStop:
    """Nothing happens until the session is stopped."""


@dataclass(frozen=True)
class Die:
    """The process is gone at once, with a word in its own log."""


Step = Change | Say | End | AwaitStop | Die


@dataclass
class Script:
    """What a daemon says of itself and does in a session."""

    steps: Sequence[Step] = ()
    version: str = VERSION
    project: str = ""
    busy: str = ""
    pid: int = field(default_factory=os.getpid)


class Servicer(tilt_pb2_grpc.TiltServicer):
    """Plays a script; `calls` and `requests` tell what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls: list[str] = []
        self.requests: list[pb.StartSessionRequest] = []
        self.shut_down = threading.Event()
        self.stopped = threading.Event()
        self.client_gone = threading.Event()
        self._told = threading.Condition()
        self._session = pb.Session()
        self._changes: list[pb.WatchResponse] = []
        self._lines: list[pb.LogLine] = []
        self._closed = False

    def close(self) -> None:
        """End every stream."""
        with self._told:
            self._closed = True
            self._told.notify_all()
        self.stopped.set()

    def GetInfo(self, request: pb.GetInfoRequest, context: Context) -> pb.GetInfoResponse:
        self.calls.append("GetInfo")
        return pb.GetInfoResponse(
            version=self.script.version,
            pid=self.script.pid,
            project_dir=self.script.project,
            started_at=STARTED,
            instance_id="i1",
            session_id=self._session.id or ("other" if self.script.busy else ""),
            session_active=bool(self.script.busy),
            idle_timeout=60,
        )

    def StartSession(
        self, request: pb.StartSessionRequest, context: Context
    ) -> pb.StartSessionResponse:
        self.calls.append("StartSession")
        self.requests.append(request)
        if self.script.busy:
            problem = pb.Problem(code="busy", message=self.script.busy, hint="wait for it")
            packed = any_pb2.Any()
            packed.Pack(problem)
            code = grpc.StatusCode.FAILED_PRECONDITION
            rich = status_pb2.Status(code=9, message=problem.message, details=[packed])
            metadata = (("grpc-status-details-bin", rich.SerializeToString()),)
            context.set_trailing_metadata(metadata)
            context.abort(code, problem.message)
        before = len(self._lines)
        self._session = pb.Session(id=SESSION, mode=request.mode, started_at=STARTED)
        self._change(Change(session=self._session))
        threading.Thread(target=self._play, daemon=True).start()
        return pb.StartSessionResponse(session_id=SESSION, log_sequence=before)

    def StopSession(
        self, request: pb.StopSessionRequest, context: Context
    ) -> pb.StopSessionResponse:
        self.calls.append("StopSession")
        self.stopped.set()
        return pb.StopSessionResponse()

    def Load(self, request: pb.LoadRequest, context: Context) -> pb.LoadResponse:
        return pb.LoadResponse(project="{}")

    def Plan(self, request: pb.PlanRequest, context: Context) -> pb.PlanResponse:
        return pb.PlanResponse(context=request.context)

    def Shutdown(self, request: pb.ShutdownRequest, context: Context) -> pb.ShutdownResponse:
        self.calls.append("Shutdown")
        self.shut_down.set()
        return pb.ShutdownResponse()

    def GetSnapshot(
        self, request: pb.GetSnapshotRequest, context: Context
    ) -> pb.GetSnapshotResponse:
        return pb.GetSnapshotResponse(snapshot=pb.Snapshot(session=self._session))

    def Trigger(self, request: pb.TriggerRequest, context: Context) -> pb.TriggerResponse:
        context.abort(grpc.StatusCode.NOT_FOUND, f"no resource {request.resource!r}")
        raise AssertionError("abort does not return")

    def Cancel(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        return pb.CancelResponse(cancelled=["image/web"])

    def Watch(self, request: pb.WatchRequest, context: Context) -> Iterator[pb.WatchResponse]:
        self.calls.append(f"Watch {request.since}")
        if request.session_id:
            context.add_callback(self._watch_broke)
        context.add_callback(self._wake)
        at = request.since
        while (change := self._after(self._changes, at, context)) is not None:
            at += 1
            yield change

    def StreamLogs(
        self, request: pb.StreamLogsRequest, context: Context
    ) -> Iterator[pb.StreamLogsResponse]:
        self.calls.append(f"StreamLogs {request.since}")
        context.add_callback(self._wake)
        at = request.since
        while request.follow or at < len(self._lines):
            line = self._after(self._lines, at, context)
            if line is None:
                return
            at += 1
            if line.level >= request.min_level:
                yield pb.StreamLogsResponse(lines=[line])

    def _after(self, items: Sequence[T], at: int, context: Context) -> T | None:
        with self._told:
            self._told.wait_for(
                lambda: len(items) > at or self._closed or not context.is_active(), timeout=60
            )
            return items[at] if len(items) > at and not self._closed else None

    def _wake(self) -> None:
        with self._told:
            self._told.notify_all()

    def _watch_broke(self) -> None:
        self.client_gone.set()
        self.stopped.set()

    def _play(self) -> None:
        for step in self.script.steps:
            match step:
                case Change():
                    self._change(step)
                case Say():
                    self._say(step)
                case AwaitStop():
                    self.stopped.wait(60)
                case Die():
                    sys.stderr.write("tiltd: bug: the sky is falling\n")
                    sys.stderr.flush()
                    os._exit(70)
                case End():
                    self._end(step)

    def _end(self, step: End) -> None:
        over = pb.Session()
        over.CopyFrom(self._session)
        over.ended_at, over.outcome = STARTED + step.seconds, step.outcome
        over.problems.extend(step.problems)
        self._change(Change(session=over))
        if step.last is not None:
            self._say(step.last)
        settled = pb.Session()
        settled.CopyFrom(over)
        settled.settled = True
        self._change(Change(session=settled))

    def _change(self, step: Change) -> None:
        with self._told:
            number = len(self._changes) + 1
            answer = pb.WatchResponse(sequence=number, instance_id="i1", reset=number == 1)
            if step.session is not None:
                self._session.MergeFrom(step.session)
                answer.session.CopyFrom(self._session)
            answer.resources.extend(step.resources)
            self._changes.append(answer)
            self._told.notify_all()

    def _say(self, step: Say) -> None:
        with self._told:
            for text in step.lines:
                self._lines.append(
                    pb.LogLine(
                        sequence=len(self._lines) + 1,
                        resource=step.resource,
                        span=step.span,
                        level=step.level,
                        text=text,
                    )
                )
            self._told.notify_all()


@contextlib.contextmanager
def serving(script: Script, where: str) -> Generator[Servicer]:
    """A scripted daemon in this process, at an address."""
    servicer = Servicer(script)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    tilt_pb2_grpc.add_TiltServicer_to_server(servicer, server)
    server.add_insecure_port(where)
    server.start()
    try:
        yield servicer
    finally:
        servicer.close()
        server.stop(None).wait(5)


def resource(name: str, verdict: "pb.Verdict.ValueType", **fields: Any) -> pb.Resource:
    """A resource that takes part and starts by itself."""
    return pb.Resource(name=name, verdict=verdict, enabled=True, auto_init=True, **fields)


SCRIPTS: dict[str, tuple[Step, ...]] = {
    "healthy": (
        Say(("building",), "web", "build/web"),
        Change((resource("web", pb.VERDICT_HEALTHY),)),
        End(pb.OUTCOME_HEALTHY, last=Say(("the last word",), "web", "pod/web-1/main/0")),
    ),
    "endless": (
        Say(("started",), "web"),
        AwaitStop(),
        End(pb.OUTCOME_CANCELLED),
    ),
    "stubborn": (Say(("started",), "web"),),
    "dies": (Say(("started",), "web"), Die()),
}


def main() -> int:
    """The scripted daemon as a program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("script", choices=(*SCRIPTS, "broken", "silent", "mute", "unwilling"))
    parser.add_argument("--project-dir", required=True)
    parser.add_argument("--started-by", required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--idle-timeout", type=float)
    found = parser.parse_args()
    home = address.home(found.project_dir)
    with Path(home.folder, "starts").open("a") as starts:
        starts.write(f"{os.getpid()} {found.started_by}\n")
    if found.script == "broken":
        raise RuntimeError("tiltd is broken")
    if found.script == "silent":
        return 0
    if found.script == "mute":
        signal.pause()
    if found.script == "unwilling":
        os.write(found.ready_fd, handshake.encode(handshake.Failed("no room", "make room")))
        return 1
    return _serve(found.script, found.project_dir, found.ready_fd, home)


def _serve(name: str, project: str, ready: int, home: address.Home) -> int:
    lock = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.write(ready, handshake.encode(handshake.Running(str(home.address))))
        return 0
    if isinstance(home.address, address.Unix):
        Path(home.address.path).unlink(missing_ok=True)
    with serving(Script(SCRIPTS[name], project=project), str(home.address)) as servicer:
        stopping = signal.SIG_IGN if name == "stubborn" else _stopper(servicer)
        signal.signal(signal.SIGTERM, stopping)
        os.write(ready, handshake.encode(handshake.Ready(str(home.address))))
        os.close(ready)
        while not (servicer.shut_down.wait(0.05) and name != "stubborn"):
            pass
    return 0


def _stopper(servicer: Servicer) -> Callable[[int, FrameType | None], None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        servicer.shut_down.set()

    return stop


if __name__ == "__main__":
    raise SystemExit(main())
