"""What a deploying command of the user's is run with, and what it depends on."""

import re

from tiltd.core import graph as graphs
from tiltd.core import keys
from tiltd.model.desired import Command, CustomDeploy, KubernetesTarget, Resource
from tiltd.model.names import ImageName
from tiltd.model.state import State

_ODD = re.compile(r"[/%]+")


def of(resource: Resource) -> CustomDeploy:
    """How a resource is deployed, for one that is deployed by a command."""
    target = resource.target
    if not isinstance(target, KubernetesTarget) or target.custom is None:
        raise TypeError(f"{resource.name} is not deployed by a command")
    return target.custom


def needed(resource: Resource) -> tuple[ImageName, ...]:
    """What has to be there first: its images, and a look at what its `live_update` watches."""
    source = graphs.source_of(resource)
    images = of(resource).images
    return images if source is None else (*images, source.name)


def command(resource: Resource, s: State) -> Command:
    """The command with `TILT_IMAGE_0` … as the cluster names them (Tiltfile API)."""
    custom = of(resource)
    env = dict(custom.apply.env)
    for number, name in enumerate(custom.images):
        env[f"TILT_IMAGE_{number}"] = _reference(name, s)
        env[f"TILT_IMAGE_MAP_{number}"] = _ODD.sub("_", name)
    return Command(custom.apply.argv, custom.apply.dir, env)


def key(resource: Resource, s: State) -> str:
    """Of the command, the how-manieth wish for it, and of what its `live_update` watches.

    The latter as it was when it last asked for a deploy.
    """
    own = keys.command_key(command(resource, s), s.resources[resource.name].generation)
    source = graphs.source_of(resource)
    ready = s.images[source.name].ready if source is not None else None
    return own if ready is None else keys.digest([own, ready.key])


def reason(resource: Resource, s: State) -> str:
    """Why it is deployed again although its containers are updated; empty where that is no news."""
    source = graphs.source_of(resource)
    built = s.images[source.name].built if source is not None else None
    return built.reason if built is not None else ""


def _reference(name: ImageName, s: State) -> str:
    ready = s.images[name].ready
    return ready.refs.in_cluster if ready is not None else ""
