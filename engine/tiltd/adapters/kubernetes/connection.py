"""HTTP to one API server, on aiohttp: the only module that knows that library.

One connector for everything, without a limit of its own (whoever sends requests bounds them;
each watch and log holds a connection).  Answers are not compressed: most clusters here are on the
same machine, where unpacking costs more than sending.

A host that swallows packets is given up by the kernel, which asks it twice (2 to 3 s): a timer of
ours would also run out where only this machine, or the server, is busy.

A 401 loads the credentials anew, once, and tries again: tokens expire earlier than they say when
they are revoked.

Each WebSocket has a session of its own over the common connector: aiohttp shows a handshake's
refusal, and what is needed to hang up, only to a session's own check of the status.
"""

import asyncio
import base64
import errno
import json
import socket
import ssl
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast
from urllib import parse

from tiltd.adapters.kubernetes import trust
from tiltd.adapters.kubernetes.credentials import Access, Credentials
from tiltd.adapters.kubernetes.faults import Refused
from tiltd.adapters.kubernetes.wire import NoAnswer, Reply, Request, Trouble
from tiltd.model.desired import JSON

with trust.none_loaded():
    import aiohttp

_CONNECT_SECONDS = 5.0
_RELOAD_PAUSE = 5.0
_UNAUTHORIZED = 401
_SWITCHING = 101
_READ_BUFFER = 2**18
_CLOSING_TURNS = 20
_ASKED_AGAIN = 1


class Connection:
    """A `Wire`; open it first, close it in the end."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None
        self._access: Access | None = None
        self._loaded_at = 0.0
        self._loading = asyncio.Lock()
        self._sockets = _Sockets()

    async def open(self) -> None:
        """Load the credentials."""
        await self._fresh()

    async def close(self) -> None:
        """End every request and stream."""
        if self._session:
            if self._session.connector:
                # Politely ending TLS takes a round trip each; nobody waits for our good-bye.
                await self._session.connector.close(abort_ssl=True)
            await self._session.close()
            await self._sockets.close()

    async def ask(self, request: Request) -> Reply:
        """See `Wire`."""
        within = aiohttp.ClientTimeout(total=request.seconds, sock_connect=_CONNECT_SECONDS)
        async with self._answer(request, within) as response:
            return await _whole(response)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator["_Stream"]:
        """See `Wire`."""
        within = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_SECONDS, sock_read=request.seconds
        )
        async with self._answer(request, within) as response:
            yield _Stream(response)

    @asynccontextmanager
    async def _answer(
        self, request: Request, within: aiohttp.ClientTimeout
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        try:
            response = await self._send(request, within)
            if response.status == _UNAUTHORIZED and await self._reload():
                response.release()
                response = await self._send(request, within)
            async with response:
                try:
                    yield response
                finally:
                    _hang_up(response)
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError) as error:
            raise _no_answer(error) from error

    @asynccontextmanager
    async def tube(self, request: Request, protocols: Sequence[str]) -> AsyncGenerator["_Tube"]:
        """See `Wire`."""
        common, _ = await self._fresh()
        answers: list[aiohttp.ClientResponse] = []
        async with _shaking(common.connector, answers) as session:
            try:
                async with asyncio.timeout(request.seconds):
                    made = await self._shake(session, request, protocols)
            except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError) as error:
                raise _no_answer(error) from error
            try:
                yield _Tube(made)
            finally:
                _hang_up(answers[-1])
                await made.close()

    async def _shake(
        self, session: aiohttp.ClientSession, request: Request, protocols: Sequence[str]
    ) -> aiohttp.ClientWebSocketResponse:
        _, access = await self._fresh()
        try:
            return await session.ws_connect(
                access.server + request.path,
                protocols=protocols,
                params=request.query,
                headers=access.headers,
                proxy=access.proxy or None,
                ssl=access.tls if access.tls is not None else True,
                server_hostname=access.server_name or None,
            )
        except Refused as refused:
            if refused.reply.status == _UNAUTHORIZED and await self._reload():
                return await self._shake(session, request, protocols)
            raise

    async def _send(
        self, request: Request, within: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        session, access = await self._fresh()
        headers = [*access.headers, ("Accept", request.accept)]
        data = None
        if request.body is not None:
            headers.append(("Content-Type", request.content_type))
            data = json.dumps(request.body, separators=(",", ":")).encode()
        options: dict[str, Any] = {"server_hostname": access.server_name or None}
        return await session.request(
            request.method,
            access.server + request.path,
            params=request.query,
            data=data,
            headers=headers,
            timeout=within,
            proxy=access.proxy or None,
            ssl=access.tls if access.tls is not None else True,
            allow_redirects=False,
            **options,
        )

    async def _fresh(self) -> tuple[aiohttp.ClientSession, Access]:
        access = self._access
        if self._session is None or access is None or access.expires_at <= time.time():
            async with self._loading:
                if self._access is access:  # nobody else has loaded them while we waited
                    await self._load()
        assert self._session is not None  # noqa: S101  _load() has set both
        assert self._access is not None  # noqa: S101  as above
        return self._session, self._access

    async def _reload(self) -> bool:
        """Load anew, unless that was just done; whether it was."""
        async with self._loading:
            if time.time() - self._loaded_at > _RELOAD_PAUSE:
                await self._load()
                return True
            return False

    async def _load(self) -> None:
        self._access = await self._credentials.load()
        self._loaded_at = time.time()
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=60, socket_factory=self._sockets.make
                ),
                headers={"User-Agent": "tiltd"},
                skip_auto_headers=("Accept-Encoding",),
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=_READ_BUFFER,
                trust_env=False,
            )


class _Sockets:
    """All sockets that a connector has made, so that none outlives it.

    A transport closes its socket in a later turn of the event loop than the one in which it is
    told to; and asyncio forgets a connection whose making is cancelled in the turn in which it
    begins its TLS handshake, which then goes on for nobody.
    """

    def __init__(self) -> None:
        self._made = weakref.WeakSet[socket.socket]()

    def make(self, address: tuple[Any, ...]) -> socket.socket:
        """For aiohttp's connector; the address is one of `getaddrinfo`."""
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        if hasattr(socket, "TCP_SYNCNT"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, _ASKED_AGAIN)
        self._made.add(made)
        return made

    async def close(self) -> None:
        """Wait until all are closed; their transports read an end and do it."""
        for _ in range(_CLOSING_TURNS):
            if not (there := [one for one in self._made if one.fileno() >= 0]):
                return
            for one in there:
                with suppress(OSError):  # it is not connected (yet), or not any more
                    one.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0)


class _Stream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    async def whole(self) -> Reply:
        return await _whole(self._response)

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._response.content.iter_any():
            yield piece


class _Tube:
    def __init__(self, made: aiohttp.ClientWebSocketResponse) -> None:
        self._made = made

    @property
    def protocol(self) -> str:
        return self._made.protocol or ""

    async def send(self, message: bytes) -> None:
        try:
            await self._made.send_bytes(message)
        except (aiohttp.ClientError, OSError) as error:
            raise _no_answer(error) from error

    async def receive(self) -> bytes | None:
        while True:
            message = await self._made.receive()
            match message.type:
                case aiohttp.WSMsgType.BINARY:
                    return cast("bytes", message.data)
                case aiohttp.WSMsgType.TEXT:
                    continue  # nothing here is text
                case aiohttp.WSMsgType.CLOSE:
                    return None
                case aiohttp.WSMsgType.ERROR:
                    raise NoAnswer(Trouble.CLOSED, str(message.data))
                case _:
                    raise NoAnswer(Trouble.CLOSED, "the connection broke off")


def _shaking(
    connector: aiohttp.BaseConnector | None, answers: list[aiohttp.ClientResponse]
) -> aiohttp.ClientSession:
    """A session for one WebSocket; `answers` gets the answer that agrees to it."""

    async def check(response: aiohttp.ClientResponse) -> None:
        if response.status != _SWITCHING:
            raise Refused(await _whole(response))
        answers.append(response)

    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        headers={"User-Agent": "tiltd"},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        raise_for_status=check,
        trust_env=False,
    )


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """End a stream that was left in the middle, now: ending TLS politely takes a round trip."""
    connection = response.connection  # none, once everything was read
    if connection is not None and isinstance(connection.transport, asyncio.Transport):
        connection.transport.abort()


async def refresh(config: JSON, tls: ssl.SSLContext) -> JSON:
    """Ask an OpenID provider for new tokens.

    Sources: RFC 6749, 2.3.1 and 6; OpenID Connect Discovery 1.0, 4.

    Raises:
        ValueError: the provider refuses.
    """
    issuer = str(config["idp-issuer-url"]).rstrip("/")
    who = (str(config["client-id"]), str(config.get("client-secret") or ""))
    pair = ":".join(parse.quote(part, safe="") for part in who)
    headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    form = {"grant_type": "refresh_token", "refresh_token": str(config["refresh-token"])}
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with session.get(f"{issuer}/.well-known/openid-configuration", ssl=tls) as found:
            endpoint = str((await found.json())["token_endpoint"])
        async with session.post(endpoint, data=form, headers=headers, ssl=tls) as response:
            if not response.ok:
                raise ValueError(f"{issuer} refuses to refresh the token: {response.status}")
            answer: JSON = await response.json()
            return answer


async def _whole(response: aiohttp.ClientResponse) -> Reply:
    return Reply(response.status, response.headers, await response.read())


def _no_answer(error: Exception) -> NoAnswer:
    trouble, words = _why(error)
    return NoAnswer(trouble, words)


def _why(error: Exception) -> tuple[Trouble, str]:
    answer = (Trouble.CLOSED, str(error) or "the connection was closed")
    match error:
        case aiohttp.ClientConnectorDNSError():
            answer = Trouble.NO_SUCH_HOST, f"there is no host {error.host!r}"
        case aiohttp.ClientConnectorCertificateError():
            answer = Trouble.TLS, str(error.certificate_error)
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            answer = Trouble.TLS, str(error)
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.ETIMEDOUT:
            answer = Trouble.TIMEOUT, "nothing comes back from there"
        case aiohttp.ClientConnectorError():
            answer = Trouble.REFUSED, error.os_error.strerror or str(error.os_error)
        case TimeoutError():
            answer = Trouble.TIMEOUT, "no answer in time"
        case aiohttp.InvalidURL():
            answer = Trouble.NO_SUCH_HOST, f"{error.url!s} is no URL"
        case _:
            pass
    return answer
