"""`--data DIR`: every change appended to a file, so that a restart finds the objects again.

One JSON line a change.  A line that was cut off by a crash ends the reading: what came before it
is whole.  Each start writes the file anew with what is there, so it grows only while running.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tilt_cluster.objects import Object, Resource
from tilt_cluster.store import Key, Store


class Journal:
    """The file of changes.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None

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
        """Write the file anew, then every change from now on."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            for resource, collection in store.items():
                for key, obj in collection.objects.items():
                    file.write(_line(resource, key, obj, store.version))
        fresh.replace(self._path)
        self._path.chmod(0o600)
        # Unbuffered: what was answered to a client survives a kill -9 of this process.
        self._file = self._path.open("ab", buffering=0)
        store.journal = self._note

    def _note(self, resource: Resource, key: Key, obj: Object | None, version: int) -> None:
        self._file.write(_line(resource, key, obj, version))

    def close(self) -> None:
        """End writing."""
        if self._file is not None:
            self._file.close()


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
