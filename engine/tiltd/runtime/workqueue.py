"""A queue of names, each in it at most once, some with a time to come."""

import asyncio
from collections import OrderedDict

from tiltd.model.names import NodeName


class WorkQueue:
    """Names come out in the order in which they went in."""

    def __init__(self) -> None:
        self._ready: OrderedDict[NodeName, None] = OrderedDict()
        self._timers: dict[NodeName, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    def add(self, name: NodeName) -> None:
        """Put `name` in, unless it is there."""
        if name not in self._ready:
            self._ready[name] = None
            self._wake.set()

    def add_at(self, name: NodeName, when: float) -> None:
        """Put `name` in when the loop's clock reaches `when`; an earlier promise stands."""
        timer = self._timers.get(name)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[name] = asyncio.get_running_loop().call_at(when, self._due, name)

    def take(self) -> NodeName | None:
        """The next name, if one is there."""
        return self._ready.popitem(last=False)[0] if self._ready else None

    async def get(self) -> NodeName:
        """Wait for the next name."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        return self._ready.popitem(last=False)[0]

    def close(self) -> None:
        """Forget all promises."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _due(self, name: NodeName) -> None:
        del self._timers[name]
        self.add(name)
