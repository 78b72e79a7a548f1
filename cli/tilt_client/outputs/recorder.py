"""Writes what was asked for besides the printed lines, fed with all that a session says.

The reports are written when the session has its verdict, and again when what `ci --down` does
after it is over.  A file that can't be written any more (a full disk) is told once, on standard
error, and makes the exit code 1: a CI job whose report is missing must not look well.
"""

import functools
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TextIO, TypeVar

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.complaint import Complaint, Exit
from tilt_client.outputs import document, events, files, pages, snapshot
from tilt_client.outputs.document import Document
from tilt_client.outputs.logfiles import LogFiles
from tilt_client.outputs.wanted import Wanted
from tilt_client.render.known import Known
from tilt_client.render.tails import Tails
from tilt_client.terminal import Terminal

_PAGE = "the job's summary"
T = TypeVar("T")
Lines = Callable[[], Iterable[pb.StreamLogsResponse]]


class Recorder:
    """See the module.

    Args:
        title: what the run is called in reports: the project's folder.
        terminal: for the marks of CI systems.
    """

    def __init__(
        self, wanted: Wanted, title: str, terminal: Terminal, env: Mapping[str, str]
    ) -> None:
        self._wanted, self._title, self._env = wanted, title, env
        self._terminal, self.page = terminal, pages.of(env)
        self._asked = bool(wanted.reports) or not isinstance(self.page, pages.Terminal)
        self._folded = False
        self._events = events.Events()
        self._broken: set[str] = set()
        self._file: TextIO | None = None
        self._logs: LogFiles | None = None
        if wanted.events:
            self._file = self._try(wanted.events, lambda: files.start(wanted.events, env))
        if wanted.log_dir:
            self._logs = LogFiles(wanted.log_dir, env)

    def fold(self, title: str) -> None:
        """What is printed from now on is for those who want to know more."""
        if not self._wanted.quiet:
            self._folded = True
            self._terminal.print(self.page.fold(title))

    def unfold(self) -> None:
        """What is printed from now on is for everybody."""
        if self._folded:
            self._folded = False
            self._terminal.print(self.page.unfold())

    def watched(self, answer: pb.WatchResponse, known: Known, now: float) -> None:
        """An answer that `known` has learned already."""
        if self._file is not None:
            self._told(self._events.of(answer, known, now))

    def logged(self, lines: Iterable[pb.LogLine]) -> None:
        """Lines of the log."""
        logs = self._logs
        if logs is not None and self._wanted.log_dir not in self._broken:
            self._try(self._wanted.log_dir, lambda: logs.write(lines))

    def reports(
        self, known: Known, tails: Tails, code: int, removal: Known | None = None
    ) -> Document | None:
        """Write the reports of a session that is over; `None`: nobody asked for one."""
        if not self._asked:
            return None
        told = document.of(known, tails, code, removal)
        self._write(told)
        return told

    def snapshot(self, known: Known, log: Lines) -> None:
        """Write the snapshot, with what the log is at the end."""
        path = self._wanted.snapshot
        if path:
            self._try(path, lambda: files.write(path, snapshot.text(known, log()), self._env))

    def finish(self, told: Document | None, code: int) -> int:
        """The last words, once all is over; the exit code."""
        if told is not None:
            self._terminal.print(self.page.notes(told))
            self._try(_PAGE, lambda: self.page.publish(told, self._title))
        code = self._worse(code)
        self._told([events.exit_line(code, time.time())])
        self.close()
        return self._worse(code)

    def broken(self, complaint: Complaint, known: Known | None = None) -> None:
        """The session broke off, or could not start."""
        self.unfold()
        message, hint, code = str(complaint.args[0]), complaint.hint, complaint.code
        told = document.broken(known or Known(), Tails(), code, message, hint)
        self._write(told)
        self._told([events.error_line(message, hint, time.time())])
        self.finish(told, code)

    def close(self) -> None:
        """Close what was written as it happened."""
        if self._logs is not None:
            self._try(self._wanted.log_dir, self._logs.close)
        if self._file is not None:
            self._try(self._wanted.events, self._file.close)
            self._file = None

    def _write(self, told: Document) -> None:
        for how, path in self._wanted.reports:
            text = _junit(told, self._title) if how == "junit" else _json(told)
            self._try(path, functools.partial(files.write, path, [text], self._env))

    def _told(self, lines: Iterable[str]) -> None:
        file = self._file
        if file is not None and self._wanted.events not in self._broken:
            text = "".join(f"{line}\n" for line in lines)
            self._try(self._wanted.events, lambda: (file.write(text), file.flush()))

    def _try(self, what: str, write: Callable[[], T]) -> T | None:
        try:
            return write()
        except OSError as error:
            if what not in self._broken:
                self._broken.add(what)
                text = f"tilt-client: {what} can't be written: {error.strerror or error}\n"
                sys.stderr.write(text)
        return None

    def _worse(self, code: int) -> int:
        return code or (Exit.FAILED if self._broken - {_PAGE} else code)


def _junit(told: Document, title: str) -> str:
    from tilt_client.outputs import junit  # noqa: PLC0415 - few runs need XML

    return junit.text(told, title)


def _json(told: Document) -> str:
    return json.dumps(told, ensure_ascii=False, indent=2) + "\n"
