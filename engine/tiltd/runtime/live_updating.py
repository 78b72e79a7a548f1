"""Updates containers in place: what goes is removed, files are copied, steps are run.

What a container holds afterwards is told as soon as it is done, one container after the other.  A
`run` step that ends badly fails the update, and leaves the files in place: they are there, and the
next change may mend it (Tilt's rule).  Where the files themselves can't be brought in, nobody knows
what the container holds; then the image has to be built, and the reason is told.
"""

import asyncio
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from tiltd import ports
from tiltd.model import events
from tiltd.model.actions import LiveUpdate
from tiltd.model.desired import ComposeTarget, LiveUpdateStep
from tiltd.model.live_update import Target, Update
from tiltd.model.names import ImageName
from tiltd.model.problems import Code, Problem
from tiltd.model.state import SessionSpec

_SHOWN = 10
_SEEN = 5.0
_TAIL = 10
_LONGEST = 4000
"""Characters of paths in one command: it is a part of the request's address."""
_KILLED = 137
_NO_PROGRAM = frozenset({126, 127})
_UNPACK = ("tar", "-C", "/", "-x", "-f", "-")


class Inside(Protocol):
    """One container."""

    async def unpack(self, packed: bytes, log: ports.Log) -> int:
        """Unpack an archive at its root; 0, or the exit code of what did it."""
        ...

    async def run(self, argv: Sequence[str], log: ports.Log) -> int:
        """Run a program to its end; its exit code."""
        ...

    async def restart(self) -> None:
        """Restart it, with the files that it has."""
        ...


class InPod:
    """A container of a pod."""

    def __init__(self, cluster: ports.Cluster, target: Target) -> None:
        self._cluster, self._target = cluster, target

    async def unpack(self, packed: bytes, log: ports.Log) -> int:
        """By its own `tar`."""
        return await self._cluster.execute(self._target, _UNPACK, log, packed)

    async def run(self, argv: Sequence[str], log: ports.Log) -> int:
        """See `Inside`."""
        return await self._cluster.execute(self._target, argv, log)

    async def restart(self) -> None:
        """Nobody can; and the step is refused when the Tiltfile is read.

        Raises:
            PermanentError: always.
        """
        message = f"Kubernetes can't restart {self._target}"
        hint = "use the extension restart_process instead of restart_container()"
        raise ports.PermanentError(Problem(Code.TILTFILE, message, hint=hint))


@dataclass(frozen=True, slots=True)
class Life:
    """What is seen of a container of a service.

    Args:
        began: when its present life began; 0 while it does not run.
        changes: gives something whenever that may have changed.
    """

    began: Callable[[], float]
    changes: Callable[[], AsyncIterator[object]]


class InService:
    """A container of a Docker Compose service."""

    def __init__(
        self,
        composes: ports.Composes,
        target: Target,
        service: ComposeTarget,
        spec: SessionSpec,
        life: Life,
    ) -> None:
        self._composes, self._target = composes, target
        self._service, self._spec, self._life = service, spec, life

    async def unpack(self, packed: bytes, log: ports.Log) -> int:
        """By the Docker Engine, which needs nothing in the container."""
        del log  # it prints nothing
        await self._composes.unpack(self._target, packed, self._service, self._spec)
        return 0

    async def run(self, argv: Sequence[str], log: ports.Log) -> int:
        """See `Inside`."""
        return await self._composes.execute(self._target, argv, self._service, self._spec, log)

    async def restart(self) -> None:
        """See `Inside`; done when its watch has seen it, so that nobody takes it for a crash."""
        before = self._life.began()
        await self._composes.restart(self._target, self._service, self._spec)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SEEN):
                async for _ in self._life.changes():
                    if self._life.began() not in {0.0, before}:
                        return


@dataclass(slots=True)
class _Tail:
    """Passes on what is printed, and keeps the end of it."""

    log: ports.Log
    text: str = ""

    def write(self, text: str, *, level: str = "info") -> None:
        self.log.write(text, level=level)
        self.text = (self.text + text)[-2000:]

    def end(self) -> str:
        return "\n".join(self.text.strip().splitlines()[-_TAIL:])


class _BrokenError(Exception):
    """The files could not be brought in; nobody knows what the container holds."""


class _FailedError(Exception):
    """A `run` step ended badly."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(slots=True)
class Updating:
    """One action.

    Args:
        inside: the container of a target.
        tell: takes in what a container holds, at once.
        pack: makes an archive in a thread.
        log: of the resource.
        folder: of the Tiltfile; paths below it are told without it.
    """

    inside: Callable[[Target], Inside]
    tell: Callable[[events.Event], None]
    pack: Callable[[Sequence[tuple[str, str]]], Awaitable[bytes]]
    log: ports.Log
    folder: str
    _stopped: dict[ImageName, str] = field(default_factory=dict[ImageName, str])

    async def do(self, action: LiveUpdate) -> tuple[events.Event, ...]:
        """Update every container; the facts that follow.

        Raises:
            PermanentError: a `run` step ended badly.
        """
        failed: list[Problem] = []
        for update in action.updates:
            if update.image in self._stopped:
                continue
            try:
                await self._container(action, update)
            except _BrokenError as error:
                self._stopped[update.image] = f"the update of {update.target} failed: {error}"
            except _FailedError as error:
                failed.append(error.problem)
        if self._stopped:
            return (events.LiveUpdateStopped(self._stopped),)
        if failed:
            raise ports.PermanentError(failed[0])
        return ()

    async def _container(self, action: LiveUpdate, update: Update) -> None:
        self._announce(update)
        inside = self.inside(update.target)
        name, life = action.resource, update.target.id
        self.tell(events.ContainerUpdated(name, life, update.doubt))
        try:
            await self._remove(update, inside)
            await self._copy(update, inside)
            self.tell(events.ContainerUpdated(name, life, update.held))
            await self._run(update, inside)
            if update.restart:
                self.log.write(f"restarting {update.target}\n")
                await inside.restart()
        except ports.GoneError:
            # Its successor has another id; of this one nothing is wanted any more.
            self.tell(events.ContainerUpdated(name, life, update.held))
            self.log.write(f"{update.target} is gone\n", level="debug")
            return
        except ports.PermanentError as error:
            raise _BrokenError(error.problem.message) from error
        except ports.TransientError:
            self.tell(events.ContainerUpdated(name, life, update.doubt))
            raise
        self.log.write(f"{update.target} is updated\n")

    def _announce(self, update: Update) -> None:
        removed, copied = len(update.removals), len(update.copies)
        parts = [f"copying {_files(copied)}"] * bool(copied)
        parts += [f"deleting {_files(removed)}"] * bool(removed)
        self.log.write(f"live update of {update.target}: {', '.join(parts)}\n")
        lines = [f"  {self._short(local)} → {remote}\n" for local, remote in update.copies]
        lines += [f"  deleted: {remote}\n" for remote in update.removals]
        more = [f"  and {len(lines) - _SHOWN} more\n"] if len(lines) > _SHOWN else []
        self.log.write("".join([*lines[:_SHOWN], *more]))

    def _short(self, path: str) -> str:
        return path.removeprefix(f"{self.folder}/")

    async def _remove(self, update: Update, inside: Inside) -> None:
        for paths in _portions(update.removals):
            tail = _Tail(self.log)
            code = await inside.run(("rm", "-rf", *paths), tail)
            if code:
                raise _BrokenError(f"rm ended with exit code {code}: {tail.end()}")

    async def _copy(self, update: Update, inside: Inside) -> None:
        if not update.copies:
            return
        tail = _Tail(self.log)
        code = await inside.unpack(await self.pack(update.copies), tail)
        if code in _NO_PROGRAM:
            raise _BrokenError("the image has no tar, which takes the files in")
        if code:
            raise _BrokenError(
                f"tar ended with exit code {code}: {tail.end()} (are the files of the image "
                "writable for its user, and does the pod's securityContext allow it?)"
            )

    async def _run(self, update: Update, inside: Inside) -> None:
        for number, step in enumerate(update.runs, 1):
            if not step.echo_off:
                self.log.write(f"[{number}/{len(update.runs)}] {_shown(step)}\n")
            tail = _Tail(self.log)
            code = await inside.run(step.argv, tail)
            if code == _KILLED:
                raise _BrokenError(f"{_shown(step)} was killed (exit code {code})")
            if code:
                message = f"live update of {update.target}: {_shown(step)} "
                message += f"ended with exit code {code}"
                hint = "the files are in the container; the next change tries again"
                raise _FailedError(
                    Problem(Code.COMMAND, message, step.place, hint, detail=tail.end())
                )


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def _shown(step: LiveUpdateStep) -> str:
    shell = step.argv[:2] == ("sh", "-c")
    return " ".join(step.argv[2:]) if shell else shlex.join(step.argv)


def _portions(paths: Sequence[str]) -> list[list[str]]:
    """The paths in portions that a request can hold."""
    found: list[list[str]] = []
    size = _LONGEST
    for path in paths:
        size += len(path)
        if size > _LONGEST:
            found.append([])
            size = len(path)
        found[-1].append(path)
    return found
