"""One HTTP request on the event loop: all that asking a registry takes, or an engine.

A connection a request, no pool: a registry is asked once or twice an image, and a request that
can be cancelled at any point without a thread is worth more here than a connection saved.
Speaks HTTP/1.1 with TLS (the certificates that Docker knows for this host, in its `certs.d`, are
trusted too) and goes through the proxy that the session's environment names.
"""

import asyncio
import base64
import contextlib
import dataclasses
import ipaddress
import ssl
import urllib.parse
from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path

from tiltd.adapters import tls

_BODY_LIMIT = 8 << 20
_CONNECT_SECONDS = 5.0
_HEADER_LIMIT = 1 << 16
_CERTIFICATES = (Path("/etc/docker/certs.d"),)
_NO_BODY = frozenset({204, 304})


class WebError(Exception):
    """The request got no answer; the text says why."""


class SilentServerError(WebError):
    """The server did not answer in time."""


class PlainServerError(WebError):
    """The server speaks no TLS."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer; names of headers are in lower case, the last of equal ones counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes = dataclasses.field(repr=False)


class Stream:
    """An answer that comes bit by bit, for as long as it takes."""

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        reader: asyncio.StreamReader,
        silent: float | None,
    ) -> None:
        self.status = status
        self._headers, self._reader, self._silent = headers, reader, silent

    async def lines(self) -> AsyncGenerator[bytes]:
        """The body's lines, as they come.

        Raises:
            WebError: the connection broke, or was silent for too long.
        """
        rest = b""
        while piece := await self._piece():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line
        if rest:
            yield rest

    async def _piece(self) -> bytes:
        with _told("the server"):
            async with asyncio.timeout(self._silent):
                if "chunked" in self._headers.get("transfer-encoding", "").lower():
                    return await _chunk(self._reader)
                return await self._reader.read(_HEADER_LIMIT)


async def request(
    method: str,
    url: str,
    *,
    env: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes = b"",
    verify: bool = True,
    seconds: float = 5,
    socket: str = "",
) -> Reply:
    """Ask once, without following redirects.

    Args:
        method: `HEAD`, `GET` or `POST`.
        url: absolute, `http` or `https`.
        env: names the proxies (`HTTPS_PROXY`, `NO_PROXY` …).
        headers: sent besides `Host` and `Connection`.
        body: of a POST.
        verify: whether the server must prove who it is.
        seconds: limit for all of it.
        socket: path of the server's socket on this machine, if it has one.

    Raises:
        WebError: no connection, no TLS, no HTTP, or no time left.
    """
    parts = urllib.parse.urlsplit(url)
    with _told(parts.netloc, seconds):
        async with asyncio.timeout(seconds):
            return await _exchange(method, parts, env, headers, body, verify=verify, socket=socket)


@contextlib.asynccontextmanager
async def stream(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    socket: str = "",
    silent: float | None = None,
) -> AsyncGenerator[Stream]:
    """Ask for what may take long; to leave the context, or be cancelled in it, hangs up.

    Args:
        method: `GET` or `POST`.
        url: absolute, `http`.
        headers: as of `request`.
        body: of a POST.
        socket: as of `request`.
        silent: seconds after which a silent server counts as gone; `None`: never.

    Raises:
        WebError: no connection, or no HTTP.
    """
    parts = urllib.parse.urlsplit(url)
    with _told(parts.netloc, _CONNECT_SECONDS):
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await _opened(parts, {}, verify=True, socket=socket)
    try:
        with _told(parts.netloc, silent):
            async with asyncio.timeout(silent):
                await _send(writer, method, parts, headers, body)
                status, received = await _head(reader)
        yield Stream(status, received, reader, silent)
    finally:
        writer.transport.abort()


@contextlib.contextmanager
def _told(server: str, seconds: float | None = None) -> Generator[None]:
    """What goes wrong, as a `WebError`."""
    try:
        yield
    except TimeoutError as error:
        within = "" if seconds is None else f" within {seconds:g} s"
        raise SilentServerError(f"{server} did not answer{within}") from error
    except ssl.SSLError as error:
        if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
            raise PlainServerError(f"{server} speaks no TLS") from error
        raise WebError(f"{server}: {error.reason or error}") from error
    except (OSError, EOFError, ValueError) as error:
        raise WebError(f"{server}: {error}") from error


def is_loopback(host: str) -> bool:
    """Whether Docker takes the host (with or without port) for this machine: no TLS needed."""
    name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def _exchange(
    method: str,
    parts: urllib.parse.SplitResult,
    env: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    verify: bool,
    socket: str,
) -> Reply:
    reader, writer = await _opened(parts, env, verify=verify, socket=socket)
    try:
        await _send(writer, method, parts, headers, body)
        status, received = await _head(reader)
        empty = method == "HEAD" or status in _NO_BODY
        return Reply(status, received, b"" if empty else await _body(reader, received))
    finally:
        writer.transport.abort()


async def _opened(
    parts: urllib.parse.SplitResult, env: Mapping[str, str], *, verify: bool, socket: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if socket:
        return await asyncio.open_unix_connection(socket, limit=_HEADER_LIMIT)
    return await _connect(parts, env, verify=verify)


async def _send(
    writer: asyncio.StreamWriter,
    method: str,
    parts: urllib.parse.SplitResult,
    headers: Mapping[str, str],
    body: bytes,
) -> None:
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    sent = {"Host": parts.netloc, "User-Agent": "tiltd", "Connection": "close", **headers}
    if body or method == "POST":
        sent["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
    await writer.drain()


async def _connect(
    parts: urllib.parse.SplitResult, env: Mapping[str, str], *, verify: bool
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    context = _tls(parts.netloc, verify=verify) if secure else None
    proxy = _proxy(parts, env) if secure else None
    if proxy is None:
        return await asyncio.open_connection(host, port, ssl=context, limit=_HEADER_LIMIT)
    reader, writer = await asyncio.open_connection(
        proxy.hostname, proxy.port or 80, limit=_HEADER_LIMIT
    )
    try:
        await _tunnel(reader, writer, f"{host}:{port}", proxy)
        if context is not None:
            await writer.start_tls(context, server_hostname=host)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def _proxy(
    parts: urllib.parse.SplitResult, env: Mapping[str, str]
) -> urllib.parse.SplitResult | None:
    address = env.get("https_proxy") or env.get("HTTPS_PROXY")
    exempt = env.get("no_proxy") or env.get("NO_PROXY") or ""
    if not address or is_loopback(parts.netloc):
        return None
    if _is_exempt(parts.hostname or "", exempt):
        return None
    return urllib.parse.urlsplit(address if "://" in address else f"http://{address}")


def _is_exempt(host: str, exempt: str) -> bool:
    """Whether `NO_PROXY` names the host, or a domain that it is in."""
    names = (
        name.strip().lstrip(".").rpartition(":")[0] or name.strip().lstrip(".")
        for name in exempt.split(",")
    )
    return any(name in ("*", host) or host.endswith(f".{name}") for name in names if name)


async def _tunnel(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    target: str,
    proxy: urllib.parse.SplitResult,
) -> None:
    extra = ""
    if proxy.username:
        user = urllib.parse.unquote(proxy.username)
        extra = (
            f"Proxy-Authorization: {basic(user, urllib.parse.unquote(proxy.password or ''))}\r\n"
        )
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{extra}\r\n".encode("latin-1"))
    await writer.drain()
    status, _ = await _head(reader)
    if status != 200:  # noqa: PLR2004 - the one status of an open tunnel
        raise OSError(f"the proxy {proxy.hostname} answered {status}")


def basic(user: str, password: str) -> str:
    """The value of an `Authorization` header for a user and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _tls(netloc: str, *, verify: bool) -> ssl.SSLContext:
    context = tls.context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for folder in (base / netloc for base in _CERTIFICATES):
        for authority in sorted(folder.glob("*.crt")):
            context.load_verify_locations(authority)
        for certificate in sorted(folder.glob("*.cert")):
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("that was no HTTP")
    headers: dict[str, str] = {}
    for line in filter(None, lines[1:]):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(rest[:3]), headers


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunks(reader)
    length = headers.get("content-length")
    if length is None:
        return await _checked(reader, _BODY_LIMIT + 1, exact=False)
    return await _checked(reader, int(length), exact=True)


async def _checked(reader: asyncio.StreamReader, length: int, *, exact: bool) -> bytes:
    if exact and length > _BODY_LIMIT:
        raise ValueError(f"a body of {length} bytes is more than was asked for")
    try:
        data = await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        if exact:
            raise
        return error.partial
    if not exact:
        raise ValueError("the body has no end")
    return data


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    total = 0
    while piece := await _chunk(reader):
        total += len(piece)
        if total > _BODY_LIMIT:
            raise ValueError("the body has no end")
        parts.append(piece)
    return b"".join(parts)


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk; empty: there is none any more."""
    size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
    return (await reader.readexactly(size + 2))[:-2] if size else b""
