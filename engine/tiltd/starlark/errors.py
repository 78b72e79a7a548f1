"""What a user sees when a program is wrong.

Every error is a value with a place: a syntax error has one position, a run-time error
has the stack of Starlark frames, outermost first.  Code deep inside (an operator, a
method) raises `StarlarkError(message)` without a place; the run boundary (`run`) fills in
the frames from the native traceback, because only there the whole stack is known.  A
host's own subclass of `StarlarkError` therefore passes through as the same object, with
its frames attached; any other exception becomes the `__cause__` of a `StarlarkError`.
"""

import dataclasses
import difflib
from collections.abc import Iterable

_SHOWN_FRAMES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """A place in a source file; line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One active call: where it is, and in which function (`<toplevel>` outside of any)."""

    position: Position
    function: str

    def __str__(self) -> str:
        return f"{self.position}: in {self.function}"


class StarlarkError(Exception):
    """A program failed.

    Args:
        message: what is wrong, in one sentence.
        hint: what to do about it, or "".

    `frames` is the Starlark stack, outermost call first; empty until the error has passed
    the boundary of a run.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.frames: tuple[Frame, ...] = ()

    @property
    def position(self) -> Position | None:
        """The innermost known place."""
        return self.frames[-1].position if self.frames else None

    def traceback(self) -> str:
        """The whole stack, the message and the hint, as lines for a terminal."""
        lines = _frame_lines(self.frames)
        lines.append(f"Error: {self.message}")
        if self.hint:
            lines.append(f"Hint: {self.hint}")
        return "\n".join(lines)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        place = self.position
        return f"{place}: {self.message}{hint}" if place else f"{self.message}{hint}"


class StarlarkSyntaxError(StarlarkError):
    """The text is no Starlark program, or uses a name that nothing defines.

    Args:
        place: where.
        message: what is wrong.
        hint: what to write instead, or "".
    """

    def __init__(self, place: Position, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.place = place

    @property
    def position(self) -> Position:
        """The place in the wrong text, whatever loaded it."""
        return self.place

    @property
    def file(self) -> str:
        """The file, as it was named to `compile`."""
        return self.place.file

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.place.line

    @property
    def column(self) -> int:
        """The column, from 1, in characters."""
        return self.place.column

    def traceback(self) -> str:
        """The stack of loads that led to the file, the place, the message and the hint."""
        lines = _frame_lines(self.frames)
        lines.append(f"{self.place}: {self.message}")
        if self.hint:
            lines.append(f"Hint: {self.hint}")
        return "\n".join(lines)


class StarlarkCancelledError(StarlarkError):
    """The host stopped the program (`Thread.cancel`)."""


StarlarkCancelled = StarlarkCancelledError


def _frame_lines(frames: tuple[Frame, ...]) -> list[str]:
    """The stack as lines; of a very deep one, both ends."""
    if not frames:
        return []
    left_out = len(frames) - 2 * _SHOWN_FRAMES
    lines = ["Traceback (most recent call last):", *(f"  {frame}" for frame in frames)]
    if left_out > 0:
        lines[1 + _SHOWN_FRAMES : 1 + _SHOWN_FRAMES + left_out] = [f"  ... {left_out} more calls"]
    return lines


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of `known`, or ""."""
    by_folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.7)
    return f"did you mean {by_folded[near[0]]}?" if near else ""
