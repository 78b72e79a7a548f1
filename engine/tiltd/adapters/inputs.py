"""Digests of the files that builds depend on: `ports.Inputs`.

The digest of a Docker build is exactly that of the entries which its builder will be sent, so the
two can be compared.  The Dockerfile's text and the other options are keyed beside it.

Reading runs in a few threads, and stops between two files once nobody waits for it.  Digests of
contents are remembered by path, inode, size and both times (`runtime.cache`), so that asking again
costs one `stat` a file, also for the next daemon.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

from tiltd.model.desired import CustomBuild, DockerBuild
from tiltd.runtime import buildcontext, cache, ignores, threads

_READERS = 2


class LocalInputs:
    """Reads this machine's files; must be closed.

    Args:
        known: digests of files that haven't changed; closed with this.
    """

    def __init__(self, known: cache.FileCache) -> None:
        self._cache = known
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
                    lambda: buildcontext.entries(
                        build.context, ignores.of_docker_build(build).filter
                    )
                )
            case CustomBuild():
                return await self._run(
                    lambda: buildcontext.path_entries(
                        (dep, ignores.of_custom_build(build, dep)) for dep in build.deps
                    )
                )
            case _:
                assert_never(build)

    def close(self) -> None:
        """Abandon what is being read."""
        self._pool.close()
        self._cache.close()

    async def _run(self, entries: Callable[[], Iterable[buildcontext.Entry]]) -> str:
        unwanted = threading.Event()

        def read() -> str:
            try:
                return buildcontext.digest(_while_wanted(entries(), unwanted), self._cache)
            except buildcontext.ContextError as error:
                raise ignores.translated(error) from error
            finally:
                self._cache.flush()

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
