"""`constraints.txt`: every package that development needs, by version and hash.

`python3 -m tools.lock` resolves anew what pyproject.toml asks for (runtime, the groups dev and gen,
and the build backend), for every platform and every Python that it allows; needs `uv`.
`python3 -m tools.lock --check` says whether the file is stale, without resolving: the file's first
line holds a hash of what was asked for. No address of a package index is written.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.realcluster import console, process

_TOP = Path(__file__).parent.parent
_PROJECT = _TOP / "pyproject.toml"
_LOCK = _TOP / "constraints.txt"
_GROUPS = ("dev", "gen")
_OLDEST_PYTHON = "3.11"
_EDITABLE = "editables>=0.5"
"""What hatchling asks for when it is called for an editable install, and declares nowhere."""


def requirements() -> Sequence[str]:
    """What pyproject.toml asks for, as requirement lines."""
    project: dict[str, Any] = tomllib.loads(_PROJECT.read_text())
    groups = [project["dependency-groups"][name] for name in _GROUPS]
    asked: list[str] = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        _EDITABLE,
        *(line for group in groups for line in group),
    ]
    return sorted(set(asked))


def header(asked: Sequence[str]) -> str:
    """The first line of the file: says by whom it was made, and from what."""
    digest = hashlib.sha256(json.dumps(list(asked)).encode()).hexdigest()
    return f"# Made by `python3 -m tools.lock` from pyproject.toml, sha256 of its needs: {digest}"


def resolve(asked: Sequence[str]) -> str:
    """The file's content.

    Raises:
        console.Failure: there is no uv, or no set of versions fits.
    """
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise console.Failure("no `uv` on PATH: `pip install uv`, then call this again")
    with tempfile.NamedTemporaryFile("w", suffix=".in") as wanted:
        wanted.write("\n".join(asked))
        wanted.flush()
        pins = process.run(
            *(uv, "pip", "compile", wanted.name, "--universal", "--generate-hashes", "--upgrade"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"),
            *("--python-version", _OLDEST_PYTHON),
        )
    return f"{header(asked)}\n{pins}"


def is_fresh() -> bool:
    """Whether the file was made from what pyproject.toml asks for now."""
    if not _LOCK.exists():
        return False
    return _LOCK.read_text().partition("\n")[0] == header(requirements())


def main() -> int:
    """Write or check the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.lock", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is stale")
    if parser.parse_args().check:
        if is_fresh():
            return 0
        console.say("constraints.txt is stale: run `python3 -m tools.lock` and commit it")
        return 1
    return console.exit_code(lambda: _LOCK.write_text(resolve(requirements())))


if __name__ == "__main__":
    sys.exit(main())
