"""What there is to tell, each message with the revision at which it last changed.

One board serves all clients.  The store knows which nodes an event may concern; their messages are
made anew and compared, so that a wake-up that changed nothing is told to nobody.
"""

from collections.abc import Callable

from tilt_api.v1 import tilt_pb2 as pb
from tiltd.model.state import State
from tiltd.runtime.store import Store
from tiltd.server import convert


class Board:
    """See the module.

    Args:
        store: knows who is concerned.
        converter: makes messages of a state.
    """

    def __init__(self, store: Store, converter: Callable[[State], convert.Converter]) -> None:
        self._store, self._converter = store, converter
        self._revision, self._reset = 0, 0
        self._resources: dict[str, tuple[int, pb.Resource]] = {}
        self._session: tuple[int, pb.Session | None] = (0, None)

    def due(self) -> int:
        """How many nodes may have become others since."""
        return sum(revision > self._revision for revision in self._store.concerned.values())

    def refresh(self, state: State) -> None:
        """Bring the board up to `state`."""
        if state.revision == self._revision:
            return
        converter = self._converter(state)
        names = list(state.graph.resources)
        if self._store.project_revision > self._revision:
            self._reset = state.revision
            self._resources.clear()
        else:
            concerned = self._store.concerned.items()
            nodes = (n for n, revision in concerned if revision > self._revision)
            found = (r for n in nodes for r in convert.resources_of(n, state))
            names = list(dict.fromkeys(found))
        for resource in converter.resources(names):
            _, known = self._resources.get(resource.name, (0, None))
            if known != resource:
                self._resources[resource.name] = (state.revision, resource)
        session = converter.session()
        if session != self._session[1]:
            self._session = (state.revision, session)
        self._revision = state.revision

    def since(self, revision: int) -> pb.WatchResponse | None:
        """What is new since that revision; nothing if nothing is. 0: everything there is."""
        reset = revision == 0 or revision < self._reset
        changed = [r for at, r in self._resources.values() if reset or at > revision]
        message = pb.WatchResponse(sequence=self._revision, reset=reset, resources=changed)
        at, session = self._session
        if session is not None and (reset or at > revision):
            message.session.CopyFrom(session)
        anything = reset or changed or message.HasField("session")
        return message if anything else None
