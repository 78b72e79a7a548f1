"""Port forwards in memory: nothing listens, but what would is told as the adapter tells it.

forwards.taken.add(8080)      another program has the port; `discard` and `look` to free it
forwards.open                 where each forward leads to
"""

import asyncio
from collections.abc import Mapping

from tiltd import ports
from tiltd.model.observed import Forward, ForwardStatus, PodPort

FIRST_FREE = 40000


class FakeForwards:
    """See the module."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.held = False
        self.open: dict[Forward, PodPort | None] = {}
        self._wanted: Mapping[Forward, PodPort | None] = {}
        self._listener: ports.ForwardListener = _unheard
        self._told: dict[Forward, ForwardStatus] = {}
        self._next = FIRST_FREE

    def want(
        self, wanted: Mapping[Forward, PodPort | None], listener: ports.ForwardListener
    ) -> None:
        """See `ports.Cluster.forward`."""
        self._wanted, self._listener = dict(wanted), listener
        asyncio.get_running_loop().call_soon(self.look)

    def look(self) -> None:
        """Open and close what has to be."""
        if self.held:
            return
        for forward in [f for f in self._told if f not in self._wanted]:
            self.open.pop(forward, None)
            del self._told[forward]
            self._listener(forward, None)
        for forward, to in dict(self._wanted).items():
            if who := self._taken_by(forward):
                problem = f"{forward.host}:{forward.local_port} is in use {who}"
                self._tell(forward, ForwardStatus(0, problem))
                continue
            if forward not in self.open:
                self._next += 0 if forward.local_port else 1
                self._tell(forward, ForwardStatus(forward.local_port or self._next))
            elif self.open[forward] != to:
                self._tell(forward, ForwardStatus(self._told[forward].local_port))
            self.open[forward] = to

    def stop(self) -> None:
        """Close all at once."""
        self._wanted, self.held = {}, False
        self.look()

    def fail(self, forward: Forward, problem: str) -> None:
        """A connection came to nothing."""
        self._tell(forward, ForwardStatus(self._told[forward].local_port, problem))

    def _taken_by(self, forward: Forward) -> str:
        if forward.local_port in self.taken:
            return "by another program"
        ports = {f: f.local_port for f in self.open if f != forward and f.local_port}
        others = [f.resource for f, port in ports.items() if port == forward.local_port]
        return f"by the port forward of {others[0]}" if others else ""

    def _tell(self, forward: Forward, status: ForwardStatus) -> None:
        if self._told.get(forward) != status:
            self._told[forward] = status
            self._listener(forward, status)


def _unheard(_forward: Forward, _status: ForwardStatus | None) -> None:
    """Until somebody listens."""
