"""BuildKit by one request to the Engine, where that is all it takes.

`docker buildx` is a program that starts, reads its configuration, asks the Engine about itself,
opens a session, and answers BuildKit's questions through it: for files, credentials, secrets.  For
a build that needs nothing but a few small files, all that takes longer than the build.  The
Engine's `/build?version=2` hands the same Dockerfile to the same BuildKit, with the files in the
request.

Without a session BuildKit has nobody to ask, so `fits` lets only those builds through that ask for
nothing: it names what it knows to work, and all else is buildx's.  Bases have to be in the Engine
already.  And only the failure of a program that a `RUN` started is taken for the build's own; after
any other, nothing has been said yet, and buildx builds, or says why not.
"""

import codecs
import dataclasses
import io
import json
import os
import posixpath
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from tiltd import ports
from tiltd.adapters.images import (
    context,
    engine,
    events,
    failures,
    lines,
    progress,
    trace,
    web,
)
from tiltd.core import dockerfile
from tiltd.core import dockerfile_syntax as syntax
from tiltd.runtime import buildcontext, ignores

LARGEST = 1 << 20
"""Bytes of a context.  buildx sends only what has changed, which soon is faster; and BuildKit keeps
what it was sent."""

_MOST = 1000
_FLAGS = {
    "COPY": frozenset({"--from", "--chown", "--chmod"}),
    "ADD": frozenset({"--chown", "--chmod"}),
    "HEALTHCHECK": frozenset({"--interval", "--timeout", "--start-period", "--retries"}),
}
_COPIES = frozenset({"COPY", "ADD"})
_SETTINGS = ("BUILDX_", "BUILDKIT_", "EXPERIMENTAL_BUILDKIT_")
_VARIABLES = frozenset({"SOURCE_DATE_EPOCH", "DOCKER_DEFAULT_PLATFORM"})
_IMAGE = "moby.image.id"
_UNPLAIN = frozenset("$*?[]\\\"'<>")
_CANCELLED = "context canceled"
_EXITED = "exit code: "


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What is sent.

    Args:
        dockerfile: its path in the context.
        body: the context, a tar.
    """

    dockerfile: str
    body: bytes


def fits(prepared: context.Prepared, env: Mapping[str, str]) -> bool:
    """Whether a build asks for nothing that BuildKit would need a session for, or buildx's help.

    Args:
        prepared: the build.
        env: the session's environment, in which buildx looks for settings.
    """
    build = prepared.build
    if build.secret or build.ssh or build.cache_from or build.pull:
        return False
    if build.platform or build.network or build.extra_hosts:
        return False
    if any(name.startswith(_SETTINGS) for name in prepared.build_args):
        return False
    if any(name.startswith(_SETTINGS) or name in _VARIABLES for name in env):
        return False
    try:
        file = syntax.parse(prepared.dockerfile)
    except syntax.DockerfileError:
        return False
    return not file.syntax and all(map(_is_plain, file.instructions)) and _tells_apart(file)


def _is_plain(instruction: syntax.Instruction) -> bool:
    known = _FLAGS.get(instruction.keyword, frozenset[str]())
    if instruction.heredocs or instruction.onbuild:
        return False
    if any(flag.text.partition("=")[0] not in known for flag in instruction.flags):
        return False
    return instruction.keyword != "ADD" or not any(
        character in word.text for word in instruction.arguments[:-1] for character in "$:@"
    )


def _tells_apart(file: syntax.Dockerfile) -> bool:
    """Whether a program that fails has one line: the Engine says what failed, and not where."""
    programs = [_words(each) for each in file.instructions if each.keyword == "RUN"]
    return len(programs) == len(set(programs))


def _words(instruction: syntax.Instruction) -> str:
    return " ".join(" ".join(word.text for word in instruction.arguments).split())


def request(prepared: context.Prepared, largest: int) -> Request | None:
    """The context in one piece; `None`: it is too large, or can't be told in one. Blocks.

    The builder must see the context as buildx would show it.  A Dockerfile of the context's own is
    sent as the file that it is.  Another one is put beside the context's files, where it may be
    only if no instruction takes them all.

    Raises:
        PermanentError: the context is missing or can't be read.
        TransientError: it changed while it was read.
    """
    try:
        return _request(prepared, largest)
    except buildcontext.ContextError as error:
        raise ignores.translated(error) from error


def _request(prepared: context.Prepared, largest: int) -> Request | None:
    build, size = prepared.build, 0
    found: list[buildcontext.Entry] = []
    for entry in buildcontext.entries(build.context, prepared.left_out.filter):
        found.append(entry)
        size += entry.size
        if size > largest or len(found) > _MOST:
            return None
    name = _own(prepared, found)
    extra: tuple[buildcontext.ExtraFile, ...] = ()
    if not name:
        if _takes_all(syntax.parse(prepared.dockerfile)):
            return None
        name = context.DOCKERFILE
        extra = (buildcontext.ExtraFile(name, prepared.dockerfile.encode()),)
    body = io.BytesIO()
    buildcontext.write_tar(body, found, extra, times=True)
    return Request(name, body.getvalue())


def _own(prepared: context.Prepared, found: Sequence[buildcontext.Entry]) -> str:
    """The path of the Dockerfile, if it is a file of the context and sent as it is."""
    build = prepared.build
    if build.inline or prepared.dockerfile != build.contents:
        return ""
    path = os.path.relpath(build.dockerfile, build.context)
    files = (entry.path for entry in found if entry.kind is buildcontext.Kind.FILE)
    return path if path in files else ""


def _takes_all(file: syntax.Dockerfile) -> bool:
    """Whether an instruction may see a file of the context's top folder that it does not name."""
    for instruction in file.instructions:
        if instruction.keyword not in _COPIES:
            continue
        if any(flag.text.startswith("--from=") for flag in instruction.flags):
            continue
        for word in instruction.arguments[:-1]:
            if _UNPLAIN & set(word.text) or posixpath.normpath("/" + word.text.lstrip("/")) == "/":
                return True
    return False


async def bases_are_there(prepared: context.Prepared, docker: engine.Engine) -> bool:
    """Whether the engine has what is built on, so that BuildKit asks no registry for it."""
    try:
        native, build = await docker.buildkit(), prepared.build
        if not native:
            return False
        bases = dockerfile.base_images(prepared.dockerfile, prepared.build_args, build.target)
        for base in bases:
            found = await docker.glance(base.reference)
            if found is None or found.triggers:
                return False
            if f"{found.system}/{found.architecture}" != native:
                return False
    except (dockerfile.DockerfileError, web.WebError, events.EngineError, ValueError):
        return False
    return True


async def build(
    prepared: context.Prepared,
    sent: Request,
    ref: str,
    docker: engine.Engine,
    proxies: Mapping[str, str],
    log: ports.Log,
) -> bool:
    """Build and tag.

    Args:
        prepared: what to build; it `fits`.
        sent: its `request`.
        ref: the tag to give.
        docker: the engine, which has the bases.
        proxies: build args of the Docker configuration; the Tiltfile's own win.
        log: gets the output.

    Returns:
        Whether it was built; if not, it is for buildx to say why.

    Raises:
        PermanentError: a program of the build failed.
    """
    output = Output(log)
    try:
        async with aclosing(
            docker.build_by_buildkit(_query(prepared, sent, ref, proxies), sent.body)
        ) as news:
            async for event in news:
                output.take(event)
    except (web.WebError, events.EngineError, trace.TraceError):
        return False
    if output.made:
        output.end()
        return True
    if not output.has_run:
        return False
    raise failures.build(prepared, output.error, output.printed(), output.line(prepared.dockerfile))


def _query(
    prepared: context.Prepared, sent: Request, ref: str, proxies: Mapping[str, str]
) -> dict[str, str | list[str]]:
    """Engine API, `/build`."""
    build = prepared.build
    query: dict[str, str | list[str]] = {
        "version": "2",
        "dockerfile": sent.dockerfile,
        "t": [ref, *build.extra_tags],
        "buildargs": json.dumps({**proxies, **prepared.build_args}),
    }
    if build.target:
        query["target"] = build.target
    if prepared.fresh:
        query["nocache"] = "1"
    return query


class _Held:
    """A log that keeps what it gets until it is sure that this is how it was."""

    def __init__(self, log: ports.Log) -> None:
        self._log = log
        self._kept: list[tuple[str, str]] | None = []

    def write(self, text: str, *, level: str = "info") -> None:
        """As `ports.Log.write`."""
        if self._kept is None:
            self._log.write(text, level=level)
        else:
            self._kept.append((text, level))

    def release(self) -> None:
        """Write through from now on."""
        kept, self._kept = self._kept or [], None
        for text, level in kept:
            self._log.write(text, level=level)


class Output:
    """Turns the Engine's events into lines for people, as `buildx.Output` does.

    Attributes:
        made: whether there is an image.
        error: in BuildKit's words.
        has_run: whether it is the error of a program that a `RUN` has started.
    """

    def __init__(self, log: ports.Log) -> None:
        self.made, self.error, self.has_run = False, "", False
        self._held = _Held(log)
        self._progress = progress.Progress(self._held)
        self._programs: dict[str, _Program] = {}
        self._failed: set[str] = set()

    def printed(self) -> str:
        """The last lines that the failing program printed."""
        return self._progress.output()

    def line(self, text: str) -> int:
        """The line of the Dockerfile at which it failed; 0: not known."""
        return self._progress.line(text)

    def end(self) -> None:
        """All is well: write what was held back."""
        for program in self._programs.values():
            program.end()
        self._held.release()

    def take(self, event: events.Event) -> None:
        """One event.

        Raises:
            TraceError: it is not as BuildKit sends it.
        """
        if "error" in event:
            self.made, self.error = False, events.error(event)
        elif event.get("id") == _IMAGE:
            self.made = True
        elif event.get("id") == trace.ID:
            for each in trace.read(str(event.get("aux", ""))):
                if isinstance(each, trace.Vertex):
                    self._vertex(each)
                else:
                    self._program(each.key).write(each.text)

    def _vertex(self, vertex: trace.Vertex) -> None:
        key = vertex.key
        if not (vertex.started or vertex.cached) or not self._progress.begins(key, vertex.name):
            return
        runs = self._progress.instruction(key).startswith("RUN ")
        if vertex.cached:
            self._progress.cached(key)
        elif runs:
            self._held.release()
        if vertex.error and not vertex.error.endswith(_CANCELLED) and key not in self._failed:
            self._failed.add(key)
            self._program(key).end()
            self.has_run = runs and _EXITED in vertex.error
            self._progress.fails(key, vertex.error)

    def _program(self, key: str) -> "_Program":
        return self._programs.setdefault(key, _Program(self._progress, key))


class _Program:
    """Makes lines of what the program of a step prints."""

    def __init__(self, shown: progress.Progress, key: str) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._lines = lines.Lines(lambda line: shown.prints(key, line))

    def write(self, text: bytes) -> None:
        self._lines.write(self._decoder.decode(text))

    def end(self) -> None:
        self._lines.end()
