"""The daemon as a whole: how it ends."""

import asyncio
import threading
from pathlib import Path

import pytest

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
