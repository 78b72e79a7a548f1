"""What Docker Compose is given for a service: its project, with this project's images put in.

The files were resolved when the Tiltfile was read, so what runs is what was read, whatever has
become of the files or of the environment since.  An image of ours has its key as its tag: a new
image is a new configuration, and Docker Compose makes a new container for just that reason.
"""

import re
from collections.abc import Mapping
from typing import Final

from tiltd.core import keys, manual, podspec
from tiltd.model.desired import JSON, ComposeTarget, Image
from tiltd.model.names import ResourceName
from tiltd.model.state import ServiceUp, State

COMMAND_VARIABLE: Final = "TILT_DOCKER_COMPOSE_CMD"
"""Names a program to be used instead of `docker compose` (Tilt's variable)."""
INSTALL: Final = (
    "install the plugin docker-compose (Debian: docker-compose-plugin; "
    "https://docs.docker.com/compose/install/), then see `docker compose version`"
)
"""What to do where there is no Docker Compose."""
_NO_PLUGIN: Final = re.compile(
    r"unknown command: docker compose|'compose' is not a docker command|unknown (shorthand )?flag"
)
_OURS = "missing"
"""The pull policy of an image of ours: a registry may not have it, and the tag never moves."""


def program(env: Mapping[str, str]) -> tuple[str, ...]:
    """How Docker Compose is called in an environment."""
    given = env.get(COMMAND_VARIABLE)
    return (given,) if given else ("docker", "compose")


def is_missing(printed: str) -> bool:
    """Whether what docker printed means that it has no such plugin."""
    return _NO_PLUGIN.search(printed) is not None


def body(target: ComposeTarget, s: State) -> JSON:
    """The project to send; of its services only this one has to be complete."""
    whole = target.project.body
    services = dict(podspec.section(whole, "services"))
    services[target.service] = _service(target, s)
    return {**whole, "services": services}


def key(name: ResourceName, target: ComposeTarget, s: State) -> str:
    """The digest of all that the service depends on, and of how often it was asked for.

    One service of a project answers for the list of all: with it goes what is no longer listed.
    """
    shared = {k: v for k, v in target.project.body.items() if k != "services"}
    names = sorted(podspec.section(target.project.body, "services"))
    listed = names if names[:1] == [target.service] else []
    generation = s.resources[name].generation
    return keys.digest([shared, target.project.dir, listed, _service(target, s), generation])


def current(name: ResourceName, target: ComposeTarget, s: State) -> ServiceUp | None:
    """The service, if it is up as it has to be now; what waits for a trigger stays as it was."""
    known = s.services.get(name)
    if known is None or known.key == key(name, target, s) or manual.hold((name,), s):
        return known
    return None


def replicas(target: ComposeTarget) -> int:
    """How many containers the service has."""
    service = _given(target)
    asked = podspec.section(service, "deploy").get("replicas", service.get("scale", 1))
    return asked if isinstance(asked, int) else 1


def publishes(target: ComposeTarget) -> bool:
    """Whether it publishes a port: who does serves."""
    return bool(_given(target).get("ports"))


def _given(target: ComposeTarget) -> JSON:
    return podspec.section(podspec.section(target.project.body, "services"), target.service)


def _service(target: ComposeTarget, s: State) -> JSON:
    given = _given(target)
    ready = s.images[target.image].ready if target.image is not None else None
    if target.image is None or ready is None:
        return given
    left = {k: v for k, v in given.items() if k != "build"}
    image = s.graph.images[target.image]
    return {**left, **_command(image), "image": ready.refs.local, "pull_policy": _OURS}


def _command(image: Image) -> JSON:
    if image.container_args is None:
        return {}
    # Docker Compose puts variables in where it reads a dollar sign.
    return {"command": [text.replace("$", "$$") for text in image.container_args]}
