"""The text of a log that comes line by line, each with its time, and may break off and come again.

The server is asked for times (`timestamps=true`), which are cut off before a line is told.  After a
break the log is asked for again from the second of the last line; what was told already is then
recognised by time and content.  Lines of one second may come in any order (a container's two
streams are read side by side), so the last few hundred are remembered, not just the last one.

A line that does not end is not held for ever: it is told in pieces, and how much of it was told is
remembered too.

A line that does not begin with a time is no line of the container's: the kubelet writes into the
answer what keeps it from reading on (`unable to retrieve container logs for …`).  It is kept apart.
"""

import codecs
import re
import zlib
from collections import Counter, deque
from datetime import UTC, datetime

_REMEMBERED = 256
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
PIECE = 64 * 1024

Mark = tuple[str, int]
"""A line that was told: its time, and the checksum of its content (-1: it was told in pieces)."""


class Lines:
    """Puts one container's log together from any number of streams.

    Args:
        since: lines before this time are not told (seconds since the epoch).
    """

    def __init__(self, since: float = 0.0) -> None:
        self._since = since
        self._recent: deque[Mark] = deque(maxlen=_REMEMBERED)
        self._again: Counter[Mark] = Counter()
        self._oldest = ""
        self._rest = b""
        self._open: _Open | None = None
        self._cut: tuple[str, int] = ("", 0)
        self.foreign: list[str] = []
        """What somebody else has written between the lines of the container."""

    def begin(self) -> str:
        """A new stream starts; the time to ask for (`sinceTime`), empty for everything."""
        self._rest, self._open = b"", None
        self._again = Counter(self._recent)
        self._oldest = self._recent[0][0] if len(self._recent) == _REMEMBERED else ""
        if self._recent:
            return _second(self._recent[-1][0])
        if self._since:
            return datetime.fromtimestamp(int(self._since), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return ""

    def feed(self, piece: bytes) -> str:
        """What is to be told of these bytes."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        text = "".join([self._line(line) for line in whole])
        if len(self._rest) > PIECE:
            rest, self._rest = self._rest, b""
            text += self._piece(rest)
        return text

    def end(self) -> str:
        """The log has ended: what is to be told of a last line that has no end."""
        rest, self._rest = self._rest, b""
        return self._line(rest) if rest or self._open else ""

    def _line(self, line: bytes) -> str:
        if self._open or len(line) > PIECE:
            text = self._piece(line)
            return text + self._close()
        stamp, content = _split(line)
        if not _STAMP.fullmatch(stamp):
            if len(self.foreign) < _REMEMBERED:
                self.foreign.append(line.decode(errors="replace"))
            return ""
        mark = (stamp, zlib.crc32(content))
        if not self._new(mark):
            return ""
        self._recent.append(mark)
        return content.decode(errors="replace") + "\n"

    def _piece(self, content: bytes) -> str:
        """A part of a line that is told in pieces."""
        if self._open is None:
            stamp, content = _split(content)
            self._open = _Open(stamp, told=self._new((stamp, -1)))
        part = self._open
        before = self._cut[1] if self._cut[0] == part.stamp else 0
        skipped = max(0, before - part.length)
        part.length += len(content)
        if not part.told:
            return ""
        self._cut = (part.stamp, max(before, part.length))
        return part.decoder.decode(content[skipped:])

    def _close(self) -> str:
        part, self._open = self._open, None
        if part is None or not part.told:
            return ""
        self._recent.append((part.stamp, -1))
        self._cut = ("", 0)
        return part.decoder.decode(b"", final=True) + "\n"

    def _new(self, mark: Mark) -> bool:
        if self._again[mark] > 0:
            self._again[mark] -= 1
            return False
        if self._oldest and _order(mark[0]) < _order(self._oldest):
            return False
        return not (self._since and _seconds(mark[0]) < self._since)


class _Open:
    """A line that is being told in pieces; `told` is false for one that was told before."""

    def __init__(self, stamp: str, *, told: bool) -> None:
        self.stamp, self.told, self.length = stamp, told, 0
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")


def _split(line: bytes) -> tuple[str, bytes]:
    stamp, _, content = line.partition(b" ")
    return stamp.decode(errors="replace"), content


def _order(stamp: str) -> tuple[str, str]:
    """Times of one log compare by this: servers may cut zeros off a fraction's end."""
    fraction = stamp[20:].rstrip("Z").partition("+")[0].partition("-")[0]
    return stamp[:19], fraction.ljust(9, "0")


def _second(stamp: str) -> str:
    """The whole second of a time, its zone kept."""
    zone = stamp[19:].lstrip(".0123456789")
    return stamp[:19] + (zone or "Z")


def _seconds(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return float("inf")  # not a time: nothing that could be too early
