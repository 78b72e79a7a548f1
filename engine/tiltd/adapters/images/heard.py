"""The digest that a registry last gave for each reference, kept from one daemon to the next.

A small file in the user's state folder; who finds it damaged, or can't write it, does without.  Two
daemons may write it at once: then an answer is forgotten, and heard again by the next run.
"""

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any, cast

from tiltd.runtime import threads

_log = logging.getLogger(__name__)
_MOST = 500


class Heard:
    """See the module.

    Must be closed.

    Args:
        path: the file; `None` keeps everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._pool = path, threads.Pool("bases", 1)
        self._known: dict[str, str] | None = None

    def close(self) -> None:
        """Abandon what is being read."""
        self._pool.close()

    async def digest(self, name: str) -> str | None:
        """What was heard last of a reference."""
        return (await self._all()).get(name)

    async def note(self, name: str, digest: str) -> None:
        """Remember it."""
        known = await self._all()
        if known.get(name) == digest:
            return
        known.pop(name, None)
        known[name] = digest
        self._known = dict(list(known.items())[-_MOST:])
        if self._path is not None:
            await self._pool.run(_write, self._path, {name: digest})

    async def _all(self) -> dict[str, str]:
        if self._known is None:
            path = self._path
            found = {} if path is None else await self._pool.run(_read, path)
            self._known = self._known if self._known is not None else found
        return self._known


def _read(path: Path) -> dict[str, str]:
    try:
        found: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.debug("what was heard of images in %s can't be used: %s", path, error)
        return {}
    rows = cast("dict[object, object]", found) if isinstance(found, dict) else {}
    return {k: v for k, v in rows.items() if isinstance(k, str) and isinstance(v, str)}


def _write(path: Path, news: dict[str, str]) -> None:
    """Put news into the file, which another daemon may have written since."""
    known = {k: v for k, v in _read(path).items() if k not in news} | news
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(dict(list(known.items())[-_MOST:]), file)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        _log.debug("what was heard of images can't be remembered: %s", error)
