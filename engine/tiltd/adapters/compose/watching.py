"""The containers of one service, watched, and their logs followed.

Each event is only a reason to look again, at all of them: what came in between, or twice, does no
harm.  A log is read from where it was left, by the Engine's time stamps: the stream ends with each
life of a container, and the next life, or a later watch, goes on from there.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from tiltd import ports
from tiltd.adapters.compose import containers
from tiltd.adapters.compose.engine import CONFLICT, NOT_FOUND, Engine, RefusedError, frames
from tiltd.model.observed import ServiceContainer
from tiltd.model.problems import Code, Problem

_DRAIN = 1.0
"""Seconds that the last lines of a container which has ended get to arrive."""
_LINE = b"\n"

Changed = Callable[[tuple[ServiceContainer, ...]], None]


class Watch:
    """One watch.

    Args:
        engine: asked.
        project: the project's name.
        service: the service's.
        since: of what ran before, only what is printed after this is told.
        log: where a container's lines go.
        positions: how far logs have been read, by container; shared by all watches.
    """

    def __init__(
        self,
        engine: Engine,
        project: str,
        service: str,
        since: float,
        log: Callable[[ServiceContainer], ports.Log],
        positions: dict[str, str],
    ) -> None:
        self._engine, self._project, self._service = engine, project, service
        self._since, self._log, self._positions = since, log, positions
        self._dirty, self._over = asyncio.Event(), False
        self._followers: dict[str, _Follower] = {}
        self._seen: tuple[ServiceContainer, ...] = ()

    async def run(self, changed: Changed) -> None:
        """Tell the containers at once, then at each change; ends only by an error.

        Raises:
            TransientError: the Engine does not answer (any more).
            PermanentError: it refuses.
        """
        query = containers.changes(self._project, self._service)
        try:
            async with self._engine.stream("/events", query) as events:
                problem = await self._follow(events, changed)
        except RefusedError as error:
            raise ports.PermanentError(Problem(Code.ENGINE_UNREACHABLE, str(error))) from error
        raise problem

    async def _follow(
        self, events: AsyncIterator[bytes], changed: Changed
    ) -> ports.TransientError | RefusedError:
        """What ended the watch; it is returned, because a task group would wrap it."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._listen(events), name=f"events-{self._service}")]
            try:
                return await self._look_again(group, tasks, changed)
            except asyncio.CancelledError:
                await self._drain()
                raise
            finally:
                for task in tasks:
                    task.cancel()

    async def _look_again(
        self, group: asyncio.TaskGroup, tasks: list[asyncio.Task[None]], changed: Changed
    ) -> ports.TransientError | RefusedError:
        told: tuple[ServiceContainer, ...] | None = None
        while not self._over:
            self._dirty.clear()
            try:
                found = await containers.listed(self._engine, self._project, self._service)
            except (ports.TransientError, RefusedError) as error:
                return error
            self._seen = tuple(containers.read(body) for body in found)
            for body, seen in zip(found, self._seen, strict=True):
                self._read_log(body, seen, group, tasks)
            if self._seen != told:
                told = self._seen
                changed(told)
            await self._dirty.wait()
        return self._engine.broken("it ended the stream of its events")

    async def _listen(self, events: AsyncIterator[bytes]) -> None:
        with contextlib.suppress(ports.TransientError):
            async for _ in events:
                self._dirty.set()
        self._over = True
        self._dirty.set()

    def _read_log(
        self,
        body: Mapping[str, Any],
        seen: ServiceContainer,
        group: asyncio.TaskGroup,
        tasks: list[asyncio.Task[None]],
    ) -> None:
        known = self._followers.get(seen.id)
        if known is not None:
            known.note_life(seen.started_at)
        elif seen.started_at:
            before = containers.created(body) < self._since
            since = f"{self._since:.6f}" if before else "0"
            follower = _Follower(self._engine, seen, self._log(seen), since, self._positions)
            self._followers[seen.id] = follower
            tty = containers.has_tty(body)
            tasks.append(group.create_task(follower.run(tty=tty), name=f"log-{seen.name}"))

    async def _drain(self) -> None:
        """Let the logs of containers that have ended be read to their end."""
        ended = [c.id for c in self._seen if c.status in {"exited", "dead", "restarting"}]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN):
                for each in ended:
                    if each in self._followers:
                        await self._followers[each].caught_up.wait()


class _Follower:
    """Reads the log of one container through all its lives."""

    def __init__(
        self,
        engine: Engine,
        container: ServiceContainer,
        log: ports.Log,
        since: str,
        positions: dict[str, str],
    ) -> None:
        self.caught_up = asyncio.Event()
        self._engine, self._id, self._log = engine, container.id, log
        self._life, self._again = container.started_at, asyncio.Event()
        self._since, self._positions = since, positions

    def note_life(self, started_at: float) -> None:
        """It was started again: there is more to read."""
        if started_at != self._life:
            self._life = started_at
            self.caught_up.clear()
            self._again.set()

    async def run(self, *, tty: bool) -> None:
        """Until cancelled."""
        while True:
            await self._read(tty=tty)
            if not self._again.is_set():
                self.caught_up.set()
            await self._again.wait()
            self._again.clear()

    async def _read(self, *, tty: bool) -> None:
        position = self._positions.get(self._id, "")
        since = max(_stamp(position), self._since, key=float) if position else self._since
        query = {"follow": "1", "stdout": "1", "stderr": "1", "timestamps": "1", "since": since}
        try:
            async with self._engine.stream(f"/containers/{self._id}/logs", query) as blocks:
                parts = _lines(blocks) if tty else frames(blocks)
                async for part in parts:
                    self._tell(part, position)
        except RefusedError as error:
            if error.status in {NOT_FOUND, CONFLICT}:
                return  # it is being removed, and its log with it
            self._log.write(f"the log can't be read: {error}\n", level="warn")
        except ports.TransientError:
            return  # the watch itself says so

    def _tell(self, part: bytes, told: str) -> None:
        stamp, _, text = part.partition(b" ")
        position = stamp.decode("latin-1")
        if position <= told:
            return  # `since` includes its own moment
        self._positions[self._id] = position
        self._log.write(text.decode("utf-8", "replace"))


def _stamp(position: str) -> str:
    """A time stamp of the Engine as it takes one (`since`): `seconds.nanoseconds`."""
    fraction = position.partition(".")[2].rstrip("Z") or "0"
    return f"{int(containers.seconds(position))}.{fraction:0<9}"


async def _lines(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a terminal's log."""
    kept = b""
    async for block in blocks:
        *lines, kept = (kept + block).split(_LINE)
        for line in lines:
            yield line + _LINE
    if kept:
        yield kept
