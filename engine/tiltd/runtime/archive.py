"""Local files as a tar archive for a container, under the paths that they have in there.

Modes and times are the files' own: programs that watch their sources go by the times.  Owners are
not, since the container knows other users: what unpacks it decides.  Folders on the way are not in
it, so that those of the container keep their rights.

Reads files: call it in a thread.  All of it is held in memory.
"""

import io
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tiltd import ports
from tiltd.model.problems import Code, Place, Problem


def packed(copies: Iterable[tuple[str, str]]) -> bytes:
    """A tar archive, to be unpacked at `/`.

    Args:
        copies: local files and symbolic links, each with its absolute path in the container.  One
            that has gone meanwhile is left out: its end is news of its own.

    Raises:
        PermanentError: one can't be read.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for local, remote in copies:
            _add(archive, Path(local), remote.lstrip("/"))
    return out.getvalue()


def _add(archive: tarfile.TarFile, local: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    try:
        status = local.lstat()
        entry.mtime, entry.mode = status.st_mtime, stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            entry.type, entry.linkname = tarfile.SYMTYPE, str(local.readlink())
            archive.addfile(entry)
        elif stat.S_ISREG(status.st_mode):
            content = local.read_bytes()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        message = f"{local} can't be copied into a container: {error.strerror}"
        raise ports.PermanentError(
            Problem(Code.INPUT, message, place=Place(str(local)), hint="make it readable")
        ) from error
