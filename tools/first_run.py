"""The first green run, on a machine with nothing but Python: `./try.sh`.

Installs what is missing (the package into .venv, Debian's Docker Engine and nftables), starts the
Engine if none answers, makes the example's base image, and runs the example through `tilt-client
ci` on an embedded cluster.  In the end only what was installed, the cache and the Engine's images
are left; with `--keep` the cluster, with the app in it, and the Engine go on until `--down`.

What has to be downloaded comes from the registries of Debian and Python.  Three things are made
side by side, since each waits for the network or the disk most of the time: the virtual
environment, the Engine, and the image's files.
"""

import argparse
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from tools import base_images, installed_image
from tools.realcluster import cluster, console, engine, packages, process, settings

_TOP = Path(__file__).parent.parent
_CLIENT = _TOP / ".venv/bin/tilt-client"
_TILTFILE = _TOP / "examples/shop/Tiltfile"
_NAME = "try"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED = 130
_VENV: Mapping[str, str] = {
    f"{Path(os.__file__).parent}/ensurepip/__init__.py": "python3-venv",
}
_NETWORK: Mapping[str, str] = {"nft": "nftables"}


def main(arguments: Sequence[str]) -> int:
    """Do it; the exit code is that of `ci`."""
    parser = argparse.ArgumentParser(
        prog="./try.sh", description=(__doc__ or "").partition("\n")[0]
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--keep", action="store_true", help="leave cluster, app and Engine running")
    what.add_argument("--down", action="store_true", help="end what --keep has left running")
    given = parser.parse_args(arguments)
    folders = settings.folders()
    try:
        with _interruptible():
            return _down(folders) if given.down else _try(folders, keep=given.keep)
    except console.Failure as failure:
        console.say(f"error: {failure}")
        return 1
    except KeyboardInterrupt:
        console.say("interrupted; the next call goes on from here")
        return _INTERRUPTED


def _try(folders: settings.Folders, *, keep: bool) -> int:
    began = time.monotonic()
    if os.geteuid() != 0:
        raise console.Failure(
            "names and addresses of Services need root, on an embedded cluster too: sudo ./try.sh"
        )
    cluster.make_ready(folders)
    was_there = engine.there()
    try:
        base = _provide(folders, has_engine=was_there)
        prepared = time.monotonic()
        code = _kept(base) if keep else _ci("embedded", base)
    finally:
        if not was_there and not keep:
            engine.stop(folders)
    now = time.monotonic()
    verdict = "green" if code == 0 else "red"
    console.say(
        f"{verdict}: exit code {code}, after {now - began:.0f} s "
        f"({prepared - began:.0f} s of them to get ready)"
    )
    console.say(
        _ABOUT_KEPT if keep else "what was started has ended; `./try.sh --keep` leaves it up"
    )
    return code


_ABOUT_KEPT = f"""\
it runs on:  export KUBECONFIG=$({shlex.quote(str(_CLIENT))} cluster kubeconfig --name {_NAME})
until:       ./try.sh --down"""


def _provide(folders: settings.Folders, *, has_engine: bool) -> str:
    """Have everything that the run needs; the example's base image."""
    is_debian = installed_image.is_possible()
    image = settings.INSTALLED_IMAGE if is_debian else settings.PYTHON_IMAGE
    has_image = has_engine and process.succeeds("docker", "image", "inspect", image)
    wanted = {**_VENV, **_NETWORK, **({} if has_engine else packages.ENGINE)}
    packages.ensure(wanted if is_debian else {**wanted, **packages.DEBOOTSTRAP})
    with ThreadPoolExecutor() as pool:
        works: list[Future[Any]] = [
            pool.submit(_environment),
            pool.submit(engine.ensure, folders),
        ]
        if not has_image:
            works.append(pool.submit(base_images.archive, folders, image))
        for work in works:
            work.result()
    if not has_image:
        with console.step(f"load {image}"):
            base_images.load(folders, image)
    return image


def _environment() -> None:
    """Have .venv; what is there already takes a tenth of a second."""
    with console.step("Python packages into .venv"):
        process.run(_TOP / "tools/setup.sh", "--runtime", env={"PYTHON": sys.executable})


def _kept(base: str) -> int:
    """Run on a cluster that stays."""
    process.run(_CLIENT, "cluster", "up", "--name", _NAME)
    where = process.run(_CLIENT, "cluster", "kubeconfig", "--name", _NAME).strip()
    return _ci("current", base, {"KUBECONFIG": where})


def _down(folders: settings.Folders) -> int:
    if _CLIENT.exists():
        process.run(_CLIENT, "cluster", "down", "--name", _NAME)
    engine.stop(folders)
    console.say("what was kept has ended")
    return 0


def _ci(which: str, base: str, env: Mapping[str, str] | None = None) -> int:
    """Run `ci`; it gets each of our signals once, which a terminal's process group would not do."""
    command = [str(_CLIENT), "ci", "--cluster", which, "-f", str(_TILTFILE)]
    given = {"SHOP_BASE": base, **(env or {})}
    console.say(" ".join([*(f"{name}={value}" for name, value in given.items()), *command]))
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if started:
            started[0].send_signal(number)
        else:
            early.append(number)

    with (
        _handled(forward),
        subprocess.Popen(command, env={**os.environ, **given}, start_new_session=True) as child,
    ):
        started.append(child)
        for number in early:
            child.send_signal(number)
        return child.wait()


@contextlib.contextmanager
def _interruptible() -> Generator[None]:
    """Have every signal that asks us to end clean up first."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield


@contextlib.contextmanager
def _handled(handler: "signal._HANDLER") -> Generator[None]:
    before = [(number, signal.signal(number, handler)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
