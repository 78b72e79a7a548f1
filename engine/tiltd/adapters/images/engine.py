"""The Docker Engine, on the event loop: short questions in a pool, long requests in a thread.

The SDK is imported by the first call that needs it, in that call's thread.
"""

import asyncio
import base64
import json
import os
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from tiltd.adapters.images import endpoint as endpoints
from tiltd.adapters.images import events, stoppable, web
from tiltd.runtime import imports, threads

if TYPE_CHECKING:
    import requests

    from tiltd.adapters.images import sdk

_STOP_SECONDS = 0.9
_OK, _NOT_FOUND = 200, 404
_ELSEWHERE: Mapping[str, Any] = {}
"""In the place of an answer: only the SDK speaks to this engine."""


class Engine:
    """One Docker Engine; cheap until it is asked something.

    Args:
        endpoint: where it is.
        pool: for its short questions.
    """

    def __init__(self, endpoint: endpoints.Endpoint, pool: threads.Pool) -> None:
        self.endpoint = endpoint
        self._pool = pool
        self._lock = threading.Lock()
        self._sdk: sdk.Engine | None = None

    async def image(self, ref: str) -> events.EngineImage | None:
        """The image of this name, if the engine has it.

        Raises:
            EngineError: the engine refused.
            PermanentError: there is no engine.
            TransientError: the connection broke.
        """
        return await self._pool.run(lambda: self._engine().image(ref))

    async def glance(self, ref: str) -> events.EngineImage | None:
        """As `image`; without the SDK, whose import takes longer, where that needs no TLS or ssh.

        Raises:
            WebError: there is no answer.
            EngineError, PermanentError, TransientError: as `image`.
        """
        found = await self._ask(f"/images/{urllib.parse.quote(ref, safe='/:@')}/json")
        if found is _ELSEWHERE:
            return await self.image(ref)
        return None if found is None else events.image(found)

    async def platform(self) -> str:
        """What the engine runs on, as `linux/amd64`. Raises as `glance`."""
        found = await self._ask("/version")
        if found is _ELSEWHERE:
            return await self._pool.run(lambda: self._engine().platform())
        return "" if found is None else events.platform(found)

    async def _ask(self, path: str) -> Mapping[str, Any] | None:
        scheme, _, place = self.endpoint.url.partition("://")
        if scheme not in {"unix", "tcp"} or self.endpoint.tls is not None:
            return _ELSEWHERE
        host, socket = ("docker", place) if scheme == "unix" else (place.rstrip("/"), "")
        reply = await web.request("GET", f"http://{host}{path}", env={}, headers={}, socket=socket)
        if reply.status == _NOT_FOUND:
            return None
        if reply.status != _OK:
            raise events.EngineError(f"the Docker Engine answered {reply.status}", reply.status)
        return cast("dict[str, Any]", json.loads(reply.body))

    async def tag(self, source: str, target: str) -> None:
        """Give an image one more name. Raises as `image`."""
        await self._pool.run(lambda: self._engine().tag(source, target))

    async def untag(self, ref: str) -> None:
        """Take a name from its image, which goes with its last one. Raises as `image`."""
        await self._pool.run(lambda: self._engine().untag(ref))

    async def push(
        self, ref: str, auth: Mapping[str, str], each: Callable[[events.Event], None]
    ) -> None:
        """Push `ref`; `each` gets the events, in a thread. Raises as `image`."""
        await self._run("push", lambda request: self._engine().push(ref, auth, request), each)

    async def build(
        self,
        source: int,
        options: Mapping[str, Any],
        registries: Mapping[str, Mapping[str, str]],
        each: Callable[[events.Event], None],
    ) -> None:
        """Build by the classic builder. Raises as `image`.

        Args:
            source: descriptor of the context's stream; it is not closed.
            options: of the SDK's `build`.
            registries: auth config by registry, for base images.
            each: gets the events, in a thread.
        """
        header = base64.urlsafe_b64encode(json.dumps(registries).encode()).decode()

        def sign(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
            request.headers["X-Registry-Config"] = header
            return request

        # Duplicated here, not in the thread: by then the caller may have closed it.
        body = os.fdopen(os.dup(source), "rb", buffering=0)

        def begin(request: stoppable.Request) -> Iterator[events.Event]:
            with body:
                yield from self._engine().build(body, options, sign, request)

        await self._run("build", begin, each)

    async def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            engine, self._sdk = self._sdk, None
        if engine is not None:
            await self._pool.run(engine.close)

    def _engine(self) -> "sdk.Engine":
        module = imports.load("tiltd.adapters.images.sdk")  # 0.2 s, only when needed
        with self._lock:
            if self._sdk is None:
                self._sdk = cast("sdk.Engine", module.Engine(self.endpoint))
            return self._sdk

    async def _run(
        self,
        name: str,
        begin: Callable[[stoppable.Request], Iterator[events.Event]],
        each: Callable[[events.Event], None],
    ) -> None:
        """Read a long request to its end, in a thread of its own; a cancel stops it."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        request = stoppable.Request()

        def read() -> None:
            try:
                for event in begin(request):
                    each(event)
            finally:
                with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                    loop.call_soon_threadsafe(ended.set)

        try:
            await threads.alone(f"docker-{name}", read)
        except asyncio.CancelledError:
            request.stop()
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await ended.wait()
            raise
