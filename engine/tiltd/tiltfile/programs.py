"""Compiled programs by their content: in memory, and on disk from one daemon to the next.

Parsing and compiling a long Tiltfile takes longer than running it.  A program is found by a digest
of its text, so it can't be out of date; by that of the language's own code, too, so that another
version of it makes its own.  The folder on disk is never worth an error: what can't be read, or is
damaged, is compiled, and what can't be written is not.  It holds the newest few hundred programs.
"""

import contextlib
import functools
import hashlib
import os
import tempfile
from pathlib import Path

from tiltd import starlark

_MOST = 256
_SUFFIX = ".program"


class Programs:
    """See the module; safe to use from several threads.

    Args:
        folder: where programs outlive the daemon; `None` keeps them in memory alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._kept: dict[str, tuple[bytes, starlark.Program]] = {}

    def get(self, text: bytes, path: str) -> starlark.Program:
        """The program of a file.

        Raises:
            starlark.StarlarkSyntaxError: it is none.
        """
        digest = hashlib.sha256(text).digest()
        known = self._kept.get(path)
        if known is not None and known[0] == digest:
            return known[1]
        program = self._load(digest, path)
        if program is None:
            program = starlark.compile(text, path)
            self._store(digest, program)
        self._kept[path] = digest, program
        return program

    def _load(self, digest: bytes, path: str) -> starlark.Program | None:
        place = self._place(digest)
        if place is None:
            return None
        try:
            data = place.read_bytes()
            place.touch()  # the newest are kept
        except OSError:
            return None
        return starlark.load_program(data, path)

    def _store(self, digest: bytes, program: starlark.Program) -> None:
        place = self._place(digest)
        if place is None:
            return
        with contextlib.suppress(OSError):
            place.parent.mkdir(mode=0o700, exist_ok=True)
            # Whole or not at all: another daemon may read it at any moment.
            handle, made = tempfile.mkstemp(dir=place.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(program.dump())
                Path(made).replace(place)
            except OSError:
                Path(made).unlink(missing_ok=True)
                raise
            _prune(place.parent)

    def _place(self, digest: bytes) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.sha256(_language() + digest).hexdigest()
        return self._folder / f"{name}{_SUFFIX}"


def _prune(folder: Path) -> None:
    programs = [p for p in folder.iterdir() if p.suffix == _SUFFIX]
    if len(programs) > _MOST:
        for old in sorted(programs, key=lambda p: p.stat().st_mtime)[: len(programs) - _MOST // 2]:
            old.unlink(missing_ok=True)


@functools.cache
def _language() -> bytes:
    """A digest of the code that compiles."""
    sources = sorted(Path(starlark.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).digest()
