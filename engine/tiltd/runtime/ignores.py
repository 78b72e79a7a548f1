"""What a build leaves out of its files, and what it means when they can't be read.

The key of an image and the stream that its builder gets must cover the same files, so both take
their filter, and the translation of what goes wrong, from here.  Reads files: call it in a thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tiltd import ports
from tiltd.core import dockerignore
from tiltd.model.desired import CustomBuild, DockerBuild, Ignore
from tiltd.model.problems import Code, Place, Problem
from tiltd.runtime import buildcontext


@dataclass(frozen=True, slots=True)
class Ignores:
    """What a build leaves out of its context.

    Args:
        filter: of the ignore file, `ignore=` and `only=` together.
        file: the ignore file; empty if there is none.
        text: what is in it.
    """

    filter: dockerignore.ContextFilter
    file: str = ""
    text: str = ""


def of_docker_build(build: DockerBuild) -> Ignores:
    """The filter of a context, and where it comes from.

    Raises:
        PermanentError: the ignore file, or a pattern, can't be read.
    """
    text, source = "", ""
    for name in dockerignore.file_names(build.context, None if build.inline else build.dockerfile):
        content = read(Path(name))
        if content is not None:
            text, source = content.decode(errors="surrogateescape"), name
            break
    try:
        found = dockerignore.context_filter(
            build.context, dockerignore=text, ignore=build.ignore, only_paths=build.only
        )
    except dockerignore.InvalidPatternError as error:
        raise _invalid(error, source) from error
    return Ignores(found, source, text)


def of_custom_build(build: CustomBuild, dep: str) -> dockerignore.ContextFilter:
    """The filter below one of a `custom_build`'s `deps`; patterns speak of its command's folder.

    Raises:
        PermanentError: a pattern can't be read.
    """
    return of_deps((Ignore(build.command.dir, build.ignore),) if build.ignore else (), dep)


def of_deps(given: Sequence[Ignore], dep: str) -> dockerignore.ContextFilter:
    """The filter below one of the `deps` of a command.

    Raises:
        PermanentError: a pattern can't be read.
    """
    if not given:
        return dockerignore.ContextFilter()
    try:
        return dockerignore.from_ignores(dep, given)
    except dockerignore.InvalidPatternError as error:
        raise _invalid(error, "") from error


def translated(
    error: buildcontext.ContextError,
) -> ports.TransientError | ports.PermanentError:
    """What the engine does about a context that can't be used."""
    problem = Problem(Code.INPUT, error.reason, place=Place(error.path), hint=error.hint)
    if isinstance(error, buildcontext.ContextChangedError):
        return ports.TransientError(problem)
    return ports.PermanentError(problem)


def _invalid(error: dockerignore.InvalidPatternError, source: str) -> ports.PermanentError:
    return ports.PermanentError(
        Problem(
            Code.INPUT,
            f"an ignore pattern can't be read: {error}",
            place=Place(source, error.line) if source else None,
            hint="the patterns are those of .dockerignore",
        )
    )


def read(file: Path) -> bytes | None:
    """The content of an ignore file; None if there is none.

    Raises:
        PermanentError: it can't be read.
    """
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ports.PermanentError(
            Problem(
                Code.INPUT,
                f"{file} can't be read: {error.strerror}",
                place=Place(str(file)),
                hint="make it a readable file, or remove it",
            )
        ) from error
