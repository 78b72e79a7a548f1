"""BuildKit, through `docker buildx build`.

The builder is the one inside the session's own Docker Engine (`default`) unless `BUILDX_BUILDER`
names another: it alone sees the images in the engine's store, among them those of this project
that others build on, and what it builds is in that store without a copy.  For another builder
`--load` brings the image there.

The plain progress of buildx is meant for machines' logs: each line begins with the number of its
step, and every step is announced, timed and repeated.  People get each step once, what it
prints, and whether it came from the cache.
"""

import re
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from tiltd import ports
from tiltd.adapters.images import context, failures, lines, programs, steps
from tiltd.model.desired import Command

_NUMBERED = re.compile(r"#(\d+) (.*)")
_STEP = re.compile(r"\[(?P<where>(?:\S+ +)?\d+/\d+)\] (?P<instruction>.+)")
_BASE = re.compile(r"\[(?:\S+ )?internal\] load metadata for (\S+)")
_PRINTED = re.compile(r"\d+\.\d+ (.*)|\d+\.\d+")
_LOCATION = re.compile(rf"{re.escape(context.DOCKERFILE)}:(\d+)")
_PRINTED_LINES = 20
_RULE = "------"
_ERROR = "ERROR: "
_BUILDER = "BUILDX_BUILDER"


async def is_there(processes: ports.Processes, env: Mapping[str, str]) -> bool:
    """Whether the session's docker command line has buildx (0.05 s: ask once)."""
    docker = programs.find("docker", env)
    if not docker:
        return False
    command = Command((docker, "buildx", "version"), "/")
    try:
        return await processes.run(command, env, lines.Lines(_drop)) == 0
    except ports.PermanentError:
        return False


def _drop(_: str) -> None:
    """Nobody wants to know the version."""


async def build(
    prepared: context.Prepared,
    dockerfile: Path,
    ref: str,
    processes: ports.Processes,
    env: Mapping[str, str],
    cwd: str,
    log: ports.Log,
    *,
    push: bool,
) -> bool:
    """Build and tag; the image is in the engine's store then, or pushed.

    Args:
        prepared: what to build.
        dockerfile: the folder that `context.folder` made.
        ref: the tag to give.
        processes: runs the docker command line.
        env: the session's environment.
        cwd: what paths in `secret` and `ssh` are relative to.
        log: gets the output.
        push: whether the image has to be pushed later.

    Returns:
        Whether the image was pushed: one for several platforms, which no engine's store holds.

    Raises:
        PermanentError: the build failed.
        TransientError: a base image's registry was busy.
    """
    pushes = push and "," in prepared.build.platform
    output = Output(log)
    argv = (
        programs.find("docker", env),
        *_arguments(prepared, ref, env, pushes=pushes),
        f"--file={dockerfile / context.DOCKERFILE}",
        prepared.build.context,
    )
    # Attestations would turn each image into an index, for nobody.
    command = Command(argv, cwd, {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"})
    reader = lines.Lines(output.take)
    code = await processes.run(command, env, reader)
    reader.end()
    if code:
        raise failures.build(
            prepared,
            output.error or f"docker buildx ended with exit code {code}",
            output.printed(),
            output.line(prepared.dockerfile),
        )
    return pushes


def _arguments(
    prepared: context.Prepared, ref: str, env: Mapping[str, str], *, pushes: bool
) -> list[str]:
    build = prepared.build
    single = {"--target": build.target, "--platform": build.platform, "--network": build.network}
    many = {
        "--tag": (ref, *build.extra_tags),
        "--build-arg": tuple(f"{name}={value}" for name, value in prepared.build_args.items()),
        "--secret": build.secret,
        "--ssh": build.ssh,
        "--cache-from": build.cache_from,
        "--add-host": build.extra_hosts,
    }
    return [
        "buildx",
        "build",
        *([] if env.get(_BUILDER) else ["--builder=default"]),
        "--progress=plain",
        "--push" if pushes else "--load",
        *(f"{option}={value}" for option, value in single.items() if value),
        *(f"{option}={value}" for option, values in many.items() for value in values),
        *(["--pull"] if build.pull else []),
        *(["--no-cache"] if prepared.fresh else []),
    ]


class Output:
    """Turns buildx's plain progress into lines for people."""

    def __init__(self, log: ports.Log) -> None:
        self._log = log
        self.error = ""
        self._steps: dict[str, tuple[str, str]] = {}
        self._bases: dict[str, str] = {}
        self._printed: dict[str, deque[str]] = {}
        self._failed = ""
        self._line = 0
        self._summary = False

    def printed(self) -> str:
        """The last lines that the failing step printed."""
        return "\n".join(self._printed.get(self._failed, ()))

    def line(self, text: str) -> int:
        """The line of the Dockerfile at which it failed; 0: not known."""
        if self._line:
            return self._line
        if base := self._bases.get(self._failed):
            return steps.by_base(text, base)
        step = self._steps.get(self._failed)
        return steps.by_text(text, step[1]) if step else 0

    def take(self, line: str) -> None:
        """One line of output."""
        if not self._summary and (match := _NUMBERED.fullmatch(line)):
            self._numbered(match[1], match[2])
        elif line.startswith(_ERROR):
            self.error = line.removeprefix(_ERROR)
        elif match := _LOCATION.fullmatch(line):
            self._line = int(match[1])
        elif line == _RULE:
            self._summary = True  # it says again what was printed already
        elif line and not self._summary:
            self._log.write(f"{line}\n")

    def _numbered(self, number: str, text: str) -> None:
        if match := _STEP.fullmatch(text):
            if number not in self._steps:
                self._steps[number] = match["where"], match["instruction"]
                self._log.write(f"{text}\n")
        elif match := _BASE.fullmatch(text):
            self._bases[number] = match[1]
        elif text.startswith(_ERROR):
            self._failed = number
            self._log.write(f"{text}\n", level="error")
        elif text == "CACHED" and number in self._steps:
            self._log.write(f"[{self._steps[number][0]}] CACHED\n")
        elif number in self._steps and (match := _PRINTED.fullmatch(text)):
            printed = match[1] or ""
            self._printed.setdefault(number, deque(maxlen=_PRINTED_LINES)).append(printed)
            self._log.write(f"{printed}\n")
