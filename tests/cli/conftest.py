"""A project folder, a runtime folder of its own, and `tilt-client` as the process that it is."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes import daemon as fake
from tilt_api import address

ROOT = Path(__file__).parents[2]


@dataclass
class Place:
    """Where a test's clients run."""

    project: Path
    env: dict[str, str]

    @property
    def home(self) -> address.Home:
        return address.home(str(self.project), self.env)

    def starts(self) -> list[str]:
        """The daemons that were started: process id and verb."""
        kept = Path(self.home.folder, "starts")
        return kept.read_text().splitlines() if kept.exists() else []

    def script(self, name: str) -> None:
        """What a daemon does that is started from now on."""
        self.env["TILTD_COMMAND"] = f"{sys.executable} -m tests.fakes.daemon {name}"

    @contextlib.contextmanager
    def serving(self, script: fake.Script) -> Generator[fake.Servicer]:
        """A daemon that runs already."""
        address.ensure_folder(self.home)
        script.project = script.project or str(self.project)
        with fake.serving(script, str(self.home.address)) as servicer:
            yield servicer

    def popen(self, *args: str, **options: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tilt_client", *args],
            cwd=self.project,
            env=self.env,
            stdout=options.get("stdout", subprocess.PIPE),
            stderr=options.get("stderr", subprocess.PIPE),
            text=True,
        )

    def run(self, *args: str) -> "subprocess.CompletedProcess[str]":
        with self.popen(*args) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    project = tmp_path / "project"
    project.mkdir()
    (project / "Tiltfile").touch()
    runtime = tempfile.mkdtemp(prefix="tc")  # pytest's own are too long for a socket's path
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in {"NO_COLOR", "TILTD_ADDRESS", "TILTD_COMMAND"}
    }
    env |= {"XDG_RUNTIME_DIR": runtime, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    env["KUBECONFIG"] = str(project / "none")  # nobody's, and no invitation to have one made
    here = Place(project.resolve(), env)
    here.script("unwilling")
    yield here
    for line in here.starts():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(line.split()[0]), signal.SIGKILL)
    shutil.rmtree(runtime)


@pytest.fixture
def real(place: Place) -> Iterator[Place]:
    """With the real daemon, and without a cluster."""
    del place.env["TILTD_COMMAND"]
    yield place
    place.run("daemon", "stop")


def tiltfile(place: Place, text: str) -> None:
    """Write the project's Tiltfile."""
    (place.project / "Tiltfile").write_text(text)
