"""The one place that holds state, and the one way to change it.

Lives on the event loop's thread; there is no lock because nobody else writes.  Who wants to know
is told which nodes an event may concern (`core.wake`), and at which revision a node may last have
become another is kept, so that a reader who comes back later is told only what is new to him.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress

from tiltd.core.reduce import reduce
from tiltd.core.wake import wake
from tiltd.model.events import Event, SessionEnded
from tiltd.model.names import SESSION, NodeName
from tiltd.model.state import State

Listener = Callable[[State, State, frozenset[NodeName]], None]


class Store:
    """From another thread: `loop.call_soon_threadsafe(store.dispatch, event)`."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.concerned: dict[NodeName, int] = {}
        self.project_revision = 0
        self._changed, self._closed = asyncio.Event(), False
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener(old, new, nodes)` after each change, on the loop; `nodes`: to look at."""
        self._listeners.append(listener)

    def dispatch(self, *found: Event) -> None:
        """Fold events into the state, in their order, and tell everyone once."""
        self._fold([(event, None) for event in found])

    def record(self, said: Mapping[NodeName, Event]) -> None:
        """Likewise what nodes say of themselves; none has to weigh again what it has just said."""
        self._fold([(event, name) for name, event in said.items()])

    def _fold(self, found: Sequence[tuple[Event, NodeName | None]]) -> None:
        old, new = self.state, reduce(self.state, *(event for event, _ in found))
        self.state = new
        if new.graph is not old.graph:
            self.project_revision = new.revision
        woken: set[NodeName] = set()
        for event, speaker in found:
            nodes = wake(old, new, event)
            # With a session's end nobody has anything to do any more, but is what he was before.
            told = {SESSION} if isinstance(event, SessionEnded) else nodes
            self.concerned.update(dict.fromkeys(told, new.revision))
            woken |= nodes if speaker is None else nodes - {speaker}
        for listener in self._listeners:
            listener(old, new, frozenset(woken))
        self._tell()

    def close(self) -> None:
        """End every reader's `snapshots`, so that open streams don't hold up a shutdown."""
        self._closed = True
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def snapshots(self) -> AsyncIterator[State]:
        """The newest state, again after each change; a slow reader skips, and holds up nobody."""
        while not self._closed:
            changed, state = self._changed, self.state
            yield state
            if not self._closed:
                await changed.wait()

    async def pause(self, seconds: float, until: Callable[[State], bool]) -> None:
        """Let so many seconds pass, fewer if the state comes to be as wanted, or the store ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (self._closed or until(self.state)):
                    await self._changed.wait()
