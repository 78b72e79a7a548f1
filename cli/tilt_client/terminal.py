"""Where lines go: standard output, with colours only where somebody sees them.

Lines are written whole and flushed at once, so that a CI system which reads a pipe shows them
when they happen.  An output that can't encode the signs we use (LC_ALL=C) gets plain ones.
"""

import io
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

from tilt_client.complaint import Complaint

_PLAIN = str.maketrans({"│": "|", "✔": "ok:", "✘": "failed:", "→": "->", "·": ";", "•": "*"})


class Terminal:
    """Prints lines to a stream.

    Args:
        no_color: the user's `--no-color`.
        env: the environment, for NO_COLOR (no-color.org) and TERM.
    """

    def __init__(self, stream: TextIO, env: Mapping[str, str], *, no_color: bool = False) -> None:
        self._stream = stream
        wanted = not no_color and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
        self.color = wanted and stream.isatty()
        self._plain = not (stream.encoding or "").lower().startswith("utf")
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def print(self, lines: Iterable[str]) -> None:
        """Write lines.

        Raises:
            BrokenPipeError: nobody reads them any more.
            Complaint: they can't be written: the disk is full.
        """
        text = "".join(f"{line}\n" for line in lines)
        if not text:
            return
        try:
            self._stream.write(text.translate(_PLAIN) if self._plain else text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            abandon()
            raise Complaint(f"the output can't be written: {error.strerror}") from error


def standard(*, no_color: bool = False) -> Terminal:
    """The terminal of this process."""
    return Terminal(sys.stdout, os.environ, no_color=no_color)


def open_closed() -> None:
    """Give a process that was started without outputs (`>&-`) some that go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - as long as we live


def abandon() -> None:
    """Nobody reads: keep the interpreter from complaining about it when it flushes at its end."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
