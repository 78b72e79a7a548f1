"""Programs in containers: what a server says of their ends, and what it may leave out."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from tests.adapters.kubernetes import servers
from tests.adapters.kubernetes.servers import POD, Act, Server
from tiltd import ports
from tiltd.adapters.kubernetes.cluster import KubeCluster
from tiltd.model.live_update import Target
from tiltd.model.problems import Code

TARGET = Target("containerd://x", "main", "web", "default")
EXEC = f"{POD}/exec"
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
SUCCESS: dict[str, Any] = {"metadata": {}, "status": "Success"}


class Printed:
    """A log that remembers."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str, *, level: str = "info") -> None:
        assert level == "info"
        self.text += text


def exited(code: int) -> dict[str, Any]:
    causes = [{"reason": "ExitCode", "message": str(code)}]
    details = {"causes": causes}
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": details}


def failed(words: str) -> dict[str, Any]:
    return {"status": "Failure", "reason": "InternalError", "message": words}


def runs(
    status: dict[str, Any] | None, *printed: bytes, protocols: tuple[str, ...] = (V5, V4)
) -> Act:
    """A program that reads its input, if it has one, prints, and ends so."""

    async def act(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=protocols)
        await socket.prepare(request)
        took = b""
        wants = request.query.get("stdin") == "true"
        size = int(request.query.getall("command")[4]) if V5 not in protocols and wants else None
        while wants and (size is None or len(took) < size):
            message = await socket.receive()
            assert message.type is WSMsgType.BINARY, message
            if message.data == bytes((255, 0)):
                break
            assert message.data[0] == 0
            took += message.data[1:]
        if wants:
            await socket.send_bytes(b"\x01took %d\n" % len(took))
        for piece in printed:
            await socket.send_bytes(piece)
        if status is not None:
            await socket.send_bytes(b"\x03" + json.dumps(status).encode())
        await socket.close()
        return socket

    return act


@pytest.fixture
async def cluster(server: Server, tmp_path: Path) -> AsyncIterator[KubeCluster]:
    async with servers.connected(server, tmp_path) as made:
        yield made


async def test_what_is_printed_is_passed_on_and_the_exit_code_told(
    server: Server, cluster: KubeCluster
) -> None:
    half = "ü".encode()
    server.plays(
        EXEC, runs(exited(3), b"\x01out ", b"\x02err ", b"\x01" + half[:1], b"\x01" + half[1:])
    )
    log = Printed()
    assert await cluster.execute(TARGET, ("sh", "-c", "a b && c=d+e?"), log) == 3
    assert log.text == "out err ü"
    [request] = [r for r in server.requests if r.path == EXEC]
    assert request.query.getall("command") == ["sh", "-c", "a b && c=d+e?"]
    assert request.query["container"] == "main"
    assert "stdin" not in request.query


@pytest.mark.parametrize("size", [0, 1, 200_000])
async def test_an_input_is_sent_to_its_end(server: Server, cluster: KubeCluster, size: int) -> None:
    server.plays(EXEC, runs(SUCCESS))
    log = Printed()
    assert await cluster.execute(TARGET, ("tar", "-x"), log, b"x" * size) == 0
    assert log.text == f"took {size}\n"


async def test_an_old_server_gets_an_input_that_is_counted(
    server: Server, cluster: KubeCluster
) -> None:
    server.plays(EXEC, runs(SUCCESS, protocols=(V4,)))
    log = Printed()
    assert await cluster.execute(TARGET, ("tar", "-x"), log, b"x" * 40_000) == 0
    assert log.text == "took 40000\n"
    command = [r for r in server.requests if r.path == EXEC][-1].query.getall("command")
    assert command[-4:] == ["sh", "40000", "tar", "-x"]


async def test_an_input_that_nobody_reads_holds_up_nothing(
    server: Server, cluster: KubeCluster
) -> None:
    async def act(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=(V5,))
        await socket.prepare(request)
        await socket.send_bytes(b"\x03" + json.dumps(exited(2)).encode())
        await socket.close()
        return socket

    server.plays(EXEC, act)
    assert await cluster.execute(TARGET, ("tar",), Printed(), b"x" * 8_000_000) == 2


async def test_a_program_that_is_not_there_ends_as_in_a_shell(
    server: Server, cluster: KubeCluster
) -> None:
    words = 'error executing command: exec: "tar": executable file not found in $PATH'
    server.plays(EXEC, runs(failed(words)))
    log = Printed()
    assert await cluster.execute(TARGET, ("tar",), log) == 127
    assert "executable file not found" in log.text


@pytest.mark.parametrize(
    ("act", "error", "code"),
    [
        pytest.param(
            runs(failed("container not found")), ports.GoneError, Code.COMMAND, id="gone by now"
        ),
        pytest.param(runs(failed("no way")), ports.PermanentError, Code.COMMAND, id="not started"),
        pytest.param(runs(None), ports.TransientError, Code.CLUSTER_UNREACHABLE, id="no end told"),
        pytest.param(
            servers.status(404, 'pods "web" not found'),
            ports.GoneError,
            Code.COMMAND,
            id="no such pod",
        ),
        pytest.param(
            servers.status(400, "container main is not valid for pod web"),
            ports.GoneError,
            Code.COMMAND,
            id="no such container",
        ),
        pytest.param(
            servers.status(403, 'cannot create resource "pods/exec"'),
            ports.PermanentError,
            Code.CLUSTER_FORBIDDEN,
            id="may not",
        ),
        pytest.param(
            servers.status(503, "busy"), ports.TransientError, Code.CLUSTER_UNREACHABLE, id="busy"
        ),
        pytest.param(
            servers.status(500, "broken"),
            ports.PermanentError,
            Code.CLUSTER_UNREACHABLE,
            id="broken",
        ),
    ],
)
@pytest.mark.parametrize("stdin", [None, b"x"])
async def test_what_can_not_be_run_says_why(
    server: Server,
    cluster: KubeCluster,
    act: Act,
    error: type[ports.TransientError | ports.PermanentError],
    code: Code,
    stdin: bytes | None,
) -> None:
    server.plays(EXEC, act)
    with pytest.raises(error) as told:
        await cluster.execute(TARGET, ("true",), Printed(), stdin)
    assert type(told.value) is error
    assert told.value.problem.code is code


async def test_a_cancelled_one_ends_at_once(server: Server, cluster: KubeCluster) -> None:
    began, over = asyncio.Event(), asyncio.Event()

    async def act(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=(V5,))
        await socket.prepare(request)
        began.set()
        await socket.receive()
        over.set()
        return socket

    server.plays(EXEC, act)
    task = asyncio.ensure_future(cluster.execute(TARGET, ("sleep", "60"), Printed()))  # noqa: TID251 - to be cancelled by itself
    async with asyncio.timeout(30):
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await over.wait()
