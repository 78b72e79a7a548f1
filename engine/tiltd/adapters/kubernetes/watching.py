"""List, then watch, resumed for ever.

Each scope has a position: the version up to which it was told everything, and the uids that are
there.  A watch that ends goes on from the position.  A position that the server has forgotten (410)
makes a new list; what vanished meanwhile is told as gone, what did not change is not told again.

Every watch is ended by the server after a while, and a deadline a little later notices a connection
that has died silently.  Bookmarks keep the position of quiet scopes young.

Objects are told without `managedFields`, which are a third of their size and interest nobody here.
What is read in one go is told in one call.

Source: "API Concepts: Efficient detection of changes", kubernetes.io; KEP-956 (bookmarks).
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tiltd import ports
from tiltd.adapters.kubernetes import discovery, objects
from tiltd.adapters.kubernetes.discovery import Discovery
from tiltd.adapters.kubernetes.faults import Refused
from tiltd.adapters.kubernetes.wire import NoAnswer, Reply, Request, Trouble, Wire
from tiltd.model.observed import Kind, Scope, Uid

_log = logging.getLogger(__name__)

_FORBIDDEN, _NOT_FOUND, _GONE = 403, 404, 410
_FORBIDDEN_PAUSE = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_LATE = 1.25
_CATCHING_UP = 0.5
_RELIST_AFTER = 3
_LONGEST_LINE = 64 * 2**20
_GATHER = 0.1


class Batch:
    """Gathers what is told; the last word on a uid counts.

    What comes after a while of quiet is told at once, with all else of this turn of the event
    loop; what follows on its heels is gathered for 100 ms, so that a steady stream of changes costs
    few looks at the state.  How long ago each came is told with it: a pod is up since the API
    server said so, not since somebody looked.

    `listener` may be exchanged at any time.
    """

    def __init__(self) -> None:
        self.listener: ports.ClusterListener = _nobody
        self._told_at = float("-inf")
        self._seen: dict[Uid, tuple[dict[str, Any], float]] = {}
        self._gone: dict[Uid, None] = {}

    def saw(self, uid: Uid, body: dict[str, Any]) -> None:
        """An object is there, or has changed."""
        self._schedule()
        self._gone.pop(uid, None)
        self._seen[uid] = body, asyncio.get_running_loop().time()

    def lost(self, uid: Uid) -> None:
        """An object is there no more."""
        self._schedule()
        self._seen.pop(uid, None)
        self._gone[uid] = None

    def _schedule(self) -> None:
        if not self._seen and not self._gone:
            loop = asyncio.get_running_loop()
            loop.call_at(max(self._told_at + _GATHER, loop.time()), self._tell)

    def _tell(self) -> None:
        self._told_at = asyncio.get_running_loop().time()
        seen = tuple(body for body, _ in self._seen.values())
        ages = tuple(self._told_at - at for _, at in self._seen.values())
        gone = tuple(self._gone)
        self._seen, self._gone = {}, {}
        self.listener(seen, gone, ages)


def _nobody(_seen: object, _gone: object, _ages: object) -> None:
    """Until somebody listens."""


@dataclass(slots=True)
class Position:
    """How far a scope was told, and what is there; outlives a watch that is begun anew."""

    version: str = ""
    known: dict[Uid, str] = field(default_factory=dict[Uid, str])
    failures: int = 0
    warned: bool = False


class Watching:
    """Follows scopes of one cluster.

    Args:
        selector: limits scopes that are `ours`.
        seconds: how long one watch lasts.
        forbidden: told what may not be watched.
        blind: told when a scope's watch breaks off, and when it is there again.
        positions: of the scopes, from here on.
    """

    def __init__(
        self,
        wire: Wire,
        kinds: Discovery,
        selector: str,
        batch: Batch,
        seconds: float,
        forbidden: ports.Unreadable,
        blind: Callable[[Scope, bool], None],
        positions: dict[Scope, Position],
    ) -> None:
        self._positions = positions
        self._timer: asyncio.TimerHandle | None = None
        self._forbidden, self._blind = forbidden, blind
        self._wire, self._kinds, self._selector = wire, kinds, selector
        self._batch, self._seconds = batch, seconds

    async def follow(self, scope: Scope) -> NoReturn:
        """Follow one scope until cancelled."""
        position = self._positions.setdefault(scope, Position())
        while True:
            pause = 0.0
            try:
                quiet = await self._once(scope, position)
            except (Refused, NoAnswer, ports.PermanentError, ports.TransientError) as error:
                pause = self._pause(scope, position, error)
            else:
                position.failures = position.failures + 1 if quiet else 0
                pause = _backoff(position.failures) if quiet else 0.0
            await asyncio.sleep(pause)

    async def _once(self, scope: Scope, position: Position) -> bool:
        """One list (if needed) and one watch; whether that ended at once and said nothing."""
        kind = await self._kinds.find(scope.group, scope.version, scope.kind)
        if kind is None:
            raise Refused(Reply(_NOT_FOUND, {}, b"the cluster does not know this kind"))
        if not position.version:
            await self._list(kind, scope, position)
        started = asyncio.get_running_loop().time()
        told = False
        try:
            async for event in self._events(kind, scope, position.version):
                self._tell(event, position)
                told = True
        finally:
            if self._timer is not None:
                self._timer.cancel()
        return not told and asyncio.get_running_loop().time() - started < 1

    def _stands(self, scope: Scope) -> None:
        """A watch that stands for a moment has told what was missed before it."""
        later = asyncio.get_running_loop().call_later
        self._timer = later(_CATCHING_UP, self._blind, scope, False)  # noqa: FBT003 - for a callback

    async def _list(self, kind: Kind, scope: Scope, position: Position) -> None:
        found, version = await objects.listed(
            self._wire, kind, scope.namespace, self._selector if scope.ours else ""
        )
        uids = {Uid(body["metadata"]["uid"]) for body in found}
        for uid in position.known.keys() - uids:
            self._lose(uid, position)
        for body in found:
            self._see(body, position)
        position.version = version
        position.failures = 0
        position.warned = False

    async def _events(
        self, kind: Kind, scope: Scope, version: str
    ) -> AsyncIterator[dict[str, Any]]:
        seconds = self._seconds * random.uniform(0.8, 1.2)  # noqa: S311  so that not all end at once
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        if scope.ours:
            query["labelSelector"] = self._selector
        path = discovery.path(kind, scope.namespace)
        request = Request("GET", path, query, seconds=seconds * _LATE)
        async with self._wire.stream(request) as stream:
            if stream.status != 200:  # noqa: PLR2004  a watch has no other success
                raise Refused(await stream.whole())
            self._stands(scope)
            async for line in lines(stream.pieces()):
                yield _event(line)

    def _tell(self, event: dict[str, Any], position: Position) -> None:
        body = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self._see(body, position)
            case "DELETED":
                self._lose(Uid(body["metadata"]["uid"]), position)
            case "BOOKMARK":
                pass
            case _:
                code = int(body.get("code") or 500)
                raise Refused(Reply(code, {}, json.dumps(body).encode()))
        position.version = str(body["metadata"]["resourceVersion"])
        position.failures = 0

    def _see(self, body: dict[str, Any], position: Position) -> None:
        metadata = body["metadata"]
        uid, version = Uid(metadata["uid"]), str(metadata.get("resourceVersion"))
        if position.known.get(uid) != version:
            position.known[uid] = version
            metadata.pop("managedFields", None)
            self._batch.saw(uid, body)

    def _lose(self, uid: Uid, position: Position) -> None:
        if position.known.pop(uid, None) is not None:
            self._batch.lost(uid)

    def _pause(self, scope: Scope, position: Position, error: Exception) -> float:
        """Learn from a failure; how long to wait."""
        position.failures += 1
        status = error.reply.status if isinstance(error, Refused) else 0
        if status == _GONE or position.failures >= _RELIST_AFTER:
            position.version = ""
        if status == _GONE:
            return 0.0 if position.failures == 1 else _backoff(position.failures)
        if status == _NOT_FOUND:
            for uid in tuple(position.known):
                self._lose(uid, position)
            self._kinds.forget(Kind(scope.group, scope.version, scope.kind, "", namespaced=False))
            position.version = ""
            return min(_backoff(position.failures), 2.0)
        if status == _FORBIDDEN:
            if not position.warned:
                words = error.words if isinstance(error, Refused) else str(error)
                _log.warning("may not watch %s in %r: %s", scope.kind, scope.namespace, words)
                self._forbidden(scope, words)
            position.warned = True
            return _FORBIDDEN_PAUSE
        self._blind(scope, True)  # noqa: FBT003 - see `_stands`
        level = logging.WARNING if position.failures == _RELIST_AFTER else logging.DEBUG
        _log.log(level, "watch of %s in %r broke off: %s", scope.kind, scope.namespace, error)
        return _backoff(position.failures)


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Put lines together; a last line that has no end is dropped, it is not whole."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > _LONGEST_LINE:
            raise NoAnswer(Trouble.CLOSED, "the server sends a line without an end")


def _event(line: bytes) -> dict[str, Any]:
    """One event, with all that is read of it.

    Raises:
        NoAnswer: it is none.
    """
    try:
        event: dict[str, Any] = json.loads(line)
        metadata: dict[str, Any] = event["object"]["metadata"]
        needed = {"ERROR": set[str](), "BOOKMARK": {"resourceVersion"}}
        whole = needed.get(event["type"], {"resourceVersion", "uid"}) <= metadata.keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoAnswer(Trouble.CLOSED, "the server sends garbage") from error
    if not whole:
        raise NoAnswer(Trouble.CLOSED, "the server sends an object without uid or version")
    return event


def _backoff(failures: int) -> float:
    longest = min(_FIRST_PAUSE * float(2 ** min(failures, 10)), _LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  so that not all come back at once
