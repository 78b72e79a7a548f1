"""An Engine that goes away and comes back: the node says so, and goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.node import small
from tilt_cluster import controllers, engine, fields, node
from tilt_cluster.objects import NODES, PODS, Object

pytestmark = pytest.mark.docker
_SOCKET = "/var/run/docker.sock"


class Door:
    """A socket in front of the Engine's, which can be shut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._pass, self.path)

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in list(self._open):
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(_SOCKET)
        self._open |= {writer, inner_writer}

        async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    to.write(data)
                    await to.drain()
            to.close()

        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
        self._open -= {writer, inner_writer}


@pytest.fixture
async def door(
    docker_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Door]:
    del docker_engine
    found = Door(tmp_path / "engine.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{found.path}")
    yield found
    await found.shut()


async def test_pods_are_not_ready_while_it_is_away_and_ready_again_after(
    door: Door, tmp_path: Path
) -> None:
    await door.open()
    made = small.new_api(tmp_path / "data")
    try:
        async with small.running(made) as cluster:
            cluster.pod("stays", "exec sleep 1000")
            cluster.pod("dies", "exec sleep 1000")
            before = small.status(await cluster.ready("stays"))["containerID"]
            victim = small.status(await cluster.ready("dies"))["containerID"]
            await door.shut()
            away = await cluster.until(NODES, "tilt-node", _is_away)
            why = fields.condition(away, "Ready")
            assert why is not None
            assert why["reason"] == "KubeletNotReady"
            assert "container runtime is down" in why["message"]
            await cluster.until(PODS, "stays", lambda pod: not fields.is_true(pod, "Ready"))
            async with engine.Engine(_SOCKET) as behind:  # as an Engine's restart does to all
                await behind.call("POST", f"/containers/{victim.partition('//')[2]}/kill")
            await door.open()
            await cluster.until(NODES, "tilt-node", lambda one: fields.is_true(one, "Ready"))
            again = await cluster.ready("stays")
            assert small.status(again)["containerID"] == before
            await cluster.until(PODS, "dies", _started_again)
    finally:
        await small.clean(made)


def _started_again(pod: Object) -> bool:
    return fields.is_true(pod, "Ready") and small.status(pod)["restartCount"] == 1


def _is_away(one: Object) -> bool:
    return not fields.is_true(one, "Ready")


def _why(pod: Object) -> str:
    return str(fields.get(fields.condition(pod, "PodScheduled"), "message", default=""))


async def test_without_an_engine_pods_wait_and_say_why(door: Door, tmp_path: Path) -> None:
    made = small.new_api(tmp_path / "data")
    async with asyncio.TaskGroup() as tasks:
        parts = [
            tasks.create_task(controllers.run(made)),
            tasks.create_task(node.run(made, lambda _: None)),
        ]
        metadata = {"name": "waits", "namespace": "default"}
        containers = [{"name": "main", "image": "x:1"}]
        made.create(PODS, {"metadata": metadata, "spec": {"containers": containers}})
        async with asyncio.timeout(small.PATIENCE), made.watch(PODS, NODES) as changes:
            while f"no Docker Engine at {door.path}" not in _why(
                made.get(PODS, "waits", "default")
            ):
                await changes.batch()
        for part in parts:
            part.cancel()
    why = fields.condition(made.get(NODES, "tilt-node"), "Ready")
    assert why is not None
    assert str(door.path) in why["message"]
