"""Tasks for exactly the things that are wanted now, each under its key.

Level-based: whoever uses this says what is wanted, as often as they like; tasks are started for
what is new and cancelled for what is not wanted any more.  A task that ends by itself is done, and
is not started again while its key stays wanted.

The tasks belong to the `TaskGroup` of `run`, so a bug in one of them ends the daemon instead of
passing unseen.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Generic, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Keeper(Generic[K, V]):
    """See the module.

    Args:
        work: makes the task for a thing, from its value when it was first wanted.
        grace: how long a task may go on after it stopped being wanted (seconds).
    """

    def __init__(
        self, work: Callable[[V], Coroutine[Any, Any, None]], *, grace: float = 0.0
    ) -> None:
        self._work, self._grace = work, grace
        self._wanted: Mapping[K, V] = {}
        self._tasks: dict[K, asyncio.Task[None]] = {}
        self._ending: dict[K, asyncio.TimerHandle] = {}
        self._changed, self._settled = asyncio.Event(), asyncio.Event()

    def want(self, wanted: Mapping[K, V]) -> None:
        """Exactly these, from now on."""
        self._wanted = dict(wanted)
        self._settled.clear()
        self._changed.set()

    async def run(self) -> NoReturn:
        """Keep the tasks, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._settle(group)
                self._settled.set()
        raise AssertionError("unreachable: the loop above only ends by an exception")

    async def ended(self, keys: Collection[K], seconds: float) -> None:
        """Wait until the tasks of these have ended by themselves, but no longer than `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled.wait()  # what was just wanted is about to start
                if tasks := [self._tasks[key] for key in keys if key in self._tasks]:
                    await asyncio.wait(tasks)

    async def stop(self) -> None:
        """Cancel all, at once, and wait for them."""
        self._wanted = {}
        tasks = [task for task in self._tasks.values() if not task.done()]
        for timer in self._ending.values():
            timer.cancel()
        self._tasks, self._ending = {}, {}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _settle(self, group: asyncio.TaskGroup) -> None:
        for key in [key for key in self._tasks if key not in self._wanted]:
            self._drop(key)
        for key, value in self._wanted.items():
            if timer := self._ending.pop(key, None):
                timer.cancel()
            if key not in self._tasks:
                self._tasks[key] = group.create_task(self._work(value), name=f"{key}")

    def _drop(self, key: K) -> None:
        task = self._tasks[key]
        if task.done():
            del self._tasks[key]
            if timer := self._ending.pop(key, None):
                timer.cancel()
        elif key not in self._ending:
            later = asyncio.get_running_loop().call_later
            self._ending[key] = later(self._grace, self._end, key)

    def _end(self, key: K) -> None:
        del self._ending[key]
        self._tasks.pop(key).cancel()
