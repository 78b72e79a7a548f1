"""The adapter behind `ports.Composes`.

`docker compose up` of two services at once may make a network twice, or remove an orphan twice.  So
who would do either goes alone; the others of a project have nothing to make but their containers,
and go beside each other.  What takes long, building and pulling, goes before and at its own pace.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from tiltd import ports
from tiltd.adapters.compose import containers, inside, running, watching
from tiltd.adapters.compose.engine import NOT_FOUND, Address, Engine, RefusedError
from tiltd.core import podspec
from tiltd.model.actions import ComposeDown, ComposeUp, ComposeWatch
from tiltd.model.desired import ComposeProject, ComposeTarget
from tiltd.model.live_update import Target
from tiltd.model.observed import ServiceContainer
from tiltd.model.problems import Code, Problem
from tiltd.model.state import SessionSpec

_AT_ONCE = 4
_REMEMBERED = 1000
"""So many containers' logs are known by how far they were read."""


class DockerCompose:
    """Implements `ports.Composes`.

    Args:
        processes: runs the command line.
        where: the Docker Engine of an environment; may raise `PermanentError`.
    """

    def __init__(
        self, processes: ports.Processes, where: Callable[[Mapping[str, str]], Address]
    ) -> None:
        self._processes, self._where = processes, where
        self._alone: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._together = asyncio.Semaphore(_AT_ONCE)
        self._made: defaultdict[str, set[str]] = defaultdict(set)
        self._positions: dict[str, str] = {}

    async def up(
        self, action: ComposeUp, spec: SessionSpec, log: ports.Log, phase: ports.Phase
    ) -> tuple[ServiceContainer, ...]:
        """Bring a service up. See `ports.Composes`."""
        target, project = action.target, action.target.project
        service, engine = target.service, self._engine(project, spec)
        call = _Call(self._processes, project, action.body, spec, log)
        if target.build is not None:
            phase("build")
            await call.run(f"building {service}", Code.BUILD, "build", service)
        elif not await self._has_image(engine, action.body, service):
            phase("pull")
            what = f"pulling the image of {service}"
            await call.run(what, Code.APPLY, "pull", "--quiet", service)
        phase("apply")
        options = ["--detach", "--no-deps", "--no-build"]
        options += ["--force-recreate"] if action.recreate else []
        what, shared = f"bringing up {service}", _shared(action.body, service)
        async with self._together, self._alone_if_new(project.name, shared) as alone:
            options += ["--remove-orphans"] if alone else []
            await call.run(what, Code.APPLY, "up", *options, service)
            self._made[project.name] |= shared
        try:
            found = await containers.listed(engine, project.name, service)
        except RefusedError as error:
            raise ports.PermanentError(Problem(Code.ENGINE_UNREACHABLE, str(error))) from error
        return tuple(containers.read(body) for body in found)

    async def watch(
        self,
        action: ComposeWatch,
        spec: SessionSpec,
        since: float,
        log: Callable[[ServiceContainer], ports.Log],
        changed: Callable[[tuple[ServiceContainer, ...]], None],
    ) -> None:
        """Watch a service. See `ports.Composes`."""
        project = action.target.project
        while len(self._positions) > _REMEMBERED:
            del self._positions[next(iter(self._positions))]
        watch = watching.Watch(
            self._engine(project, spec),
            project.name,
            action.target.service,
            since,
            log,
            self._positions,
        )
        await watch.run(changed)

    async def unpack(
        self, target: Target, packed: bytes, service: ComposeTarget, spec: SessionSpec
    ) -> None:
        """Unpack an archive in a container. See `ports.Composes`."""
        await inside.unpack(self._engine(service.project, spec), target, packed)

    async def execute(
        self,
        target: Target,
        argv: Sequence[str],
        service: ComposeTarget,
        spec: SessionSpec,
        log: ports.Log,
    ) -> int:
        """Run a program in a container. See `ports.Composes`."""
        return await inside.execute(self._engine(service.project, spec), target, argv, log)

    async def restart(self, target: Target, service: ComposeTarget, spec: SessionSpec) -> None:
        """Restart a container. See `ports.Composes`."""
        await inside.restart(self._engine(service.project, spec), target)

    async def down(self, action: ComposeDown, spec: SessionSpec, log: ports.Log) -> frozenset[str]:
        """Remove a project. See `ports.Composes`."""
        project = action.project
        try:
            found = await containers.services(self._engine(project, spec), project.name)
        except RefusedError as error:
            raise ports.PermanentError(Problem(Code.ENGINE_UNREACHABLE, str(error))) from error
        call = _Call(self._processes, project, project.body, spec, log)
        async with self._alone[project.name]:
            self._made.pop(project.name, None)
            what = f"removing the Docker Compose project {project.name}"
            await call.run(what, Code.APPLY, "down", "--remove-orphans")
        return found

    @contextlib.asynccontextmanager
    async def _alone_if_new(self, project: str, shared: frozenset[str]) -> AsyncGenerator[bool]:
        """Alone, as long as something that services share is still to be made or removed."""
        if shared <= self._made[project]:
            yield False
            return
        async with self._alone[project]:
            yield not shared <= self._made[project]

    def _engine(self, project: ComposeProject, spec: SessionSpec) -> Engine:
        return Engine(self._where({**spec.env, **project.env}))

    async def _has_image(self, engine: Engine, body: Mapping[str, object], service: str) -> bool:
        """Whether nothing has to be pulled, or it is for `up` to say what and when."""
        given = podspec.section(podspec.section(body, "services"), service)
        image, policy = given.get("image"), given.get("pull_policy") or "missing"
        if not isinstance(image, str) or policy not in {"missing", "if_not_present"}:
            return True
        try:
            await engine.get(f"/images/{image}/json")
        except RefusedError as error:
            return error.status != NOT_FOUND
        return True


def _shared(body: Mapping[str, object], service: str) -> frozenset[str]:
    """What a service shares with others: the project's list of services, networks, volumes."""
    services = podspec.section(body, "services")
    given = podspec.section(services, service)
    networks = podspec.section(given, "networks")
    volumes = (row.get("source") for row in podspec.rows(given.get("volumes")))
    return frozenset(
        {
            f"services {sorted(services)}",
            *(f"network {name}" for name in networks),
            *(f"volume {name}" for name in volumes),
        }
    )


class _Call:
    """Calls of Docker Compose for one project."""

    def __init__(
        self,
        processes: ports.Processes,
        project: ComposeProject,
        body: Mapping[str, object],
        spec: SessionSpec,
        log: ports.Log,
    ) -> None:
        self._processes, self._project, self._body = processes, project, body
        self._env, self._log = spec.env, log

    async def run(self, what: str, code: Code, *args: str) -> None:
        tee = running.Tee(self._log)
        env = {**self._env, **self._project.env}
        with running.command(self._project, self._body, env, *args) as command:
            ended = await self._processes.run(command, env, tee)
        if ended:
            raise running.failed(what, code, ended, tee.lines)
