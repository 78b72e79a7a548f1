"""The Docker Engine's HTTP API over its unix socket, as far as a node needs it.

Plain requests, streams of JSON lines (events, pulls), streams of frames (logs) and hijacked
connections (exec and attach with stdin, for which the Engine turns the HTTP connection into a raw
one).  No SDK: those calls block, and a node waits on hundreds of streams at once.

An `EngineError` is an answer; `EngineAwayError` means that there was none, so whatever was asked
may be asked again later.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

import aiohttp

CLUSTER_LABEL = "dev.tilt.cluster"
"""On everything that a cluster makes in the Engine; its value is the cluster's name."""

_SOCKET = "/var/run/docker.sock"
_TIMEOUT = 60.0
_KNOCK = 1.0
_HEADER = 8
_NOT_MODIFIED = 304
_REFUSED = 400


class EngineError(Exception):
    """The Engine refuses; `status` is its HTTP status, the text its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EngineAwayError(Exception):
    """Nobody answers on the socket, or the connection broke."""


def socket_path(environ: Mapping[str, str] = os.environ) -> str:
    """The Engine's socket, as `DOCKER_HOST` says.

    Raises:
        ValueError: `DOCKER_HOST` is no unix socket: pods' folders and addresses would be elsewhere.
    """
    host = environ.get("DOCKER_HOST", "")
    if not host:
        return _SOCKET
    if not host.startswith("unix://"):
        raise ValueError(
            f"DOCKER_HOST is {host}: the node needs an Engine on this machine (unix://)"
        )
    return host.removeprefix("unix://")


def trouble(path: str) -> str:
    """Why this user gets no answer at a socket; empty if there is one who listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_KNOCK)
        try:
            probe.connect(path)
        except OSError as error:
            return _away(path, error)
    return ""


def _away(path: str, error: Exception) -> str:
    """In a person's words why there is no Engine."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match cause:
        case FileNotFoundError():
            return f"there is no Docker Engine at {path}"
        case PermissionError():
            group = ""
            with contextlib.suppress(OSError, KeyError):
                group = f" (members of the group {Path(path).group()} may)"
            return f"this user may not use the Docker Engine at {path}{group}"
        case ConnectionRefusedError():
            return f"nobody answers for the Docker Engine at {path}"
        case _:
            return f"Docker Engine at {path}: {error}"


@dataclass(slots=True)
class Raw:
    """A hijacked connection: bytes to and from a process's streams."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    tty: bool

    async def frame(self) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        """The next piece of output and its stream; None at the end."""
        try:
            if self.tty:
                data = await self.reader.read(65536)
                return ("stdout", data) if data else None
            header = await self.reader.readexactly(_HEADER)
            data = await self.reader.readexactly(int.from_bytes(header[4:]))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return ("stderr" if header[0] == 2 else "stdout"), data  # noqa: PLR2004 - the Engine's number

    async def write(self, data: bytes) -> None:
        """Give bytes to stdin."""
        self.writer.write(data)
        await self.writer.drain()

    def end_input(self) -> None:
        """Close stdin, and go on reading."""
        with contextlib.suppress(OSError, RuntimeError):
            self.writer.write_eof()

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()


class Engine:
    """A client of one Engine; use as an async context manager.

    Args:
        path: of its socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool of connections; nothing is sent yet."""
        connector = aiohttp.UnixConnector(self.path, limit=0, keepalive_timeout=30)
        self._session = aiohttp.ClientSession(
            "http://engine", connector=connector, timeout=aiohttp.ClientTimeout(total=None)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def _open(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        if self._session is None:
            raise EngineAwayError("the client is not open")
        is_bytes = isinstance(body, bytes)
        data = body if is_bytes or body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/x-tar" if is_bytes else "application/json"}
        try:
            async with self._session.request(
                method, path, headers={**kind, **(headers or {})}, data=data
            ) as response:
                if response.status >= _REFUSED:
                    raise EngineError(response.status, _message(await response.read()))
                yield response
        except (aiohttp.ClientError, OSError) as error:
            raise EngineAwayError(_away(self.path, error)) from error

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        timeout: float | None = _TIMEOUT,  # noqa: ASYNC109 - it bounds one request, whoever calls
    ) -> Any:
        """One request; the answer's JSON, or None if it has none.

        Args:
            method: of HTTP.
            path: without a version: the Engine's newest.
            body: JSON, or bytes.
            query: further parameters; what is not text is sent as JSON.
            timeout: in seconds.

        Raises:
            EngineError: it refuses.
            EngineAwayError: it doesn't answer.
        """
        full = path + (f"?{urlencode(_query(query))}" if query else "")
        try:
            async with asyncio.timeout(timeout), self._open(method, full, body) as response:
                text = await response.read()
                if response.status == _NOT_MODIFIED:
                    return None
        except TimeoutError as error:
            raise EngineAwayError(f"{method} {path}: no answer in {timeout:g} s") from error
        is_json = text[:1] in {b"{", b"["} or text.strip() == b"null"
        return json.loads(text) if is_json else None

    async def make(self, path: str, body: Any, *, query: Mapping[str, Any] | None = None) -> Any:
        """`call` of a POST that makes something, which is never given up half-way.

        The Engine makes what it was asked for even if nobody waits for it any more.  So who is
        cancelled waits for the answer first: what is removed after that is all that there is.

        Raises:
            EngineError: it refuses.
            EngineAwayError: it doesn't answer.
        """
        making = asyncio.gather(self.call("POST", path, body, query=query))
        try:
            return (await asyncio.shield(making))[0]
        except asyncio.CancelledError:
            await asyncio.wait({making})
            if not making.cancelled():
                making.exception()
            raise

    async def stream(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Any]:
        """The JSON objects of an endless or long answer."""
        async with self._open(method, path, headers=headers) as response:
            async for line in _lines(response.content):
                yield json.loads(line)

    async def output(self, path: str, body: Any) -> bytes:
        """The whole output of a finished exec without stdin, stdout and stderr as they came."""
        async with self._open("POST", path, body) as response:
            data = await response.read()
        parts: list[bytes] = []
        while len(data) >= _HEADER:
            size = int.from_bytes(data[4:_HEADER])
            parts.append(data[_HEADER : _HEADER + size])
            data = data[_HEADER + size :]
        return b"".join(parts)

    async def frames(
        self, path: str, *, tty: bool
    ) -> AsyncGenerator[tuple[Literal["stdout", "stderr"], bytes]]:
        """The frames of a log."""
        async with self._open("GET", path) as response:
            content = response.content
            while tty:
                data = await content.readany()
                if not data:
                    return
                yield "stdout", data
            while True:
                try:
                    header = await content.readexactly(_HEADER)
                    data = await content.readexactly(int.from_bytes(header[4:]))
                except asyncio.IncompleteReadError:
                    return
                yield ("stderr" if header[0] == 2 else "stdout"), data  # noqa: PLR2004 - as above

    async def hijack(self, path: str, body: Any, *, tty: bool) -> Raw:
        """Turn a connection into a raw one (exec start, attach)."""
        payload = json.dumps(body).encode() if body is not None else b""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        try:
            reader, writer = await asyncio.open_unix_connection(self.path)
            writer.write(head.encode() + payload)
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            raise EngineAwayError(_away(self.path, error)) from error
        status = int(answer.split(b" ", 2)[1])
        if status >= _REFUSED:
            text = await reader.read(65536)
            writer.close()
            raise EngineError(status, _message(text))
        return Raw(reader, writer, tty)


def _query(query: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in query.items()
    }


def name(reference: str) -> str:
    """An image reference in a path."""
    return quote(reference, safe="/:@")


def _message(text: bytes) -> str:
    start = text.find(b"{")
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(text[start : text.rfind(b"}") + 1])["message"])
    return text.decode(errors="replace").strip() or "no message"


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length (aiohttp's own reader has a limit)."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
