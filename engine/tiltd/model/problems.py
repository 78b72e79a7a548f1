"""How failure is told: a value with a code, a sentence, a place and a hint."""

from dataclasses import dataclass
from enum import Enum


class Code(Enum):
    """The kind of a problem; clients may rely on these words."""

    TILTFILE = "tiltfile"
    USAGE = "usage"
    CONTEXT_NOT_ALLOWED = "context-not-allowed"
    CLUSTER_UNREACHABLE = "cluster-unreachable"
    CLUSTER_FORBIDDEN = "cluster-forbidden"
    CLUSTER_CONFIG = "cluster-config"
    ENGINE_UNREACHABLE = "engine-unreachable"
    BUILD = "build"
    PUSH = "push"
    APPLY = "apply"
    REFUSED = "refused"
    DRIFT = "drift"
    HEALTH = "health"
    COMMAND = "command"
    INPUT = "input"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the user's files; `line` and `column` count from 1, 0 is "not known"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """`Tiltfile:3:5`, as editors and terminals link it."""
        parts = [self.file, *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where, and what to do.

    Args:
        code: the kind, for machines.
        message: one sentence for a person.
        place: where in the user's files, when it is there.
        hint: what to do about it; may be empty.
        detail: what belongs below the sentence: a Starlark traceback, a server's own words.
        resource: the resource that it belongs to; empty if none or several.
        resources: all that it concerns, in the Tiltfile's order.
        rule: of the finding that tells it, for `health`.
    """

    code: Code
    message: str
    place: Place | None = None
    hint: str = ""
    detail: str = ""
    resource: str = ""
    resources: tuple[str, ...] = ()
    rule: str = ""

    def __str__(self) -> str:
        """`Tiltfile:3:5: message`."""
        return f"{self.place}: {self.message}" if self.place else self.message
