"""Logs of containers, each life of each from its first line to its last.

The API knows "the log of this container now" and "of its previous life", never "of life 3".  So
what the end of a stream means is found out from the pod:

    stream ended | life is        | then
    cleanly      | over           | done
    cleanly      | still running  | look again for a moment (the status lags behind), then go on
    broken off   | still running  | go on after a pause
    broken off   | over           | once more, to its end
    broken off   | over, next on  | once more, from the previous life's log
    either       | not known      | done

A kubelet looks once a second whether a container whose log is followed has ended.  Who knows that
it has, need not wait for that: `hurry` takes the stream for broken off.

A log that has ended cleanly while its life is still told to run tells more than the pod's status:
a kubelet with much to do sees in no time that a container is over when it reads its log, and says
so in the status many seconds later.  So that is told (`ports.Silence`), and taken back once the log
is followed again for longer than the kubelet needs to notice.

A run is known by pod, container and restart.  How far each was told is remembered while the
connection lasts: a life that was told to its end is not told again when it is wanted as `previous`
later, and one that stopped being wanted in between goes on where it was.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from typing import Any, assert_never
from urllib.parse import quote

from tiltd import ports
from tiltd.adapters.kubernetes.loglines import Lines
from tiltd.adapters.kubernetes.wire import NoAnswer, Reply, Request, Wire
from tiltd.core import podspec
from tiltd.model.observed import ContainerRun

_log = logging.getLogger(__name__)

_SILENCE = 600.0
_SHORT = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_LONGEST_WAIT = 1.0
_LAG, _LOOK = 3.0, 0.25
_PROOF = 3.0
"""Seconds that a log has to go on for its life to go on: the kubelet looks once a second."""
_TRIES = 20
_FORBIDDEN = 403
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


class Life(Enum):
    """Where a container's life is, as its pod tells."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"
    PREVIOUS = "previous"
    UNKNOWN = "unknown"


class _End(Enum):
    CLEAN = "clean"
    BROKEN = "broken"
    HURRIED = "hurried"
    NOT_YET = "not-yet"
    NEVER = "never"


Key = tuple[str, str, int]


def key(run: ContainerRun) -> Key:
    """What makes it this life and no other."""
    return run.uid, run.container, run.restart


class Logs:
    """Follows containers of one cluster.

    Args:
        forbidden: told the namespace and the server's words where logs may not be read.
        silence: told which lives are told to run though their logs have ended.
    """

    def __init__(
        self, wire: Wire, forbidden: Callable[[str, str], None], silence: ports.Silence
    ) -> None:
        self._wire, self._forbidden, self._silence = wire, forbidden, silence
        self._silent: set[Key] = set()
        self._lives: dict[Key, Lines | None] = {}
        self._open: dict[Key, asyncio.Timeout] = {}

    def hurry(self, lives: Collection[Key]) -> None:
        """These lives are over: read the rest of what is still being followed, and no longer."""
        for name in lives:
            if limit := self._open.pop(name, None):
                limit.reschedule(asyncio.get_running_loop().time())

    async def follow(self, run: ContainerRun, log: ports.Log) -> None:
        """Tell one life's log; returns when it has ended."""
        lines = self._lives.setdefault(key(run), Lines(run.since))
        if lines is not None:
            await self._tell(run, lines, log)
            self._lives[key(run)] = None

    async def _tell(self, run: ContainerRun, lines: Lines, log: ports.Log) -> None:
        life = await self._look(run) if run.previous or run.restart else Life.RUNNING
        failures = 0
        while life is not Life.UNKNOWN:
            end, told = await self._once(run, life, lines, log)
            failures = 0 if told else failures + 1
            if end is _End.CLEAN and life is Life.RUNNING:
                self._hush(run, silent=True)
            if end is _End.NEVER or (end is _End.CLEAN and life is not Life.RUNNING):
                break
            if failures > _TRIES and life is Life.PREVIOUS:
                break
            if end not in {_End.CLEAN, _End.HURRIED}:
                longest = _LONGEST_WAIT if end is _End.NOT_YET else _LONGEST_PAUSE
                await asyncio.sleep(min(_FIRST_PAUSE * float(2 ** min(failures, 8)), longest))
            now = await self._settled(run) if end is _End.CLEAN else await self._look(run)
            if end is _End.CLEAN and now in {Life.OVER, Life.PREVIOUS}:
                break
            life = Life.RUNNING if now is Life.WAITING else now
        if text := lines.end():
            log.write(text)
        for words in dict.fromkeys(lines.foreign):
            _log.debug("instead of the log of %s/%s: %s", run.pod, run.container, words)

    async def _once(
        self, run: ContainerRun, life: Life, lines: Lines, log: ports.Log
    ) -> tuple[_End, bool]:
        """Read one stream; how it ended, and whether it said anything."""
        request = _request(run, life, lines.begin())
        told = False
        try:
            async with self._interruptible(run, life), self._wire.stream(request) as stream:
                if stream.status != 200:  # noqa: PLR2004  a log has no other success
                    return self._refused(await stream.whole(), run, log), False
                with self._proving(run):
                    async for piece in stream.pieces():
                        if text := lines.feed(piece):
                            log.write(text)
                            told = True
        except TimeoutError:
            return _End.HURRIED, told
        except (NoAnswer, ports.PermanentError, ports.TransientError) as error:
            _log.debug("log of %s/%s broke off: %s", run.pod, run.container, error)
            return _End.BROKEN, told
        return _End.CLEAN, told

    @asynccontextmanager
    async def _interruptible(self, run: ContainerRun, life: Life) -> AsyncGenerator[None]:
        """Where a log is followed that may have no end of its own; see `hurry`."""
        if life is not Life.RUNNING:
            yield
            return
        async with asyncio.timeout(None) as limit:
            self._open[key(run)] = limit
            try:
                yield
            finally:
                self._open.pop(key(run), None)

    @contextmanager
    def _proving(self, run: ContainerRun) -> Generator[None]:
        """While its log is open: if that lasts, a life that seemed to be over is not."""
        if key(run) not in self._silent:
            yield
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(_PROOF, lambda: self._hush(run, silent=False))
        try:
            yield
        finally:
            timer.cancel()

    def _hush(self, run: ContainerRun, *, silent: bool) -> None:
        if silent != (key(run) in self._silent):
            self._silent ^= {key(run)}
            self._silence(run, silent)

    def _refused(self, reply: Reply, run: ContainerRun, log: ports.Log) -> _End:
        words = str(reply.json().get("message") or f"HTTP {reply.status}")
        match reply.status:
            case 404:
                return _End.NEVER
            case 400 if "waiting to start" in words or "not found" in words:
                return _End.NOT_YET  # its image is being pulled, or the status lags behind
            case 400 if words.endswith("is terminated"):
                return _End.NEVER  # it ended before it began: there is no log
            case 400 | 401 | 403:
                if reply.status == _FORBIDDEN:
                    self._forbidden(run.namespace, words)
                log.write(
                    f"can't read the log of {run.pod}/{run.container}: {words}\n", level="warn"
                )
                return _End.NEVER
            case _:
                return _End.BROKEN

    async def _settled(self, run: ContainerRun) -> Life:
        """The life after its log has ended, once the pod's status has followed."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _LAG
        while True:
            life = await self._look(run)
            if life is not Life.RUNNING or loop.time() > until:
                return life
            await asyncio.sleep(_LOOK)

    async def _look(self, run: ContainerRun) -> Life:
        path = f"/api/v1/namespaces/{quote(run.namespace)}/pods/{quote(run.pod)}"
        try:
            reply = await self._wire.ask(Request("GET", path, seconds=_SHORT))
        except (NoAnswer, ports.PermanentError, ports.TransientError):
            return Life.RUNNING  # nothing is known: go on asking for the log
        if reply.ok:
            return life(reply.json(), run)
        return Life.UNKNOWN if reply.status in {403, 404} else Life.RUNNING


def life(pod: Any, run: ContainerRun) -> Life:
    """Where a container's life is, as its pod tells."""
    if podspec.section(pod, "metadata").get("uid") != run.uid:
        return Life.UNKNOWN
    status = podspec.section(pod, "status")
    found = [
        row
        for key in _STATUSES
        for row in podspec.rows(status.get(key))
        if row.get("name") == run.container
    ]
    if not found:
        return Life.WAITING
    later = int(found[0].get("restartCount") or 0) - run.restart
    if later > 0:
        return Life.PREVIOUS if later == 1 else Life.UNKNOWN
    state = podspec.section(found[0], "state")
    if later < 0 or "waiting" in state or not state:
        # Between two lives the count still is that of the one that is over.
        over = "terminated" in podspec.section(found[0], "lastState") and later == 0
        return Life.OVER if over else Life.WAITING
    return Life.OVER if "terminated" in state else Life.RUNNING


def _request(run: ContainerRun, life: Life, since: str) -> Request:
    query = {"container": run.container, "timestamps": "true"}
    match life:
        case Life.RUNNING | Life.WAITING:
            query["follow"] = "true"
        case Life.PREVIOUS:
            query["previous"] = "true"
        case Life.OVER | Life.UNKNOWN:
            pass
        case _:
            assert_never(life)
    if since:
        query["sinceTime"] = since
    path = f"/api/v1/namespaces/{quote(run.namespace)}/pods/{quote(run.pod)}/log"
    return Request("GET", path, query, accept="*/*", seconds=_SILENCE)
