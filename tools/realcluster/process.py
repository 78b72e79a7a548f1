"""Processes that outlive the script that started them, and are ended by identity, not by name.

A pid alone does not name a process: numbers come back. The pid file therefore also holds the
start time that the kernel gives (field 22 of /proc/PID/stat) and the boot's id; a process is ours
only if all agree. Each service is the leader of its own session, so that a Ctrl-C in the
terminal does not reach it.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.realcluster import console, settings

_POLL = 0.05
_STOP_GRACE = 15.0
_AFTER_COMM = 19  # start time is field 22; counted from what follows "(comm)", which is field 3


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """One long-running process.

    Args:
        name: of the pid file and the log file.
        argv: program and arguments.
        ready: says whether it serves; called every 50 ms after the start.
        env: variables in addition to this process's own.
        patience: seconds until it must be ready.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    patience: float = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Which process a pid file means: the pid, its start in clock ticks, and the boot."""

    pid: int
    start: int
    boot: str


def boot_id() -> str:
    """The kernel's name for this boot; processes and mounts of another boot are gone."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """Who has this pid now; None if nobody has, or only a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Identity(pid, int(fields[_AFTER_COMM]), boot_id())


def running(folders: settings.Folders, name: str) -> Identity | None:
    """The service's process, if the pid file's process still lives; None otherwise."""
    try:
        known = Identity(**json.loads((folders.pids / name).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return known if identify(known.pid) == known else None


def names(folders: settings.Folders) -> list[str]:
    """The services that have a pid file, alive or not."""
    return sorted(file.name for file in folders.pids.glob("*")) if folders.pids.is_dir() else []


def ensure(folders: settings.Folders, service: Service) -> None:
    """Start the service unless it runs, and wait until it is ready.

    Raises:
        console.Failure: it ended, or was not ready in time; with the end of its log.
    """
    if not running(folders, service.name):
        start(folders, service)
    wait_ready(folders, service)


def start(folders: settings.Folders, service: Service) -> None:
    """Start the service in a session of its own, output to its log file, and note who it is."""
    folders.logs.mkdir(parents=True, exist_ok=True)
    folders.pids.mkdir(parents=True, exist_ok=True)
    console.say(f"start {service.name}")
    log = log_of(folders, service.name)
    # No Popen: it warns of children that outlive it, which is just what these are for.
    pid = os.posix_spawnp(
        service.argv[0],
        list(service.argv),
        {**os.environ, **service.env},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    identity = identify(pid)
    if identity is None:
        raise console.Failure(f"{service.name} ended at once", log)
    (folders.pids / service.name).write_text(json.dumps(dataclasses.asdict(identity)))


def wait_ready(folders: settings.Folders, service: Service) -> None:
    """Wait until the running service is ready.

    Raises:
        console.Failure: it ended, or was not ready in time; with the end of its log.
    """
    deadline = time.monotonic() + service.patience
    while True:
        ready = service.ready()
        # After the check, for it may be another's server that answers while ours can't listen.
        if not running(folders, service.name):
            raise console.Failure(f"{service.name} ended", log_of(folders, service.name))
        if ready:
            return
        if time.monotonic() > deadline:
            raise console.Failure(
                f"{service.name} is not ready after {service.patience:.0f} s",
                log_of(folders, service.name),
            )
        time.sleep(_POLL)


def log_of(folders: settings.Folders, name: str) -> Path:
    """The log file of a service."""
    return folders.logs / f"{name}.log"


def stop(folders: settings.Folders, name: str, grace: float = _STOP_GRACE) -> None:
    """End the service if it is ours (SIGTERM, after `grace` seconds SIGKILL); forget its pid."""
    identity = running(folders, name)
    if identity is not None:
        console.say(f"stop {name}")
        end(identity, grace)
    (folders.pids / name).unlink(missing_ok=True)


def end(identity: Identity, grace: float = _STOP_GRACE) -> None:
    """End this very process, with `grace` seconds to do it by itself."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, _STOP_GRACE)):
        if patience <= 0:
            continue
        with contextlib.suppress(ProcessLookupError):
            if identify(identity.pid) == identity:
                os.kill(identity.pid, number)
        deadline = time.monotonic() + patience
        while identify(identity.pid) == identity and time.monotonic() < deadline:
            time.sleep(_POLL)
        if identify(identity.pid) != identity:
            return
    raise console.Failure(f"process {identity.pid} survives SIGKILL: look at it by hand")


def run(
    *argv: str | Path,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a short command and return its output.

    Raises:
        console.Failure: it can't be started, or its exit code is not 0; with what it printed.
    """
    command = [str(part) for part in argv]
    try:
        result = subprocess.run(
            command,
            input=b"" if stdin is None else stdin,
            capture_output=True,
            check=False,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
    except OSError as error:
        raise console.Failure(f"{command[0]}: {error.strerror}") from error
    if result.returncode:
        said = (result.stderr or result.stdout).decode(errors="replace").strip()
        raise console.Failure(f"{' '.join(command)}: exit code {result.returncode}\n{said}")
    return result.stdout.decode(errors="replace")


def succeeds(*argv: str | Path) -> bool:
    """Whether a short command ends with exit code 0."""
    try:
        run(*argv)
    except console.Failure:
        return False
    return True
