"""One session, from StartSession to the verdict.

Two threads read the streams of changes and of log lines into one queue; the main thread takes
from it, prints, and is the only one that decides.  Signals put into the same queue.  When the
session is over and its log complete (`settled`), what the log stream still has is printed before
the verdict: the stream that follows is ended, and the rest is read from the last line on.  A
session ends with its client: the daemon sees the Watch stream break.
"""

import contextlib
import os
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilt_api.client import CallError, Stream
from tilt_api.v1 import tilt_pb2 as pb
from tilt_client import connect, reuse
from tilt_client.commands.options import Options
from tilt_client.complaint import Complaint, Exit
from tilt_client.connect import Link
from tilt_client.outputs.recorder import Recorder
from tilt_client.render.screen import Filter, Screen, Source
from tilt_client.render.style import Style
from tilt_client.terminal import Terminal

if TYPE_CHECKING:
    from tilt_client.render.known import Known
    from tilt_client.running import Signals

STOPPING = 0.6
"""Seconds until a session that was stopped is marked so; its work ends a little later."""
SETTLING = 8.0
"""Seconds for the daemon to settle a session that has ended: work stops, the last lines arrive."""
DRAINING = 0.5
"""Seconds without a line after which the rest of the log is given up."""

_EXITS = {
    pb.OUTCOME_HEALTHY: Exit.HEALTHY,
    pb.OUTCOME_FAILED: Exit.FAILED,
    pb.OUTCOME_TILTFILE_ERROR: Exit.USAGE,
    pb.OUTCOME_TIMEOUT: Exit.TIMEOUT,
    pb.OUTCOME_CANCELLED: Exit.INTERRUPTED,
}
_MODES = {"ci": pb.MODE_CI, "up": pb.MODE_UP, "down": pb.MODE_DOWN}
_VERDICTS = frozenset({Exit.HEALTHY, Exit.FAILED, Exit.TIMEOUT})


@dataclass(frozen=True)
class _Over:
    """A stream has ended; `error` if it should not have."""

    stream: "Stream[pb.WatchResponse] | Stream[pb.StreamLogsResponse]"
    error: CallError | None


class _Interrupt:
    """A signal came."""


_Item = pb.WatchResponse | pb.StreamLogsResponse | _Over | _Interrupt


def run(
    link: Link, options: Options, verb: str, terminal: Terminal, signals: "Signals"
) -> int | None:
    """The session's exit code; `None`: the daemon was about to end, there is no session.

    Raises:
        Complaint: there is no session, or the daemon broke off.
        BrokenPipeError: nobody reads the output; the session is stopped.
    """
    title = os.path.basename(link.info.project_dir)  # noqa: PTH119 - as elsewhere
    recorder = Recorder(options.outputs, title, terminal, os.environ)
    run = _Run(link, options, verb, terminal, signals, recorder)
    try:
        return run.run()
    except Complaint as complaint:
        complaint.recorded = True
        recorder.broken(complaint, run.known)
        raise
    finally:
        recorder.close()


class _Run:
    """A session, the one that removes after it, and what is recorded of them."""

    def __init__(
        self,
        link: Link,
        options: Options,
        verb: str,
        terminal: Terminal,
        signals: "Signals",
        recorder: Recorder,
    ) -> None:
        self._link, self._options, self._verb = link, options, verb
        self._terminal, self._signals, self._recorder = terminal, signals, recorder
        self.known: Known | None = None

    def run(self) -> int | None:
        """The exit code; `None`: there is no session."""
        recorder = self._recorder
        with contextlib.ExitStack() as sessions:
            session = self._started(self._verb, sessions)
            if session is None:
                return None
            screen = session.screen
            self.known = screen.known
            code = self._code(session.run())
            told = recorder.reports(screen.known, screen.tails, code)
            recorder.snapshot(screen.known, session.whole_log)
            if self._options.down and code in _VERDICTS:
                # Begun before the first one's streams end: a daemon of its own would end with them.
                after = self._started("down", sessions)
                if after is not None:
                    code = _worse(code, after.run())
                    told = recorder.reports(screen.known, screen.tails, code, after.screen.known)
        return recorder.finish(told, code)

    def _code(self, code: int) -> int:
        """For `up`, the interrupt is the end that it is meant to have."""
        return Exit.HEALTHY if self._verb == "up" and code == Exit.INTERRUPTED else code

    def _started(self, verb: str, sessions: contextlib.ExitStack) -> "_Session | None":
        session = _started(
            self._link, self._options, verb, self._terminal, self._signals, self._recorder
        )
        if session is not None:
            sessions.callback(session.close)
        return session


def _worse(code: int, after: int) -> int:
    """A removal that went well does not hide a failure, nor a verdict one that did not."""
    return code or after


def _started(
    link: Link,
    options: Options,
    verb: str,
    terminal: Terminal,
    signals: "Signals",
    recorder: Recorder,
) -> "_Session | None":
    items = queue.SimpleQueue[_Item]()
    signals.session(lambda: items.put(_Interrupt()), link.own)
    try:
        started = link.client.start(_request(options, _MODES[verb]))
    except CallError as error:
        if error.lost and link.own is None:
            return None
        raise _refused(error, link) from error
    shown = _shown(options)
    follow, quiet = verb == "up", options.outputs.quiet
    screen = Screen(Style(terminal.color), shown, time.time(), follow=follow, quiet=quiet)
    recorder.fold(f"tilt-client {verb}")
    return _Session(link, started, screen, terminal, items, shown.level, recorder)


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


def _shown(options: Options) -> Filter:
    return Filter(
        Source(options.log_source),
        options.log_resources,
        pb.LogLevel.Value(f"LOG_LEVEL_{options.log_level.upper()}"),
    )


def _refused(error: CallError, link: Link) -> Complaint:
    if error.lost:
        return connect.gone(link.home, link.own)
    if error.code == "FAILED_PRECONDITION":
        hint = error.problem.hint or "wait for its end, or end it: tilt-client daemon stop"
        return Complaint(str(error), hint)
    code = Exit.USAGE if error.code == "INVALID_ARGUMENT" else Exit.FAILED
    message, hint = connect.refusal(error)
    return Complaint(message, hint, code=code)


class _Session:
    """See the module."""

    def __init__(
        self,
        link: Link,
        started: pb.StartSessionResponse,
        screen: Screen,
        terminal: Terminal,
        items: "queue.SimpleQueue[_Item]",
        level: "pb.LogLevel.ValueType",
        recorder: Recorder,
    ) -> None:
        self._link, self._id = link, started.session_id
        self.screen, self._terminal, self._items = screen, terminal, items
        self._recorder = recorder
        self._first = self._seen = started.log_sequence
        self._level = min(level, pb.LOG_LEVEL_INFO)
        self._stop_by: float | None = None
        self._settle_by: float | None = None
        self._watch = link.client.watch(self._id)
        self._logs = self._read_log(follow=True)
        self._threads = [self._thread(self._watch), self._thread(self._logs)]

    def run(self) -> int:
        """Until the verdict; the exit code."""
        while not self._over():
            item = self._next()
            if item is not None:
                self._take(item)
            elif self._late():
                self._terminal.print(["the session did not end in time; tiltd goes on stopping it"])
                return Exit.INTERRUPTED
        self._drain()
        self._recorder.unfold()
        self._terminal.print(self._recorder.page.quoted(self.screen.report()))
        return _EXITS.get(self.screen.known.session.outcome, Exit.FAILED)

    def whole_log(self) -> Stream[pb.StreamLogsResponse]:
        """Every line of this session that the daemon still has."""
        level = pb.LOG_LEVEL_DEBUG
        request = pb.StreamLogsRequest(since=self._first, min_level=level, follow=False)
        return self._link.client.logs(request, patience=0.0)

    def close(self) -> None:
        """End the streams; the daemon ends the session if it still runs."""
        self._watch.cancel()
        self._logs.cancel()
        for thread in self._threads:
            thread.join(DRAINING)

    def _over(self) -> bool:
        """Whether there is a verdict and nothing more to say before it."""
        known = self.screen.known
        if not known.ended or known.session.id != self._id:
            return False
        if known.session.settled or self._stop_by is not None:
            return True
        if self._settle_by is None:
            self._settle_by = time.monotonic() + SETTLING
        return time.monotonic() >= self._settle_by

    def _next(self) -> _Item | None:
        """The next item; `None` when it is time to look at the clock."""
        wait = self.screen.silence(time.time())
        for limit in (self._stop_by, self._settle_by):
            if limit is not None:
                wait = min(wait, max(limit - time.monotonic(), 0.0))
        try:
            return self._items.get(timeout=min(wait, threading.TIMEOUT_MAX))
        except queue.Empty:
            self._terminal.print(self.screen.waited(time.time()))
            return None

    def _late(self) -> bool:
        return self._stop_by is not None and time.monotonic() >= self._stop_by

    def _take(self, item: _Item) -> None:
        match item:
            case pb.WatchResponse():
                now = time.time()
                self._terminal.print(self.screen.watched(item, now))
                self._recorder.watched(item, self.screen.known, now)
                self._terminal.print(self.screen.waited(now))
            case pb.StreamLogsResponse():
                self._show(item)
                self._terminal.print(self.screen.waited(time.time()))
            case _Interrupt():
                self._stop()
            case _Over():
                self._broken(item)

    def _show(self, item: pb.StreamLogsResponse) -> None:
        if item.lines:
            self._seen = item.lines[-1].sequence
        self._recorder.logged(item.lines)
        self._terminal.print(self.screen.logged(item.lines, item.dropped))

    def _stop(self) -> None:
        """Ask the daemon to end the session; its end comes as a change."""
        self._stop_by = time.monotonic() + STOPPING
        self._terminal.print(["stopping … (again to end at once)"])
        try:
            self._link.client.stop(self._id, timeout=STOPPING)
        except CallError as error:
            if error.code != "NOT_FOUND":  # then its end is on its way already
                self._terminal.print([f"the session could not be stopped: {error}"])

    def _broken(self, over: _Over) -> None:
        """A stream has ended although the session has not."""
        if over.stream is self._watch:
            if over.error is None or over.error.lost:
                raise connect.gone(self._link.home, self._link.own) from over.error
            raise Complaint(str(over.error), "tilt-client daemon logs") from over.error
        if over.error is not None and not over.error.lost:
            self._terminal.print([f"logs can't be read any more: {over.error}"])

    def _drain(self) -> None:
        """Print what precedes the verdict."""
        self._logs.cancel()
        self._threads[1].join(DRAINING)
        rest: Stream[pb.StreamLogsResponse] | None = None
        while True:
            try:
                item = self._items.get(timeout=0.0 if rest is None else DRAINING)
            except queue.Empty:
                if rest is not None:
                    return
                rest = self._logs = self._read_log(follow=False)
                self._threads.append(self._thread(rest))
                continue
            if isinstance(item, pb.StreamLogsResponse):
                self._show(item)
            elif isinstance(item, _Over) and item.stream is rest:
                return

    def _read_log(self, *, follow: bool) -> Stream[pb.StreamLogsResponse]:
        """All lines, not only those that are shown: a report has the others as well."""
        request = pb.StreamLogsRequest(since=self._seen, min_level=self._level, follow=follow)
        return self._link.client.logs(request, patience=0.0)

    def _thread(
        self, stream: "Stream[pb.WatchResponse] | Stream[pb.StreamLogsResponse]"
    ) -> threading.Thread:
        thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        thread.start()
        return thread

    def _read(self, stream: "Stream[pb.WatchResponse] | Stream[pb.StreamLogsResponse]") -> None:
        try:
            for answer in stream:
                self._items.put(answer)
        except CallError as error:
            self._items.put(_Over(stream, error))
        else:
            self._items.put(_Over(stream, None))
