"""Base images for examples and tests, made here, since no image registry can be relied upon.

    localhost:5000/base/busybox:1   Debian's busybox-static and a link for each of its applets
    localhost:5000/base/python:3    a minimal Debian with Python 3 and its standard library

Both are loaded into the engine and pushed to the local registry under this very name, so that
`FROM localhost:5000/base/python:3` works with every builder, and a cluster can run them as they
are. What the engine and the registry already have is not made again.

Debian's busybox 1.35 crashes at `wget -T`: use `timeout 5 wget …`.

For a first try there is a third one, of what this machine has installed (`installed_image`).

Run as `python3 -m tools.base_images`, with the engine and the registry up (`make engine`).
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tools import image_archive, installed_image
from tools.realcluster import console, packages, process, registry, settings

_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
_DEBIAN = "bookworm"
_WEIGHT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt")
"""What a base image carries for nobody."""


def busybox_archive(path: Path, ref: str = settings.BUSYBOX_IMAGE) -> None:
    """Write the archive of a busybox image: about 2 MB, a shell, httpd, wget, nc, nslookup …"""
    packages.ensure(packages.BUSYBOX)
    busybox = Path("/bin/busybox")
    applets = process.run(busybox, "--list").split()
    layer = image_archive.layer(
        {"bin/busybox": busybox},
        links={f"bin/{name}": "busybox" for name in applets if name != "busybox"},
        texts=_ACCOUNTS,
        folders=["root", "tmp", "var", "var/www"],
    )
    image = image_archive.Image(ref, command=["sh"], env={"PATH": "/bin"})
    image_archive.write(path, image, layer)


def python_archive(path: Path) -> None:
    """Write the archive of a Python image: debootstrap's minimal Debian and Python, slimmed.

    What Debian has compiled of the standard library stays: 12 MB, and a server starts in a third of
    the time, since nobody who isn't root could keep what is compiled again at each start.
    """
    packages.ensure(packages.DEBOOTSTRAP)
    with tempfile.TemporaryDirectory(prefix="tiltd-debootstrap-") as folder:
        root = Path(folder) / "root"
        # python3 and not python3-minimal: the latter's standard library lacks http.server.
        process.run(
            *("debootstrap", "--variant=minbase", "--include=python3,ca-certificates"),
            *(_DEBIAN, root),
        )
        for name in _WEIGHT:
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir(parents=True)
        tar = Path(folder) / "layer.tar"
        process.run(
            *("tar", "--create", "--file", tar, "--directory", root, "--numeric-owner"),
            *("--sort=name", "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*"),
            *("--exclude=./var/lib/apt/lists/*", "."),
        )
        image = image_archive.Image(settings.PYTHON_IMAGE, command=["python3"], env=_PATH)
        image_archive.write(path, image, tar.read_bytes())


_BASE: Mapping[str, Callable[[Path], None]] = {
    settings.BUSYBOX_IMAGE: busybox_archive,
    settings.PYTHON_IMAGE: python_archive,
}
_MADE_BY = {**_BASE, settings.INSTALLED_IMAGE: installed_image.archive}


def archive(folders: settings.Folders, ref: str) -> Path:
    """The archive of an image, made unless it is in the cache.

    Raises:
        console.Failure: it can't be made.
    """
    folders.cache.mkdir(parents=True, exist_ok=True)
    path = folders.cache / f"{ref.replace('/', '_').replace(':', '_')}.tar"
    if not path.exists():
        with (
            console.step(f"make {ref}"),
            tempfile.TemporaryDirectory(dir=folders.cache) as unfinished,
        ):
            half = Path(unfinished) / "image.tar"
            _MADE_BY[ref](half)
            half.rename(path)
    return path


def load(folders: settings.Folders, ref: str) -> None:
    """Have an image in the engine.

    Raises:
        console.Failure: there is no engine, or the image can't be made.
    """
    if not process.succeeds("docker", "image", "inspect", ref):
        process.run("docker", "load", "--input", archive(folders, ref))


def ensure(folders: settings.Folders) -> None:
    """Have both images in the engine and in the registry.

    Raises:
        console.Failure: there is no engine or registry, or an image can't be made.
    """
    for ref in _BASE:
        load(folders, ref)
        if not registry.has(ref):
            process.run("docker", "push", ref)
        console.say(f"{ref}: in the engine and in the registry")


def main() -> int:
    """Make what is missing; returns the exit code."""
    return console.exit_code(lambda: ensure(settings.folders()))


if __name__ == "__main__":
    sys.exit(main())
