"""Each name once, in order; some at a time to come."""

import asyncio

import pytest

from tiltd.model.names import NodeName
from tiltd.runtime.workqueue import WorkQueue

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")


@pytest.fixture
async def queue() -> WorkQueue:
    return WorkQueue()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_names_come_in_the_order_in_which_they_went_in_and_once(queue: WorkQueue) -> None:
    for name in (B, A, B, C, A):
        queue.add(name)
    assert [await queue.get() for _ in range(3)] == [B, A, C]


async def test_a_name_that_was_taken_may_come_again(queue: WorkQueue) -> None:
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    assert await queue.get() == A


async def test_who_does_not_wait_gets_what_is_there(queue: WorkQueue) -> None:
    for name in (B, A):
        queue.add(name)
    assert [queue.take() for _ in range(3)] == [B, A, None]


async def test_who_waits_is_woken(queue: WorkQueue) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(queue.get())
        await asyncio.sleep(1)
        assert not task.done()
        queue.add(A)
    assert task.result() == A


async def test_a_promise_is_kept_at_its_time_and_the_earliest_of_a_name_counts(
    queue: WorkQueue,
) -> None:
    began = now()
    queue.add_at(A, began + 50)
    queue.add_at(A, began + 10)
    queue.add_at(A, began + 30)
    assert await queue.get() == A
    assert now() == began + 10
    queue.add_at(B, began + 60)
    assert await queue.get() == B, "the later ones are forgotten"
    assert now() == began + 60


async def test_a_name_that_comes_earlier_comes_as_promised_too(queue: WorkQueue) -> None:
    began = now()
    queue.add_at(A, began + 5)
    queue.add(A)
    assert queue.take() == A
    assert await queue.get() == A
    assert now() == began + 5


async def test_a_closed_queue_keeps_no_promise(queue: WorkQueue) -> None:
    queue.add_at(A, now() + 5)
    queue.close()
    queue.add_at(B, now() + 10)
    assert await queue.get() == B
