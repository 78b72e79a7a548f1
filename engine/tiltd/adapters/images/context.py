"""What a builder gets of a `docker_build`: the Dockerfile, and the files of the context.

The classic builder is fed one tar stream, made by the code that also digests the context for the
image's key.  It goes through a pipe from a thread of its own: nothing of it is ever held in
memory or on disk, and when the builder goes away the thread ends with the broken pipe.  Should
reading the context fail half-way, the stream is spoiled on purpose: a tar that merely ends early
would be taken for a whole one, and a wrong image would carry the key's tag.

BuildKit is given the folder itself, since it then asks only for what has changed since the last
build (60 MB in 3,000 files, one of them changed: 1.4 s, against 2.8 s for a stream); a stream would
also show it the Dockerfile as a file of the context.  What is left out is
told in the ignore file beside a copy of the Dockerfile: the user's own text where that is all
there is, else (`ignore=`, `only=`: no one list of patterns says the same) each path by name.
"""

import asyncio
import contextlib
import dataclasses
import errno
import fcntl
import os
import re
import stat
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator, Collection, Generator, Iterator, Mapping
from pathlib import Path
from typing import IO

from tiltd import ports
from tiltd.core import dockerfile, reference, secret
from tiltd.model.desired import DockerBuild, Image
from tiltd.model.names import ImageName
from tiltd.model.problems import Code, Place, Problem
from tiltd.runtime import buildcontext, ignores

DOCKERFILE = buildcontext.DOCKERFILE
_SPOILED = b"\xff" * 1024
_PIPE_SIZE = 1 << 20
_SPECIAL = re.compile(r"[*?\[\]\\!#]")


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A build, ready to be sent.

    Args:
        build: as the Tiltfile asks for it.
        dockerfile: the text that is sent: bases replaced, no line moved.
        build_args: with those from the environment filled in.
        left_out: what the builder does not get of the context, and where that stands.
        place: of the Dockerfile (for an inline one: of the `docker_build` call).
        fresh: nothing is to be taken from the builder's cache.
    """

    image: Image
    build: DockerBuild
    dockerfile: str
    build_args: Mapping[str, str]
    left_out: ignores.Ignores
    place: Place | None
    fresh: bool = False

    def at(self, line: int) -> Place | None:
        """A line of the Dockerfile (0: not known); inside a Tiltfile, the call's."""
        return self.place if self.build.inline else Place(self.build.dockerfile, line)

    def ignore_list(self) -> str:
        """The ignore file that says what `filter` says. Blocks.

        Raises:
            PermanentError: the context is missing or can't be read.
            TransientError: it changed while it was read.
        """
        try:
            return self._ignore_list()
        except buildcontext.ContextError as error:
            raise ignores.translated(error) from error

    def _ignore_list(self) -> str:
        # It must not be empty: BuildKit would go on to the context's own.
        head = "# for tiltd\n"
        files = buildcontext.entries(self.build.context, self.left_out.filter)
        if not (self.build.ignore or self.build.only):
            return head + self.left_out.text
        kept = {entry.path for entry in files}
        left_out = _left_out(self.build.context, "", kept)
        return head + "".join(f"{_literal(path)}\n" for path in left_out)

    def write(self, out: IO[bytes]) -> None:
        """Write the stream.

        Raises:
            ContextError: the context can't be read.
        """
        entries = buildcontext.entries(self.build.context, self.left_out.filter)
        visible = None
        if not self.left_out.filter.excludes(".dockerignore"):
            visible = ignores.read(Path(self.build.context, ".dockerignore"))
        extra = buildcontext.builder_files(self.dockerfile.encode(), visible)
        buildcontext.write_tar(out, entries, extra)


def prepare(
    image: Image, build: DockerBuild, bases: Mapping[ImageName, str], env: Mapping[str, str]
) -> Prepared:
    """Fill in everything that a builder must be told.

    Args:
        image: what is built.
        build: how.
        bases: by name of an image of this project, the tagged reference to build on.
        env: the session's environment, for build args without a value.

    Raises:
        PermanentError: the Dockerfile or `.dockerignore` is wrong.
    """
    args = {
        name: value
        for name, given in build.build_args.items()
        # Tilt takes an empty value for "from the environment" too, as the Tiltfile reader does.
        if (value := env.get(name) if given is None else given) is not None
    }
    place = image.place if build.inline else Place(build.dockerfile)
    replacements = {reference.parse(name): ref for name, ref in bases.items()}
    try:
        text = dockerfile.replace_base(build.contents, replacements, args, build.platform)
    except dockerfile.DockerfileError as error:
        shown = (
            place if build.inline or place is None else dataclasses.replace(place, line=error.line)
        )
        within = f" (line {error.line} of dockerfile_contents)" if build.inline else ""
        raise ports.PermanentError(
            Problem(
                Code.BUILD,
                f"the Dockerfile of {image.name} is wrong{within}: {error.reason}",
                place=shown,
                hint=error.hint,
            )
        ) from error
    return Prepared(image, build, text, args, ignores.of_docker_build(build), place)


def check_secrets(prepared: Prepared, env: Mapping[str, str], cwd: str) -> None:
    """See that the files of secrets are there: the builder would not say whose it misses. Blocks.

    Args:
        prepared: the build.
        env: the session's environment.
        cwd: what their paths are relative to.

    Raises:
        PermanentError: one can't be read.
    """
    for one in map(secret.parse, prepared.build.secret):
        if one.env and (one.env in env or not one.path):
            continue
        path = Path(cwd, one.path)
        try:
            found = path.stat()
            reason = "" if os.access(path, os.R_OK) else os.strerror(errno.EACCES)
            reason = os.strerror(errno.EISDIR) if stat.S_ISDIR(found.st_mode) else reason
        except OSError as error:
            reason = error.strerror or str(error)
        if reason:
            name = prepared.image.name
            raise ports.PermanentError(
                Problem(
                    Code.BUILD,
                    f"the secret {one.id!r} of {name} can't be read: {path}: {reason.lower()}",
                    place=prepared.image.place,
                    hint="make the file, or name another one in secret= of docker_build",
                )
            )


def _left_out(folder: str, prefix: str, kept: Collection[str]) -> Iterator[str]:
    """What is in a folder and not kept; a folder of which nothing is kept stands for itself."""
    try:
        with os.scandir(folder) as found:
            names = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return  # it went away: so it is no more to be left out
    for name in names:
        path = prefix + name.name
        if path not in kept:
            yield path
        elif name.is_dir(follow_symlinks=False):
            yield from _left_out(name.path, f"{path}/", kept)


def _literal(path: str) -> str:
    """A pattern for this path alone; characters that no pattern can hold match as any one."""
    text = re.sub(r"[\r\n]", "?", _SPECIAL.sub(r"\\\g<0>", path))
    first, last = text[0], text[-1]
    if last.isspace():
        text = f"{text[:-1]}?"
    return f"?{text[1:]}" if first.isspace() else text


@contextlib.contextmanager
def folder(prepared: Prepared, ignore_list: str) -> Generator[Path]:
    """A temporary folder with the Dockerfile, and its ignore file beside it, for BuildKit."""
    with tempfile.TemporaryDirectory(prefix="tiltd-build-") as name:
        made = Path(name)
        (made / DOCKERFILE).write_text(prepared.dockerfile)
        (made / f"{DOCKERFILE}.dockerignore").write_bytes(os.fsencode(ignore_list))
        yield made


@contextlib.asynccontextmanager
async def stream(prepared: Prepared) -> AsyncGenerator[int]:
    """Yield the end of a pipe from which the stream can be read.

    The descriptor is closed at the end; who hands it to another process may do so as it is.

    Raises:
        PermanentError: the context is missing or can't be read.
        TransientError: it changed while it was read.
    """
    source, sink = os.pipe()
    with contextlib.suppress(OSError):  # a user may be out of pipe space: then it stays small
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    writer = _Writer(prepared, sink)
    try:
        yield source
    finally:
        os.close(source)  # the writer's end, if it is still writing
        await writer.ended()
        # What is wrong with the context is why the builder failed; a cancelled task stays one.
        if writer.error is not None and not isinstance(sys.exception(), asyncio.CancelledError):
            raise _told(writer.error) from writer.error


class _Writer:
    """Writes the stream in a daemonic thread; ends at the latest when nobody reads it."""

    def __init__(self, prepared: Prepared, sink: int) -> None:
        self.error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._prepared, self._sink = prepared, sink
        threading.Thread(target=self._run, name="build-context", daemon=True).start()

    async def ended(self) -> None:
        """Wait for the end."""
        await self._ended.wait()

    def _run(self) -> None:
        try:
            with contextlib.suppress(BrokenPipeError), os.fdopen(self._sink, "wb") as sink:
                self._write(sink)
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._ended.set)

    def _write(self, sink: IO[bytes]) -> None:
        try:
            self._prepared.write(sink)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again by `stream`, on the loop
            self.error = error
            sink.write(_SPOILED)


def _told(error: Exception) -> Exception:
    return ignores.translated(error) if isinstance(error, buildcontext.ContextError) else error
