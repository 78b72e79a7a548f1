"""Whom an event concerns: the nodes to look at again.

A node's decision reads its own state, the state of what it waits for, and the session.  So an
event wakes the nodes that it is about and those that wait for them, through the graph; and always
the session, which waits for everyone.  Waking too many is only slow; `everyone` is for the rare
events that change what all depend on.
"""

from collections.abc import Iterable, Iterator
from typing import assert_never

from tiltd.core import graph as graphs
from tiltd.core import live
from tiltd.model import events
from tiltd.model.desired import JSON
from tiltd.model.graph import ObjectNode
from tiltd.model.names import (
    CLUSTER,
    SESSION,
    STOCK,
    TILTFILE,
    NodeName,
    ResourceName,
    command_node,
    deploy_node,
    image_node,
    live_node,
    object_node,
    resource_node,
    serve_node,
    service_node,
)
from tiltd.model.state import Mode, State


def wake(old: State, new: State, event: events.Event) -> frozenset[NodeName]:
    """The nodes whose decision `event` may have changed."""
    return frozenset({SESSION, *_about(old, new, event)})


def everyone(s: State) -> frozenset[NodeName]:
    """All nodes."""
    return frozenset({TILTFILE, CLUSTER, SESSION, STOCK, *s.graph.nodes})


def _about(  # noqa: C901, PLR0911, PLR0912 - a table of events
    old: State, new: State, event: events.Event
) -> Iterable[NodeName]:
    match event:
        case events.AttemptStarted(node=node):
            return (node, *_told_of_start(new, node), *_peers(new, node))
        case events.AttemptEnded(node=node):
            below = new.graph.dependents.get(node, ())
            above = _before(new, node) if _down(new) else ()
            return (node, *below, *above, *_judges(new, node), *_peers(new, node))
        case events.InputsRead(image=image) | events.ImageBuilt(image=image):
            return _below(new, image_node(image), deep=True)
        case events.ContainerUpdated(resource=name):
            return (live_node(name), resource_node(name))
        case events.SessionSettled() | events.SightChanged() | events.TiltfileBroken():
            return ()
        case events.StockTaken():
            return (STOCK,)
        case events.LogEnded(run=run):
            return (resource_node(run.resource),)
        case events.ObjectApplied(id=name):
            stock = (STOCK,) if new.stock.gone else ()
            return (*stock, *_below(new, object_node(name)), *_users(new, object_node(name)))
        case events.ObjectRemoved(id=name):
            return (object_node(name), *_before(new, object_node(name)))
        case events.Unreadable():
            return (n for n in new.wanted if n.startswith("object/")) if _down(new) else ()
        case events.ResourceDeployed(resource=name):
            return (resource_node(name), *_below(new, deploy_node(name)))
        case events.ResourceUndeployed(resource=name):
            return (deploy_node(name), *_before(new, deploy_node(name)))
        case events.ServiceStarted(resource=name) | events.ServiceSeen(resource=name):
            return (resource_node(name), *_below(new, service_node(name)))
        case events.ServicesRemoved(resources=names):
            gone = [service_node(name) for name in names]
            return (*gone, *(n for node in gone for n in _before(new, node)))
        case events.CommandDone(resource=name):
            return (resource_node(name), *_below(new, command_node(name)))
        case events.ForwardChanged(forward=forward):
            return (resource_node(forward.resource),)
        case events.ServeChanged(resource=name):
            return (resource_node(name), *_below(new, serve_node(name)))
        case events.HealthJudged(resource=name):
            first = new.resources[name].ready_once and not (
                name in old.resources and old.resources[name].ready_once
            )
            return _below(new, resource_node(name)) if first else (resource_node(name),)
        case events.ClusterChanged(seen=seen):
            return (*_changed(old, new), *_touched(new, seen))
        case events.Connected() | events.Looked():
            # No verdict speaks of the cluster before anything was applied to it.
            return (n for n in everyone(new) if _down(new) or not n.startswith("resource/"))
        case (
            events.SessionStarted()
            | events.SessionEnded()
            | events.TiltfileLoaded()
            | events.FilesChanged()
            | events.LiveUpdateStopped()
            | events.Triggered()
        ):
            return everyone(new) | everyone(old)
        case _:
            assert_never(event)


def _below(s: State, node: NodeName, *, deep: bool = False) -> Iterator[NodeName]:
    """A node and who waits for it; `deep`: through images built on one another."""
    yield node
    for below in s.graph.dependents.get(node, ()):
        yield below
        if deep and below.startswith("image/"):
            yield from _below(s, below, deep=True)


def _peers(s: State, node: NodeName) -> Iterable[NodeName]:
    """Local commands run one at a time, so the end of one is news for all."""
    if not node.startswith("command/"):
        return ()
    return (n for n in s.graph.nodes if n.startswith("command/"))


def _changed(old: State, new: State) -> Iterator[NodeName]:
    """Resources whose live objects changed, and who waits for those objects."""
    for name, after in new.resources.items():
        if old.resources.get(name) is not after:
            yield from _resource(new, name)
    if old.applied is not new.applied:
        for lost in old.applied.keys() - new.applied.keys():
            yield from _below(new, object_node(lost))
    if old.found is not new.found:
        yield from (object_node(i) for i in old.found.keys() - new.found.keys())


def _touched(s: State, seen: Iterable[JSON]) -> Iterator[NodeName]:
    """`up`: the objects of ours that were seen; somebody else may have changed them."""
    if s.session is None or s.session.spec.mode is not Mode.UP:
        return
    for body in seen:
        name = live.find(s.applied, body, s.kube_context.namespace)
        if name is not None:
            yield object_node(name)


def _told_of_start(s: State, node: NodeName) -> Iterable[NodeName]:
    """Whose verdict tells what is under way: only `up` has one on what is being replaced."""
    kind = node.partition("/")[0]
    up = s.session is not None and s.session.spec.mode is Mode.UP
    return _judges(s, node) if up or kind not in {"object", "image"} else ()


def _judges(s: State, node: NodeName) -> Iterator[NodeName]:
    """Who judges what a node is a part of."""
    return (resource_node(n) for n in graphs.works_for(s.graph, node))


def _down(s: State) -> bool:
    return s.session is not None and s.session.spec.mode is Mode.DOWN


def _before(s: State, node: NodeName) -> Iterator[NodeName]:
    """The objects that a node waits for, through resources: in reverse, those go after it."""
    for first in s.graph.dependencies.get(node, ()):
        if first.startswith("resource/"):
            yield from s.graph.dependencies.get(first, ())
        else:
            yield first


def _users(s: State, node: NodeName) -> Iterator[NodeName]:
    """The resources whose pods name an object: its absence was no fault of theirs until now."""
    for user in s.graph.dependents.get(node, ()):
        part = s.graph.nodes[user]
        if isinstance(part, ObjectNode):
            yield resource_node(part.resource)


def _resource(s: State, name: ResourceName) -> Iterator[NodeName]:
    yield resource_node(name)
    if live_node(name) in s.graph.nodes:
        yield live_node(name)
    if name not in s.deployed and deploy_node(name) in s.graph.nodes:
        yield deploy_node(name)
    for part in s.graph.objects_of.get(name, ()):
        yield from s.graph.dependents.get(object_node(part), ())
