"""`tilt-client doctor`: is what tiltd needs there? One line each, with a hint where it is not.

Asks the programs that people have (`docker`, `kubectl`), because the client brings no libraries
for engines and clusters; tiltd itself needs neither program, and the hints say so.
"""

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tilt_api import address
from tilt_api.version import VERSION
from tilt_client import arguments, connect
from tilt_client.complaint import Complaint

_PATIENCE = 5.0
"""Seconds that a program may take to answer."""
_SOCKET = "/var/run/docker.sock"


class Check(NamedTuple):
    """One line: what was looked at, and what was found.

    Args:
        hint: what to do; empty: all is well.
    """

    what: str
    found: str
    hint: str = ""

    def __str__(self) -> str:
        """`ok    docker engine    20.10.24`."""
        line = f"{'warn' if self.hint else 'ok':<6}{self.what:<16}{self.found}"
        return f"{line}\n      {'':<16}hint: {self.hint}" if self.hint else line


class Answer(NamedTuple):
    """What a program said; `missing`: there is no such program."""

    ok: bool
    text: str
    missing: bool = False


def run(argv: Sequence[str]) -> int:
    """Print every check; the exit code is 0, whatever they find."""
    parser = arguments.Parser("doctor", "Check what tiltd needs on this machine.")
    arguments.add(parser, arguments.FILE, arguments.CONTEXT)
    found = parser.parse_args(argv)
    checks: tuple[Callable[[], Check], ...] = (
        lambda: Check("tilt-client", VERSION),
        lambda: _daemon(found.file),
        lambda: Check("python", f"{platform.python_version()} ({sys.executable})"),
        lambda: Check("platform", f"{platform.system()} {platform.release()} {platform.machine()}"),
        engine,
        buildx,
        compose,
        lambda: cluster(found.context),
    )
    for check in checks:
        sys.stdout.write(f"{check()}\n")
        sys.stdout.flush()
    return 0


def _daemon(tiltfile: str) -> Check:
    if importlib.util.find_spec("tiltd") is None:
        return Check("tiltd", "not installed", "install the package tiltd beside tilt-client")
    try:
        with connect.existing(tiltfile) as link:
            if link is None:
                return Check("tiltd", "does not run here; it is started when it is needed")
            info = link.info
    except Complaint as complaint:
        return Check("tiltd", complaint.args[0], complaint.hint or "tilt-client daemon logs")
    old = info.version != VERSION
    hint = "it has another version than this client; tilt-client daemon stop" if old else ""
    return Check("tiltd", f"{info.version}, process {info.pid}, {info.project_dir}", hint)


def engine() -> Check:
    """Whether a Docker Engine answers."""
    said = ask("docker", "version", "--format", "{{.Server.Version}} on {{.Server.Os}}")
    if said.ok:
        return Check("docker engine", said.text)
    if not said.missing:
        hint = "start Docker, or set DOCKER_HOST; without it only images that exist can be deployed"
        return Check("docker engine", said.text, hint)
    where = os.environ.get("DOCKER_HOST", "") or f"unix://{_SOCKET}"
    path = where.removeprefix("unix://")
    if where == path:
        return Check("docker engine", where, "there is no docker program to ask whether it answers")
    if connect.listens(address.Unix(path)):
        return Check("docker engine", f"listens at {path}; there is no docker program to ask")
    return Check("docker engine", f"nothing listens at {path}", "start Docker, or set DOCKER_HOST")


def buildx() -> Check:
    """Whether BuildKit can be used."""
    said = ask("docker", "buildx", "version")
    if said.ok:
        return Check("docker buildx", said.text)
    hint = "install docker-buildx for Dockerfiles that need BuildKit; others build without it"
    return Check("docker buildx", "not there", hint)


def compose() -> Check:
    """Whether the services of `docker_compose()` can be run."""
    said = ask("docker", "compose", "version")
    if said.ok:
        return Check("docker compose", said.text)
    return Check("docker compose", "not there", "install docker-compose for docker_compose()")


def cluster(context: str) -> Check:
    """Which cluster is meant, and whether it answers."""
    chosen = ("--context", context) if context else ()
    name = context
    if not name:
        current = ask("kubectl", "config", "current-context")
        if current.missing:
            found = "unknown: there is no kubectl to ask"
            return Check("kubernetes", found, "tiltd needs no kubectl, only this check does")
        if not current.ok:
            hint = "choose one: kubectl config use-context NAME, or --context NAME"
            return Check("kubernetes", current.text, hint)
        name = current.text
    said = ask("kubectl", *chosen, "get", "--raw", "/version", "--request-timeout=4s")
    if said.ok:
        return Check("kubernetes", f"{name} answers")
    return Check(
        "kubernetes", f"{name}: {said.text}", "start the cluster, or choose another context"
    )


def ask(*command: str) -> Answer:
    """Run a program that answers soon; its last line counts."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs
            command,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return Answer(ok=False, text=f"there is no program {command[0]}", missing=True)
    except subprocess.TimeoutExpired:
        return Answer(ok=False, text=f"no answer after {_PATIENCE:g}s")
    except OSError as error:
        return Answer(ok=False, text=f"{command[0]} can't be run: {error.strerror}")
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return Answer(ok=done.returncode == 0, text=lines[-1] if lines else "no answer")
