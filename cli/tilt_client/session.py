"""One session, from its beginning (`beginning`) to the verdict.

Two threads read the streams of changes and of log lines into one queue; the main thread takes
from it, prints, and is the only one that decides.  Signals put into the same queue.  When the
session is over and its log complete (`settled`), what the log stream still has is printed before
the verdict: the stream that follows is ended, and the rest is read from the last line on.
"""

import contextlib
import os
import queue
import threading
import time
from typing import TYPE_CHECKING

from tilt_api.client import CallError, Stream
from tilt_api.v1 import tilt_pb2 as pb
from tilt_client import connect
from tilt_client.beginning import DRAINING, Begun, Interrupt, Item, Over, begin, shown_level
from tilt_client.commands.options import Options
from tilt_client.complaint import Complaint, Exit
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
_EXITS = {
    pb.OUTCOME_HEALTHY: Exit.HEALTHY,
    pb.OUTCOME_FAILED: Exit.FAILED,
    pb.OUTCOME_TILTFILE_ERROR: Exit.USAGE,
    pb.OUTCOME_TIMEOUT: Exit.TIMEOUT,
    pb.OUTCOME_CANCELLED: Exit.INTERRUPTED,
}
_VERDICTS = frozenset({Exit.HEALTHY, Exit.FAILED, Exit.TIMEOUT})


def run(begun: Begun, options: Options, verb: str, terminal: Terminal, signals: "Signals") -> int:
    """The exit code of a session that has begun.

    Raises:
        Complaint: the daemon broke off.
        BrokenPipeError: nobody reads the output; the session is stopped.
    """
    title = os.path.basename(begun.link.info.project_dir)  # noqa: PTH119 - as elsewhere
    recorder = Recorder(options.outputs, title, terminal, os.environ)
    run = _Run(begun, options, verb, terminal, signals, recorder)
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
        begun: Begun,
        options: Options,
        verb: str,
        terminal: Terminal,
        signals: "Signals",
        recorder: Recorder,
    ) -> None:
        self._begun, self._options, self._verb = begun, options, verb
        self._terminal, self._signals, self._recorder = terminal, signals, recorder
        self.known: Known | None = None

    def run(self) -> int:
        """The exit code."""
        recorder = self._recorder
        with contextlib.ExitStack() as sessions:
            session = self._shown(self._begun, self._verb)
            screen = session.screen
            self.known = screen.known
            code = self._code(session.run())
            told = recorder.reports(screen.known, screen.tails, code)
            recorder.snapshot(screen.known, session.whole_log)
            if self._options.down and code in _VERDICTS:
                # Begun before the first one's streams end: a daemon of its own would end with them.
                removal = begin(self._begun.link, self._options, "down", self._signals)
                if removal is not None:
                    sessions.callback(removal.close)
                    after = self._shown(removal, "down")
                    code = _worse(code, after.run())
                    told = recorder.reports(screen.known, screen.tails, code, after.screen.known)
        return recorder.finish(told, code)

    def _code(self, code: int) -> int:
        """For `up`, the interrupt is the end that it is meant to have."""
        return Exit.HEALTHY if self._verb == "up" and code == Exit.INTERRUPTED else code

    def _shown(self, begun: Begun, verb: str) -> "_Session":
        follow, quiet = verb == "up", self._options.outputs.quiet
        style, shown = Style(self._terminal.color), _shown(self._options)
        screen = Screen(style, shown, time.time(), follow=follow, quiet=quiet)
        self._recorder.fold(f"tilt-client {verb}")
        return _Session(begun, screen, self._terminal, self._recorder)


def _worse(code: int, after: int) -> int:
    """A removal that went well does not hide a failure, nor a verdict one that did not."""
    return code or after


def _shown(options: Options) -> Filter:
    return Filter(
        Source(options.log_source),
        options.log_resources,
        shown_level(options),
    )


class _Session:
    """See the module."""

    def __init__(
        self,
        begun: Begun,
        screen: Screen,
        terminal: Terminal,
        recorder: Recorder,
    ) -> None:
        self._begun, self._link = begun, begun.link
        self.screen, self._terminal = screen, terminal
        self._recorder = recorder
        self._seen = begun.first
        self._stop_by: float | None = None
        self._settle_by: float | None = None

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
        request = pb.StreamLogsRequest(since=self._begun.first, min_level=level, follow=False)
        return self._link.client.logs(request, patience=0.0)

    def _over(self) -> bool:
        """Whether there is a verdict and nothing more to say before it."""
        known = self.screen.known
        if not known.ended or known.session.id != self._begun.id:
            return False
        if known.session.settled or self._stop_by is not None:
            return True
        if self._settle_by is None:
            self._settle_by = time.monotonic() + SETTLING
        return time.monotonic() >= self._settle_by

    def _next(self) -> Item | None:
        """The next item; `None` when it is time to look at the clock."""
        wait = self.screen.silence(time.time())
        for limit in (self._stop_by, self._settle_by):
            if limit is not None:
                wait = min(wait, max(limit - time.monotonic(), 0.0))
        try:
            return self._begun.items.get(timeout=min(wait, threading.TIMEOUT_MAX))
        except queue.Empty:
            self._terminal.print(self.screen.waited(time.time()))
            return None

    def _late(self) -> bool:
        return self._stop_by is not None and time.monotonic() >= self._stop_by

    def _take(self, item: Item) -> None:
        match item:
            case pb.WatchResponse():
                now = time.time()
                self._terminal.print(self.screen.watched(item, now))
                self._recorder.watched(item, self.screen.known, now)
                self._terminal.print(self.screen.waited(now))
            case pb.StreamLogsResponse():
                self._show(item)
                self._terminal.print(self.screen.waited(time.time()))
            case Interrupt():
                self._stop()
            case Over():
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
            self._link.client.stop(self._begun.id, timeout=STOPPING)
        except CallError as error:
            if error.code != "NOT_FOUND":  # then its end is on its way already
                self._terminal.print([f"the session could not be stopped: {error}"])

    def _broken(self, over: Over) -> None:
        """A stream has ended although the session has not."""
        if over.stream is self._begun.changes:
            if over.error is None or over.error.lost:
                raise connect.gone(self._link.home, self._link.own) from over.error
            raise Complaint(str(over.error), "tilt-client daemon logs") from over.error
        if over.error is not None and not over.error.lost:
            self._terminal.print([f"logs can't be read any more: {over.error}"])

    def _drain(self) -> None:
        """Print what precedes the verdict."""
        self._begun.end_lines()
        rest: Stream[pb.StreamLogsResponse] | None = None
        while True:
            try:
                item = self._begun.items.get(timeout=0.0 if rest is None else DRAINING)
            except queue.Empty:
                if rest is not None:
                    return
                rest = self._begun.read_rest(self._seen)
                continue
            if isinstance(item, pb.StreamLogsResponse):
                self._show(item)
            elif isinstance(item, Over) and item.stream is rest:
                return
