"""The files of one reading: which one runs now, where relative paths begin, what was read.

Relative paths begin in the folder of the file that is being executed, not of the file in which a
function was defined: a stack, pushed by `load`, `load_dynamic` and `include`.  Every file that is
read is remembered, because a change to it must reload the Tiltfile; so is a file that is missing,
because it may appear.  A folder is remembered only where its whole content counts.
"""

import contextlib
import difflib
import posixpath
from collections.abc import Generator
from pathlib import Path

from tiltd.model.problems import Place
from tiltd.tiltfile import paths
from tiltd.tiltfile.mistakes import Mistake

_NAME, _PATH = 255, 4095
_SHORT = _NAME // 4  # characters that are in no encoding too many bytes
_SHOWN = 60


class Files:
    """See the module.

    Args:
        main: the absolute path of the Tiltfile.
        cwd: the user's working folder, for shorter paths in messages.
        top: the user's own Tiltfile, where `main` is an extension's.
    """

    def __init__(self, main: str, cwd: str = "", top: str = "") -> None:
        self.main = main
        self._near = (posixpath.dirname(top or main), cwd)
        self._running = [main]
        self._watched: dict[str, None] = {}
        self._shown: dict[str, str] = {}

    @property
    def watched(self) -> tuple[str, ...]:
        """All that was read, in order."""
        return tuple(self._watched)

    @property
    def current(self) -> str:
        """The file that is being executed."""
        return self._running[-1]

    @property
    def folder(self) -> str:
        """Where relative paths begin and commands run."""
        return posixpath.dirname(self.current)

    @property
    def running(self) -> tuple[str, ...]:
        """The files that are being executed, outermost first."""
        return tuple(self._running)

    @contextlib.contextmanager
    def executing(self, path: str) -> Generator[None]:
        """While a file is executed."""
        self._running.append(path)
        try:
            yield
        finally:
            self._running.pop()

    def absolute(self, path: str) -> str:
        """A path, relative to the current folder, as an absolute one without `..`.

        Raises:
            Mistake: no file can be called so.
        """
        if reason := _impossible(path):
            shown = path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"
            hint = "content is no path: put it into blob()" if "\n" in path else ""
            raise Mistake(f"{shown!r} can't be a path: {reason}", hint=hint)
        return self.joined(path)

    def joined(self, path: str) -> str:
        """Likewise, whether or not a file can be called so."""
        return posixpath.normpath(posixpath.join(self.folder, path))

    def relative(self, path: str) -> str:
        """An absolute path, relative to the current folder."""
        return posixpath.relpath(path, self.folder)

    def shown(self, path: str) -> str:
        """A path as short as it can be said: relative to the Tiltfile's or the user's folder."""
        known = self._shown.get(path)
        if known is None:
            relative = (posixpath.relpath(path, f) for f in self._near if f and _inside(path, f))
            known = self._shown[path] = min((path, *relative), key=len)
        return known

    def watch(self, path: str) -> None:
        """Remember a file, or a folder with all that is below it."""
        self._watched[path] = None

    def watch_file(self, path: str) -> None:
        """Remember a file, also one that is missing; a folder is left alone."""
        if not paths.is_folder(path) or Path(path).is_symlink():
            self.watch(path)

    def read(self, path: str, what: str = "file") -> str:
        """Read a text file and remember it; bytes that are no UTF-8 stay what they are.

        Raises:
            FileNotFoundError: it is missing.
            Mistake: it can't be read for another reason.
        """
        try:
            text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            self.watch(path)
            raise
        except (OSError, ValueError) as error:
            self.watch_file(path)
            raise self.unreadable(path, what, error) from error
        self.watch(path)
        return text

    def unreadable(self, path: str, what: str, error: Exception) -> Mistake:
        """The mistake for a file that can't be read: missing, a folder, forbidden …."""
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = _nearby(path) if isinstance(error, FileNotFoundError) else ""
        return Mistake(f"the {what} {self.shown(path)} can't be read: {reason}", hint=hint)

    def place(self, file: str, line: int, column: int = 0) -> Place:
        """A place; its file is absolute, as the model wants it."""
        return Place(file, line, column)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(posixpath.join(folder, ""))


def _impossible(path: str) -> str:
    """Why the system takes no such path (Linux: NAME_MAX, PATH_MAX); empty if it may."""
    if "\0" in path:
        return "it contains a NUL"
    if len(path) > _SHORT and any(len(p.encode(errors="replace")) > _NAME for p in path.split("/")):
        return f"a part of it is longer than {_NAME} bytes"
    return f"it is longer than {_PATH} bytes" if len(path.encode(errors="replace")) > _PATH else ""


def _nearby(path: str) -> str:
    """Which part of a missing path is missing, and what is there instead."""
    folder, name = posixpath.split(path)
    if not paths.is_folder(folder):
        return f"there is no folder {folder}" if folder else ""
    try:
        names = [entry.name for entry in Path(folder).iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
