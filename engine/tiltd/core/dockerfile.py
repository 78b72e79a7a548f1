"""What a Dockerfile builds on, what it asks of its builder, and how its bases are renamed.

The graph needs to know which images a Dockerfile takes from elsewhere, because some of them are
built by the same project: those must be built first, and their key is part of this image's key.
`base_images` therefore walks from the stage that is built to the stages and images that it uses;
what only other stages use doesn't matter.  `replace_base` then points the file at the freshly
built tags.  Neither changes the number of a line, so that a builder's errors stay true.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping

from tiltd.core import dockerfile_syntax as syntax
from tiltd.core import reference
from tiltd.core.dockerfile_syntax import DockerfileError

__all__ = [
    "BaseImage",
    "DockerfileError",
    "base_images",
    "frontend",
    "needs_buildkit",
    "replace_base",
]

SCRATCH = "scratch"
_STAGE_NAME = re.compile(r"[a-z][a-z0-9._-]*")
_MOUNT_FROM = re.compile(r'(?:^|,)"?from=([^,"]*)')
_GIT = re.compile(r"git@.*|(?:git|ssh)://.*|https?://.*\.git(?:#.*)?")
# The classic builder's own flags; any other one is BuildKit's.
_CLASSIC_FLAGS = {
    "FROM": frozenset({"platform"}),
    "COPY": frozenset({"from", "chown"}),
    "ADD": frozenset({"chown"}),
    "RUN": frozenset[str](),
}
_PLATFORM_VARIABLES = frozenset(
    f"{side}{part}"
    for side in ("BUILD", "TARGET")
    for part in ("PLATFORM", "OS", "ARCH", "VARIANT")
)


@dataclasses.dataclass(frozen=True, slots=True)
class BaseImage:
    """An image that a Dockerfile takes from elsewhere, and the line that names it first."""

    reference: str
    line: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Use:
    """A word that names a stage or an image, expanded, and its place in the file."""

    name: str
    line: int
    start: int
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Stage:
    index: int
    name: str
    base: _Use
    body: tuple[syntax.Instruction, ...]


def base_images(
    text: str,
    build_args: Mapping[str, str] | None = None,
    target: str = "",
    platform: str = "",
) -> tuple[BaseImage, ...]:
    """The images that building `target` takes from elsewhere, each once, in the file's order.

    Args:
        text: the Dockerfile.
        build_args: values for its ARGs; names that it doesn't declare play no part.
        target: a stage's name or number; empty for the last stage.
        platform: as `linux/arm64/v8`, the value of TARGETPLATFORM, BUILDPLATFORM and their parts;
            empty leaves them unset.

    Raises:
        DockerfileError: with the line.
    """
    stages = _stages(syntax.parse(text), build_args or {}, platform)
    found: list[BaseImage] = []
    seen: set[int] = set()
    due = [_target(stages, target)]
    while due:
        stage = due.pop()
        if stage.index in seen:
            continue
        seen.add(stage.index)
        for use in (stage.base, *_copies(stage)):
            origin = _resolve(use, stages[: stage.index], may_be_number=use is not stage.base)
            if isinstance(origin, _Stage):
                due.append(origin)
            elif origin:
                found.append(BaseImage(origin, use.line))
    first = {image.reference: image for image in sorted(found, key=lambda i: -i.line)}
    return tuple(sorted(first.values(), key=lambda image: image.line))


def frontend(text: str) -> str | None:
    """The image that reads this Dockerfile, of its `# syntax=` line.

    Raises:
        DockerfileError: with the line.
    """
    return syntax.parse(text).syntax


def needs_buildkit(text: str) -> str | None:
    """Why only BuildKit can build this Dockerfile, as a sentence with the line; else None.

    Raises:
        DockerfileError: with the line.
    """
    file = syntax.parse(text)
    if file.syntax and not _is_plain_frontend(file.syntax):
        return f"line {file.syntax_line}: '# syntax={file.syntax}' needs BuildKit"
    declared = _declared(file.instructions)
    for instruction in file.instructions:
        if reason := _buildkit_reason(instruction, declared):
            return f"line {instruction.line}: {reason} needs BuildKit"
    return None


def replace_base(
    text: str,
    replacements: Mapping[reference.Reference, str],
    build_args: Mapping[str, str] | None = None,
    platform: str = "",
) -> str:
    """`text` with each image that the project builds replaced by what it was built as.

    Args:
        text: the Dockerfile.
        replacements: by declared reference (see `reference.matches`), the name to write instead.
        build_args: as for `base_images`.
        platform: as for `base_images`.

    Raises:
        DockerfileError: with the line.
    """
    file = syntax.parse(text)
    stages = _stages(file, build_args or {}, platform)
    edits: list[tuple[_Use, str]] = []
    for stage in stages:
        for use in (stage.base, *_copies(stage)):
            origin = _resolve(use, stages[: stage.index], may_be_number=use is not stage.base)
            if isinstance(origin, str) and (name := _replacement(origin, replacements)):
                edits.append((use, name))
    for use, name in sorted(edits, key=lambda edit: -edit[0].start):
        # A word that went on in the next line leaves its line breaks behind its replacement.
        breaks = f"{file.escape}\n" * text.count("\n", use.start, use.end)
        text = text[: use.start] + name + breaks + text[use.end :]
    return text


def _replacement(origin: str, replacements: Mapping[reference.Reference, str]) -> str | None:
    try:
        image = reference.parse(origin)
    except reference.InvalidReferenceError:
        return None  # the builder will say so, with its own words and the same line
    return next(
        (name for declared, name in replacements.items() if reference.matches(declared, image)),
        None,
    )


def _stages(
    file: syntax.Dockerfile, build_args: Mapping[str, str], platform: str
) -> tuple[_Stage, ...]:
    """The file's stages.  Only ARGs before the first FROM, expanded here, reach a FROM."""
    variables = _platform_variables(platform)
    stages: list[_Stage] = []
    body: list[syntax.Instruction] = []
    for instruction in file.instructions:
        if instruction.keyword == "FROM" and not instruction.onbuild:
            body = []
            stages.append(_stage(instruction, len(stages), variables, file.escape))
        elif stages:
            body.append(instruction)
            stages[-1] = dataclasses.replace(stages[-1], body=tuple(body))
        elif instruction.keyword == "ARG":
            variables |= _arguments(instruction, variables, build_args, file.escape)
        else:
            raise DockerfileError(
                instruction.line,
                f"{instruction.keyword} comes before the first FROM",
                "only ARG may",
            )
    if not stages:
        raise DockerfileError(1, "the Dockerfile has no FROM", "add one, or FROM scratch")
    return tuple(stages)


def _stage(
    instruction: syntax.Instruction, index: int, variables: Mapping[str, str], escape: str
) -> _Stage:
    match [word.text for word in instruction.arguments]:
        case [_]:
            name = ""
        case [_, keyword, name] if keyword.lower() == "as":
            if not _STAGE_NAME.fullmatch(name.lower()):
                raise DockerfileError(
                    instruction.line,
                    f"{name!r} is no name for a stage",
                    "begin with a letter; use letters, digits, '-', '_' and '.'",
                )
        case _:
            raise DockerfileError(
                instruction.line, "FROM takes an image, or an image, AS and a name"
            )
    word = instruction.arguments[0]
    image = syntax.expand(word.text, variables, escape, instruction.line)
    if not image:
        raise DockerfileError(
            instruction.line,
            f"the image's name {word.text} is empty",
            "give its ARG, before the first FROM, a default, or pass build_args",
        )
    return _Stage(index, name.lower(), _Use(image, instruction.line, word.start, word.end), body=())


def _arguments(
    instruction: syntax.Instruction,
    variables: Mapping[str, str],
    build_args: Mapping[str, str],
    escape: str,
) -> dict[str, str]:
    """What one ARG line sets: the build's value, else the default, else nothing."""
    values: dict[str, str] = {}
    for word in instruction.arguments:
        name, equals, default = word.text.partition("=")
        if name in build_args:
            values[name] = build_args[name]
        elif equals:
            values[name] = syntax.expand(default, {**variables, **values}, escape, instruction.line)
    return values


def _platform_variables(platform: str) -> dict[str, str]:
    if not platform:
        return {}
    system, architecture, variant = (*platform.split("/"), "", "")[:3]
    values = {"PLATFORM": platform, "OS": system, "ARCH": architecture, "VARIANT": variant}
    return {
        f"{side}{part}": value for side in ("BUILD", "TARGET") for part, value in values.items()
    }


def _target(stages: tuple[_Stage, ...], target: str) -> _Stage:
    if not target:
        return stages[-1]
    for stage in reversed(stages):
        if stage.name == target.lower():
            return stage
    if target.isascii() and target.isdigit() and int(target) < len(stages):
        return stages[int(target)]
    names = ", ".join(stage.name for stage in stages if stage.name)
    raise DockerfileError(
        stages[-1].base.line,
        f"no stage is called {target!r}",
        f"the stages are {names}" if names else "no stage has a name: write FROM … AS name",
    )


def _resolve(use: _Use, earlier: tuple[_Stage, ...], *, may_be_number: bool) -> _Stage | str | None:
    """The stage that a name means, or the image; None for the empty image."""
    if "$" in use.name and may_be_number:
        raise DockerfileError(
            use.line,
            f"from={use.name} has a variable, which Docker does not expand here",
            "name a stage: FROM the variable AS a name, then from= that name",
        )
    for stage in reversed(earlier):
        if stage.name and stage.name == use.name.lower():
            return stage
    if may_be_number and use.name.isascii() and use.name.isdigit():
        if int(use.name) >= len(earlier):
            raise DockerfileError(use.line, f"from={use.name}: no earlier stage has this number")
        return earlier[int(use.name)]
    return None if use.name == SCRATCH else use.name


def _copies(stage: _Stage) -> Iterator[_Use]:
    """The names in `COPY --from=` and `RUN --mount=…,from=`."""
    for instruction in stage.body:
        for flag in instruction.flags:
            name, _, value = flag.text.partition("=")
            if instruction.keyword == "COPY" and name.lower() == "--from" and value:
                yield _part(flag, len(name) + 1, len(flag.text), instruction.line)
            elif instruction.keyword == "RUN" and name.lower() == "--mount":
                match = _MOUNT_FROM.search(value)
                if match and match[1]:
                    begin = len(name) + 1 + match.start(1)
                    yield _part(flag, begin, begin + len(match[1]), instruction.line)


def _part(flag: syntax.Word, begin: int, end: int, line: int) -> _Use:
    text = flag.text[begin:end]
    if len(text) > 1 and text[0] == text[-1] == '"':
        begin, end, text = begin + 1, end - 1, text[1:-1]
    if flag.end - flag.start != len(flag.text):
        raise DockerfileError(
            line, f"{flag.text} goes on in the next line", "write a flag in one line"
        )
    return _Use(text, line, flag.start + begin, flag.start + end)


def _is_plain_frontend(name: str) -> bool:
    """Whether a `# syntax=` asks for nothing that a builder without frontends lacks."""
    try:
        frontend = reference.parse(name)
    except reference.InvalidReferenceError:
        return False
    is_docker = frontend.repository == f"{reference.HUB}/docker/dockerfile"
    return is_docker and "labs" not in (frontend.tag or "")


def _declared(instructions: tuple[syntax.Instruction, ...]) -> frozenset[str]:
    """The ARGs before the first FROM that have a default."""
    names: set[str] = set()
    for instruction in instructions:
        if instruction.keyword == "FROM":
            break
        names |= {w.text.partition("=")[0] for w in instruction.arguments if "=" in w.text}
    return frozenset(names)


def _buildkit_reason(instruction: syntax.Instruction, declared: frozenset[str]) -> str | None:
    keyword = instruction.keyword
    if instruction.heredocs:
        return f"a heredoc (<<{instruction.heredocs[0]})"
    allowed = _CLASSIC_FLAGS.get(keyword)
    for flag in instruction.flags if allowed is not None else ():
        name = flag.text[2:].partition("=")[0].lower()
        if allowed is not None and name not in allowed:
            return f"{keyword} --{name}"
    if keyword == "ADD" and any(_GIT.fullmatch(word.text) for word in instruction.arguments[:-1]):
        return "ADD of a Git repository"
    if keyword == "FROM":
        used = set(re.findall(r"\$\{?([A-Z]+)", " ".join(_texts(instruction))))
        if automatic := sorted((used & _PLATFORM_VARIABLES) - declared):
            return f"FROM with ${automatic[0]}"
    return None


def _texts(instruction: syntax.Instruction) -> list[str]:
    return [word.text for word in (*instruction.flags, *instruction.arguments)]
