"""`--log-dir DIR`: the log of each resource in a file of its own, the session's in `tiltd.log`.

A line has its time, what in the resource printed it, and the text without colours.  Only some files
are open at a time: an app may have more resources than a process may have files.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import TextIO

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.outputs import document, files, plain

_OPEN = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST = 100
SESSION = "tiltd"
"""The file of what belongs to no resource."""


class LogFiles:
    """The files of a folder; older ones of the same names are begun anew."""

    def __init__(self, folder: str, env: Mapping[str, str]) -> None:
        self._folder, self._env = folder, env
        self._names: dict[str, str] = {}
        self._open: dict[str, TextIO] = {}

    def write(self, lines: Iterable[pb.LogLine]) -> None:
        """Add lines; they are on disk when this returns.

        Raises:
            OSError: they can't be written.
        """
        touched: dict[str, TextIO] = {}
        for line in lines:
            file = touched[line.resource] = self._file(line.resource)
            span = f"{line.span} " if line.span else ""
            file.write(f"{document.stamp(line.time)} {span}| {plain.text(line.text)}\n")
        for file in touched.values():
            if not file.closed:
                file.flush()

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _file(self, resource: str) -> TextIO:
        file = self._open.pop(resource, None)
        if file is None:
            if len(self._open) >= _OPEN:
                self._open.pop(next(iter(self._open))).close()
            if resource in self._names:
                path = os.path.join(self._folder, self._names[resource])  # noqa: PTH118
                file = open(path, "a", encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115
            else:
                name = self._names[resource] = self._named(resource)
                file = files.start(os.path.join(self._folder, name), self._env)  # noqa: PTH118
        self._open[resource] = file
        return file

    def _named(self, resource: str) -> str:
        """A file's name for a resource's, which may be any text; never one twice."""
        stem = _UNSAFE.sub("_", resource)[:_LONGEST].lstrip(".") or SESSION
        taken = set(self._names.values())
        name, number = f"{stem}.log", 1
        while name in taken or (resource and name == f"{SESSION}.log"):
            number += 1
            name = f"{stem}-{number}.log"
        return name
