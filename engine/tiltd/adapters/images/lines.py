"""A log that hands on whole lines, for reading what a program prints."""

from collections.abc import Callable


class Lines:
    """Implements `ports.Log`; calls `each` with each line, without its end."""

    def __init__(self, each: Callable[[str], None]) -> None:
        self._each = each
        self._open = ""

    def write(self, text: str, *, level: str = "info") -> None:
        """As `ports.Log.write`, in one thread; a program's output has no level."""
        del level
        *whole, self._open = (self._open + text).split("\n")
        for line in whole:
            self._line(line)

    def end(self) -> None:
        """Hand on the last line, if it has no end."""
        rest, self._open = self._open, ""
        if rest:
            self._line(rest)

    def _line(self, line: str) -> None:
        # A progress bar redraws its line: what stands after the last return is what remains.
        self._each(line.rstrip("\r").rpartition("\r")[2])
