"""Clients that vanish in the middle: nothing is logged, and nothing goes on for them."""

import asyncio
import base64
import logging
import os
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.cluster.node import small
from tilt_cluster import access, tokens
from tilt_cluster.objects import (
    PODS,
    ApiError,
    Connection,
    ExecOptions,
    LogOptions,
    Object,
    Terminal,
)
from tilt_cluster.server import handler, listen

PATIENCE = 30.0
POD = "/api/v1/namespaces/default/pods/a"
RST = struct.pack("ii", 1, 0)


class Node:
    """A node on which everything goes on for ever: `noisy` writes all the time, `quiet` never."""

    def __init__(self, *, noisy: bool) -> None:
        self.noisy = noisy

    async def logs(self, pod: Object, options: LogOptions) -> AsyncIterator[bytes]:
        del pod, options
        yield b"first\n"
        while True:
            await self._wait()
            yield b"x" * 4096

    async def _wait(self) -> None:
        await (asyncio.sleep(0) if self.noisy else asyncio.Event().wait())

    async def exec(self, pod: Object, options: ExecOptions, terminal: Terminal) -> int:
        del pod, options
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(terminal.read())
            await terminal.write("stdout", b"first\n")
            while True:
                await self._wait()
                await terminal.write("stdout", b"x" * 4096)
        return 0

    async def attach(self, pod: Object, options: ExecOptions, terminal: Terminal) -> None:
        await self.exec(pod, options, terminal)

    async def port_forward(self, pod: Object, port: int, connection: Connection) -> None:
        del pod, port
        await connection.write(b"first\n")
        while True:
            await self._wait()
            await connection.write(b"x" * 4096)


class Counting(handler.Handler):
    """Says when no request is being answered."""

    begun = 0
    running = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.begun += 1
        self.running += 1
        try:
            return await super().__call__(request)
        finally:
            self.running -= 1


class Server:
    def __init__(self, folder: Path) -> None:
        self.api = small.new_api(folder)
        container = {"name": "main", "image": "x"}
        pod = {
            "metadata": {"name": "a", "namespace": "default"},
            "spec": {"containers": [container]},
        }
        self.api.create(PODS, {**pod, "status": {"phase": "Running"}})
        self.keys = access.load(folder, [])
        signer = tokens.Signer(self.keys.secret)
        self.token = signer.issue("default", "me", seconds=3600).text
        self.handler = Counting(self.api, signer)
        self.listening = listen.bind(0)
        self.context = access.server_context(self.keys, folder)

    async def ask(
        self, path: str, protocol: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.listening.getsockname()[1],
            ssl=ssl.create_default_context(cadata=self.keys.ca),
        )
        head = [f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {self.token}"]
        if protocol:
            key = base64.b64encode(os.urandom(16)).decode()
            head += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
            head += [f"Sec-WebSocket-Key: {key}", f"Sec-WebSocket-Protocol: {protocol}"]
        writer.write("\r\n".join([*head, "", ""]).encode())
        await writer.drain()
        return reader, writer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server]:
    made = Server(tmp_path)
    async with listen.serve(made.handler, made.listening, made.context):
        yield made


def _linger(writer: asyncio.StreamWriter) -> None:
    """Let a close be a reset, as of a killed client whose kernel has data left to read."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)


@pytest.mark.parametrize("noisy", [pytest.param(True, id="noisy"), pytest.param(False, id="quiet")])
@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        pytest.param(f"{POD}/log?follow=true", "", id="log"),
        pytest.param(f"{POD}/exec?command=x&stdin=1&stdout=1", "v5.channel.k8s.io", id="exec"),
        pytest.param(f"{POD}/attach?stdin=1&stdout=1", "v4.channel.k8s.io", id="attach"),
        pytest.param(f"{POD}/portforward?ports=80", "v4.channel.k8s.io", id="port-forward"),
        pytest.param(f"{POD}/portforward", "SPDY/3.1+portforward.k8s.io", id="tunnel"),
        pytest.param("/api/v1/pods?watch=true", "", id="watch"),
    ],
)
async def test_a_client_that_vanishes_leaves_no_trace(
    server: Server, caplog: pytest.LogCaptureFixture, path: str, protocol: str, *, noisy: bool
) -> None:
    server.handler.runtime = Node(noisy=noisy)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    with caplog.at_level(logging.INFO):
        for with_reset in (True, False):
            reader, writer = await server.ask(path, protocol)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101"))
            if with_reset:
                _linger(writer)
            writer.transport.abort()
            async with asyncio.timeout(PATIENCE):
                while server.handler.running:
                    if noisy:
                        server.api.modify(PODS, "a", "default", _changed)
                    await asyncio.sleep(0.005)

    assert server.handler.begun == 2
    assert [record.getMessage() for record in caplog.records] == []
    assert told == []


def _changed(pod: Object) -> Object:
    metadata = pod["metadata"]
    count = int(metadata.get("annotations", {}).get("count", "0")) + 1
    return {**pod, "metadata": {**metadata, "annotations": {"count": str(count)}}}


async def test_a_log_that_breaks_off_does_not_look_whole(server: Server) -> None:
    class Breaking(Node):
        async def logs(self, pod: Object, options: LogOptions) -> AsyncIterator[bytes]:
            del pod, options
            yield b"first\n"
            raise ApiError(500, "InternalError", "the Engine has gone")

    server.handler.runtime = Breaking(noisy=False)
    reader, writer = await server.ask(f"{POD}/log", "")
    said = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()

    assert b"first\n" in said
    assert not said.endswith(b"0\r\n\r\n"), "the end of a whole answer"
    assert b"Status" not in said


async def test_a_port_that_is_none_is_a_bad_request(server: Server) -> None:
    server.handler.runtime = Node(noisy=False)
    for asked in ("x", "0", "70000", "80,"):
        reader, writer = await server.ask(f"{POD}/portforward?ports={asked}", "v4.channel.k8s.io")
        assert (await asyncio.wait_for(reader.readline(), PATIENCE)).startswith(b"HTTP/1.1 400")
        writer.close()


async def test_a_tunnel_of_nonsense_is_closed(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.handler.runtime = Node(noisy=False)
    reader, writer = await server.ask(f"{POD}/portforward", "SPDY/3.1+portforward.k8s.io")
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    nonsense = struct.pack(">IIII", 0x80030001, 8, 1, 0)  # SYN_STREAM, cut short
    writer.write(bytes([0x82, 0x80 | len(nonsense)]) + bytes(4) + nonsense)

    frame = await asyncio.wait_for(reader.readexactly(4), PATIENCE)
    writer.close()

    assert frame[0] & 0x0F == 8, "the frame that closes"
    assert int.from_bytes(frame[2:4]) == 1002, "because of a breach of protocol"
    assert caplog.records == []
