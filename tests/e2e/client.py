"""The real `tilt-client`, started as a user or a CI job would, and what it leaves behind.

Each run has a mark of its own in its environment, which daemon, builds and local commands inherit:
so whatever a run has left on the machine is found, however it was detached.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

import psutil

BINARY = Path(sys.executable).with_name("tilt-client")
PATIENCE = 120.0
"""Seconds for anything that is not itself about time, on a slow and busy machine."""
_MARK = "TILTD_E2E_RUN"


class Result(NamedTuple):
    """How a run ended.

    Args:
        code: the exit code.
        out: what it printed, stdout and stderr together.
        seconds: from its start.
    """

    code: int
    out: str
    seconds: float

    def line(self, begin: str) -> str:
        """The first line of its output that begins so."""
        found = [line for line in self.out.splitlines() if line.startswith(begin)]
        assert found, f"no line begins with {begin!r}:\n{self.out}"
        return found[0]

    def says(self, text: str) -> bool:
        """Whether its output has the text; else all of the output is in the test's failure."""
        assert text in self.out, f"{text!r} is not in:\n{self.out}"
        return True


class Run:
    """One `tilt-client` under way."""

    def __init__(self, folder: Path, *args: str, env: Mapping[str, str]) -> None:
        self.mark = uuid.uuid4().hex
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [BINARY, *args],
            cwd=folder,
            env={**env, "LC_ALL": "C.UTF-8", _MARK: self.mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert self._process.stdout
        self._out = ""
        self._over = False
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()

    def until(self, text: str) -> str:
        """Wait until it has printed `text`; the line with it."""
        with self._more:
            self._more.wait_for(lambda: text in self._out or self._over, PATIENCE)
            assert text in self._out, f"{text!r} was not printed:\n{self._out}"
            return next(line for line in self._out.splitlines() if text in line)

    def end(self, patience: float = PATIENCE) -> Result:
        """Wait for its end."""
        code = self._process.wait(patience)
        seconds = time.monotonic() - self._began
        self._reader.join(PATIENCE)
        return Result(code, self._out, seconds)

    def interrupt(self) -> None:
        """As Ctrl-C does: SIGINT for the whole foreground process group."""
        os.killpg(self._process.pid, signal.SIGINT)

    def terminate(self) -> None:
        """As `kill` does: SIGTERM for the client alone."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """As `kill -9` does: nothing that the client itself could do about it."""
        self._process.kill()

    def left(self) -> list[psutil.Process]:
        """Processes of this run that are there; the client itself counts."""
        return [p for p in psutil.process_iter() if _environment(p).get(_MARK) == self.mark]

    def stays(self, patience: float) -> list[str]:
        """The command lines of processes of this run that are there even after a while."""
        psutil.wait_procs(self.left(), timeout=patience)
        return [_command(p) for p in self.left()]

    def discard(self) -> None:
        """End what is still there, by force and at once, as a machine that goes down does."""
        for process in self.left():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile, by itself
                process.kill()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._more:
                    self._out += line
                    self._more.notify_all()
        with self._more:
            self._over = True
            self._more.notify_all()


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _command(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())}"
    except psutil.Error:
        return f"{process.pid} (has just ended)"
