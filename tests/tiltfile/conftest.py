"""A project's folder, and what happens when its Tiltfile is read."""

import dataclasses
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tiltd.model.names import SessionId
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Problem
from tiltd.model.state import Mode, SessionSpec
from tiltd.ports import Loaded, LoadError
from tiltd.runtime.threads import Pool
from tiltd.tiltfile.loader import TiltfileLoader

POD = (
    "k8s_yaml(blob('{apiVersion: v1, kind: Pod, metadata: {name: p}, "
    "spec: {containers: [{image: i}]}}'))\n"
)
BUILD = "docker_build('i', '.', dockerfile_contents='FROM scratch'"
PROGRAMS = {name: os.environ[name] for name in ("PATH", "DOCKER_CONFIG") if name in os.environ}
"""Where programs are, and docker's plugins, if they are not where they usually are."""
LOCAL = KubeContext("kind-fake", "kind-fake", is_local=True)


class Recorder:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.text = ""
        self.debug = ""

    def write(self, text: str, *, level: str = "info") -> None:
        if level == "debug":
            self.debug += text
        else:
            self.text += text

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclasses.dataclass
class Workspace:
    """A folder with a Tiltfile."""

    root: Path
    loader: TiltfileLoader
    log: Recorder = dataclasses.field(default_factory=Recorder)

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def spec(
        self, args: tuple[str, ...] = (), env: Mapping[str, str] | None = None, mode: Mode = Mode.CI
    ) -> SessionSpec:
        return SessionSpec(
            SessionId("s"),
            mode,
            str(self.root / "Tiltfile"),
            args,
            env={**PROGRAMS, **(env or {})},
            cwd=str(self.root),
        )

    async def load(
        self,
        tiltfile: str,
        *,
        args: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        context: KubeContext = LOCAL,
        mode: Mode = Mode.CI,
    ) -> Loaded:
        self.write({"Tiltfile": tiltfile})
        return await self.loader.load(self.spec(args, env, mode), context, self.log)

    async def error(
        self,
        tiltfile: str,
        *,
        args: tuple[str, ...] = (),
        context: KubeContext = LOCAL,
    ) -> LoadError:
        with pytest.raises(LoadError) as caught:
            await self.load(tiltfile, args=args, context=context)
        return caught.value

    async def problem(
        self,
        tiltfile: str,
        *,
        args: tuple[str, ...] = (),
        context: KubeContext = LOCAL,
    ) -> Problem:
        return (await self.error(tiltfile, args=args, context=context)).problem

    async def printed(self, tiltfile: str, *, env: Mapping[str, str] | None = None) -> list[str]:
        await self.load(tiltfile, env=env)
        return self.log.lines

    def relative(self, paths: tuple[str, ...]) -> list[str]:
        return [os.path.relpath(path, self.root) for path in paths]

    def path(self, name: str) -> str:
        return str(self.root / name)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "project"
    folder.mkdir()
    return folder


@pytest.fixture
async def workspace(project: Path) -> AsyncIterator[Workspace]:
    pool = Pool("tiltfile", 1)
    yield Workspace(project, TiltfileLoader(pool))
    pool.close()
