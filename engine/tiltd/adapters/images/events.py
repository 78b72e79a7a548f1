"""What the Engine says, in values that need no SDK."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

Event = Mapping[str, Any]
"""One JSON object of the Engine's stream (Engine API, `/build` and `/images/{name}/push`)."""


@dataclasses.dataclass(frozen=True, slots=True)
class EngineImage:
    """An image in the engine's store."""

    id: str
    system: str
    architecture: str
    variant: str


class EngineError(Exception):
    """The engine refused.

    Args:
        message: in its own words.
        status: of its HTTP answer; 0 if it failed later, in the stream.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def error(event: Event) -> str:
    """The message of an event that tells of an error."""
    detail: Any = event.get("errorDetail") or {}
    return str(cast("dict[str, Any]", detail).get("message") or event["error"])
