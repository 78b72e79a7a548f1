"""The command line of Docker Compose: how it is called, and what its failures mean.

The project goes to its standard input, resolved, so nothing is read from the user's files any
more.  It may hold secrets, so it lies in a file that only the user can read, and only as long as
the command runs; the shell between is there to open that file.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Final

from tiltd import ports
from tiltd.core import composing
from tiltd.model.desired import Command, ComposeProject
from tiltd.model.problems import Code, Problem

_LAST_LINES = 20
_EVERY = ("*",)
"""What was switched on once has to go, too."""
_FROM_STDIN = ("sh", "-c", 'exec "$@" <"$0"')
# What the command prints of its progress says nothing about a failure.
_PROGRESS = re.compile(
    r"^\s*(Container|Network|Volume|Image)?\s*\S*\s*"
    r"(Creating|Created|Starting|Started|Running|Recreate|Recreated|Pulling|Pulled|Waiting|"
    r"Healthy|Stopping|Stopped|Removing|Removed|Building|Built|Error)\s*$|^\s*$|level=warning"
)
_NO_ENGINE = re.compile(r"Cannot connect to the Docker daemon|error during connect|dial unix")
_AGAIN = re.compile(
    r"TLS handshake timeout|i/o timeout|connection reset|toomanyrequests|429 Too Many|"
    r"50[234] |network with name \S+ already exists|temporary failure|"
    r"net/http: request canceled|EOF$",
    re.IGNORECASE,
)
_HINTS: Final = (
    (
        r"port is already allocated|address already in use",
        "another process has the port: end it, or publish another one",
    ),
    (
        r"pull access denied|manifest unknown|manifest for .* not found|repository does not exist",
        "check name, tag and docker login; what is built here needs docker_build() or build:",
    ),
    (r"network .* (not found|declared as external)", "create it first: docker network create"),
    (r"volume .* (not found|declared as external)", "create it first: docker volume create"),
    (r"is already in use by container", "the container_name is taken: docker rm it, or rename"),
    (
        r"executable file not found|exec format error|no such file or directory: unknown",
        "check command and entrypoint, and that the image has the program",
    ),
    (r"bind source path does not exist|not a directory", "check the paths in volumes:"),
)


class Tee:
    """A log that also remembers what failures are told from."""

    def __init__(self, log: ports.Log) -> None:
        self._log, self._text = log, ""

    def write(self, text: str, *, level: str = "info") -> None:
        """Pass on, and remember the end."""
        self._text = (self._text + text)[-64 * 1024 :]
        self._log.write(text, level=level)

    @property
    def lines(self) -> list[str]:
        """The last lines that say more than how far it got."""
        lines = [line.rstrip() for line in self._text.splitlines()]
        return [line for line in lines if not _PROGRESS.search(line)][-_LAST_LINES:]


@contextlib.contextmanager
def command(
    project: ComposeProject, body: Mapping[str, object], env: Mapping[str, str], *args: str
) -> Generator[Command]:
    """The command with these arguments; what it reads is gone after the `with`.

    Args:
        project: names it, its folder and its profiles.
        body: the project to read.
        env: the whole environment.
        args: what to do.
    """
    profiles = _EVERY if args[0] == "down" else project.profiles
    switched = [part for name in profiles for part in ("--profile", name)]
    base = ("--project-name", project.name, "--project-directory", project.dir, *switched)
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(body, file)
        file.flush()
        argv = (*_FROM_STDIN, file.name, *composing.program(env), *base, "-f", "-", *args)
        folder = project.dir if Path(project.dir).is_dir() else os.sep
        yield Command(argv, folder, dict(project.env))


def failed(what: str, code: Code, exit_code: int, lines: list[str]) -> Exception:
    """What a failed call means: to be tried again, or for a person to mend.

    Args:
        what: was tried, `bringing up db`.
        code: of the problem, unless the Engine is away.
        exit_code: of the command.
        lines: what it printed last.
    """
    text = "\n".join(lines)
    said = _said(lines) or f"exit code {exit_code}"
    message = f"{what} failed: {said}"
    if composing.is_missing(text):
        return ports.PermanentError(no_plugin())
    if _NO_ENGINE.search(text):
        hint = "start Docker, or set DOCKER_HOST or DOCKER_CONTEXT to where it runs"
        return ports.PermanentError(Problem(Code.ENGINE_UNREACHABLE, message, hint=hint))
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, text)), "")
    problem = Problem(code, message, hint=hint, detail=text if len(lines) > 1 else "")
    return ports.TransientError(problem) if _AGAIN.search(said) else ports.PermanentError(problem)


def no_plugin() -> Problem:
    """The problem of a machine without Docker Compose."""
    return Problem(
        Code.COMMAND,
        "docker_compose() needs Docker Compose v2, and `docker compose` is not there",
        hint=composing.INSTALL,
    )


def _said(lines: list[str]) -> str:
    """The line that tells the cause: Docker's own error, else the last one."""
    errors = [line for line in lines if re.match(r"(?i)\s*(error|failed|target )", line)]
    line = (errors or lines or [""])[-1].strip()
    return re.sub(r"^(?i:Error response from daemon:|error:)\s*", "", line)
