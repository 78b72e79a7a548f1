"""The client of the Engine, against a server that takes its time."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tilt_cluster import engine


async def test_what_is_being_made_is_waited_for_although_nobody_wants_it(tmp_path: Path) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    made: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.set()
        await go_on.wait()
        made.append(request.path)
        return web.json_response({"Id": "x"})

    server = web.Server(answer)
    path = str(tmp_path / "engine.sock")
    listening = await asyncio.get_running_loop().create_unix_server(server, path)
    try:
        async with engine.Engine(path) as client, asyncio.TaskGroup() as tasks:
            making = tasks.create_task(client.make("/networks/create", {}))
            await asked.wait()
            making.cancel()
            await asyncio.sleep(0)
            assert not making.done()
            go_on.set()
            await asyncio.wait({making})
            assert making.cancelled()
            assert made == ["/networks/create"]
            assert await client.make("/containers/create", {}) == {"Id": "x"}
    finally:
        listening.close()
        await server.shutdown(1)


async def test_an_engine_that_goes_away_is_no_reason_to_wait(tmp_path: Path) -> None:
    async with engine.Engine(str(tmp_path / "none")) as client:
        with pytest.raises(engine.EngineAwayError, match="there is no Docker Engine at"):
            await client.make("/networks/create", {})
