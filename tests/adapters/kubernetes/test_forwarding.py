"""Port forwards against an API server in this process, which speaks either way.

The one is the embedded cluster's own, with a node whose pods' ports are played here; the other
knows channels alone, as API servers before Kubernetes 1.31 do.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from tests.adapters.kubernetes import servers
from tests.adapters.kubernetes.worlds import PATIENCE
from tilt_cluster import objects as embedded
from tilt_cluster.server import tunnel
from tiltd.adapters.kubernetes import connection, forwarding
from tiltd.adapters.kubernetes.cluster import KubeCluster
from tiltd.model.names import ResourceName
from tiltd.model.observed import Forward, ForwardStatus, PodPort

ECHO, REFUSED, FLOOD, COUNT, DROPPED, NAME = 7, 8, 9, 10, 11, 12
AMOUNT = 64 * 1024 * 1024
WEB = ResourceName("web")
Pipe = embedded.Connection


class Node:
    """Plays the ports of pods, by the port's number."""

    def __init__(self) -> None:
        self.flooded = 0
        self.ended = asyncio.Event()

    async def port_forward(self, pod: embedded.Object, port: int, connection: Pipe) -> None:
        match port:
            case 7:
                while piece := await connection.read():
                    await connection.write(piece)
            case 8:
                words = "failed to connect to localhost:8: connect: Connection refused"
                raise embedded.ApiError(500, "InternalError", words)
            case 9:
                await self._flood(connection)
            case 10:
                got = 0
                while piece := await connection.read():
                    got += len(piece)
                await connection.write(b"%d" % got)
            case 11:
                await connection.write(b"half of it")
                raise _DropError
            case _:
                await connection.write(str(pod["metadata"]["name"]).encode())

    async def _flood(self, connection: Pipe) -> None:
        try:
            while self.flooded < AMOUNT:
                await connection.write(bytes(65536))
                self.flooded += 65536
        finally:
            self.ended.set()


class _DropError(Exception):
    """The API server goes away."""


class _Pipe:
    """One connection over channels, as the kubelet serves them."""

    def __init__(self, made: web.WebSocketResponse) -> None:
        self._made = made

    async def read(self) -> bytes:
        message = await self._made.receive()
        return message.data[1:] if isinstance(message.data, bytes) else b""

    async def write(self, data: bytes) -> None:
        await self._made.send_bytes(b"\0" + data)


def by_tunnel(node: Node) -> servers.Act:
    async def act(request: web.Request) -> web.StreamResponse:
        pod = {"metadata": {"name": request.path.split("/")[-2]}, "status": {"phase": "Running"}}
        try:
            return await tunnel.serve(cast("embedded.PodRuntime", node), request, pod)
        except* _DropError:
            assert request.transport
            request.transport.abort()
        return web.Response()

    return act


def by_channels(node: Node) -> servers.Act:
    async def act(request: web.Request) -> web.StreamResponse:
        made = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await made.prepare(request)
        port = int(request.query["ports"])
        for channel in (0, 1):
            await made.send_bytes(struct.pack("<BH", channel, port))
        pod = {"metadata": {"name": request.path.split("/")[-2]}}
        try:
            await node.port_forward(pod, port, _Pipe(made))
        except embedded.ApiError as error:
            await made.send_bytes(b"\1" + error.message.encode())
        except _DropError:
            assert request.transport
            request.transport.abort()
        await made.close()
        return made

    return act


@dataclass
class Heard:
    """A listener that remembers, and can be waited for."""

    now: dict[Forward, ForwardStatus | None] = field(
        default_factory=dict[Forward, "ForwardStatus | None"]
    )
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, forward: Forward, status: ForwardStatus | None) -> None:
        self.now[forward] = status
        self._changed.set()

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not what():
                self._changed.clear()
                await self._changed.wait()

    async def status(self, forward: Forward) -> ForwardStatus:
        await self.until(lambda: self.now.get(forward))
        return cast("ForwardStatus", self.now[forward])


@dataclass
class Scene:
    """A connected cluster, the node that it has, and what was heard."""

    cluster: KubeCluster
    server: servers.Server
    node: Node
    heard: Heard = field(default_factory=Heard)

    async def open(self, *ports: int, pod: str = "web", local: int = 0) -> list[int]:
        """Forward to these ports of a pod; where they can be reached."""
        wanted = {Forward(WEB, "localhost", local, p): PodPort("default", pod, p) for p in ports}
        self.cluster.forward(wanted, self.heard)
        return [(await self.heard.status(forward)).local_port for forward in wanted]

    def problem(self, port: int) -> str:
        status = self.heard.now.get(Forward(WEB, "localhost", 0, port))
        return status.problem if status else ""


@pytest.fixture(params=[by_tunnel, by_channels], ids=["tunnel", "channels"])
async def scene(
    request: pytest.FixtureRequest, server: servers.Server, tmp_path: Path
) -> AsyncIterator[Scene]:
    node = Node()
    for name in ("web", "web-2"):
        server.plays(f"/api/v1/namespaces/default/pods/{name}/portforward", request.param(node))
    async with servers.connected(server, tmp_path) as cluster:
        yield Scene(cluster, server, node)


async def ask(port: int, *said: bytes, ends: bool = False, host: str = "127.0.0.1") -> bytes:
    """Say something, and read to the end."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for piece in said:
                writer.write(piece)
                await writer.drain()
            if ends:
                writer.write_eof()
            return await reader.read()
        finally:
            writer.close()


async def reset(port: int) -> bool:
    """Whether a connection comes to nothing."""
    try:
        await ask(port)
    except ConnectionResetError:
        return True
    return False


async def test_what_is_said_comes_back_on_both_loopbacks(scene: Scene) -> None:
    (port,) = await scene.open(NAME)
    assert await ask(port) == b"web"
    if socket.has_ipv6:
        assert await ask(port, host="::1") == b"web"
    asked = scene.server.asked("/api/v1/namespaces/default/pods/web/portforward")
    assert [dict(query) for query in asked] == [{"ports": str(NAME)}] * 2


async def test_many_connections_are_carried_at_a_time(scene: Scene) -> None:
    (port,) = await scene.open(ECHO)

    async def one(number: int) -> None:
        said = b"%d" % number * 50_000
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await reader.readexactly(len(said)) == said
        writer.close()

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(one(number))


async def test_what_is_not_read_is_not_fetched(scene: Scene) -> None:
    (port,) = await scene.open(FLOOD)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        before = -1
        while before != scene.node.flooded or not before:
            before = scene.node.flooded
            await asyncio.sleep(0.2)
        assert before < AMOUNT / 2
        got = 0
        while piece := await reader.read(1 << 20):
            got += len(piece)
        assert got == AMOUNT
        writer.close()


async def test_a_client_that_leaves_ends_its_connection_to_the_pod(scene: Scene) -> None:
    (port,) = await scene.open(FLOOD)
    async with asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.transport.abort()
        await scene.node.ended.wait()
    assert scene.node.flooded < AMOUNT


@pytest.mark.parametrize("scene", [by_tunnel], indirect=True, ids=["tunnel"])
async def test_the_pod_hears_that_the_client_has_said_all(scene: Scene) -> None:
    (port,) = await scene.open(COUNT)
    assert await ask(port, b"x" * 300_000, ends=True) == b"300000"


async def test_where_nothing_listens_the_client_is_reset_and_it_is_told(scene: Scene) -> None:
    (port,) = await scene.open(REFUSED)
    assert await reset(port)
    await scene.heard.until(lambda: scene.problem(REFUSED))
    assert scene.problem(REFUSED) == "nothing listens on port 8 of pod web"


async def test_a_connection_that_the_cluster_drops_is_the_only_one_that_ends(scene: Scene) -> None:
    echo, dropped = await scene.open(ECHO, DROPPED)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", echo)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        with pytest.raises(ConnectionResetError):
            await ask(dropped)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"
        writer.close()


async def test_the_next_connection_goes_to_the_pod_that_took_its_place(scene: Scene) -> None:
    (port,) = await scene.open(NAME)
    assert await ask(port) == b"web"
    assert await scene.open(NAME, pod="web-2") == [port]
    # What is wanted is taken up in a turn of its own.
    async with asyncio.timeout(PATIENCE):
        while await ask(port) != b"web-2":
            pass


async def test_what_failed_with_one_pod_is_not_told_of_the_next(scene: Scene) -> None:
    (port,) = await scene.open(REFUSED)
    assert await reset(port)
    await scene.heard.until(lambda: scene.problem(REFUSED))
    await scene.open(REFUSED, pod="web-2")
    await scene.heard.until(lambda: not scene.problem(REFUSED))


async def test_credentials_that_have_expired_are_loaded_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_RELOAD_PAUSE", 0.0)
    path = "/api/v1/namespaces/default/pods/web/portforward"
    scene.server.plays(path, servers.status(401, "Unauthorized"), *scene.server.acts[path])
    (port,) = await scene.open(NAME)
    assert await ask(port) == b"web"


async def test_what_hangs_is_given_up_with_its_forward(scene: Scene) -> None:
    begun = asyncio.Event()

    async def hangs(request: web.Request) -> web.StreamResponse:
        begun.set()
        return await servers.is_silent(request)

    scene.server.plays("/api/v1/namespaces/default/pods/web/portforward", hangs)
    (port,) = await scene.open(NAME)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await begun.wait()
        scene.cluster.forward({}, scene.heard)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@pytest.mark.parametrize("scene", [by_channels], indirect=True, ids=["channels"])
async def test_a_client_that_ends_is_let_go_where_the_pod_can_not_hear_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "_SILENCE", 0.1)
    (port,) = await scene.open(COUNT)
    assert await ask(port, b"hello", ends=True) == b""


async def test_what_is_no_longer_wanted_is_closed_with_its_connections(scene: Scene) -> None:
    (port,) = await scene.open(ECHO)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        scene.cluster.forward({}, scene.heard)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        forward = Forward(WEB, "localhost", 0, ECHO)
        await scene.heard.until(lambda: scene.heard.now[forward] is None)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_without_a_pod_a_client_is_reset_and_the_port_is_kept(scene: Scene) -> None:
    forward = Forward(WEB, "localhost", 0, NAME)
    scene.cluster.forward({forward: None}, scene.heard)
    port = (await scene.heard.status(forward)).local_port
    assert await reset(port)
    await scene.heard.until(lambda: scene.problem(NAME))
    assert scene.problem(NAME) == "no pod of web runs at present"
    assert await scene.open(NAME) == [port]


Refusal = Callable[[], Awaitable[Any]]


@pytest.mark.parametrize(
    ("act", "told"),
    [
        pytest.param(
            servers.status(403, "pods is forbidden: me"),
            "the cluster refuses to forward ports of pod web: pods is forbidden: me",
            id="forbidden",
        ),
        pytest.param(servers.text("", code=403), "pod web: HTTP 403", id="wordless"),
        pytest.param(servers.status(404, "not found"), "pod web is gone", id="gone"),
        pytest.param(
            servers.status(400, "unable to forward port because pod is not running"),
            "pod is not running",
            id="not-running",
        ),
        pytest.param(servers.hangs_up, "pod web can't be reached", id="hung-up"),
    ],
)
async def test_a_refusal_is_told_and_forgotten_once_it_works(
    scene: Scene, act: servers.Act, told: str
) -> None:
    path = "/api/v1/namespaces/default/pods/web/portforward"
    (after,) = scene.server.acts[path]
    (port,) = await scene.open(NAME)
    # A request that is hung up on is sent again by aiohttp.
    scene.server.plays(path, act)
    assert await reset(port)
    await scene.heard.until(lambda: scene.problem(NAME))
    assert told in scene.problem(NAME)
    scene.server.plays(path, after)
    assert await ask(port) == b"web"
    await scene.heard.until(lambda: not scene.problem(NAME))


@pytest.mark.parametrize("scene", [by_tunnel], indirect=True, ids=["tunnel"])
async def test_a_server_that_knows_neither_way_is_told_of(scene: Scene) -> None:
    async def act(request: web.Request) -> web.StreamResponse:
        made = web.WebSocketResponse()
        await made.prepare(request)
        await made.close()
        return made

    scene.server.plays("/api/v1/namespaces/default/pods/web/portforward", act)
    (port,) = await scene.open(NAME)
    assert await reset(port)
    await scene.heard.until(lambda: scene.problem(NAME))
    assert "forwards no ports by SPDY/3.1+portforward.k8s.io or v4" in scene.problem(NAME)


@pytest.mark.parametrize("scene", [by_tunnel], indirect=True, ids=["tunnel"])
@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
async def test_a_port_in_use_is_told_once_and_taken_when_free(scene: Scene, taken: str) -> None:
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as other:
        try:
            other.bind((taken, 0))
        except OSError:
            pytest.skip(f"this machine has no {taken}")
        other.listen()
        port = int(other.getsockname()[1])
        forward = Forward(WEB, "localhost", port, NAME)
        wanted = {forward: PodPort("default", "web", NAME)}
        scene.cluster.forward(wanted, scene.heard)
        status = await scene.heard.status(forward)
        assert status.local_port == 0
        assert status.problem.startswith(f"localhost:{port} is in use by another program")
    await scene.heard.until(lambda: scene.heard.now[forward] == ForwardStatus(port))
    assert await ask(port) == b"web"


@pytest.mark.parametrize("scene", [by_tunnel], indirect=True, ids=["tunnel"])
async def test_a_port_of_another_forward_is_told_by_name(scene: Scene) -> None:
    (port,) = await scene.open(NAME)
    first = Forward(WEB, "localhost", 0, NAME)
    to = PodPort("default", "web", NAME)
    one, two = (Forward(ResourceName(n), "127.0.0.1", port, NAME) for n in ("one", "two"))
    scene.cluster.forward({one: to, two: to}, scene.heard)
    assert (await scene.heard.status(two)).problem.startswith(
        f"127.0.0.1:{port} is in use by the port forward of one"
    )
    assert await scene.heard.status(one) == ForwardStatus(port)
    assert scene.heard.now[first] is None


@pytest.mark.parametrize("scene", [by_tunnel], indirect=True, ids=["tunnel"])
@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("no-such-host.invalid", "there is no host no-such-host.invalid"),
        ("192.0.2.1", "192.0.2.1 is no address of this machine"),
    ],
)
async def test_a_host_that_is_not_here_is_told(scene: Scene, host: str, told: str) -> None:
    forward = Forward(WEB, host, 0, NAME)
    scene.cluster.forward({forward: PodPort("default", "web", NAME)}, scene.heard)
    assert told in (await scene.heard.status(forward)).problem


@pytest.mark.parametrize("scene", [by_tunnel], indirect=True, ids=["tunnel"])
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "[::1]"])  # noqa: S104 - what is tested
async def test_another_host_is_listened_on(scene: Scene, host: str) -> None:
    forward = Forward(WEB, host, 0, NAME)
    scene.cluster.forward({forward: PodPort("default", "web", NAME)}, scene.heard)
    status = await scene.heard.status(forward)
    if host == "[::1]" and not status.local_port:
        pytest.skip("this machine has no ::1")
    assert await ask(status.local_port, host="::1" if host == "[::1]" else "127.0.0.1") == b"web"
