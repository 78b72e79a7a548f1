"""The Docker Engine, on the event loop.

What every image asks goes over its socket (`wire`).  All else is the SDK's: short questions in a
pool, long requests in a thread; it is imported by the first call that needs it, in that thread.
"""

import asyncio
import base64
import json
import os
import threading
import urllib.parse
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, cast

from tiltd.adapters.images import endpoint as endpoints
from tiltd.adapters.images import events, stoppable, web, wire
from tiltd.runtime import imports, threads

if TYPE_CHECKING:
    import requests

    from tiltd.adapters.images import sdk

_STOP_SECONDS = 0.9
_SILENT_PUSH_SECONDS = 300
_KEPT_SECONDS = 60


class Engine:
    """One Docker Engine; cheap until it is asked something.

    Args:
        endpoint: where it is.
        pool: for its short questions.
    """

    def __init__(self, endpoint: endpoints.Endpoint, pool: threads.Pool) -> None:
        self.endpoint = endpoint
        self.wire = wire.Wire(endpoint)
        self._pool = pool
        self._lock = threading.Lock()
        self._sdk: sdk.Engine | None = None
        self._told: tuple[float, Mapping[str, Any]] | None = None

    async def image(self, ref: str) -> events.EngineImage | None:
        """The image of this name, if the engine has it.

        Raises:
            EngineError: the engine refused.
            PermanentError: there is no engine.
            TransientError: the connection broke.
        """
        with suppress(web.WebError):  # the SDK says what is wrong
            return await self.glance(ref)
        return await self._pool.run(lambda: self._engine().image(ref))

    async def glance(self, ref: str) -> events.EngineImage | None:
        """As `image`, but a broken connection is not looked into.

        Raises:
            WebError: there is no answer.
            EngineError, PermanentError, TransientError: as `image`.
        """
        if not self.wire.usable:
            return await self._pool.run(lambda: self._engine().image(ref))
        found = await self.wire.get(f"/images/{_quoted(ref)}/json")
        return None if found is None else events.image(found)

    async def platform(self) -> str:
        """What the engine runs on, as `linux/amd64`. Raises as `glance`."""
        if not self.wire.usable:
            return await self._pool.run(lambda: self._engine().platform())
        return events.platform(await self._about())

    async def buildkit(self) -> str:
        """The platform of the BuildKit that `build_by_buildkit` asks; empty: there is none.

        Raises as `glance`.
        """
        if not self.wire.usable:
            return ""
        told = self._told
        # It starts programs to tell of itself: so it is not asked before each build.
        if told is None or asyncio.get_running_loop().time() > told[0]:
            about = await self._about()
        else:
            about = told[1]
        return events.platform(about) if events.has_buildkit(about) else ""

    async def _about(self) -> Mapping[str, Any]:
        found = await self.wire.get("/version") or {}
        self._told = (asyncio.get_running_loop().time() + _KEPT_SECONDS, found)
        return found

    def build_by_buildkit(
        self, query: Mapping[str, str | list[str]], body: bytes
    ) -> AsyncGenerator[events.Event]:
        """Build by the engine's own BuildKit, event by event; closing it cancels the build.

        Args:
            query: parameters of `/build`.
            body: the context, a tar.

        Raises:
            WebError: there is no answer, or no more of it.
            EngineError: the engine refused.
        """
        headers = {"Content-Type": "application/x-tar"}
        return self.wire.post("/build", query, headers, body)

    async def tag(self, source: str, target: str) -> None:
        """Give an image one more name. Raises as `image`."""
        await self._pool.run(lambda: self._engine().tag(source, target))

    async def untag(self, ref: str) -> None:
        """Take a name from its image, which goes with its last one. Raises as `image`."""
        await self._pool.run(lambda: self._engine().untag(ref))

    async def push(
        self, ref: str, auth: Mapping[str, str], each: Callable[[events.Event], None]
    ) -> None:
        """Push `ref`; `each` gets the events, perhaps in a thread. Raises as `image`."""
        if not (self.wire.usable and await self._push(ref, auth, each)):
            await self._run("push", lambda request: self._engine().push(ref, auth, request), each)

    async def _push(
        self, ref: str, auth: Mapping[str, str], each: Callable[[events.Event], None]
    ) -> bool:
        """Push over the socket; whether the engine took the request."""
        repository, _, tag = ref.rpartition(":")
        path, begun = f"/images/{_quoted(repository)}/push", False
        headers = {"X-Registry-Auth": _encoded(auth)}
        pushing = self.wire.post(path, {"tag": tag}, headers, silent=_SILENT_PUSH_SECONDS)
        try:
            async with aclosing(pushing) as news:
                async for event in news:
                    begun = True
                    each(event)
        except web.WebError as error:
            if begun:
                raise endpoints.broken(self.endpoint, error) from error
            return False
        return True

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
        header = _encoded(registries)

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


def _quoted(ref: str) -> str:
    return urllib.parse.quote(ref, safe="/:@")


def _encoded(auth: Mapping[str, Any]) -> str:
    """As the Engine takes credentials in a header."""
    return base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()
