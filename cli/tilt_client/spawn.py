"""Starts a daemon that outlives its client, and learns by an event that it is there.

The daemon gets a session of its own (a Ctrl-C in the client's terminal is not meant for it), no
input, its log file as output, and the writing end of a pipe (`tilt_api.handshake`).  Python is
told not to look for modules in the working folder (-P): projects have folders called `docker`.

`TILTD_COMMAND` names another program to start, with its first arguments, in place of
`python -P -m tiltd`; it is for those who work on tiltd itself.
"""

import contextlib
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from typing import NamedTuple

from tilt_api import handshake
from tilt_api.address import Home
from tilt_client.complaint import Complaint

COMMAND = "TILTD_COMMAND"
STARTING = 20.0
"""Seconds that a daemon may take until it says something."""
ENDING = 1.9
"""Seconds that a daemon may take to end after it was asked to."""

_FRUGAL = {"MALLOC_ARENA_MAX": "1"}
"""Else glibc gives each of a daemon's threads memory of its own to allocate from (2 MiB), although
all of them but grpc's take turns."""
_LOG_LIMIT = 4 << 20
_TAIL = 20


class Start(NamedTuple):
    """How to start a daemon.

    Args:
        by: the verb that starts it; the daemon tells others.
        passing: it lives for one session only.
    """

    by: str
    passing: bool = False


class Spawned:
    """A daemon's process, started here."""

    def __init__(self, place: Home, project: str, start: Start) -> None:
        self._place = place
        self.log_start = _prepare_log(place.log)
        self._ready, theirs = os.pipe()
        try:
            self._process = self._launch(project, start, theirs)
        except OSError as error:
            os.close(self._ready)
            raise Complaint(
                f"tiltd can't be started: {error}", f"check {COMMAND}, or install tiltd again"
            ) from error
        finally:
            os.close(theirs)

    def _launch(self, project: str, start: Start, ready: int) -> subprocess.Popen[bytes]:
        command = shlex.split(os.environ.get(COMMAND, ""))
        command = command or [sys.executable, "-P", "-m", "tiltd"]
        command += ["--project-dir", project, "--started-by", start.by, "--ready-fd", str(ready)]
        if start.passing:
            # It ends with its first session; this is for the case that there never is one.
            command += ["--idle-timeout", f"{STARTING:g}"]
        with open(self._place.log, "ab") as log:  # noqa: PTH123 - pathlib costs 5 ms of start-up
            return subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=project,
                env={**_FRUGAL, **os.environ},
                pass_fds=(ready,),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._process.pid

    def word(self) -> handshake.Word:
        """Wait for what the daemon says.

        Raises:
            Complaint: it ended, or stayed silent for too long.
        """
        said, deadline = b"", time.monotonic() + STARTING
        while not said.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._ready], [], [], left)[0]:
                raise self._silent(f"tiltd was not ready after {STARTING:g}s")
            chunk = os.read(self._ready, 4096)
            if not chunk:
                raise self._silent("tiltd ended before it was ready")
            said += chunk
        word = handshake.decode(said)
        if word is None:
            raise self._silent(f"tiltd answered {said[:80]!r} when it was started")
        return word

    def _silent(self, message: str) -> Complaint:
        tail = log_tail(self._place.log, self.log_start)
        return Complaint(message, f"its whole log: {self._place.log}", tail)

    def wait(self, seconds: float = ENDING) -> bool:
        """Whether the daemon has ended, at the latest after so many seconds."""
        try:
            self._process.wait(0 if self._watched(seconds) else seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _watched(self, seconds: float) -> bool:
        """Wait for the end as for an event: `Popen` would look 50 ms later, and later, again.

        Source: pidfd_open(2), Linux 5.3; elsewhere there is no such event.
        """
        if not hasattr(os, "pidfd_open") or self._process.poll() is not None:
            return False
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            select.select([handle], [], [], seconds)
        finally:
            os.close(handle)
        return True

    def end(self, patience: float = ENDING) -> None:
        """End it, unless it has ended: by a signal that it may handle, then by one it can't."""
        for sign, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, STARTING)):
            if self.wait(0):
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, sign)
            self.wait(seconds)

    def close(self) -> None:
        """Let go of the pipe; the daemon lives on."""
        os.close(self._ready)
        if self._process.poll() is None:
            # It is meant to outlive us, which Popen takes for a mistake and would warn about.
            self._process.returncode = 0


def log_tail(path: str, start: int = 0, count: int = _TAIL) -> str:
    """The last lines of a daemon's log, none of them from before `start` (bytes)."""
    try:
        with open(path, "rb") as log:  # noqa: PTH123 - pathlib costs 5 ms of start-up
            size = log.seek(0, os.SEEK_END)
            log.seek(max(start, size - count * 1000))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-count:])


def _prepare_log(path: str) -> int:
    """Make the log its owner's alone, begin anew when it is long; where new text will begin."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(handle).st_size > _LOG_LIMIT:
                os.ftruncate(handle, 0)
            return os.fstat(handle).st_size
        finally:
            os.close(handle)
    except OSError as error:
        raise Complaint(f"can't write the daemon's log {path}: {error.strerror}") from error
