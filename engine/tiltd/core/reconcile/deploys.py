"""A resource that a command of the user's deploys: run it when all that it needs is there."""

import re

from tiltd.core import holds, keys, manual, removing
from tiltd.model.actions import Deploy, Undeploy
from tiltd.model.decisions import Decision, Done, Hold
from tiltd.model.desired import Command, CustomDeploy, KubernetesTarget, Resource
from tiltd.model.names import CLUSTER, ImageName, deploy_node
from tiltd.model.state import State

_ODD = re.compile(r"[/%]+")


def deploy(resource: Resource, s: State, now: float) -> Decision:
    """Run the command once for each generation of its `deps` and each new image."""
    custom = _custom(resource)
    node = deploy_node(resource.name)
    if hold := holds.not_wanted(node, s):
        return hold
    if resource.name in s.deployed and (hold := manual.hold((resource.name,), s)):
        return hold
    if hold := _waiting(custom, resource, s):
        return hold
    command = _with_images(custom, s)
    key = keys.command_key(command, s.resources[resource.name].generation)
    known = s.deployed.get(resource.name)
    if known is not None and known.key == key:
        return Done()
    timeout = s.project.settings.apply_timeout if s.project else 30.0
    return holds.unless_failed(node, Deploy(resource.name, command, key, timeout), s, now)


def undeploy(resource: Resource, s: State, now: float) -> Decision:
    """`down`: run the command that removes it, when nothing is left that needs it."""
    node = deploy_node(resource.name)
    if hold := holds.not_wanted(node, s):
        return hold
    if s.resources[resource.name].undeployed:
        return Done()
    if s.cluster is None:
        return Hold("waiting-for-cluster", "waiting for the cluster", on=(CLUSTER,))
    if before := removing.first(node, s):
        return Hold("waiting-for-object", removing.must_go(before, s), on=before)
    action = Undeploy(resource.name, _custom(resource).delete, removing.TIMEOUT)
    return holds.unless_failed(node, action, s, now)


def _custom(resource: Resource) -> CustomDeploy:
    target = resource.target
    if not isinstance(target, KubernetesTarget) or target.custom is None:
        raise TypeError(f"{resource.name} is not deployed by a command")
    return target.custom


def _waiting(custom: CustomDeploy, resource: Resource, s: State) -> Hold | None:
    if s.cluster is None:
        return Hold("waiting-for-cluster", "waiting for the cluster", on=(CLUSTER,))
    return holds.dependencies(resource.resource_deps, s) or holds.images(custom.images, s)


def _with_images(custom: CustomDeploy, s: State) -> Command:
    """The command with `TILT_IMAGE_0` … as the cluster names them (Tiltfile API)."""
    env = dict(custom.apply.env)
    for number, name in enumerate(custom.images):
        env[f"TILT_IMAGE_{number}"] = _reference(name, s)
        env[f"TILT_IMAGE_MAP_{number}"] = _ODD.sub("_", name)
    return Command(custom.apply.argv, custom.apply.dir, env)


def _reference(name: ImageName, s: State) -> str:
    ready = s.images[name].ready
    return ready.refs.in_cluster if ready is not None else ""
