"""A typed helper for clients that embed: IDE plug-ins, scripts, tilt-client itself.

    with client.connect("unix:///run/user/1000/tiltd/0123456789abcdef/tiltd.sock") as tiltd:
        started = tiltd.start(pb.StartSessionRequest(tiltfile_path="/src/Tiltfile", …))
        for change in tiltd.watch(): …

Plain blocking calls on one channel, safe to use from several threads.  Streams are iterators with
a `cancel()` that any thread may call; a cancelled stream ends like one that is over.  `watch` and
`logs` come back after a disconnect and go on behind the last sequence number, so that a reader
sees nothing twice and, as far as the daemon still has it, misses nothing.  After a restart of the
daemon they begin with what the new one has (`watch` says so: `reset` is set on that answer).
"""

import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import grpc

from tilt_api.v1 import tilt_pb2 as pb
from tilt_api.v1.tilt_pb2_grpc import TiltStub

if TYPE_CHECKING:
    from typing import Self

Q = TypeVar("Q")
A = TypeVar("A")

CALL = 10.0
"""Seconds that a call which answers once may take, unless the caller says otherwise."""

_OPTIONS = (
    # A daemon on this machine is there or is not: ask again soon.  The shortest back-off stays as
    # it is: gRPC takes it also for the time within which a connection has to be answered.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A proxy for the Internet is none for a daemon on this machine.
    ("grpc.enable_http_proxy", 0),
    # The state of a thousand resources comes in one message.
    ("grpc.max_receive_message_length", -1),
)
_DETAILS = "grpc-status-details-bin"
# CANCELLED, where nobody here did: the daemon let go of its calls, because it stops.
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class CallError(Exception):
    """The daemon refused a call, or could not be asked.

    Args:
        code: gRPC's name for the kind of failure: `NOT_FOUND`, `FAILED_PRECONDITION` …
        message: the daemon's own words.
        problem: the same for machines, with place and hint; empty where nothing more is known.
    """

    def __init__(self, code: str, message: str, problem: pb.Problem | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.problem = pb.Problem() if problem is None else problem

    @property
    def lost(self) -> bool:
        """The connection broke, or there was nobody to answer."""
        return self.code in {code.name for code in _LOST}


class Stream(Generic[A]):
    """An iterator over a stream's answers, which any thread may `cancel`."""

    def __init__(self, answers: Callable[["Stream[A]"], Iterator[A]]) -> None:
        self._lock = threading.Lock()
        self._call: grpc.Call | None = None
        self._cancelled = False
        self._answers = answers(self)

    def __iter__(self) -> "Self":
        return self

    def __next__(self) -> A:
        return next(self._answers)

    def cancel(self) -> None:
        """End the stream, now or as soon as it has begun."""
        with self._lock:
            self._cancelled = True
            call = self._call
        if call is not None:
            call.cancel()

    @property
    def cancelled(self) -> bool:
        """Whether somebody ended it."""
        return self._cancelled

    def begun(self, call: grpc.Call) -> None:
        """Remember what to cancel: the call behind the answers that come next."""
        with self._lock:
            self._call = call
        if self._cancelled:
            call.cancel()


class Client:
    """Calls to one daemon; made by `connect`."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self.stub = TiltStub(channel)

    def info(self, timeout: float = CALL) -> pb.GetInfoResponse:
        """Who answers: version, process, project."""
        return _once(self.stub.GetInfo, pb.GetInfoRequest(), timeout)

    def start(
        self, request: pb.StartSessionRequest, timeout: float = CALL
    ) -> pb.StartSessionResponse:
        """Start a session.

        Raises:
            CallError: `FAILED_PRECONDITION` while another one runs.
        """
        return _once(self.stub.StartSession, request, timeout)

    def stop(self, session_id: str, timeout: float = CALL) -> None:
        """End a session; returns once that is under way. `NOT_FOUND`: it does not run."""
        _once(self.stub.StopSession, pb.StopSessionRequest(session_id=session_id), timeout)

    def snapshot(self, timeout: float = CALL) -> pb.Snapshot:
        """The whole state, once."""
        return _once(self.stub.GetSnapshot, pb.GetSnapshotRequest(), timeout).snapshot

    def plan(self, request: pb.PlanRequest, timeout: float = CALL) -> pb.PlanResponse:
        """What a `ci` would do, and why.

        Raises:
            CallError: `FAILED_PRECONDITION`: the Tiltfile is wrong, or something can't be reached.
        """
        return _once(self.stub.Plan, request, timeout)

    def load(self, request: pb.LoadRequest, timeout: float = CALL) -> pb.LoadResponse:
        """What a Tiltfile asks for; neither cluster nor engine is asked.

        Raises:
            CallError: `FAILED_PRECONDITION`: the Tiltfile is wrong.
        """
        return _once(self.stub.Load, request, timeout)

    def trigger(self, resource: str, timeout: float = CALL) -> None:
        """Update a resource now. `NOT_FOUND`: there is no such resource."""
        _once(self.stub.Trigger, pb.TriggerRequest(resource=resource), timeout)

    def cancel(self, resource: str, timeout: float = CALL) -> Sequence[str]:
        """Cancel what a resource is doing; the targets (by id) that were busy."""
        return _once(self.stub.Cancel, pb.CancelRequest(resource=resource), timeout).cancelled

    def shutdown(self, timeout: float = CALL) -> None:
        """Stop the daemon, after its session; returns once that is under way."""
        _once(self.stub.Shutdown, pb.ShutdownRequest(), timeout)

    def watch(self, session_id: str = "", patience: float = 30.0) -> Stream[pb.WatchResponse]:
        """The whole state, then every change, until the daemon stops or the stream is cancelled.

        Args:
            session_id: of a session started with `end_with_client`: it ends when this stream
                breaks, so such a stream is not resumed, whatever `patience` says.
            patience: seconds to wait for the daemon to come back after a disconnect.

        Raises:
            CallError: the daemon is gone (`lost`), or refused.
        """
        seen = pb.WatchRequest(session_id=session_id)

        def ask() -> Iterable[pb.WatchResponse]:
            return self.stub.Watch(seen)

        def note(answer: pb.WatchResponse) -> None:
            seen.since, seen.instance_id = answer.sequence, answer.instance_id

        return self._resumed(ask, note, 0.0 if session_id else patience)

    def logs(
        self, request: pb.StreamLogsRequest | None = None, patience: float = 30.0
    ) -> Stream[pb.StreamLogsResponse]:
        """Log lines in order, some at a time.

        Args:
            request: from where, of what, and whether to wait for more (the default).
            patience: seconds to wait for the daemon to come back after a disconnect.

        Raises:
            CallError: the daemon is gone (`lost`), or refused.
        """
        seen = pb.StreamLogsRequest(follow=True)
        if request is not None:
            seen.CopyFrom(request)

        instance = ""

        def ask() -> Iterable[pb.StreamLogsResponse]:
            nonlocal instance
            # Another daemon counts its lines from 1 again.
            answering = instance
            if patience > 0:
                info = self.stub.GetInfo(pb.GetInfoRequest(), timeout=CALL)
                answering = info.instance_id
            if instance and answering != instance:
                seen.since = 0
            instance = answering
            return self.stub.StreamLogs(seen)

        def note(answer: pb.StreamLogsResponse) -> None:
            if answer.lines:
                seen.since = answer.lines[-1].sequence

        return self._resumed(ask, note, patience)

    def _resumed(
        self, ask: Callable[[], Iterable[A]], note: Callable[[A], None], patience: float
    ) -> Stream[A]:
        def answers(stream: Stream[A]) -> Iterator[A]:
            while not stream.cancelled:
                try:
                    call = ask()
                    if isinstance(call, grpc.Call):
                        stream.begun(call)
                    for answer in call:
                        note(answer)
                        yield answer
                except grpc.RpcError as error:
                    if stream.cancelled:
                        return
                    if patience <= 0 or _code(error) not in _LOST:
                        raise _translated(error) from error
                    self._await(patience, error)
                else:
                    return

        return Stream(answers)

    def _await(self, patience: float, lost: grpc.RpcError) -> None:
        """Wait until the daemon answers again.

        The channel may not know yet that its connection is dead, and lose this call as well.
        """
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.stub.GetInfo(pb.GetInfoRequest(), timeout=left, wait_for_ready=True)
            except grpc.RpcError as error:
                if _code(error) not in _LOST:
                    break
            else:
                return
        raise _translated(lost) from lost


@contextlib.contextmanager
def connect(address: str) -> Generator[Client]:
    """A client of the daemon at an address (`str` of an `address.Address`).

    Nothing is asked yet: the first call finds out whether somebody answers.
    """
    channel = grpc.insecure_channel(address, options=_OPTIONS)
    try:
        yield Client(channel)
    finally:
        channel.close()


def _once(
    call: "grpc.UnaryUnaryMultiCallable[Q, A]",
    request: Q,
    timeout: float,
) -> A:
    try:
        return call(request, timeout=timeout)
    except grpc.RpcError as error:
        raise _translated(error) from error


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    return error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN


def _translated(error: grpc.RpcError) -> CallError:
    if not isinstance(error, grpc.Call):
        return CallError(_code(error).name, str(error))
    return CallError(_code(error).name, error.details() or _code(error).name, _problem(error))


def _problem(call: grpc.Call) -> pb.Problem | None:
    """The first `Problem` in gRPC's rich error details; their library comes without types."""
    packed = dict(call.trailing_metadata() or ()).get(_DETAILS)
    if not isinstance(packed, bytes):
        return None
    status = importlib.import_module("google.rpc.status_pb2").Status.FromString(packed)
    found = pb.Problem()
    return found if any(detail.Unpack(found) for detail in status.details) else None
