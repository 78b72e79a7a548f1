"""Files that the user asked for: checked before any work, written whole or not at all.

A report appears under its name only when it is complete: it is written beside it and renamed.  An
older file of that name is removed when the run begins, so that a run that is killed leaves no
report of another one.  What is no regular file (a pipe, /dev/stdout) is written to as it is.

New files are their owner's alone (0600).  Where `CI` is set they follow the umask instead: there
somebody else collects them, often another user.
"""

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from typing import TextIO

from tilt_client.complaint import Complaint, Exit

# ruff: noqa: PTH103, PTH104, PTH108, PTH116, PTH118, PTH120, PTH123
# pathlib costs 5 ms of start-up

_PRIVATE, _SHARED = 0o600, 0o666
_FOLDER_PRIVATE, _FOLDER_SHARED = 0o700, 0o777
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def mode(env: Mapping[str, str]) -> int:
    """The permissions of new files, before the umask."""
    return _SHARED if env.get("CI") else _PRIVATE


def claim(path: str, flag: str, env: Mapping[str, str]) -> str:
    """Make sure that a file can be written, and that no older one is taken for ours.

    The answer is its absolute path, links resolved; a complaint names the flag.

    Raises:
        Complaint: it can't be written (exit code 2).
    """
    if not path:
        raise Complaint(f"{flag}: the name of the file is empty", code=Exit.USAGE)
    path = os.path.realpath(path)
    try:
        if special(path):
            # Not by opening it: whoever reads a pipe would take the first end for the only one.
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        else:
            os.makedirs(os.path.dirname(path), _folder_mode(env), exist_ok=True)
            write(path, [], env)
            os.unlink(path)
    except OSError as error:
        what = f"{flag}: {path} can't be written: {error.strerror}"
        raise Complaint(what, "name a file that this user may write", code=Exit.USAGE) from error
    return path


def claim_folder(path: str, flag: str, env: Mapping[str, str]) -> str:
    """Make sure that there is a folder that can be written to; its absolute path.

    Raises:
        Complaint: there can't be one (exit code 2).
    """
    path = os.path.realpath(path)
    try:
        os.makedirs(path, _folder_mode(env), exist_ok=True)
        trial = _beside(os.path.join(path, "trial"))
        os.close(os.open(trial, _NEW, mode(env)))
        os.unlink(trial)
    except OSError as error:
        what = f"{flag}: {path} can't be written to: {error.strerror}"
        raise Complaint(what, "name a folder that this user may write", code=Exit.USAGE) from error
    return path


def write(path: str, chunks: Iterable[str], env: Mapping[str, str]) -> None:
    """Replace a file by one with this text.

    Raises:
        OSError: it can't be written; then nothing of it is there.
    """
    if special(path):
        with open(path, "wb") as file:
            file.writelines(chunk.encode("utf-8", "replace") for chunk in chunks)
        return
    new = _beside(path)
    try:
        with os.fdopen(os.open(new, _NEW, mode(env)), "wb") as file:
            file.writelines(chunk.encode("utf-8", "replace") for chunk in chunks)
        os.rename(new, path)
    except BaseException:
        if os.path.lexists(new):
            os.unlink(new)
        raise


def start(path: str, env: Mapping[str, str]) -> TextIO:
    """A file to write to as things happen, one line at a time; begun anew."""
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    handle = os.open(path, how, mode(env))
    return os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n")


def special(path: str) -> bool:
    """Whether there is something other than a regular file or a folder."""
    try:
        found = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(found) or stat.S_ISDIR(found))


def _beside(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name[:100]}.{os.urandom(4).hex()}")


def _folder_mode(env: Mapping[str, str]) -> int:
    return _FOLDER_SHARED if env.get("CI") else _FOLDER_PRIVATE
