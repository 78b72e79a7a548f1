"""BuildKit, through `docker buildx build`.

The builder is the one inside the session's own Docker Engine (`default`) unless `BUILDX_BUILDER`
names another: it alone sees the images in the engine's store, among them those of this project
that others build on, and what it builds is in that store without a copy.  For another builder
`--load` brings the image there.

The plain progress of buildx is meant for machines' logs: each line begins with the number of its
step, and every step is announced, timed and repeated.  What people get of it is `progress`.

The plugin is started by itself where its file is found: `docker` would first read its
configuration, ask each of its plugins for its name, and then wait beside it, which takes as much
CPU again.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tiltd import ports
from tiltd.adapters.images import context, dockerconfig, failures, lines, programs, progress
from tiltd.model.desired import Command

_NUMBERED = re.compile(r"#(\d+) (.*)")
_PRINTED = re.compile(r"\d+\.\d+ (.*)|\d+\.\d+")
_LOCATION = re.compile(rf"{re.escape(context.DOCKERFILE)}:(\d+)")
_SYSTEM = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
_RULE = "------"
_ERROR = "ERROR: "
_BUILDER = "BUILDX_BUILDER"


def program(env: Mapping[str, str], config: dockerconfig.Config) -> str:
    """The plugin's file; empty: there is none where we look, but `docker` may know better."""
    if not programs.find("docker", env):
        return ""
    folders = (*config.plugins, str(config.folder / "cli-plugins"), *_SYSTEM)
    return shutil.which("docker-buildx", path=os.pathsep.join(folders)) or ""


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
    config: dockerconfig.Config,
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
        config: its Docker configuration.
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
    plugin = program(env, config)
    argv = (
        *((plugin,) if plugin else (programs.find("docker", env), "buildx")),
        *_arguments(prepared, ref, env, pushes=pushes),
        f"--file={dockerfile / context.DOCKERFILE}",
        prepared.build.context,
    )
    # Attestations would turn each image into an index, for nobody; what Git says goes into them.
    settings = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    if not env.get("BUILDX_GIT_LABELS"):
        settings["BUILDX_GIT_INFO"] = "0"
    command = Command(argv, cwd, settings)
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
        self._progress = progress.Progress(log)
        self._line = 0
        self._summary = False

    def printed(self) -> str:
        """The last lines that the failing step printed."""
        return self._progress.output()

    def line(self, text: str) -> int:
        """The line of the Dockerfile at which it failed; 0: not known."""
        return self._line or self._progress.line(text)

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
        if text.startswith(_ERROR):
            self._progress.fails(number, text.removeprefix(_ERROR))
        elif text == "CACHED":
            self._progress.cached(number)
        elif match := _PRINTED.fullmatch(text):
            self._progress.prints(number, match[1] or "")
        else:
            self._progress.begins(number, text)
