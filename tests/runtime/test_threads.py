import asyncio
import contextvars
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tiltd.runtime import threads


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # threads are real, so time is


@pytest.fixture
def pool() -> Iterator[threads.Pool]:
    made = threads.Pool("test", 2)
    yield made
    made.close()


async def test_a_call_runs_off_the_loop_and_keeps_its_context(pool: threads.Pool) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")
    who.set("web")

    def call(a: int, *, b: int) -> tuple[str, int, bool]:
        return who.get(), a + b, threading.current_thread() is threading.main_thread()

    assert await pool.run(call, 1, b=2) == ("web", 3, False)


async def test_an_error_comes_out_of_the_await(pool: threads.Pool) -> None:
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)


async def test_a_stop_iteration_does_not_vanish(pool: threads.Pool) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await pool.run(next, iter(()))


async def test_no_more_calls_run_at_once_than_the_limit(pool: threads.Pool) -> None:
    meet = threading.Barrier(2)
    count, most, lock = 0, 0, threading.Lock()

    def call() -> None:
        nonlocal count, most
        with lock:
            count += 1
            most = max(most, count)
        meet.wait(10)
        with lock:
            count -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(pool.run(call))
    assert most == 2


async def test_a_call_that_was_cancelled_while_it_waited_is_never_made() -> None:
    pool = threads.Pool("narrow", 1)
    begun, release = threading.Event(), threading.Event()
    made: list[str] = []

    def block() -> None:
        begun.set()
        release.wait(10)

    async with asyncio.TaskGroup() as group:
        group.create_task(pool.run(block))
        await threads.alone("see", begun.wait, 10)
        second = group.create_task(pool.run(made.append, "second"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        release.set()
    await pool.run(made.append, "third")
    pool.close()
    assert made == ["third"]


async def test_closing_cancels_what_waits_and_refuses_what_comes() -> None:
    pool = threads.Pool("closing", 1)
    begun, release = threading.Event(), threading.Event()

    def block() -> str:
        begun.set()
        release.wait(10)
        return "done"

    async with asyncio.TaskGroup() as group:
        first = group.create_task(pool.run(block))
        await threads.alone("see", begun.wait, 10)
        second = group.create_task(pool.run(block))
        await asyncio.sleep(0)
        pool.close()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
    assert first.result() == "done"
    with pytest.raises(threads.PoolClosedError):
        await pool.run(block)


def test_a_call_that_hangs_does_not_hold_up_the_exit() -> None:
    program = """
import asyncio, threading
from tiltd.runtime import threads
async def main():
    pool = threads.Pool("hangs", 1)
    try:
        async with asyncio.timeout(0.05):
            await pool.run(threading.Event().wait)
    except TimeoutError:
        print("abandoned")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "abandoned\n"


async def test_a_single_call_has_a_thread_of_its_own() -> None:
    assert await threads.alone("lonely", lambda: threading.current_thread().name) == "lonely"


async def test_a_follower_tells_each_item_and_then_the_end() -> None:
    told: list[int] = []
    end: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    threads.Follower("three", range(3), lambda: None, told.append, end.set_result)
    assert await end is None
    assert told == [0, 1, 2]


async def test_a_follower_tells_the_error_that_ended_its_stream() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ConnectionResetError("gone")

    told: list[int] = []
    end: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    threads.Follower("broken", broken(), lambda: None, told.append, end.set_result)
    assert isinstance(await end, ConnectionResetError)
    assert told == [1]


async def test_a_stopped_follower_is_silent_and_calls_its_end_no_error() -> None:
    source: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def stream() -> Iterator[int]:
        while (item := source.get()) is not None:
            yield item
        raise ConnectionResetError("closed under the reader's feet")

    told: asyncio.Queue[int] = asyncio.Queue()
    end: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    follower = threads.Follower(
        "stopped", stream(), lambda: source.put(None), told.put_nowait, end.set_result
    )
    source.put(1)
    assert await told.get() == 1
    follower.stop()
    assert await end is None
    assert told.empty()


async def test_what_escapes_a_thread_is_told_on_the_loop() -> None:
    told: asyncio.Queue[BaseException] = asyncio.Queue()
    before = threading.excepthook

    def broken() -> None:
        raise ValueError("a bug")

    with threads.bugs_told(told.put_nowait):
        threading.Thread(target=broken, name="files").start()
        error = await asyncio.wait_for(told.get(), 10)
    assert (str(error), error.__notes__) == ("a bug", ["in the thread files"])
    assert threading.excepthook is before
