"""A resource that a command of the user's deploys: run it when all that it needs is there."""

from tiltd.core import custom as customs
from tiltd.core import holds, manual, removing
from tiltd.model.actions import Deploy, Undeploy
from tiltd.model.decisions import Decision, Done, Hold
from tiltd.model.desired import Resource
from tiltd.model.names import CLUSTER, deploy_node
from tiltd.model.state import State


def deploy(resource: Resource, s: State, now: float) -> Decision:
    """Run the command once for each generation of its `deps` and each new image."""
    node = deploy_node(resource.name)
    if hold := holds.not_wanted(node, s):
        return hold
    if resource.name in s.deployed and (hold := manual.hold((resource.name,), s)):
        return hold
    if hold := _waiting(resource, s):
        return hold
    key = customs.key(resource, s)
    known = s.deployed.get(resource.name)
    if known is not None and known.key == key:
        return Done()
    timeout = s.project.settings.apply_timeout if s.project else 30.0
    reason = customs.reason(resource, s) if known is not None else ""
    action = Deploy(resource.name, customs.command(resource, s), key, timeout, reason)
    return holds.unless_failed(node, action, s, now)


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
    action = Undeploy(resource.name, customs.of(resource).delete, removing.TIMEOUT)
    return holds.unless_failed(node, action, s, now)


def _waiting(resource: Resource, s: State) -> Hold | None:
    if s.cluster is None:
        return Hold("waiting-for-cluster", "waiting for the cluster", on=(CLUSTER,))
    return holds.dependencies(resource.resource_deps, s) or holds.images(
        customs.needed(resource), s
    )
