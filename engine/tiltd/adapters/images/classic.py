"""The Engine's classic builder, for hosts without buildx.

It reports in a stream of JSON objects (Engine API, `/build`).  Of these, people get the steps
and what the steps print; layer ids and progress bars are dropped.
"""

import re
from collections.abc import Mapping
from typing import Any

from tiltd import ports
from tiltd.adapters.images import context, engine, events, failures, steps, tail
from tiltd.core import dockerfile
from tiltd.model.problems import Code, Problem

_STEP = re.compile(r"Step (\d+)/\d+ : (.*)", re.DOTALL)
_NOISE = re.compile(
    r" ---> [0-9a-f]{12}\n?| ---> Running in [0-9a-f]+\n?|Removing intermediate container .*\n?"
    r"|Successfully (built|tagged) .*\n?|\n"
)
_PULL_NEWS = ("Pulling from ", "Digest: ", "Status: ")


def is_asked_for(env: Mapping[str, str]) -> bool:
    """Whether the user wants this builder even where there is another (as in Docker's CLI)."""
    return env.get("DOCKER_BUILDKIT") == "0"


async def build(
    prepared: context.Prepared,
    ref: str,
    env: Mapping[str, str],
    docker: engine.Engine,
    registries: Mapping[str, Mapping[str, str]],
    proxies: Mapping[str, str],
    log: ports.Log,
) -> None:
    """Build and tag.

    Args:
        prepared: what to build.
        ref: the tag to give.
        env: the session's environment.
        docker: the engine.
        registries: auth config by registry, for base images.
        proxies: build args of the Docker configuration; the Tiltfile's own win.
        log: gets the output.

    Raises:
        PermanentError: the build failed, or needs BuildKit.
        TransientError: a base image's registry was busy.
    """
    _check(prepared, env)
    output = _Output(log)
    try:
        async with context.stream(prepared) as source:
            await docker.build(source, _options(prepared, ref, proxies), registries, output.event)
    except events.EngineError as error:
        output.error = error.message
    if output.error:
        raise failures.build(
            prepared, output.error, output.log.text(), output.line(prepared.dockerfile)
        )
    for name in prepared.build.extra_tags:
        await docker.tag(ref, name)


def _check(prepared: context.Prepared, env: Mapping[str, str]) -> None:
    build = prepared.build
    reason = dockerfile.needs_buildkit(prepared.dockerfile)
    if reason is None and (build.secret or build.ssh):
        reason = f"{'secret' if build.secret else 'ssh'}= of docker_build needs BuildKit"
    if reason is None:
        return
    match = re.match(r"line (\d+): ", reason)
    raise ports.PermanentError(
        Problem(
            Code.BUILD,
            f"{prepared.image.name} can't be built here: {reason}, "
            + (
                "but DOCKER_BUILDKIT=0 asks for the classic builder"
                if is_asked_for(env)
                else "and the docker command line of this machine has no buildx"
            ),
            place=prepared.at(int(match[1])) if match else prepared.image.place,
            hint="unset DOCKER_BUILDKIT"
            if is_asked_for(env)
            else "install the docker-buildx plugin (check with `docker buildx version`)",
        )
    )


def _options(prepared: context.Prepared, ref: str, proxies: Mapping[str, str]) -> dict[str, Any]:
    build = prepared.build
    return {
        "dockerfile": context.DOCKERFILE,
        "tag": ref,
        "rm": True,
        "forcerm": True,
        "pull": build.pull,
        "nocache": prepared.fresh,
        "buildargs": {**proxies, **prepared.build_args},
        "target": build.target or None,
        "platform": build.platform or None,
        "network_mode": build.network or None,
        "cache_from": list(build.cache_from) or None,
        "extra_hosts": list(build.extra_hosts) or None,
        "use_config_proxy": False,  # those of the daemon's own environment
    }


class _Output:
    """Turns events into lines; called in the build's thread."""

    def __init__(self, log: ports.Log) -> None:
        self.log = tail.Tail(log)
        self.error = ""
        self._step = 0
        self._instruction = ""

    def line(self, text: str) -> int:
        """The line of the Dockerfile at which it stands; 0: none yet."""
        return steps.by_number(text, self._step, self._instruction) if self._step else 0

    def event(self, event: events.Event) -> None:
        if "error" in event:
            self.error = events.error(event)
        elif "stream" in event:
            self._stream(str(event["stream"]))
        elif "status" in event:
            status = str(event["status"])
            if status.startswith(_PULL_NEWS):
                self.log.write(f"{status}\n")

    def _stream(self, text: str) -> None:
        if match := _STEP.match(text):
            self._step, self._instruction = int(match[1]), match[2].strip()
            self.log.write(f"{text.rstrip()}\n")
            self.log.forget()
        elif not _NOISE.fullmatch(text):
            self.log.write(text)
