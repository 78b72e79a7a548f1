"""Logs, exec, attach and port-forward: what the node does for a client, over HTTP and WebSocket.

WebSockets as current clients speak them: `v5.channel.k8s.io` and `v4.channel.k8s.io` (each message
begins with its channel's number; v5 can also close one).  `kubectl port-forward` wraps SPDY in a
WebSocket, which `tunnel` unwraps.
"""

import asyncio
import contextlib
import json
import struct
import time
from typing import Literal

from aiohttp import WSMsgType, web

from tilt_cluster import api, fields, refusals
from tilt_cluster.objects import ApiError, ExecOptions, LogOptions, Object, PodRuntime
from tilt_cluster.server import exchange, tunnel
from tilt_cluster.server.query import Query
from tilt_cluster.server.target import Target

_STREAMS = ("All", "Stderr", "Stdout")
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_LARGEST_MESSAGE = 32 * 1024 * 1024
_QUEUE = 64
_UNTIL_HEADERS = 0.2
_AFTER_CLIENT = 1.0
_HIGHEST_PORT = 65535


async def serve(
    objects: api.Api, runtime: PodRuntime, request: web.BaseRequest, at: Target
) -> web.StreamResponse:
    """Answer a request for a pod's streams.

    Raises:
        ApiError: there is no such pod or container, or nothing to reach yet.
    """
    pod = objects.get(at.resource, at.name, at.namespace)
    if at.subresource == "log":
        return await _logs(runtime, request, pod)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        if at.subresource != "portforward":
            # Clients that were refused try SPDY; then they should hear the reason again.
            _exec_options(request, pod, run=at.subresource == "exec")
        text = "Upgrade request required: the embedded cluster speaks WebSocket, not SPDY"
        raise refusals.bad_request(text)
    if at.subresource == "portforward":
        if tunnel.PROTOCOL in request.headers.get("Sec-WebSocket-Protocol", ""):
            return await tunnel.serve(runtime, request, pod)
        return await _forward(runtime, request, pod)
    return await _attach(runtime, request, pod, run=at.subresource == "exec")


def _container(pod: Object, asked: str) -> str:
    """The container that a client means.

    Raises:
        ApiError: 400, there is none of that name, or several to choose from.
    """
    spec = pod["spec"]
    names = [one["name"] for one in spec["containers"]]
    early = [one["name"] for one in spec.get("initContainers") or ()]
    late = [one["name"] for one in spec.get("ephemeralContainers") or ()]
    if asked:
        if asked not in (*names, *early, *late):
            text = f"container {asked} is not valid for pod {fields.name(pod)}"
            raise refusals.bad_request(text)
        return asked
    if len(names) == 1:
        return str(names[0])
    listed = f"a container name must be specified for pod {fields.name(pod)}, choose one of: "
    listed += f"[{' '.join(names)}]"
    if early:
        listed += f" or one of the init containers: [{' '.join(early)}]"
    raise refusals.bad_request(listed)


def _log_options(query: Query, pod: Object) -> LogOptions:
    since: float | None = None
    seconds = query.number("sinceSeconds")
    if seconds is not None:
        since = time.time() - seconds
    if query.text("sinceTime"):
        try:
            since = fields.parse(query.text("sinceTime"))
        except ValueError as error:
            text = f'parsing time "{query.text("sinceTime")}": {error}'
            raise refusals.bad_request(text) from error
    tail = query.number("tailLines")
    limit = query.number("limitBytes")
    causes: list[refusals.Cause] = []
    if tail is not None and tail < 0:
        causes.append(refusals.invalid("tailLines", tail, "must be greater than or equal to 0"))
    for name, value in (("sinceSeconds", seconds), ("limitBytes", limit)):
        if value is not None and value < 1:
            causes.append(refusals.invalid(name, value, "must be greater than 0"))
    asked = query.text("stream")
    if asked not in ("", *_STREAMS):
        causes.append(refusals.unsupported("stream", asked, _STREAMS))
    if seconds is not None and query.text("sinceTime"):
        text = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        causes.append(refusals.forbidden("[]", text))
    if causes:
        raise refusals.invalid_object("", "PodLogOptions", fields.name(pod), causes)
    stream: Literal["Stdout", "Stderr"] | None = None
    if asked in ("Stdout", "Stderr"):
        stream = "Stdout" if asked == "Stdout" else "Stderr"
    return LogOptions(
        container=_container(pod, query.text("container")),
        follow=query.flag("follow"),
        previous=query.flag("previous"),
        since=since,
        tail=tail,
        timestamps=query.flag("timestamps"),
        limit=limit,
        stream=stream,
    )


async def _logs(runtime: PodRuntime, request: web.BaseRequest, pod: Object) -> web.StreamResponse:
    options = _log_options(Query(request), pod)
    pieces = aiter(runtime.logs(pod, options))
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})

    async def first() -> bytes | ApiError:
        try:
            return await anext(pieces, b"")
        except ApiError as error:
            return error

    try:
        async with asyncio.TaskGroup() as group:
            beginning = group.create_task(first(), name=f"log {fields.name(pod)}")
            # A follower wants its answer before the first line is written; an error comes at once.
            await asyncio.wait({beginning}, timeout=_UNTIL_HEADERS if options.follow else None)
            if not beginning.done():
                await response.prepare(request)
            start = await beginning
        if isinstance(start, ApiError):
            raise start
        if not response.prepared:
            await response.prepare(request)
        if start:
            await response.write(start)
        async for piece in pieces:
            await response.write(piece)
    except ApiError as error:
        if response.prepared:  # too late for a Status: what is cut off must not look whole
            raise ConnectionAbortedError(error.message) from error
        raise
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
    return response


class _Channels:
    """A WebSocket whose messages begin with a channel's number; the terminal of exec and attach."""

    def __init__(self, socket: web.WebSocketResponse, protocol: str) -> None:
        self._socket = socket
        self._closes = protocol == _PROTOCOLS[0]
        self._stdin: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE)
        self._sizes: asyncio.Queue[tuple[int, int]] = asyncio.Queue(_QUEUE)
        self._ended = False

    async def receive(self) -> None:
        """Sort what the client says until it leaves."""
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    continue
                data: bytes = (
                    message.data if isinstance(message.data, bytes) else message.data.encode()
                )
                if not data:
                    continue
                channel, rest = data[0], data[1:]
                if channel == _STDIN and rest:
                    await self._stdin.put(rest)
                elif channel == _RESIZE:
                    self._resized(rest)
                elif channel == _CLOSE and self._closes and rest[:1] == bytes([_STDIN]):
                    await self._stdin.put(b"")
        finally:
            self._ended = True
            with contextlib.suppress(asyncio.QueueFull):
                self._stdin.put_nowait(b"")

    def _resized(self, text: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError, asyncio.QueueFull):
            size = json.loads(text)
            self._sizes.put_nowait((int(size["Width"]), int(size["Height"])))

    async def read(self) -> bytes:
        """The next piece of stdin."""
        if self._ended and self._stdin.empty():
            return b""
        return await self._stdin.get()

    async def resize(self) -> tuple[int, int]:
        """The next size of the client's terminal."""
        return await self._sizes.get()

    async def write(self, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        """Give output to the client."""
        channel = _STDOUT if stream == "stdout" else _STDERR
        await self.send(channel, data)

    async def send(self, channel: int, data: bytes) -> None:
        """Send to a channel."""
        if self._socket.closed:
            raise ConnectionResetError("the client has gone")
        await self._socket.send_bytes(bytes([channel]) + data)


def _exec_options(request: web.BaseRequest, pod: Object, *, run: bool) -> ExecOptions:
    query = Query(request)
    command = request.query.getall("command", [])
    if run and not command:
        cause = refusals.required("command")
        raise refusals.invalid_object("", "PodExecOptions", fields.name(pod), [cause])
    options = ExecOptions(
        container=_container(pod, query.text("container")),
        command=tuple(command) if run else (),
        stdin=query.flag("stdin"),
        stdout=query.flag("stdout"),
        stderr=query.flag("stderr"),
        tty=query.flag("tty"),
    )
    if not (options.stdin or options.stdout or options.stderr):
        raise refusals.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return options


def _chosen(request: web.BaseRequest) -> str:
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    asked = [one.strip() for one in offered.split(",")]
    found = next((one for one in _PROTOCOLS if one in asked), None)
    if found is None:
        text = f"unable to upgrade: unable to negotiate protocol: client supports {asked}, "
        raise refusals.bad_request(text + f"server accepts {list(_PROTOCOLS)}")
    return found


def _outcome(code: int) -> bytes:
    if code == 0:
        return exchange.dumps({"metadata": {}, "status": "Success"})
    return exchange.dumps(
        {
            "metadata": {},
            "status": "Failure",
            "message": "command terminated with non-zero exit code: "
            f"error executing command, exit code {code}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    )


async def _attach(
    runtime: PodRuntime, request: web.BaseRequest, pod: Object, *, run: bool
) -> web.StreamResponse:
    options = _exec_options(request, pod, run=run)
    protocol = _chosen(request)
    socket = web.WebSocketResponse(protocols=[protocol], max_msg_size=_LARGEST_MESSAGE)
    await socket.prepare(request)
    channels = _Channels(socket, protocol)

    async def work() -> bytes:
        try:
            if run:
                return _outcome(await runtime.exec(pod, options, channels))
            await runtime.attach(pod, options, channels)
            return _outcome(0)
        except ApiError as error:
            return exchange.dumps(refusals.status(error))

    try:
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(channels.receive(), name="stdin")
            working = group.create_task(work(), name="exec")
            await asyncio.wait({receiving, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                # The client left: what it ran is not worth waiting for.
                await asyncio.wait({working}, timeout=_AFTER_CLIENT)
                working.cancel()
            else:
                await channels.send(_ERROR, working.result())
                await socket.close()
                receiving.cancel()
    except* ConnectionError:
        pass  # the client has gone
    return socket


class _Port:
    """One forwarded port of a WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, channel: int) -> None:
        self._socket = socket
        self.channel = channel
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE)

    async def read(self) -> bytes:
        """The next piece from the client."""
        return await self.incoming.get()

    async def write(self, data: bytes) -> None:
        """Give data to the client."""
        if self._socket.closed:
            raise ConnectionResetError("the client has gone")
        await self._socket.send_bytes(bytes([self.channel]) + data)


async def _forward(
    runtime: PodRuntime, request: web.BaseRequest, pod: Object
) -> web.StreamResponse:
    ports = _numbers(request)
    protocol = _chosen(request)
    socket = web.WebSocketResponse(protocols=[protocol], max_msg_size=_LARGEST_MESSAGE)
    await socket.prepare(request)
    joined = [_Port(socket, 2 * at) for at in range(len(ports))]
    for port, number in zip(joined, ports, strict=True):
        head = struct.pack("<H", number)
        await socket.send_bytes(bytes([port.channel]) + head)
        await socket.send_bytes(bytes([port.channel + 1]) + head)

    async def pump(port: _Port, number: int) -> None:
        try:
            await runtime.port_forward(pod, number, port)
        except ApiError as error:
            await socket.send_bytes(bytes([port.channel + 1]) + error.message.encode())
        except ConnectionError:
            pass

    try:
        async with asyncio.TaskGroup() as group:
            for port, number in zip(joined, ports, strict=True):
                group.create_task(pump(port, number), name=f"port {number}")
            async for message in socket:
                data = message.data if isinstance(message.data, bytes) else b""
                if data and data[0] % 2 == 0 and data[0] // 2 < len(joined):
                    await joined[data[0] // 2].incoming.put(data[1:])
            for port in joined:
                await port.incoming.put(b"")
    except* ConnectionError:
        pass  # the client has gone
    return socket


def _numbers(request: web.BaseRequest) -> list[int]:
    """The ports that a client asks for.

    Raises:
        ApiError: 400, none, or something that is no port.
    """
    asked = [one for text in request.query.getall("ports", []) for one in text.split(",")]
    if not asked:
        raise refusals.bad_request('query parameter "ports" is required')
    for one in asked:
        if not (one.isascii() and one.isdigit() and 0 < int(one) <= _HIGHEST_PORT):
            raise refusals.bad_request(f'unable to parse "{one}" as a port')
    return [int(one) for one in asked]
