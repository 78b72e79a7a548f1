"""A Python image out of the Debian packages that this machine has: no download, two seconds.

Those that are essential, Python, and what they depend on; so what debootstrap would give, but for
apt, and in the versions of this machine.  `/etc` stays out, for what stands there is this
machine's own.  Python's compiled files are taken along, and times stay as they are, since by them
Python knows whether such a file is up to date.
"""

import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools import image_archive
from tools.realcluster import packages, process, settings

_PYTHON = "/usr/bin/python3"
_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"
_TOP_LINKS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
"""On a merged /usr these are links, which no package has."""
_UNWANTED = ("etc", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")
_UNFOLLOWED = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def is_possible() -> bool:
    """Whether this is a Debian with a Python that is new enough."""
    return packages.there("apt-cache") and process.succeeds(_PYTHON, "-c", _NEW_ENOUGH)


def archive(path: Path) -> None:
    """Write the archive of the image; only where `is_possible`.

    Raises:
        console.Failure: the packages can't be asked for.
    """
    files = process.run("dpkg-query", "--listfiles", *_packages()).splitlines()
    links = [name for name in _TOP_LINKS if Path("/", name).is_symlink()]
    wanted = [*links, *_with_compiled(_inside(line) for line in files)]
    image = image_archive.Image(settings.INSTALLED_IMAGE, command=["python3"], env=_PATH)
    image_archive.write(path, image, image_archive.copied(wanted, _ACCOUNTS))


def _packages() -> list[str]:
    listed = process.run("dpkg-query", "--show", "--showformat=${Essential} ${Package}\\n")
    rows = [line.split() for line in listed.splitlines()]
    essential = [name for mark, name in rows if mark == "yes"]
    flags = ("--recurse", "--installed", *(f"--no-{kind}" for kind in _UNFOLLOWED))
    told = process.run("apt-cache", "depends", *flags, "python3", *essential).splitlines()
    # What is indented, or in angle brackets, is no package that is there.
    needed = {line.partition(":")[0] for line in told if line[:1].isalnum()}
    return sorted(needed & {name for _, name in rows})


def _inside(line: str) -> str:
    """A listed file's path in the image, links of a merged /usr resolved; empty: leave it out."""
    if not line.startswith("/"):
        return ""  # a word about a diversion
    top, *rest = Path(line).parts[1:] or [""]
    if top in _TOP_LINKS and Path("/", top).is_symlink():
        top = str(Path("/", top).readlink()).strip("/")
    path = str(Path(top, *rest))
    if path == "." or path.startswith(tuple(f"{name}/" for name in _UNWANTED)):
        return ""
    return path if os.path.lexists(f"/{path}") else ""


def _with_compiled(names: Iterable[str]) -> Iterator[str]:
    for name in filter(None, names):
        yield name
        if name.endswith(".py"):
            compiled = Path(importlib.util.cache_from_source(f"/{name}"))
            if compiled.exists():
                yield str(compiled.parent)[1:]
                yield str(compiled)[1:]
