"""`python -m tilt_cluster` without a verb: a cluster in the foreground, where its flags say."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tilt_cluster import cluster, homes


def main(arguments: Sequence[str], verbs: Sequence[str]) -> int:
    """Run; 0 after a signal, 1 with one line of reason if it couldn't start.

    Args:
        arguments: of the command line.
        verbs: what could be there instead of flags, for the help.
    """
    started = time.monotonic()
    parser = argparse.ArgumentParser(
        prog="tilt-cluster",
        description="A small Kubernetes cluster whose node is the Docker Engine; ends by Ctrl-C.",
        epilog=f"Or: tilt-cluster {'|'.join(verbs)} [--name NAME]",
    )
    parser.add_argument("--name", default="embedded", help="the cluster's name (%(default)s)")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="keep objects, keys and the kubeconfig here, so that a restart finds them "
        "(without it everything goes at the end, or after a kill at the next start)",
    )
    parser.add_argument("--port", type=int, default=0, help="of the API (a free one)")
    parser.add_argument("--no-controllers", action="store_true", help="nothing acts on objects")
    parser.add_argument("--no-node", action="store_true", help="pods are stored, not run")
    given = parser.parse_args(arguments)
    try:
        here = _place(given)
        with homes.claimed(here) as has_remains:
            asyncio.run(_run(given, here, started, has_remains=has_remains))
    except (homes.TakenError, homes.LeftError, ValueError, OSError) as error:
        sys.stderr.write(f"tilt-cluster: {error}\n")
        return 1
    return 0


def _place(given: argparse.Namespace) -> homes.Home:
    """Where its files are: what keeps nothing and has a node needs its name for itself."""
    if given.data is not None:
        homes.home(given.name)
        return homes.Home(given.name, given.data.absolute())
    return homes.scratch(given.name) if given.no_node else homes.home(given.name)


async def _run(
    given: argparse.Namespace, here: homes.Home, started: float, *, has_remains: bool
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    keeps = given.data is not None
    await homes.sweep()
    if has_remains and not keeps:
        await homes.prepare(here)
    settings = cluster.Settings(
        name=given.name,
        folder=here.folder,
        port=given.port,
        keep=keeps,
        controllers=not given.no_controllers,
        node=not given.no_node,
    )
    try:
        async with cluster.run(settings) as running:
            for line in cluster.lines(settings, running, started):
                sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            await ended.wait()
    finally:
        if given.no_node and not keeps:
            homes.discard(here)
        elif not keeps:
            await homes.clear(here)
