"""An engine asked over its socket: what it says, and what happens when it says no more."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tiltd import ports
from tiltd.adapters.images import endpoint, engine, events
from tiltd.model.problems import Code
from tiltd.runtime import threads

PUSHED = {"status": "Pushed", "id": "a"}


class MadeUp:
    """An engine that gives one answer to whatever it is asked.

    Attributes:
        answer: status line, headers and body.
        asked: heads of the requests.
    """

    def __init__(self) -> None:
        self.answer = b""
        self.asked: list[str] = []
        self.left = asyncio.Event()

    def says(self, status: str, *pieces: object, ends: bool = True) -> None:
        """Answer in chunks, with or without an end."""
        chunks = [json.dumps(piece).encode() + b"\r\n" for piece in pieces]
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        head = f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        self.answer = head + body + (b"0\r\n\r\n" if ends else b"")

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.answer)
        if self.answer.endswith(b"0\r\n\r\n"):
            await writer.drain()
        else:
            await reader.read()
            self.left.set()
        writer.close()


@pytest.fixture
async def made_up(tmp_path: Path) -> AsyncGenerator[tuple[MadeUp, engine.Engine]]:
    server = MadeUp()
    path = f"{tmp_path}/e.sock"
    pool = threads.Pool("test", 1)
    async with await asyncio.start_unix_server(server.take, path):
        docker = engine.Engine(endpoint.Endpoint(f"unix://{path}", "test"), pool)
        yield server, docker
        await docker.close()
    pool.close()


async def test_a_push_tells_each_event(made_up: tuple[MadeUp, engine.Engine]) -> None:
    server, docker = made_up
    server.says("200 OK", PUSHED, {"aux": {"Digest": "sha256:1"}})
    told: list[events.Event] = []
    await docker.push("r:5/a/b:t", {"username": "u"}, told.append)
    assert told == [PUSHED, {"aux": {"Digest": "sha256:1"}}]
    head = server.asked[0]
    assert head.startswith("POST /images/r:5/a/b/push?tag=t HTTP/1.1\r\n")
    assert "X-Registry-Auth: eyJ1c2VybmFtZSI6ICJ1In0=" in head


async def test_a_refusal_is_in_the_engines_words(made_up: tuple[MadeUp, engine.Engine]) -> None:
    server, docker = made_up
    server.says("500 Internal Server Error", {"message": "no space left on device"})
    with pytest.raises(events.EngineError) as caught:
        await docker.push("a:t", {}, print)
    assert (caught.value.message, caught.value.status) == ("no space left on device", 500)
    with pytest.raises(events.EngineError, match="no space left"):
        await docker.image("a:t")


async def test_an_image_that_is_not_there_is_none(made_up: tuple[MadeUp, engine.Engine]) -> None:
    server, docker = made_up
    server.says("404 Not Found", {"message": "No such image"})
    assert await docker.image("a:t") is None


async def test_a_stream_that_breaks_off_is_no_push(made_up: tuple[MadeUp, engine.Engine]) -> None:
    server, docker = made_up
    server.answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n9\r\n0\r\n\r\n"
    )
    with pytest.raises(ports.TransientError) as caught:
        await docker.push("a:t", {}, lambda _: None)
    assert caught.value.problem.code is Code.ENGINE_UNREACHABLE


async def test_a_cancelled_push_hangs_up(made_up: tuple[MadeUp, engine.Engine]) -> None:
    server, docker = made_up
    server.says("200 OK", PUSHED, ends=False)
    begun = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(docker.push("a:t", {}, lambda _: begun.set()))
        await begun.wait()
        task.cancel()
    async with asyncio.timeout(30):
        await server.left.wait()


async def test_without_an_engine_the_push_names_the_socket(tmp_path: Path) -> None:
    pool = threads.Pool("test", 1)
    docker = engine.Engine(endpoint.Endpoint(f"unix://{tmp_path}/none", "test"), pool)
    with pytest.raises(ports.PermanentError) as caught:
        await docker.push("a:t", {}, lambda _: None)
    assert f"{tmp_path}/none" in caught.value.problem.message
    pool.close()
