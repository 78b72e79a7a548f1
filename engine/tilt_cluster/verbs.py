"""`python -m tilt_cluster run|up|down|status|kubeconfig|list`: clusters by their names.

`run` is a cluster: in the foreground, in its home (`homes`), gone with all that it made when it
ends.  `up` starts one in the background and waits until it answers; `down` ends it, and removes
what is there of it even if it was killed.  Each start also removes what killed ones have left.

`run --while-stdin` ends when its standard input does: whoever holds the other end of that pipe has
a cluster that outlives it by moments only, however it dies.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tilt_cluster import engine, homes, removal

DEFAULT = "embedded"
READY = "export KUBECONFIG="
"""How the last line begins that a cluster says at its start."""

_ENDING = 60.0
_AGAIN = 0.05
_SUMMARY = """\
  run          be a cluster, in the foreground
  up           start one in the background
  down         end it, and remove all that it made
  status       whether it runs; exit code 1: it does not
  kubeconfig   the path of its kubeconfig
  list         all clusters, and what is left of killed ones"""


def main(arguments: Sequence[str], program: str = "tilt-cluster") -> int:
    """Do what the first argument says; the exit code."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Small Kubernetes clusters whose node is the Docker Engine.",
        epilog=_SUMMARY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("verb", choices=tuple(VERBS))
    parser.add_argument("--name", default=DEFAULT, help="the cluster's name (%(default)s)")
    parser.add_argument("--while-stdin", action="store_true", help="run: until stdin ends")
    parser.add_argument("--log", action="store_true", help="run: say nothing once it answers")
    given = parser.parse_args(arguments)
    if given.verb != "run" and (given.while_stdin or given.log):
        parser.error("--while-stdin and --log are for run")
    try:
        return VERBS[given.verb](homes.home(given.name), given)
    except (homes.TakenError, homes.LeftError, ValueError, OSError) as error:
        sys.stderr.write(f"{program}: {error}\n")
        return 1


def _run(here: homes.Home, given: argparse.Namespace) -> int:
    started = time.monotonic()
    with homes.claimed(here) as has_remains:
        asyncio.run(_be(here, given, started, has_remains=has_remains))
    return 0


async def _be(
    here: homes.Home, given: argparse.Namespace, started: float, *, has_remains: bool
) -> None:
    from tilt_cluster import cluster  # noqa: PLC0415 - the other verbs do without the whole API

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if given.while_stdin:
        loop.add_reader(0, _read, ended.set)
    await homes.sweep()
    if has_remains:
        await homes.prepare(here)
    settings = cluster.Settings(here.name, here.folder)
    try:
        async with cluster.run(settings) as running:
            if given.log:
                _redirect(here.log, 2)
            for line in cluster.lines(settings, running, started):
                sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            if given.log:
                _redirect(here.log, 1)
            await ended.wait()
    finally:
        # Signals go on being taken, and say nothing new: this is the end already.
        await homes.clear(here)


def _read(end: Callable[[], None]) -> None:
    if not os.read(0, 4096):
        asyncio.get_running_loop().remove_reader(0)
        end()


def _redirect(path: Path, number: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(handle, number)
    os.close(handle)


def _up(here: homes.Home, _given: argparse.Namespace) -> int:
    if pid := homes.process(here):
        sys.stdout.write(f'cluster "{here.name}" runs already (process {pid})\n')
        sys.stdout.write(f"{READY}{here.kubeconfig}\n")
        return 0
    command = [sys.executable, "-P", "-m", "tilt_cluster", "run", "--log", "--name", here.name]
    child = subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        start_new_session=True,
    )
    said: list[str] = []
    with child.stdout or contextlib.nullcontext(()) as lines:
        for line in lines:
            said.append(line)
            if line.startswith(READY):
                child.returncode = 0  # it is meant to outlive us, which Popen takes for a mistake
                sys.stdout.writelines(said)
                return 0
    sys.stderr.writelines(said)
    return child.wait() or 1


def _down(here: homes.Home, _given: argparse.Namespace) -> int:
    pid = homes.process(here)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _await_end(here, pid)
    was_there = bool(pid) or here.folder.exists()
    with homes.claimed(here):
        count = asyncio.run(homes.clear(here))
    what = "is gone" if was_there or count else "is not there"
    sys.stdout.write(f'cluster "{here.name}" {what}\n')
    return 0


def _await_end(here: homes.Home, pid: int) -> None:
    deadline = time.monotonic() + _ENDING
    while homes.process(here) == pid:
        if time.monotonic() > deadline:
            raise homes.LeftError(f"cluster {here.name} (process {pid}) does not end")
        time.sleep(_AGAIN)


def _status(here: homes.Home, _given: argparse.Namespace) -> int:
    pid = homes.process(here)
    if not pid:
        left = "; what it has left is removed by down" if here.folder.exists() else ""
        sys.stdout.write(f'cluster "{here.name}" does not run{left}\n')
        return 1
    rows = (
        ("cluster", here.name),
        ("process", str(pid)),
        ("server", _server(here)),
        ("context", f"tilt-{here.name}"),
        ("kubeconfig", str(here.kubeconfig)),
        ("log", str(here.log)),
    )
    sys.stdout.write("".join(f"{name:<12}{value}\n" for name, value in rows))
    return 0


def _server(here: homes.Home) -> str:
    try:
        written: Any = json.loads(here.kubeconfig.read_text())
    except FileNotFoundError:
        return "(starting)"
    return str(written["clusters"][0]["cluster"]["server"])


def _kubeconfig(here: homes.Home, _given: argparse.Namespace) -> int:
    if not homes.process(here) or not here.kubeconfig.exists():
        raise ValueError(f"the cluster {here.name} does not run")
    sys.stdout.write(f"{here.kubeconfig}\n")
    return 0


def _list(_here: homes.Home, _given: argparse.Namespace) -> int:
    states: dict[str, str] = dict.fromkeys(
        asyncio.run(_labelled()), "in the Docker Engine only: run by hand, or left behind"
    )
    for one in homes.known():
        pid = homes.process(one)
        states[one.name] = f"runs (process {pid})" if pid else "left behind"
    for name, state in sorted(states.items()):
        sys.stdout.write(f"{name:<20}{state}\n")
    return 0


async def _labelled() -> Sequence[str]:
    """Clusters that have something in the Engine; none if it can't be asked."""
    try:
        async with engine.Engine(engine.socket_path()) as client:
            return await removal.clusters(client)
    except (engine.EngineAwayError, engine.EngineError, ValueError):
        return ()


VERBS: dict[str, Callable[[homes.Home, argparse.Namespace], int]] = {
    "run": _run,
    "up": _up,
    "down": _down,
    "status": _status,
    "kubeconfig": _kubeconfig,
    "list": _list,
}
