"""Tasks for exactly what is wanted; here time is virtual."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.virtual import VirtualLoop
from tiltd.adapters.kubernetes.keeping import Keeper


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


class Work:
    """Tasks that last for a number of seconds, and what became of them."""

    def __init__(self) -> None:
        self.started: list[float] = []
        self.cancelled: list[float] = []
        self.ended: list[float] = []

    async def do(self, seconds: float) -> None:
        self.started.append(seconds)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(seconds)
            raise
        self.ended.append(seconds)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def keeper(work: Work) -> AsyncGenerator[Keeper[str, float]]:
    made = Keeper[str, float](work.do, grace=2)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(made.run())
        yield made
        await made.stop()
        running.cancel()


async def test_what_is_wanted_again_and_again_runs_once(
    keeper: Keeper[str, float], work: Work
) -> None:
    for _ in range(3):
        keeper.want({"a": 100, "b": 200})
        await asyncio.sleep(1)

    assert work.started == [100, 200]


async def test_what_is_not_wanted_any_more_has_its_grace(
    keeper: Keeper[str, float], work: Work
) -> None:
    keeper.want({"short": 2, "long": 100})
    await asyncio.sleep(1)
    keeper.want({})
    await asyncio.sleep(1.5)
    assert work.cancelled == []
    await asyncio.sleep(1)

    assert work.ended == [2]
    assert work.cancelled == [100]


async def test_what_is_wanted_again_within_the_grace_goes_on(
    keeper: Keeper[str, float], work: Work
) -> None:
    keeper.want({"a": 100})
    await asyncio.sleep(1)
    keeper.want({})
    await asyncio.sleep(1)
    keeper.want({"a": 100})
    await asyncio.sleep(10)

    assert work.started == [100]
    assert work.cancelled == []


async def test_what_ended_by_itself_is_not_started_again(
    keeper: Keeper[str, float], work: Work
) -> None:
    keeper.want({"a": 1})
    await asyncio.sleep(5)
    keeper.want({"a": 1, "b": 100})
    await asyncio.sleep(5)

    assert work.started == [1, 100]


async def test_what_ended_within_its_grace_may_be_wanted_anew(
    keeper: Keeper[str, float], work: Work
) -> None:
    keeper.want({"a": 1.5})
    await asyncio.sleep(1)
    keeper.want({})
    await asyncio.sleep(1)
    keeper.want({"other": 100})
    await asyncio.sleep(0)
    keeper.want({"a": 50, "other": 100})
    await asyncio.sleep(10)

    assert work.started == [1.5, 100, 50]
    assert work.cancelled == []


async def test_the_end_of_some_can_be_awaited_and_no_longer_than_asked(
    keeper: Keeper[str, float], work: Work
) -> None:
    keeper.want({"a": 3, "b": 100})
    await keeper.ended({"a", "unknown"}, 10)
    assert work.ended == [3]

    loop = asyncio.get_running_loop()
    before = loop.time()
    await keeper.ended({"b"}, 5)
    assert loop.time() - before == pytest.approx(5)
    assert work.cancelled == []


async def test_a_bug_in_a_task_is_not_hidden() -> None:
    async def bug(_value: float) -> None:
        raise ZeroDivisionError

    keeper = Keeper[str, float](bug)
    keeper.want({"a": 1})

    with pytest.raises(ExceptionGroup) as caught:
        await keeper.run()

    assert caught.group_contains(ZeroDivisionError)
