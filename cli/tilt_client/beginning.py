"""A session's first moments: it is started, and its streams are read into one queue.

Apart from `session`, because that imports all that lines and reports are made with, which takes
longer than a daemon needs for an answer: so it is imported while a daemon that runs is at work
already.  The streams are opened at once, since a session ends with its client: the daemon sees the
Watch stream break.
"""

import os
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilt_api.client import CallError, Stream
from tilt_api.v1 import tilt_pb2 as pb
from tilt_client import connect, reuse
from tilt_client.commands.options import Options
from tilt_client.complaint import Complaint, Exit
from tilt_client.connect import Link

if TYPE_CHECKING:
    from tilt_client.running import Signals

DRAINING = 0.5
"""Seconds without a line after which the rest of the log is given up."""

_MODES = {"ci": pb.MODE_CI, "up": pb.MODE_UP, "down": pb.MODE_DOWN}


@dataclass(frozen=True)
class Over:
    """A stream has ended; `error` if it should not have."""

    stream: "Stream[pb.WatchResponse] | Stream[pb.StreamLogsResponse]"
    error: CallError | None


class Interrupt:
    """A signal came."""


Item = pb.WatchResponse | pb.StreamLogsResponse | Over | Interrupt


def begin(link: Link, options: Options, verb: str, signals: "Signals") -> "Begun | None":
    """Start a session; `None`: the daemon was about to end, there is none.

    Raises:
        Complaint: the daemon refuses.
    """
    items = queue.SimpleQueue[Item]()
    signals.session(lambda: items.put(Interrupt()), link.own)
    try:
        started = link.client.start(_request(options, _MODES[verb]))
    except CallError as error:
        if error.lost and link.own is None:
            return None
        raise _refused(error, link) from error
    return Begun(link, started, items, shown_level(options))


class Begun:
    """A session that has begun, and two threads that read its streams of changes and lines.

    Args:
        items: where they put what they read.
        level: of the lines that are to be shown.
    """

    def __init__(
        self,
        link: Link,
        started: pb.StartSessionResponse,
        items: "queue.SimpleQueue[Item]",
        level: "pb.LogLevel.ValueType",
    ) -> None:
        self.link, self.id, self.items = link, started.session_id, items
        self.first = started.log_sequence
        self._level = min(level, pb.LOG_LEVEL_INFO)
        self.changes = link.client.watch(self.id)
        self.lines = self._log(self.first, follow=True)
        self._threads = [self._thread(self.changes), self._thread(self.lines)]

    def end_lines(self) -> None:
        """End the stream of lines, and wait for what it had."""
        self.lines.cancel()
        self._threads[1].join(DRAINING)

    def read_rest(self, seen: int) -> "Stream[pb.StreamLogsResponse]":
        """Read the lines that there are behind one, to their end."""
        self.lines = self._log(seen, follow=False)
        self._threads.append(self._thread(self.lines))
        return self.lines

    def close(self) -> None:
        """End the streams; the daemon ends the session if it still runs."""
        self.changes.cancel()
        self.lines.cancel()
        for thread in self._threads:
            thread.join(DRAINING)

    def _log(self, since: int, *, follow: bool) -> Stream[pb.StreamLogsResponse]:
        """All lines, not only those that are shown: a report has the others as well."""
        request = pb.StreamLogsRequest(since=since, min_level=self._level, follow=follow)
        return self.link.client.logs(request, patience=0.0)

    def _thread(
        self, stream: "Stream[pb.WatchResponse] | Stream[pb.StreamLogsResponse]"
    ) -> threading.Thread:
        thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        thread.start()
        return thread

    def _read(self, stream: "Stream[pb.WatchResponse] | Stream[pb.StreamLogsResponse]") -> None:
        try:
            for answer in stream:
                self.items.put(answer)
        except CallError as error:
            self.items.put(Over(stream, error))
        else:
            self.items.put(Over(stream, None))


def shown_level(options: Options) -> "pb.LogLevel.ValueType":
    """The level from which on lines are shown."""
    return pb.LogLevel.Value(f"LOG_LEVEL_{options.log_level.upper()}")


def _request(options: Options, mode: "pb.Mode.ValueType") -> pb.StartSessionRequest:
    request = pb.StartSessionRequest(
        tiltfile_path=options.tiltfile,
        args=options.args,
        mode=mode,
        context=options.context,
        namespace=options.namespace,
        limits=pb.Limits(
            timeout=options.timeout,
            readiness_timeout=options.readiness_timeout,
            stable_for=options.stable_for,
            crash_budget=options.crash_budget,
            grace=options.grace,
        ),
        env=environment(),
        working_dir=os.getcwd(),  # noqa: PTH109 - pathlib would be imported for nothing else
        end_with_client=True,
        keep_going=options.keep_going,
        delete_namespaces=options.delete_namespaces,
    )
    return reuse.ask(request, options.reuse)


def environment() -> dict[str, str]:
    """The user's environment, as far as it is text: protobuf's strings are Unicode."""
    return {
        name: value
        for name, value in os.environ.items()
        if _is_text(name + value) and (name, value) != connect.QUIET
    }


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(error: CallError, link: Link) -> Complaint:
    if error.lost:
        return connect.gone(link.home, link.own)
    if error.code == "FAILED_PRECONDITION":
        hint = error.problem.hint or "wait for its end, or end it: tilt-client daemon stop"
        return Complaint(str(error), hint)
    code = Exit.USAGE if error.code == "INVALID_ARGUMENT" else Exit.FAILED
    message, hint = connect.refusal(error)
    return Complaint(message, hint, code=code)
