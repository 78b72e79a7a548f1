"""A long request to the Engine that the event loop may stop while a thread is in it."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any, Protocol

_BLOCK = 1 << 18


class StoppedError(Exception):
    """The request was stopped while its body was sent."""


class _Response(Protocol):
    """As much of a `requests.Response` as it takes."""

    raw: Any

    def close(self) -> None: ...


class Request:
    """Stopping shuts down the socket under the reader, or ends the body that is being sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._response: _Response | None = None

    def stop(self) -> None:
        """End it, from any thread; returns at once."""
        with self._lock:
            self._stopped = True
            if self._response is not None:
                _shut_down(self._response)

    def started(self, response: _Response, *_: object, **__: object) -> None:
        """Take the response, once its headers are there (requests' hook)."""
        with self._lock:
            self._response = response
            if self._stopped:
                _shut_down(response)

    def ended(self) -> None:
        """Close the connection, whatever of it is still unread."""
        with self._lock:
            response, self._response = self._response, None
        if response is not None:
            response.close()

    def chunks(self, body: IO[bytes]) -> Iterator[bytes]:
        """The body, piece by piece.

        Raises:
            StoppedError: it was stopped; the connection then breaks off before the body's end.
        """
        while block := body.read(_BLOCK):
            if self._stopped:
                raise StoppedError
            yield block


def _shut_down(response: _Response) -> None:
    # urllib3's own errors for a response that has been read to its end in this very moment.
    with suppress(OSError, ValueError, RuntimeError):
        response.raw.shutdown()
