"""`python -m tilt_cluster` without a verb: a cluster in the foreground, where its flags say."""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tilt_cluster import cluster


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
        "(without it everything is in a temporary folder and goes at the end)",
    )
    parser.add_argument("--port", type=int, default=0, help="of the API (a free one)")
    parser.add_argument("--no-controllers", action="store_true", help="nothing acts on objects")
    parser.add_argument("--no-node", action="store_true", help="pods are stored, not run")
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder: Path | None = given.data
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tilt-cluster-")))
        settings = cluster.Settings(
            name=given.name,
            folder=folder.absolute(),
            port=given.port,
            keep=given.data is not None,
            controllers=not given.no_controllers,
            node=not given.no_node,
        )
        try:
            asyncio.run(_run(settings, started))
        except OSError as error:
            sys.stderr.write(f"tilt-cluster: {error}\n")
            return 1
    return 0


async def _run(settings: cluster.Settings, started: float) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with cluster.run(settings) as running:
        for line in cluster.lines(settings, running, started):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        await ended.wait()
