"""Digests of the files that builds and local resources depend on: `ports.Inputs`.

The digest of a Docker build is exactly that of the entries which its builder will be sent, so the
two can be compared.  The Dockerfile's text and the other options are keyed beside it.

Reading runs in a few threads, and stops between two files once nobody waits for it.  Digests of
contents are remembered by path, inode, size and both times, so that asking again costs one `stat`
a file.  Here the memory ends with the daemon; one on disk has the same face
(`buildcontext.DigestCache`).
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import assert_never

from tiltd.core import dockerignore
from tiltd.model.desired import CustomBuild, DockerBuild
from tiltd.runtime import buildcontext, ignores, threads

_READERS = 2
_MOST = 500_000


class MemoryCache:
    """Digests by path and identity; safe in any thread.

    Args:
        most: entries to keep; when there are more, the oldest half goes.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: dict[str, tuple[tuple[int, int, int, int], bytes]] = {}
        self._lock = threading.Lock()

    def get(self, path: str, status: os.stat_result) -> bytes | None:
        """The digest of the file's content, or None."""
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == _identity(status) else None

    def put(self, path: str, status: os.stat_result, digest: bytes) -> None:
        """Remember a digest."""
        with self._lock:
            if len(self._known) >= self._most:
                newest = list(self._known.items())[self._most // 2 :]
                self._known = dict(newest)
            self._known[path] = _identity(status), digest


class LocalInputs:
    """Reads this machine's files; must be closed.

    Args:
        cache: digests of files that haven't changed.
    """

    def __init__(self, cache: buildcontext.DigestCache | None = None) -> None:
        self._cache = MemoryCache() if cache is None else cache
        self._pool = threads.Pool("inputs", _READERS)

    async def digest(self, build: DockerBuild | CustomBuild) -> str:
        """SHA-256 (hex) over every file's path, mode and content, after all ignores.

        Raises:
            PermanentError: the context is missing, or something in it can't be read.
            TransientError: it changed while it was read.
        """
        match build:
            case DockerBuild():
                return await self._run(
                    lambda: buildcontext.entries(build.context, ignores.of_docker_build(build)[0])
                )
            case CustomBuild():
                return await self._run(
                    lambda: buildcontext.path_entries(
                        (dep, ignores.of_custom_build(build, dep)) for dep in build.deps
                    )
                )
            case _:
                assert_never(build)

    async def digest_paths(self, paths: Sequence[str]) -> str:
        """Likewise for plain files and folders; missing ones count as such.

        Raises:
            PermanentError: something can't be read.
            TransientError: it changed while it was read.
        """
        everything = dockerignore.ContextFilter()
        return await self._run(
            lambda: buildcontext.path_entries((path, everything) for path in paths)
        )

    def close(self) -> None:
        """Abandon what is being read."""
        self._pool.close()

    async def _run(self, entries: Callable[[], Iterable[buildcontext.Entry]]) -> str:
        unwanted = threading.Event()

        def read() -> str:
            try:
                return buildcontext.digest(_while_wanted(entries(), unwanted), self._cache)
            except buildcontext.ContextError as error:
                raise ignores.translated(error) from error

        try:
            return await self._pool.run(read)
        finally:
            unwanted.set()


class _UnwantedError(Exception):
    """Nobody waits for this digest any more."""


def _while_wanted(
    entries: Iterable[buildcontext.Entry], unwanted: threading.Event
) -> Iterator[buildcontext.Entry]:
    for entry in entries:
        if unwanted.is_set():
            raise _UnwantedError
        yield entry


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
