"""A Docker Compose service: bring it up when all that it needs is there, then watch it.

The watch is work like any other: it goes on as long as it is wanted, and when the service has to
be brought up anew, that takes its place.  Its end, with the session, leaves the containers as they
are; `down` removes them.
"""

from tiltd.core import composing, holds, removing
from tiltd.model import graph
from tiltd.model.actions import ComposeDown, ComposeUp, ComposeWatch
from tiltd.model.decisions import Decision, Done, Hold
from tiltd.model.desired import ComposeProject, ComposeTarget, Resource
from tiltd.model.names import NodeName, service_node
from tiltd.model.state import State


def keep(resource: Resource, target: ComposeTarget, s: State, now: float) -> Decision:
    """See the module."""
    node = service_node(resource.name)
    known = s.services.get(resource.name)
    hold = holds.not_wanted(node, s) or _waiting(resource, target, s)
    # What is up already is watched also while its next image is being built.
    up = known if hold is not None else composing.current(resource.name, target, s)
    if hold is not None and (up is None or node not in s.wanted):
        return hold
    if up is not None:
        return holds.unless_failed(node, ComposeWatch(resource.name, target, up.key), s, now)
    key = composing.key(resource.name, target, s)
    generation = s.resources[resource.name].generation
    # Asked for again, and no file has changed that could have brought something new.
    again = known is not None and generation > known.generation and target.build is None
    body = composing.body(target, s)
    action = ComposeUp(resource.name, target, body, key, generation, recreate=again)
    return holds.unless_failed(node, action, s, now)


def _waiting(resource: Resource, target: ComposeTarget, s: State) -> Hold | None:
    images = () if target.image is None else (target.image,)
    return holds.dependencies(resource.resource_deps, s) or holds.images(images, s)


def down(resource: Resource, target: ComposeTarget, s: State, now: float) -> Decision:
    """`down`: a project goes as a whole, when nothing is left that needs one of its services."""
    node = service_node(resource.name)
    if hold := holds.not_wanted(node, s):
        return hold
    if s.resources[resource.name].undeployed:
        return Done()
    services = _services(target.project, s)
    first = next(iter(services))
    if first != node:
        reason = f"goes with the Docker Compose project {target.project.name}"
        return Hold("waiting-for-project", reason, on=(first,))
    users = dict.fromkeys(n for name in services for n in removing.first(name, s))
    before = tuple(n for n in users if n not in services)
    if before:
        return Hold("waiting-for-object", removing.must_go(before, s), on=before)
    named = {n.target.service: n.resource.name for n in services.values()}
    action = ComposeDown(target.project, named)
    return holds.unless_failed(node, action, s, now)


def _services(project: ComposeProject, s: State) -> dict[NodeName, graph.ServiceNode]:
    return {
        name: node
        for name, node in s.graph.nodes.items()
        if isinstance(node, graph.ServiceNode)
        and node.target.project.name == project.name
        and name in s.wanted
    }
