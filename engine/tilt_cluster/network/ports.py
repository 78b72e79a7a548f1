"""Node ports and the API's door for pods: connections that are accepted here and passed on.

They listen on the host's loopback and on the bridge, nowhere else.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence

_LOG = logging.getLogger(__name__)

Targets = Callable[[], Sequence[tuple[str, int]]]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


async def _pass_on(
    targets: Targets, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Connect to one of the targets; another one if it refuses."""
    choices = list(targets())
    random.shuffle(choices)
    try:
        for host, port in choices:
            try:
                async with asyncio.timeout(5):
                    inner_reader, inner_writer = await asyncio.open_connection(host, port)
            except (OSError, TimeoutError):
                continue
            try:
                await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
            finally:
                inner_writer.close()
            return
    finally:
        writer.close()


class Door:
    """One port that is passed on.

    Args:
        addresses: where it listens.
        port: which port.
        targets: where connections go; asked for each one.
    """

    def __init__(self, addresses: Sequence[str], port: int, targets: Targets) -> None:
        self._addresses, self._port, self._targets = addresses, port, targets
        self._servers: list[asyncio.Server] = []

    async def open(self) -> str | None:
        """Listen; what is wrong, if a port can't be had."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _pass_on(self._targets, reader, writer)

        try:
            for address in self._addresses:
                self._servers.append(await asyncio.start_server(serve, address, self._port))
        except OSError as error:
            self.close()
            return f"port {self._port} can't be had: {error.strerror or error}"
        return None

    def close(self) -> None:
        """Listen no more; connections go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()
