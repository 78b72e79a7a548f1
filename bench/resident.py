"""A daemon that is there before the client comes and after it has gone, as an `up` leaves one."""

import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import measure
from tilt_api import handshake

CASE = "unchanged, daemon running"
"""What `run` measures, in a bench's result."""


def run(command: Sequence[str], project: Path) -> measure.Run:
    """A program that finds a daemon which has had a session like it; both together."""
    with daemon(project) as pid:
        measure.run(command, project)
        return measure.run(command, project, beside=(pid,))


@contextmanager
def daemon(project: Path) -> Generator[int]:
    """A daemon of this project; its process id."""
    reading, writing = os.pipe()
    command = [sys.executable, "-P", "-m", "tiltd", "--project-dir", str(project)]
    command += ["--ready-fd", str(writing)]
    with (
        os.fdopen(reading, "rb") as pipe,
        subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL) as process,
    ):
        os.close(writing)
        try:
            word = handshake.decode(pipe.readline())
            if not isinstance(word, handshake.Ready):
                sys.exit(f"tiltd did not start: {word}")
            yield process.pid
        finally:
            process.terminate()
