"""`kubectl port-forward`: SPDY streams inside a WebSocket.

Each forwarded connection is a pair of streams with one `requestid`: `error`, on which only this
side speaks, and `data`.  When the pod closes, both end.
"""

import asyncio
import contextlib
import struct
import zlib
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, web

from tilt_cluster import fields, refusals
from tilt_cluster.objects import ApiError, Object, PodRuntime
from tilt_cluster.server import spdy

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_QUEUE = 64
_PIECE = 64 * 1024
_REASON = 120
"""Bytes of a reason that fit into the frame that closes a WebSocket."""


@dataclass(slots=True)
class _Stream:
    """One connection's data stream."""

    number: int
    error: int
    socket: web.WebSocketResponse
    writer: spdy.Writer
    incoming: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(_QUEUE))

    async def read(self) -> bytes:
        """The next piece from the client."""
        return await self.incoming.get()

    async def write(self, data: bytes) -> None:
        """Give data to the client."""
        if self.socket.closed:
            raise ConnectionResetError("the client has gone")
        for at in range(0, len(data), _PIECE):
            await self.socket.send_bytes(self.writer.data(self.number, data[at : at + _PIECE]))


class _Tunnel:
    def __init__(self, runtime: PodRuntime, pod: Object, socket: web.WebSocketResponse) -> None:
        self._runtime = runtime
        self._pod = pod
        self._socket = socket
        self._reader = spdy.Reader()
        self._writer = spdy.Writer()
        self._errors: dict[str, int] = {}
        self._streams: dict[int, _Stream] = {}

    async def run(self) -> None:
        """Forward connections until the client leaves."""
        async with asyncio.TaskGroup() as group:
            async for message in self._socket:
                if not isinstance(message.data, bytes):
                    continue
                for frame in self._reader.feed(message.data):
                    await self._act(frame, group)
            for stream in self._streams.values():
                await stream.incoming.put(b"")

    async def _act(self, frame: spdy.Frame, group: asyncio.TaskGroup) -> None:
        match frame.kind:
            case 0:
                await self._data(frame)
            case spdy.SYN_STREAM:
                await self._open(frame, group)
            case spdy.PING:
                await self._socket.send_bytes(self._writer.pong(frame))
            case spdy.RST_STREAM:
                stream = self._streams.get(frame.stream)
                if stream:
                    await stream.incoming.put(b"")
            case _:
                pass

    async def _data(self, frame: spdy.Frame) -> None:
        stream = self._streams.get(frame.stream)
        if stream is None:
            return
        if frame.body:
            await stream.incoming.put(frame.body)
            await self._socket.send_bytes(self._writer.window(frame.stream, len(frame.body)))
        if frame.flags & spdy.FIN:
            await stream.incoming.put(b"")

    async def _open(self, frame: spdy.Frame, group: asyncio.TaskGroup) -> None:
        headers = self._reader.headers(frame)
        await self._socket.send_bytes(self._writer.reply(frame.stream))
        request = headers.get("requestid", "")
        if headers.get("streamtype") == "error":
            self._errors[request] = frame.stream
            return
        stream = _Stream(frame.stream, self._errors.pop(request, 0), self._socket, self._writer)
        self._streams[frame.stream] = stream
        port = int(headers.get("port", "0"))
        group.create_task(self._pump(stream, port), name=f"port {port}")

    async def _pump(self, stream: _Stream, port: int) -> None:
        with contextlib.suppress(ConnectionError):
            problem = b""
            try:
                await self._runtime.port_forward(self._pod, port, stream)
            except ApiError as error:
                problem = error.message.encode()
            except ConnectionError as error:
                problem = str(error).encode()
            if stream.error:
                await self._socket.send_bytes(self._writer.data(stream.error, problem, last=True))
            await self._socket.send_bytes(self._writer.data(stream.number, b"", last=True))
        self._streams.pop(stream.number, None)


async def serve(runtime: PodRuntime, request: web.BaseRequest, pod: Object) -> web.StreamResponse:
    """Answer a client that offers the tunnel.

    Raises:
        ApiError: 400, the pod doesn't run.
    """
    phase = fields.get(pod, "status", "phase", default="Pending")
    if phase != "Running":
        text = f"unable to forward port because pod is not running. Current status={phase}"
        raise refusals.bad_request(text)
    socket = web.WebSocketResponse(protocols=[PROTOCOL], max_msg_size=0)
    await socket.prepare(request)
    try:
        await _Tunnel(runtime, pod, socket).run()
    except* ConnectionError:
        pass  # the client has gone
    except* (ValueError, struct.error, zlib.error) as errors:
        said = "; ".join(map(str, errors.exceptions))
        await socket.close(code=WSCloseCode.PROTOCOL_ERROR, message=said.encode()[:_REASON])
    return socket
