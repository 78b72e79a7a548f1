"""Digests of the files that builds depend on: `ports.Inputs`.

The digest of a Docker build is exactly that of the entries which its builder will be sent, so the
two can be compared.  The Dockerfile's text and the other options are keyed beside it.

Reading runs in a few threads, and stops between two files once nobody waits for it.  Digests of
contents are remembered by path, inode, size and both times (`runtime.cache`), so that asking again
costs one `stat` a file, also for the next daemon.
"""

import hashlib
import json
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import assert_never, cast

from tiltd.core import secret
from tiltd.model.desired import CustomBuild, DockerBuild, LocalTarget
from tiltd.model.state import SessionSpec
from tiltd.runtime import buildcontext, cache, ignores, threads

_READERS = 2
_KEPT = 32
_LARGEST_SECRET = 1 << 20
"""Bytes; BuildKit takes half of it."""
_LISTED = 50_000
"""Files; a longer listing is not worth its memory."""


class LocalInputs:
    """Reads this machine's files; must be closed.

    Args:
        known: digests of files that haven't changed; closed with this.
    """

    def __init__(self, known: cache.FileCache) -> None:
        self._cache = known
        self._pool = threads.Pool("inputs", _READERS)
        self._listings: OrderedDict[str, bytes] = OrderedDict()
        self._secrets: dict[bytes, str] = {}

    async def digest(self, user: DockerBuild | CustomBuild | LocalTarget) -> str:
        """SHA-256 (hex) over every file's path, mode and content, after all ignores.

        Raises:
            PermanentError: the context is missing, or something in it can't be read.
            TransientError: it changed while it was read.
        """
        match user:
            case DockerBuild():
                return await self._run(
                    lambda: buildcontext.entries(user.context, ignores.of_docker_build(user).filter)
                )
            case CustomBuild():
                return await self._run(
                    lambda: buildcontext.path_entries(
                        (dep, ignores.of_custom_build(user, dep)) for dep in user.deps
                    )
                )
            case LocalTarget():
                return await self._run(
                    lambda: buildcontext.path_entries(
                        (dep, ignores.of_deps(user.ignore, dep)) for dep in user.deps
                    )
                )
            case _:
                assert_never(user)

    async def secrets(
        self, build: DockerBuild | CustomBuild, spec: SessionSpec
    ) -> Mapping[str, str | None]:
        """See `ports.Inputs`. A path is relative to where the client is, as for `docker build`."""
        if not isinstance(build, DockerBuild) or not build.secret:
            return {}
        folder = Path(spec.cwd or Path(spec.tiltfile).parent)
        named = [secret.parse(text) for text in build.secret]
        return await self._pool.run(
            lambda: {one.id: self._secret(one, folder, spec.env) for one in named}
        )

    def _secret(self, one: secret.Secret, folder: Path, env: Mapping[str, str]) -> str | None:
        content = _content(one, folder, env)
        if content is None:
            return None
        name = hashlib.sha256(content).digest()
        known = self._secrets.get(name)
        if known is None:
            known = self._secrets[name] = secret.digest(content)
        return known

    def listing(self, digest: str) -> Mapping[str, str]:
        """See `ports.Inputs`; of the last few digests, and not of very many files."""
        packed = self._listings.get(digest)
        return {} if packed is None else cast("dict[str, str]", json.loads(zlib.decompress(packed)))

    def close(self) -> None:
        """Abandon what is being read."""
        self._pool.close()
        self._cache.close()

    async def _run(self, entries: Callable[[], Iterable[buildcontext.Entry]]) -> str:
        unwanted = threading.Event()

        def read() -> str:
            files: dict[str, str] = {}

            def note(entry: buildcontext.Entry, content: bytes) -> None:
                if len(files) <= _LISTED:
                    what = content.hex()[:16] or entry.target
                    files[entry.path] = f"{entry.kind.value}{entry.mode:o} {what}"

            try:
                wanted = _while_wanted(entries(), unwanted)
                digest = buildcontext.digest(wanted, self._cache, note)
                self._keep(digest, files)
            except buildcontext.ContextError as error:
                raise ignores.translated(error) from error
            finally:
                self._cache.flush()
            return digest

        try:
            return await self._pool.run(read)
        finally:
            unwanted.set()

    def _keep(self, digest: str, files: Mapping[str, str]) -> None:
        if len(files) <= _LISTED and digest not in self._listings:
            self._listings[digest] = zlib.compress(json.dumps(files).encode(), 1)
            while len(self._listings) > _KEPT:
                self._listings.popitem(last=False)


def _content(one: secret.Secret, folder: Path, env: Mapping[str, str]) -> bytes | None:
    """Of a secret; a pipe can be read only once, and that is the builder's."""
    if one.env and (one.env in env or not one.path):
        return os.fsencode(env.get(one.env, ""))
    path = folder / one.path
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_SECRET:
            return None
        return path.read_bytes()
    except (OSError, ValueError):
        return None


class _UnwantedError(Exception):
    """Nobody waits for this digest any more."""


def _while_wanted(
    entries: Iterable[buildcontext.Entry], unwanted: threading.Event
) -> Iterator[buildcontext.Entry]:
    for entry in entries:
        if unwanted.is_set():
            raise _UnwantedError
        yield entry
