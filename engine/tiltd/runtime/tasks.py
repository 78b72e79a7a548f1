"""Background tasks with an owner and a name.

The daemon's parts run for ever.  `running` owns them while a body runs: when one of them fails,
or merely ends, the body is cancelled and the failure comes out; when the body ends, they are
cancelled and awaited.  No task outlives its block, and none dies unnoticed.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn


class StoppedByItselfError(Exception):
    """A task that should have run for ever has ended; the message is its name."""


@asynccontextmanager
async def running(**forever: Coroutine[Any, Any, NoReturn]) -> AsyncGenerator[None]:
    """Run all of `forever`, each as a task of its name, while the body runs.

    Raises:
        ExceptionGroup: of what the body or the tasks raised; `StoppedByItselfError` among it for
            a task that returned.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(guard(coro, name), name=name) for name, coro in forever.items()
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    finally:
        for coro in forever.values():
            coro.close()  # of a task that was cancelled before its first step


async def guard(coro: Coroutine[Any, Any, NoReturn], name: str) -> NoReturn:
    """Await what never ends.

    Raises:
        StoppedByItselfError: it has ended.
    """
    await coro
    raise StoppedByItselfError(name)
