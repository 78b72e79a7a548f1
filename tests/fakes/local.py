"""Imitations of what is on this machine: Tiltfiles, input files, processes."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping

from tiltd import ports
from tiltd.core import secret
from tiltd.model.desired import Command, CustomBuild, DockerBuild, LocalTarget, Probe, Project
from tiltd.model.observed import KubeContext, ServeStatus
from tiltd.model.state import SessionSpec
from tiltd.runtime.clock import Clock


class FakeTiltfiles:
    """Gives `project`, or raises `error`; `loads` counts."""

    def __init__(self) -> None:
        self.project = Project("/src/shop/Tiltfile")
        self.error: Exception | None = None
        self.secrets: tuple[str, ...] = ()
        self.loads = 0
        self.seconds = 0.0

    async def load(self, spec: SessionSpec, context: KubeContext, log: ports.Log) -> ports.Loaded:
        del spec, log
        await asyncio.sleep(self.seconds)
        self.loads += 1
        if self.error is not None:
            raise self.error
        return ports.Loaded(self.project, context, self.secrets)


class FakeInputs:
    """The digest of a folder is what `contents` says of it."""

    def __init__(self) -> None:
        self.contents: defaultdict[str, str] = defaultdict(lambda: "same")
        self.reads: list[str] = []
        self.seconds = 0.0
        self.hidden: dict[str, str] = {}
        self.listings: dict[str, Mapping[str, str]] = {}

    async def digest(self, user: DockerBuild | CustomBuild | LocalTarget) -> str:
        match user:
            case DockerBuild(context=folder):
                pass
            case CustomBuild(command=command):
                folder = command.dir
            case LocalTarget(deps=deps):
                folder = deps[0]
        await asyncio.sleep(self.seconds)
        self.reads.append(folder)
        return self.contents[folder]

    async def secrets(
        self, build: DockerBuild | CustomBuild, spec: SessionSpec
    ) -> Mapping[str, str | None]:
        """Those of `hidden`, by id; others can't be read."""
        del spec
        await asyncio.sleep(0)
        names = build.secret if isinstance(build, DockerBuild) else ()
        return {one.id: self.hidden.get(one.id) for one in map(secret.parse, names)}

    def listing(self, digest: str) -> Mapping[str, str]:
        """Each folder has one file, whose content is the digest, unless `listings` knows better."""
        if digest in self.listings:
            return self.listings[digest]
        return {"file": digest} if digest in self.contents.values() else {}


class FakeProcesses:
    """Commands are known by their shell text.

    Attributes:
        seconds: how long each runs; endless ones are served.
        exits: the exit code of each.
        ran: those that ended by themselves; `stopped`: those that were cancelled.
        prints: makes what a captured command prints, when it has ended.
        environments: what each captured command found there.
        ready_after: when a served process with a probe becomes ready; `None`: never.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds: defaultdict[str, float] = defaultdict(lambda: 1.0)
        self.exits: defaultdict[str, int] = defaultdict(int)
        self.prints: dict[str, Callable[[], str]] = {}
        self.environments: dict[str, Mapping[str, str]] = {}
        self.serve_ends: dict[str, float] = {}
        self.ready_after: float | None = 0.5
        self.ran: list[str] = []
        self.stopped: list[str] = []
        self.running: set[str] = set()
        self._holds: dict[str, asyncio.Event] = {}
        self.most_running = 0

    def hold(self, text: str) -> asyncio.Event:
        """That command ends only once the event is set."""
        self._holds[text] = asyncio.Event()
        return self._holds[text]

    async def run(self, command: Command, env: Mapping[str, str], log: ports.Log) -> int:
        del env
        text = command.argv[-1]
        self._begin(text)
        try:
            log.write(f"ran {text}\n")
            if text in self._holds:
                await self._holds[text].wait()
            else:
                await asyncio.sleep(self.seconds[text])
        except asyncio.CancelledError:
            self.stopped.append(text)
            raise
        finally:
            self.running.discard(text)
        self.ran.append(text)
        return self.exits[text]

    async def capture(
        self, command: Command, env: Mapping[str, str], log: ports.Log
    ) -> tuple[int, str]:
        self.environments[command.argv[-1]] = {**env, **command.env}
        code = await self.run(command, env, log)
        made = self.prints.get(command.argv[-1])
        return code, made() if made is not None else ""

    async def serve(
        self,
        command: Command,
        env: Mapping[str, str],
        probe: Probe | None,
        log: ports.Log,
        changed: Callable[[ServeStatus], None],
        key: str,
    ) -> None:
        del env
        text = command.argv[-1]
        self._begin(text)
        began = self._clock.now()
        log.write(f"serves {text}\n")
        try:
            changed(ServeStatus(key, began, 1, None if probe else True))
            if probe is not None and self.ready_after is not None:
                await asyncio.sleep(self.ready_after)
                changed(ServeStatus(key, began, 1, ready=True))
            if text not in self.serve_ends:
                await asyncio.Event().wait()
            await asyncio.sleep(self.serve_ends[text])
            changed(ServeStatus(key, began, 1, exit_code=self.exits[text]))
        except asyncio.CancelledError:
            self.stopped.append(text)
            raise
        finally:
            self.running.discard(text)

    def _begin(self, text: str) -> None:
        self.running.add(text)
        self.most_running = max(self.most_running, len(self.running))
