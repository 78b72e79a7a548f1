"""The listening socket."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator

from aiohttp import web

from tilt_cluster.server.handler import Handler

_GRACE = 2.0


def bind(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(1024)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)  # noqa: FBT003 - its only argument
    return listening


@contextlib.asynccontextmanager
async def serve(
    handler: Handler, listening: socket.socket, context: ssl.SSLContext
) -> AsyncGenerator[None]:
    """Serve until the block ends."""
    # access_log=None: a line for each request would cost more than the request.
    # handler_cancellation: who vanishes leaves nothing running, be it a log that never says more.
    server = web.Server(handler, access_log=None, keepalive_timeout=120, handler_cancellation=True)
    loop = asyncio.get_running_loop()
    serving = await loop.create_server(server, sock=listening, ssl=context)
    try:
        yield
    finally:
        serving.close()
        await server.shutdown(_GRACE)
