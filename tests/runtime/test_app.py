"""The daemon as a whole: how it ends."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tilt_api.v1 import tilt_pb2 as pb
from tilt_api.v1.tilt_pb2_grpc import TiltStub
from tiltd.app import App, Config


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # it has sockets and threads


def config(folder: Path) -> Config:
    return Config(
        project_dir=str(folder),
        address=f"unix:{folder}/s",
        idle_timeout=None,
        one_session=False,
        log_folder=str(folder),
    )


async def test_it_stops_when_it_is_told_to(tmp_path: Path) -> None:
    app = App(config(tmp_path))
    await asyncio.wait_for(app.run(app.stop), 20)


async def test_a_bug_in_a_thread_ends_it_with_that_bug(tmp_path: Path) -> None:
    app = App(config(tmp_path))

    def broken() -> None:
        raise ZeroDivisionError("deaf")

    def ready() -> None:
        threading.Thread(target=broken, name="files").start()

    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(app.run(ready), 20)
    bug = caught.value.exceptions[0]
    assert (type(bug), str(bug)) == (ZeroDivisionError, "deaf")
    assert bug.__notes__ == ["in the thread files"]


async def test_a_session_that_is_over_before_its_client_watches_is_told_all_the_same(
    tmp_path: Path,
) -> None:
    (tmp_path / "Tiltfile").write_text("local_resource('quick', 'true')\n")
    app = App(replace(config(tmp_path), one_session=True))
    ready = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(app.run(ready.set))
        await ready.wait()
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
            stub = TiltStub(channel)
            request = pb.StartSessionRequest(
                tiltfile_path=f"{tmp_path}/Tiltfile", mode=pb.MODE_CI, end_with_client=True
            )
            session = await stub.StartSession(request)
            while not (app.store.state.session and app.store.state.session.settled):  # noqa: ASYNC110 - as a client that does not watch
                await asyncio.sleep(0.01)
            await asyncio.sleep(1)  # long enough to be taken for idle
            assert not running.done()
            watch = stub.Watch(pb.WatchRequest(session_id=session.session_id))
            async for answer in watch:
                if answer.session.settled:
                    assert answer.session.outcome == pb.OUTCOME_HEALTHY
                    break
            watch.cancel()
            await running


async def test_a_bug_is_not_told_as_somebodys_wish_to_stop(tmp_path: Path) -> None:
    (tmp_path / "Tiltfile").write_text("local_resource('long', 'sleep 1000')\n")
    app = App(config(tmp_path))
    ready = asyncio.Event()
    outcomes: set[int] = set()

    async def client() -> None:
        await ready.wait()
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
            stub = TiltStub(channel)
            request = pb.StartSessionRequest(
                tiltfile_path=f"{tmp_path}/Tiltfile", mode=pb.MODE_CI, end_with_client=True
            )
            session = await stub.StartSession(request)
            watch = stub.Watch(pb.WatchRequest(session_id=session.session_id))
            with suppress(grpc.aio.AioRpcError):
                async for answer in watch:
                    outcomes.add(answer.session.outcome)
                    app.fail(ZeroDivisionError("a part is gone"))
            assert await watch.code() is not grpc.StatusCode.OK

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        watching = group.create_task(client())
        with pytest.raises(ExceptionGroup) as caught:
            await app.run(ready.set)
        await watching
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
    assert outcomes == {pb.OUTCOME_UNSPECIFIED}
