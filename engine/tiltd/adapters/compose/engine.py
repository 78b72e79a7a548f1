"""The Docker Engine's API over asyncio: single answers, and streams that end when they are closed.

Each request has a connection of its own, so that closing it ends it.  The Engine
speaks HTTP/1.1; it answers with a length, in chunks, or until it closes (logs of old Engines).
Paths go without a version, which means the Engine's newest.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib import parse

from tiltd import ports
from tiltd.adapters import tls
from tiltd.model.problems import Code, Problem

_SECONDS = 10.0
_BLOCK = 64 * 1024
_OK = 200
_FAILED = 400
NOT_FOUND = 404
CONFLICT = 409
_HEADER = 8


@dataclass(frozen=True, slots=True)
class Address:
    """Where an Engine is.

    Args:
        url: `unix://…` or `tcp://…`.
        ca: file with the authority to believe, for TLS; empty is the system's.
        cert: the client's certificate; empty is none.
        key: its key.
        tls: whether to speak TLS.
        verify: whether the Engine's certificate has to be right.
    """

    url: str
    ca: str = ""
    cert: str = ""
    key: str = ""
    tls: bool = False
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent, and its media type."""

    body: bytes = field(repr=False)
    kind: str = "application/json"


class RefusedError(Exception):
    """The Engine answered, but not with what was asked for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Engine:
    """One Docker Engine; holds no connection.

    Args:
        address: where it is.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON at a path.

        Raises:
            RefusedError: the Engine's refusal.
            TransientError: it does not answer (any more).
        """
        try:
            async with asyncio.timeout(_SECONDS), self.stream(path, query) as blocks:
                return json.loads(b"".join([block async for block in blocks]))
        except (TimeoutError, ValueError) as error:
            raise self.broken(str(error) or "no answer") from error

    async def send(
        self, method: str, path: str, content: Content, query: Mapping[str, str] | None = None
    ) -> bytes:
        """Send something, and what the Engine says to that. Raises as `get`."""
        async with self.stream(path, query, method=method, content=content) as blocks:
            return b"".join([block async for block in blocks])

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        content: Content | None = None,
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The body at a path, block by block, until the Engine ends it. Raises as `get`."""
        reader, writer = await self._connect()
        try:
            try:
                asked = f"{path}?{parse.urlencode(query)}" if query else path
                head = f"{method} {asked} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n"
                body = content.body if content is not None else b""
                if content is not None:
                    head += f"Content-Type: {content.kind}\r\nContent-Length: {len(body)}\r\n"
                writer.write(f"{head}\r\n".encode() + body)
                await writer.drain()
                status, headers = await _head(reader)
            except (OSError, EOFError, ValueError, IndexError) as error:
                raise self.broken(str(error) or "it closed the connection") from error
            blocks = _body(reader, headers)
            if status >= _FAILED:
                raise RefusedError(status, _message(b"".join([b async for b in blocks])))
            yield self._guarded(blocks)
        finally:
            writer.close()

    async def _guarded(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for block in body:
                yield block
        except (OSError, EOFError, ValueError) as error:
            raise self.broken(str(error) or "it closed the connection") from error

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = parse.urlsplit(self._address.url)
        try:
            async with asyncio.timeout(_SECONDS):
                if url.scheme == "unix":
                    return await asyncio.open_unix_connection(url.path)
                if url.scheme in {"tcp", "http", "https"} and url.hostname:
                    secure = self._address.tls or url.scheme == "https"
                    port = url.port or (2376 if secure else 2375)
                    context = _context(self._address) if secure else None
                    return await asyncio.open_connection(url.hostname, port, ssl=context)
        except (OSError, TimeoutError) as error:
            raise self.broken(str(error) or "no answer") from error
        raise ports.PermanentError(
            Problem(
                Code.ENGINE_UNREACHABLE,
                f"services of Docker Compose can't be watched at {self._address.url}",
                hint="forward its socket: `ssh -nNT -L /tmp/e.sock:/var/run/docker.sock HOST`, "
                "then set DOCKER_HOST=unix:///tmp/e.sock",
            )
        )

    def broken(self, reason: str) -> ports.TransientError:
        """The error for an Engine that does not answer (any more)."""
        message = f"the Docker Engine at {self._address.url} can't be reached: {reason}"
        hint = "check that `docker version` works in this environment"
        return ports.TransientError(Problem(Code.ENGINE_UNREACHABLE, message, hint=hint))


def _context(address: Address) -> ssl.SSLContext:
    context = tls.context(address.ca or None)
    if not address.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if address.cert and address.key:
        context.load_cert_chain(address.cert, address.key)
    return context


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status = 0
    headers: dict[str, str] = {}
    while status < _OK:  # 100 Continue and its like come before the answer
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        pairs = (line.partition(":") for line in lines[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return status, headers


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if "chunked" in headers.get("transfer-encoding", ""):
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
    elif "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
    else:
        while block := await reader.read(_BLOCK):
            yield block


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip()


async def frames(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What is printed without a terminal: eight bytes before each piece tell stream and length."""
    kept = bytearray()
    async for block in blocks:
        kept += block
        while len(kept) >= _HEADER:
            end = _HEADER + int.from_bytes(kept[4:_HEADER])
            if len(kept) < end:
                break
            yield bytes(kept[_HEADER:end])
            del kept[:end]
