import asyncio
import inspect
from typing import NoReturn

import pytest

from tiltd.runtime import tasks


async def for_ever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


async def fail() -> NoReturn:
    await asyncio.sleep(1)
    raise ConnectionError("no more")


async def end() -> NoReturn:  # type: ignore[misc]  # lies, which is what the guard is for
    await asyncio.sleep(1)


async def test_the_tasks_run_under_their_names_while_the_body_runs() -> None:
    async with tasks.running(queue=for_ever(), watch=for_ever()):
        await asyncio.sleep(1)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert {"queue", "watch"} <= names
    assert not {"queue", "watch"} & {task.get_name() for task in asyncio.all_tasks()}


async def test_a_failing_task_ends_the_body() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with tasks.running(bad=fail(), good=for_ever()):
            await asyncio.sleep(3600)
    assert [type(error) for error in caught.value.exceptions] == [ConnectionError]


async def test_a_task_that_merely_ends_is_an_error_with_its_name() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with tasks.running(quitter=end()):
            await asyncio.sleep(3600)
    (error,) = caught.value.exceptions
    assert isinstance(error, tasks.StoppedByItselfError)
    assert str(error) == "quitter"


async def test_a_body_that_ends_at_once_leaves_no_coroutine_behind() -> None:
    coro = for_ever()
    async with tasks.running(never_stepped=coro):
        pass
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED  # so no warning either
