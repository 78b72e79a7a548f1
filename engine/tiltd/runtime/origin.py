"""Where a project is from: what tells it from another one of the same name, on every machine.

A Tiltfile in a Git repository is known by the repository's remote and its path in there: a clone in
CI has the same, whatever its folder is called.  Any other is known by its machine and its folder,
which tells it from others of that machine, and nothing about those of other machines.

The configuration of Git is read as a file: there may be no git.  Both kinds are digests: what an
account in a cluster says of a machine should be of no use to its readers.
"""

import hashlib
import os
import re
import socket
from pathlib import Path

_SECTION = re.compile(r'\s*\[\s*(?P<name>[^\s"\]]+)(?:\s+"(?P<sub>[^"]*)")?\s*\]')
_URL = re.compile(r"\s*url\s*=\s*(?P<url>.*?)\s*")
_SCHEME = re.compile(r"[a-z+]+://", re.IGNORECASE)
_MACHINE = Path("/etc/machine-id")


def of(tiltfile: str) -> str:
    """The origin of a project: `git-DIGEST`, or `at-MACHINE-FOLDER`. Blocks.

    Args:
        tiltfile: its path.
    """
    path = Path(os.path.realpath(tiltfile))
    for folder in path.parents:
        if (folder / ".git").exists():
            remote = _remote(folder / ".git")
            inside = path.relative_to(folder).as_posix()
            return f"git-{_digest(f'{remote} {inside}', 16)}" if remote else _place(path)
    return _place(path)


def _place(path: Path) -> str:
    try:
        machine = _MACHINE.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        machine = ""
    machine = machine or socket.gethostname()
    return f"at-{_digest(machine, 8)}-{_digest(f'{machine} {path}', 8)}"


def _remote(git: Path) -> str:
    """The address of `origin`, or of the first remote; empty if there is none."""
    try:
        if git.is_file():  # a worktree or a submodule
            git = git.parent / git.read_text(encoding="utf-8").partition(":")[2].strip()
        common = git / "commondir"
        if common.is_file():
            git = git / common.read_text(encoding="utf-8").strip()
        text = (git / "config").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
    urls = _urls(text)
    return _plain(urls.get("origin") or next(iter(urls.values()), ""))


def _urls(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    remote: str | None = None
    for line in text.splitlines():
        if match := _SECTION.match(line):
            remote = match["sub"] if match["name"].lower() == "remote" else None
        elif remote is not None and (match := _URL.fullmatch(line)):
            found.setdefault(remote, match["url"].strip('"'))
    return found


def _plain(url: str) -> str:
    """Without what differs between clones: scheme, user, port-less ssh form, `.git`."""
    rest = _SCHEME.sub("", url)
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if ":" in host and not _SCHEME.match(url):  # git@host:owner/name
        host, _, first = host.partition(":")
        path, slash = f"{first}{slash}{path}", "/"
    whole = f"{host.lower()}{slash}{path.strip('/')}"
    return whole.removesuffix(".git")


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:digits]
