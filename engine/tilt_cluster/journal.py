"""`--data DIR`: every change appended to a file, so that a restart finds the objects again.

One JSON line a change.  A line that was cut off by a crash ends the reading: what came before it
is whole.  Each start writes the file anew with what is there, and so does a change that makes it
both larger than a bound and twice as large as it was then.

A disk that is full is told, and does not stop the cluster: the next change writes the file anew, so
that nothing ever comes after a line that is cut off.
"""

import errno
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tilt_cluster.objects import Object, Resource
from tilt_cluster.store import Key, Store

_LOG = logging.getLogger(__name__)
_BOUND = 16 * 1024 * 1024


class Journal:
    """The file of changes.

    Args:
        path: where it is.
        bound: bytes up to which it is never written anew.
    """

    def __init__(self, path: Path, bound: int = _BOUND) -> None:
        self._path = path
        self._file: Any = None
        self._least = self._bound = bound
        self._size = 0

    def load(self, store: Store) -> int:
        """Put what the file says into the store; how many objects there are."""
        found: dict[tuple[Resource, Key], Object] = {}
        version = 0
        for line in self._lines():
            resource = Resource(line["g"], line["r"])
            key = (line["n"], line["m"])
            version = max(version, int(line["v"]))
            if line.get("o") is None:
                found.pop((resource, key), None)
            else:
                found[resource, key] = line["o"]
        for (resource, _), obj in found.items():
            store.load(resource, obj)
        if version:
            store.begin(version)
        return len(found)

    def _lines(self) -> list[Mapping[str, Any]]:
        if not self._path.exists():
            return []
        lines: list[Mapping[str, Any]] = []
        for text in self._path.read_bytes().splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines

    def start(self, store: Store) -> None:
        """Write the file anew, then every change from now on.

        Raises:
            OSError: it can't be written.
        """

        def note(resource: Resource, key: Key, obj: Object | None, version: int) -> None:
            try:
                if self._size > self._bound:
                    self._renew(store)  # the change is in the store already
                else:
                    self._append(_line(resource, key, obj, version))
            except OSError as error:
                self._bound = -1
                _LOG.error("%s: objects are not kept until this is mended: %s", self._path, error)

        self._renew(store)
        store.journal = note

    def _renew(self, store: Store) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            fresh.chmod(0o600)
            for resource, collection in store.items():
                for key, obj in collection.objects.items():
                    file.write(_line(resource, key, obj, store.version))
        fresh.replace(self._path)
        self.close()
        # Unbuffered: what was answered to a client survives a kill -9 of this process.
        self._file = self._path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._bound = max(self._least, 2 * self._size)

    def _append(self, line: bytes) -> None:
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(line)

    def close(self) -> None:
        """End writing."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(resource: Resource, key: Key, obj: Object | None, version: int) -> bytes:
    line = {
        "g": resource.group,
        "r": resource.name,
        "n": key[0],
        "m": key[1],
        "v": version,
        "o": obj,
    }
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
