"""Requests and streams as the rest of the adapter sees them: without any HTTP library."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, cast

from tiltd.model.desired import JSON


class Trouble(Enum):
    """Why there was no answer."""

    REFUSED = "refused"
    NO_SUCH_HOST = "no-such-host"
    TLS = "tls"
    TIMEOUT = "timeout"
    CLOSED = "closed"


class NoAnswer(Exception):  # noqa: N818  it is one word for what happened, as in a protocol's table
    """The server gave no (whole) answer."""

    def __init__(self, trouble: Trouble, words: str) -> None:
        super().__init__(words)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said, whatever the status."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 300  # noqa: PLR2004  RFC 9110, 15.3

    def json(self) -> JSON:
        """The body; a mapping with the text as `message` if it is none (a proxy's page)."""
        try:
            value = cast("object", json.loads(self.body))
        except ValueError:
            value = None
        if isinstance(value, dict):
            return cast("JSON", value)
        return {"message": self.body[:500].decode(errors="replace").strip()}


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Args:
        path: below the server's URL.
        query: without the empty values' keys.
        body: sent as JSON.
        seconds: until it must be answered; for a stream, the longest silence.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Any = field(default=None, repr=False)
    content_type: str = "application/json"
    accept: str = "application/json"
    seconds: float = 30.0


class Stream(Protocol):
    """An answer that comes piece by piece."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    async def whole(self) -> Reply:
        """All of it at once: what an error is made of."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The bytes as they come.

        Raises:
            NoAnswer: it broke off, or was silent for too long.
        """
        ...


class Tube(Protocol):
    """A WebSocket: messages both ways, with backpressure both ways."""

    @property
    def protocol(self) -> str:
        """The one that the server has chosen of those offered; empty if it chose none."""
        ...

    async def send(self, message: bytes) -> None:
        """Send a message.

        Raises:
            NoAnswer: it broke off.
        """
        ...

    async def receive(self) -> bytes | None:
        """The next message; `None` once the other side has closed.

        Raises:
            NoAnswer: it broke off.
        """
        ...


class Wire(Protocol):
    """A way to the API server, credentials included."""

    async def ask(self, request: Request) -> Reply:
        """Send a request and read the answer.

        Raises:
            NoAnswer: there was none.
        """
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Send a request and leave the answer to be read."""
        ...

    def tube(self, request: Request, protocols: Sequence[str]) -> AbstractAsyncContextManager[Tube]:
        """Open a WebSocket, offering these subprotocols; leaving it hangs up.

        Raises:
            NoAnswer: there was no answer.
            Refused: the server does not want to (`faults`).
        """
        ...
