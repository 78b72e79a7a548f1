"""What the user sees: progress on stderr, so that stdout's last line is the kubeconfig's path."""

import contextlib
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

_TAIL_LINES = 25


class Failure(Exception):  # noqa: N818 - it is the end of a run, said to the user, not a bug
    """Something that the user must know: what failed and what to do; never shown as a traceback.

    Args:
        message: what failed, where, and what to do about it.
        log: the log file whose end explains it, if there is one.
    """

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.log is None else f"{message}\n{tail(self.log)}"


def say(text: str) -> None:
    """Print one line of progress."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(what: str) -> Generator[None]:
    """Say what begins and how long it took, in seconds."""
    say(f"{what} …")
    begin = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - begin:.1f} s")


def exit_code(run: Callable[[], object]) -> int:
    """Run it: 0, or 1 when a failure has been told."""
    try:
        run()
    except Failure as failure:
        say(f"error: {failure}")
        return 1
    return 0


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last `lines` lines of a log file, under its name."""
    try:
        end = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join([f"--- end of {log}", *end, "---"])
