"""A log that also remembers its last lines, for the message of a failure."""

import threading
from collections import deque

from tiltd import ports

LINES = 20


class Tail:
    """Writes through to `log`."""

    def __init__(self, log: ports.Log) -> None:
        self._log = log
        self._lines: deque[str] = deque(maxlen=LINES)
        self._open = ""
        self._lock = threading.Lock()

    def write(self, text: str, *, level: str = "info") -> None:
        """As `ports.Log.write`."""
        with self._lock:
            *lines, self._open = (self._open + text).split("\n")
            self._lines.extend(line for line in lines if line.strip())
        self._log.write(text, level=level)

    def forget(self) -> None:
        """Begin anew: what was printed so far belongs to something else."""
        with self._lock:
            self._lines.clear()

    def text(self) -> str:
        """The last lines."""
        with self._lock:
            rest = [self._open] if self._open.strip() else []
            return "\n".join([*self._lines, *rest][-LINES:])
