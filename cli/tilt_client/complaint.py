"""What ends a command and is the user's to know: one sentence, what to do, and the exit code."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; scripts rely on them."""

    HEALTHY = 0
    FAILED = 1
    USAGE = 2
    TIMEOUT = 3
    INTERRUPTED = 130
    CLOSED = 141
    """Nobody reads the output any more: as if SIGPIPE had ended the program."""


class Complaint(Exception):  # noqa: N818 - it is no fault of the program
    """Printed by `__main__`, without a traceback.

    Args:
        hint: what to do about it.
        detail: what belongs below: the end of a log.
        code: the exit code.

    Attributes:
        recorded: the reports that were asked for tell it.
    """

    def __init__(
        self, message: str, hint: str = "", detail: str = "", code: Exit = Exit.FAILED
    ) -> None:
        super().__init__(message)
        self.hint, self.detail, self.code = hint, detail, code
        self.recorded = False

    def __str__(self) -> str:
        """The sentence, then detail and hint on lines of their own."""
        below = [f"  {line}" for line in self.detail.splitlines()]
        hint = [f"  hint: {self.hint}"] if self.hint else []
        return "\n".join([super().__str__(), *below, *hint])


class Interrupted(BaseException):
    """SIGINT or SIGTERM, before there was a session to stop."""
