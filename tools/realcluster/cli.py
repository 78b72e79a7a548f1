"""The commands: up, engine, down, status, env, buildx, compose."""

import argparse
import contextlib
import fcntl
import os
import shlex
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from tools.realcluster import binaries, cluster, console, engine, existing, registry, settings


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    commands: Mapping[str, Callable[[settings.Folders], int | None]] = {
        "up": _up,
        "engine": _engine,
        "down": cluster.down,
        "status": _status,
        "env": _env,
        "buildx": _buildx,
        "compose": _compose,
    }
    parser = argparse.ArgumentParser(prog="python3 -m tools.realcluster", description=__doc__)
    parser.add_argument("command", choices=sorted(commands))
    command = commands[parser.parse_args(arguments).command]
    folders = settings.folders()
    try:
        with _alone(folders):
            return command(folders) or 0
    except console.Failure as failure:
        console.say(f"error: {failure}")
        return 1
    except KeyboardInterrupt:
        console.say("interrupted; the next call goes on from here")
        return 130


def _up(folders: settings.Folders) -> None:
    """Bring up engine, registry and cluster; stdout's last line is the kubeconfig's path."""
    _engine(folders)
    kubeconfig = existing.usable(folders)
    if kubeconfig is None:
        cluster.up(folders)
        kubeconfig = str(folders.kubeconfig)
    console.say(f"export KUBECONFIG={shlex.quote(kubeconfig)}")
    print(kubeconfig)


def _engine(folders: settings.Folders) -> None:
    """Bring up engine and registry only."""
    if not (engine.there() and registry.answers()):
        cluster.make_ready(folders)
        engine.ensure(folders)
        registry.ensure(folders)


def _status(folders: settings.Folders) -> int:
    """Print one line for each process; exit code 1 if none of ours runs."""
    lines = cluster.status(folders)
    print("\n".join(f"{name:<24} {pid or '-'}" for name, pid in lines.items()))
    return 0 if any(lines.values()) else 1


def _env(folders: settings.Folders) -> None:
    """Print what a shell needs: `eval "$(python3 -m tools.realcluster env)"`."""
    print(f"export KUBECONFIG={shlex.quote(existing.usable(folders) or str(folders.kubeconfig))}")
    bin_folder = Path(binaries.kubectl(folders)).parent
    if str(bin_folder) not in os.environ.get("PATH", "").split(os.pathsep):
        print(f"export PATH={shlex.quote(str(bin_folder))}:$PATH")


def _buildx(folders: settings.Folders) -> None:
    """Give the docker command line its buildx plugin, if it has none."""
    engine.ensure_plugin(folders, binaries.BUILDX)


def _compose(folders: settings.Folders) -> None:
    """Give the docker command line its compose plugin, if it has none."""
    engine.ensure_plugin(folders, binaries.COMPOSE)


@contextlib.contextmanager
def _alone(folders: settings.Folders) -> Generator[None]:
    """Let one caller at a time start or stop things; others wait."""
    folders.cache.mkdir(parents=True, exist_ok=True)
    with (folders.cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another call that is under way …", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
