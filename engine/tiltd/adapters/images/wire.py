"""The Docker Engine's API without the SDK: what every image asks of it.

To import the SDK takes 0.2 s of CPU, and each of its long requests a thread; a question over the
Engine's own socket takes neither.  Where that needs TLS or ssh, or does not get through, the SDK
is asked: it knows the one, and says about the other what is wrong.
"""

import json
import urllib.parse
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

from tiltd.adapters.images import endpoint as endpoints
from tiltd.adapters.images import events, web

_OK, _NOT_FOUND = 200, 404


class Wire:
    """One Docker Engine.

    Args:
        endpoint: where it is.
    """

    def __init__(self, endpoint: endpoints.Endpoint) -> None:
        scheme, _, place = endpoint.url.partition("://")
        self.usable = scheme in {"unix", "tcp"} and endpoint.tls is None
        """Whether this engine can be asked so."""
        host, self._socket = ("docker", place) if scheme == "unix" else (place.rstrip("/"), "")
        self._base = f"http://{host}"

    async def get(self, path: str) -> Mapping[str, Any] | None:
        """A JSON object of the engine; `None`: it has none there.

        Raises:
            WebError: there is no answer.
            EngineError: the engine refused.
        """
        url = f"{self._base}{path}"
        reply = await web.request("GET", url, env={}, headers={}, socket=self._socket)
        if reply.status == _NOT_FOUND:
            return None
        if reply.status != _OK:
            raise _refused(reply.status, reply.body)
        return cast("dict[str, Any]", json.loads(reply.body))

    async def post(
        self,
        path: str,
        query: Mapping[str, str | list[str]],
        headers: Mapping[str, str],
        body: bytes = b"",
        silent: float | None = None,
    ) -> AsyncGenerator[events.Event]:
        """A long request, event by event; closing the generator hangs up, which cancels it.

        Args:
            path: what is asked.
            query: its parameters.
            headers: of the request.
            body: sent whole.
            silent: seconds after which a silent engine counts as gone; `None`: never.

        Raises:
            WebError: there is no answer, or no more of it.
            EngineError: the engine refused.
        """
        url = f"{self._base}{path}?{urllib.parse.urlencode(query, doseq=True)}"
        async with web.stream(
            "POST", url, headers=headers, body=body, socket=self._socket, silent=silent
        ) as answer:
            if answer.status != _OK:
                raise _refused(answer.status, b"".join([line async for line in answer.lines()]))
            async for line in answer.lines():
                if line.strip():
                    yield _event(line)


def _event(line: bytes) -> events.Event:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise web.WebError(f"the Docker Engine sent no JSON: {line[:80]!r}") from error
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _refused(status: int, body: bytes) -> events.EngineError:
    message = f"the Docker Engine answered {status}"
    try:
        found: Any = json.loads(body)
        message = str(found["message"])
    except (ValueError, KeyError, TypeError):
        pass
    return events.EngineError(message, status)
