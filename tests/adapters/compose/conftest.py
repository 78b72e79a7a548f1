"""A project of the test's own: on the imitation, or on a real Docker Engine, removed afterwards."""

import asyncio
import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import composing
from tests.adapters.logged import Logged
from tests.fakes.compose import FakeCompose
from tiltd import ports
from tiltd.adapters import compose, processes
from tiltd.model.actions import ComposeDown, ComposeUp, ComposeWatch
from tiltd.model.desired import ComposeBuild, ComposeProject, ComposeTarget
from tiltd.model.names import ResourceName, SessionId
from tiltd.model.observed import ServiceContainer
from tiltd.model.state import Mode, SessionSpec
from tiltd.runtime.clock import Clock

SERVES = ["sh", "-c", "echo up; exec sleep 100000"]
Seen = tuple[ServiceContainer, ...]


class Project:
    """One project, whoever runs it.

    Args:
        adapter: what is tested.
        folder: of the project.
        env: of the session.
    """

    def __init__(self, adapter: ports.Composes, folder: str, env: Mapping[str, str]) -> None:
        self.adapter, self.folder = adapter, folder
        self.name = f"tiltd-test-{uuid.uuid4().hex[:8]}"
        self.spec = SessionSpec(SessionId("s"), Mode.CI, f"{folder}/Tiltfile", env=env)
        self.log, self.phases = Logged(), list[str]()
        self.logs: dict[str, Logged] = {}
        self.since = time.time()
        self.services: dict[str, Any] = {}
        self.shared: dict[str, Any] = {}

    def service(self, name: str, command: list[str] | None = None, **more: Any) -> None:
        """Declare a service, or change it."""
        self.services[name] = {
            "image": composing.BASE,
            "command": SERVES if command is None else command,
            "stop_grace_period": "0s",
            **more,
        }

    def dockerfile(self, text: str) -> None:
        """Write the project's Dockerfile."""
        Path(self.folder, "Dockerfile").write_text(text, encoding="utf-8")

    def project(self) -> ComposeProject:
        body = {"name": self.name, "services": self.services, **self.shared}
        return ComposeProject(self.name, self.folder, (f"{self.folder}/compose.yml",), body)

    def target(self, name: str) -> ComposeTarget:
        build = self.services[name].get("build")
        built = ComposeBuild(name, self.folder, f"{self.folder}/Dockerfile") if build else None
        return ComposeTarget(self.project(), name, build=built)

    async def up(self, name: str, *, recreate: bool = False) -> ServiceContainer:
        """Bring a service up; its container."""
        target = self.target(name)
        action = ComposeUp(ResourceName(name), target, target.project.body, "k", 1, recreate)
        (container,) = await self.adapter.up(action, self.spec, self.log, self.phases.append)
        return container

    async def down(self) -> frozenset[str]:
        """Remove the project; the services that there were."""
        names = {name: ResourceName(name) for name in self.services}
        return await self.adapter.down(ComposeDown(self.project(), names), self.spec, self.log)

    @contextlib.asynccontextmanager
    async def watched(self, name: str) -> AsyncGenerator["Watched"]:
        """While a service is watched."""
        seen = Watched()
        action = ComposeWatch(ResourceName(name), self.target(name), "k")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(
                self.adapter.watch(action, self.spec, self.since, self.log_of, seen.changed)
            )
            try:
                yield seen
            finally:
                task.cancel()

    def log_of(self, container: ServiceContainer) -> Logged:
        return self.logs.setdefault(container.name, Logged())

    async def remove(self, container: ServiceContainer) -> None:
        """Somebody removes a container."""
        if isinstance(self.adapter, FakeCompose):
            self.adapter.remove(container.name.split("-")[-2])
        else:
            docker("rm", "--force", container.id)


class Watched:
    """What a watch tells."""

    def __init__(self) -> None:
        self.all: list[Seen] = []
        self._came = asyncio.Event()

    def changed(self, seen: Seen) -> None:
        self.all.append(seen)
        self._came.set()

    async def until(self, reached: Callable[[Seen], bool]) -> Seen:
        """Wait until the containers are so."""
        async with asyncio.timeout(30):
            while not (self.all and reached(self.all[-1])):
                self._came.clear()
                await self._came.wait()
        return self.all[-1]


def where(env: Mapping[str, str]) -> compose.Address:
    """The Engine of the tests."""
    return compose.Address(env.get("DOCKER_HOST") or "unix:///var/run/docker.sock")


def docker(*args: str) -> str:
    """Run docker; its output."""
    return subprocess.run(["docker", *args], capture_output=True, text=True, check=True).stdout


@pytest.fixture
async def real(tmp_path: Path) -> AsyncGenerator[Project]:
    """A project on the real Docker Engine."""
    if not composing.has_engine():
        pytest.skip(composing.WITHOUT)
    local = processes.LocalProcesses()
    made = Project(compose.DockerCompose(local, where), str(tmp_path), dict(os.environ))
    yield made
    if made.services:
        await made.down()
    await local.close()


@pytest.fixture
async def imitation(tmp_path: Path) -> Project:
    """A project on the imitation."""
    await asyncio.sleep(0)  # its clock is the loop's
    return Project(FakeCompose(Clock(time.time())), str(tmp_path), {})


@pytest.fixture(params=["imitation", pytest.param("real", marks=pytest.mark.docker)])
def any_project(request: pytest.FixtureRequest) -> Project:
    """A project on the imitation, and the same on the real thing."""
    made: Project = request.getfixturevalue(request.param)
    return made
