"""What one node needs next.

Level-based: a decision looks at the state alone, never at the event that woke it, so a lost,
doubled or late wake-up is harmless.  Every decision is an action, a fact that follows from what
is known, or a reason for having none; the reason is what people see.  One module a kind of node;
they don't know each other.
"""

from typing import assert_never

from tiltd.core.reconcile import (
    deploys,
    images,
    live,
    local,
    objects,
    removal,
    resources,
    services,
    sources,
    stock,
)
from tiltd.core.reconcile import session as sessions
from tiltd.model import graph
from tiltd.model.decisions import Decision, Done
from tiltd.model.names import CLUSTER, SESSION, STOCK, TILTFILE, NodeName
from tiltd.model.state import Mode, State


def reconcile(  # noqa: C901, PLR0911 - a table of nodes
    name: NodeName, s: State, now: float
) -> Decision:
    """The decision for a node.

    Args:
        name: the node; one that is unknown (any more) has nothing to do.
        s: all that is known.
        now: seconds since the epoch.
    """
    session = s.session
    if session is None or session.ended is not None:
        return Done()
    if name == SESSION:
        return sessions.reconcile(s, now)
    if name == TILTFILE:
        return sources.tiltfile(s, now)
    if name == CLUSTER:
        return sources.cluster(s, now)
    if name == STOCK and session.spec.mode is not Mode.DOWN:
        return stock.reconcile(s, now)
    node = s.graph.nodes.get(name)
    if session.spec.mode is Mode.DOWN:
        if isinstance(node, graph.ObjectNode):
            return removal.reconcile(node.manifest, s, now)
        if isinstance(node, graph.DeployNode):
            return deploys.undeploy(node.resource, s, now)
        if isinstance(node, graph.ServiceNode):
            return services.down(node.resource, node.target, s, now)
        return Done()
    match node:
        case None:
            return Done()
        case graph.ImageNode(image=image):
            return images.reconcile(image, s, now)
        case graph.ObjectNode(manifest=manifest):
            return objects.reconcile(manifest, s, now)
        case graph.DeployNode(resource=resource):
            return deploys.deploy(resource, s, now)
        case graph.LiveNode(resource=resource):
            return live.reconcile(resource, s, now)
        case graph.ServiceNode(resource=resource, target=target):
            return services.keep(resource, target, s, now)
        case graph.CommandNode(resource=resource):
            return local.command(resource, s, now)
        case graph.ServeNode(resource=resource):
            return local.serve(resource, s, now)
        case graph.ResourceNode(resource=resource):
            return resources.reconcile(resource, s, now)
        case _:
            assert_never(node)
