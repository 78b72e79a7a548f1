"""Colours, names and amounts, the same everywhere."""

import re
import zlib
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

# Told apart on light and dark backgrounds; red, yellow and green are taken by good and bad.
_NAMES = ("36", "35", "34", "96", "95", "94", "32;2", "33;2")
_WIDEST = 24
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")


class Tone(Enum):
    """What a line means; the value is its SGR code (ECMA-48)."""

    PLAIN = ""
    GOOD = "32"
    WARN = "33"
    BAD = "31"
    QUIET = "2"
    STRONG = "1"


class Style(NamedTuple):
    """How to print.

    Args:
        color: with SGR codes; without, those in log lines are taken out as well.
    """

    color: bool = False

    def paint(self, tone: Tone, text: str) -> str:
        """The text in a tone."""
        return _sgr(tone.value, text) if self.color and tone.value else text

    def log_text(self, text: str) -> str:
        """Text that a program printed; its own colours end with its line."""
        if "\x1b" not in text:
            return text
        return f"{text}\x1b[0m" if self.color else _COLOURS.sub("", text)

    def prefix(self, name: str, width: int) -> str:
        """`name │ `, in the name's own colour, which is the same in every run."""
        text = f"{name:<{width}} │ "
        return _sgr(_NAMES[zlib.crc32(name.encode()) % len(_NAMES)], text) if self.color else text


def _sgr(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def width(names: Iterable[str]) -> int:
    """The column of the prefixes: as wide as the names, unless one is very long."""
    return min(max(map(len, names), default=0), _WIDEST)


def duration(seconds: float) -> str:
    """`0.12s`, `3.4s`, `1m05s`, `1h02m`."""
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{seconds:.2f}s"
    if seconds < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def columns(rows: Sequence[Sequence[str]], *, right: bool = False) -> list[str]:
    """Rows as a table; `right`: all columns but the first are aligned as numbers are."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    out: list[str] = []
    for row in rows:
        cells = [
            f"{cell:>{wide}}" if right and at else f"{cell:<{wide}}"
            for at, (cell, wide) in enumerate(zip(row, widths, strict=True))
        ]
        out.append("  ".join(cells).rstrip())
    return out


def count(number: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some(names: Iterable[str], most: int, separator: str = ", ") -> str:
    """The first names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return separator.join(every[:most]) + more
