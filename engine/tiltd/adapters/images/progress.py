"""What BuildKit does, as lines for people: each step once, what it prints, and if it was cached.

BuildKit speaks of vertices, each with a key and a name: `[2/3] COPY a b` for a step, other names
for what it does besides, of which people need to know only if it fails.
"""

import re
from collections import deque

from tiltd import ports
from tiltd.adapters.images import steps

_STEP = re.compile(r"\[(?P<where>(?:\S+ +)?\d+/\d+)\] (?P<instruction>.+)")
_BASE = re.compile(r"\[(?:\S+ )?internal\] load metadata for (\S+)")
_LINES = 20
_ERROR = "ERROR: "


class Progress:
    """Writes the lines, and remembers what a failure needs."""

    def __init__(self, log: ports.Log) -> None:
        self._log = log
        self._steps: dict[str, tuple[str, str]] = {}
        self._bases: dict[str, str] = {}
        self._printed: dict[str, deque[str]] = {}
        self._cached: set[str] = set()
        self._failed = ""

    def instruction(self, key: str) -> str:
        """What a step does, as it stands in the Dockerfile; empty: it is no step."""
        return self._steps[key][1] if key in self._steps else ""

    def output(self) -> str:
        """The last lines that the failing step printed."""
        return "\n".join(self._printed.get(self._failed, ()))

    def line(self, text: str) -> int:
        """The line of the Dockerfile at which it failed; 0: not known."""
        if base := self._bases.get(self._failed):
            return steps.by_base(text, base)
        step = self.instruction(self._failed)
        return steps.by_text(text, step) if step else 0

    def begins(self, key: str, name: str) -> bool:
        """A vertex begins, or is named again; whether people have to do with it."""
        if match := _STEP.fullmatch(name):
            if key not in self._steps:
                self._steps[key] = match["where"], match["instruction"]
                self._log.write(f"{name}\n")
        elif match := _BASE.fullmatch(name):
            self._bases[key] = match[1]
        else:
            return False
        return True

    def cached(self, key: str) -> None:
        """It was there already."""
        if key in self._steps and key not in self._cached:
            self._cached.add(key)
            self._log.write(f"[{self._steps[key][0]}] CACHED\n")

    def prints(self, key: str, line: str) -> None:
        """A step's program prints."""
        if key in self._steps:
            self._printed.setdefault(key, deque(maxlen=_LINES)).append(line)
            self._log.write(f"{line}\n")

    def fails(self, key: str, error: str) -> None:
        """It failed."""
        self._failed = key
        self._log.write(f"{_ERROR}{error}\n", level="error")
