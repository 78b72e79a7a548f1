"""The cluster's DNS server: answers for the cluster's names, and passes on all other questions.

UDP and TCP on port 53 of the bridge, where only pods and this host can ask.  What is not the
cluster's goes to the host's own servers as it came, so that pods resolve what the host resolves.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, cast

from tilt_cluster.network import dns, names

_PORT = 53
_UPSTREAM_SECONDS = 3.0
_QUESTIONS_MAX = 512
_RESOLV = Path("/etc/resolv.conf")
_RESOLV_BEHIND_STUB = Path("/run/systemd/resolve/resolv.conf")

Lookup = Callable[[dns.Question], names.Found | None]


def upstream(own: str) -> Sequence[str]:
    """The host's name servers, without ourselves."""
    found: list[str] = []
    for path in (_RESOLV, _RESOLV_BEHIND_STUB):
        with contextlib.suppress(OSError):
            for line in path.read_text().splitlines():
                words = line.split()
                if words[:1] == ["nameserver"] and len(words) > 1 and words[1] != own:
                    found.append(words[1])
    return tuple(dict.fromkeys(found))


class _Ask(asyncio.DatagramProtocol):
    """One question to an outside server."""

    def __init__(self, message: bytes, answer: asyncio.Future[bytes]) -> None:
        self._message, self._answer = message, answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.DatagramTransport", transport).sendto(self._message)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        del addr
        if data[:2] == self._message[:2] and not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


class Resolver(asyncio.DatagramProtocol):
    """Answers questions.

    Args:
        look_up: of the cluster's names.
        servers: the outside servers, tried in order.
        tasks: owns what takes long.
    """

    def __init__(self, look_up: Lookup, servers: Sequence[str], tasks: asyncio.TaskGroup) -> None:
        self._look_up, self._servers, self._tasks = look_up, servers, tasks
        self._waiting = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer at once what is known, and ask outside for the rest."""
        try:
            asked = dns.question(data)
        except dns.MessageError:
            return
        found = self._look_up(asked)
        if found is not None and found.follow is None:
            self._reply(dns.answer(asked, found.code, found.records, found.extra), addr)
        elif self._waiting < _QUESTIONS_MAX:
            self._waiting += 1
            self._tasks.create_task(self._later(data, asked, addr), name="dns question")

    def _reply(self, message: bytes, addr: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(message, addr)

    async def _later(self, data: bytes, asked: dns.Question, addr: Any) -> None:
        try:
            self._reply(await self.answer(data, asked), addr)
        finally:
            self._waiting -= 1

    async def answer(self, data: bytes, asked: dns.Question, *, tcp: bool = False) -> bytes:
        """The answer to a question, wherever it has to come from."""
        limit = None if tcp else 1232
        found = self._look_up(asked)
        if found is None:
            return await self._outside(data) or dns.answer(asked, dns.FAILED)
        records = list(found.records)
        if found.follow and asked.kind in {dns.A, dns.ANY}:
            target = dns.Question(0, found.follow, dns.A, recursion=True, raw=b"")
            inside = self._look_up(target)
            if inside is not None:
                records += inside.records
            else:
                records += await self._addresses(found.follow)
        return dns.answer(asked, found.code, records, found.extra, limit=limit)

    async def _addresses(self, name: str) -> list[dns.Record]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(name, None, family=2, type=1)
        except OSError:
            return []
        return [dns.address(name, str(one[4][0])) for one in found]

    async def _outside(self, message: bytes) -> bytes | None:
        for server in self._servers:
            with contextlib.suppress(OSError, TimeoutError):
                return await _ask(server, message)
        return None

    async def serve_stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Questions over TCP: two bytes of length before each message."""
        try:
            while True:
                async with asyncio.timeout(10):
                    (size,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(size)
                reply = await self.answer(data, dns.question(data), tcp=True)
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError, dns.MessageError, TimeoutError):
            pass
        finally:
            writer.close()


async def _ask(server: str, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Ask(message, answer), remote_addr=(server, _PORT)
    )
    try:
        async with asyncio.timeout(_UPSTREAM_SECONDS):
            return await answer
    finally:
        transport.close()


async def listen(
    look_up: Lookup, address: str, tasks: asyncio.TaskGroup, port: int = _PORT
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Serve on an address; what stops it.

    Raises:
        OSError: the port can't be had.
    """
    loop = asyncio.get_running_loop()
    resolver = Resolver(look_up, upstream(address), tasks)
    transport, _ = await loop.create_datagram_endpoint(lambda: resolver, local_addr=(address, port))
    try:
        server = await asyncio.start_server(resolver.serve_stream, address, port)
    except OSError:
        transport.close()
        raise

    async def close() -> None:
        transport.close()
        server.close()

    return close
