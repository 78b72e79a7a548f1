"""The dependency graph: the one home of networkx (`slim` imports it).

Nodes are images, objects, commands and resources; an edge leads from what must be ready to what
waits for it.  Some edges are the user's word (an image in a manifest, a base image,
`resource_deps`); the others come from `core.order` (a Namespace before its contents …) and are
advice: where advice and the user's word make a circle, the advice goes.  A circle of the user's
own making is his error, and the message shows the way around it.

networkx takes a while to import, so it is imported at the first use, which is off the event loop
and beside the reading of the cluster.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, cast

from tiltd.core import order
from tiltd.model import desired
from tiltd.model.graph import (
    CommandNode,
    DeployNode,
    Graph,
    ImageNode,
    LiveNode,
    Node,
    ObjectNode,
    ResourceNode,
    ServeNode,
    ServiceNode,
)
from tiltd.model.names import (
    ImageName,
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

if TYPE_CHECKING:
    from tiltd.core.slim import nx

Edge = tuple[NodeName, NodeName]

_NOT_SOURCES = ("**/.git",)


class CircleError(Exception):
    """Things wait for each other. `path` begins and ends with the same node."""

    def __init__(self, path: tuple[NodeName, ...]) -> None:
        super().__init__(" → ".join(path))
        self.path = path


def build(project: desired.Project, namespace: str) -> Graph:
    """The graph of a project.

    Args:
        project: what is desired.
        namespace: where objects go whose manifest names no namespace.

    Raises:
        CircleError: the user's own dependencies make a circle.
    """
    nodes = _nodes(project)
    given = _given_edges(project, nodes)
    digraph = _digraph(nodes, given)
    circle = _circle(digraph)
    if circle:
        raise CircleError(circle)
    manifests = [n.manifest for n in nodes.values() if isinstance(n, ObjectNode)]
    advised = [(object_node(a), object_node(b)) for a, b in order.edges(manifests, namespace)]
    _add_advice(digraph, advised)
    dependencies = {n: tuple(digraph.predecessors(n)) for n in nodes}
    dependents = {n: tuple(digraph.successors(n)) for n in nodes}
    kubernetes = [r for r in project.resources if isinstance(r.target, desired.KubernetesTarget)]
    return Graph(
        nodes=nodes,
        dependencies=dependencies,
        dependents=dependents,
        images={i.name: i for i in images(project)},
        manifests={m.id: m for m in manifests},
        resources={r.name: r for r in project.resources},
        objects_of={r.name: tuple(m.id for m in _manifests(r)) for r in kubernetes},
        resource_of={m.id: r.name for r in kubernetes for m in _manifests(r)},
    )


def needed(graph: Graph, active: Iterable[ResourceName]) -> frozenset[NodeName]:
    """These resources and everything that they wait for, directly or not.

    What a resource outside of `active` is made of is not among it: it is waited for, not started.
    """
    start = {resource_node(n) for n in active}
    seen: set[NodeName] = set()
    todo = list(start)
    while todo:
        node = todo.pop()
        if node not in seen and (node in start or not node.startswith("resource/")):
            seen.add(node)
            todo.extend(graph.dependencies.get(node, ()))
    return frozenset(seen)


def made_of(graph: Graph, name: ResourceName) -> frozenset[NodeName]:
    """The parts of a resource, and the images in them with all that these are built on."""
    seen: set[NodeName] = set()
    todo = list(graph.dependencies.get(resource_node(name), ()))
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo.extend(n for n in graph.dependencies.get(node, ()) if n.startswith("image/"))
    return frozenset(seen)


def sequence(graph: Graph) -> tuple[NodeName, ...]:
    """All nodes, each after those that it waits for; else as the Tiltfile has them."""
    done: dict[NodeName, None] = {}
    for start in graph.nodes:
        stack = [(start, iter(graph.dependencies.get(start, ())))]
        while stack:
            node, before = stack[-1]
            following = next((n for n in before if n not in done), None)
            if following is not None:
                stack.append((following, iter(graph.dependencies.get(following, ()))))
            else:
                done[node] = None
                stack.pop()
    return tuple(done)


def works_for(graph: Graph, node: NodeName) -> frozenset[ResourceName]:
    """The resources that a node is a part of: the inverse of `made_of`."""
    found: set[ResourceName] = set()
    seen: set[NodeName] = set()
    todo = [node]
    while todo:
        above = todo.pop()
        if above in seen:
            continue
        seen.add(above)
        for user in graph.dependents.get(above, ()):
            part = graph.nodes[user]
            if isinstance(part, ResourceNode):
                found.add(part.resource.name)
            elif above.startswith("image/"):
                todo.append(user)
    return frozenset(found)


def _manifests(resource: desired.Resource) -> tuple[desired.Manifest, ...]:
    target = resource.target
    return target.manifests if isinstance(target, desired.KubernetesTarget) else ()


def deployed_images(resource: desired.Resource) -> tuple[ImageName, ...]:
    """The images that a resource's own deploying command needs."""
    target = resource.target
    custom = target.custom if isinstance(target, desired.KubernetesTarget) else None
    return custom.images if custom is not None else ()


def used_images(resource: desired.Resource) -> tuple[ImageName, ...]:
    """The images that a resource needs by itself, whatever its manifests name."""
    target = resource.target
    if isinstance(target, desired.ComposeTarget):
        return (target.image,) if target.image is not None else ()
    return deployed_images(resource)


def source_of(resource: desired.Resource) -> desired.Image | None:
    """What a deploying command's `live_update` copies from, as an image that nobody builds."""
    target = resource.target
    custom = target.custom if isinstance(target, desired.KubernetesTarget) else None
    if custom is None or not custom.live_update:
        return None
    build = desired.CustomBuild(desired.Command((), custom.apply.dir), custom.deps, _NOT_SOURCES)
    name = ImageName(f"k8s_custom_deploy:{resource.name}")
    return desired.Image(name, build, live_update=custom.live_update, of_deploy=True)


def images(project: desired.Project) -> list[desired.Image]:
    """All images, those included that nobody builds."""
    sources = (source_of(resource) for resource in project.resources)
    return [*project.images, *(source for source in sources if source is not None)]


def _nodes(project: desired.Project) -> dict[NodeName, Node]:
    nodes: dict[NodeName, Node] = {image_node(i.name): ImageNode(i) for i in images(project)}
    lively = {i.name for i in images(project) if i.live_update}
    for resource in project.resources:
        match resource.target:
            case desired.KubernetesTarget(manifests=manifests, custom=custom):
                for m in manifests:
                    nodes[object_node(m.id)] = ObjectNode(m, resource.name)
                if custom is not None:
                    nodes[deploy_node(resource.name)] = DeployNode(resource)
            case desired.ComposeTarget() as target:
                nodes[service_node(resource.name)] = ServiceNode(resource, target)
            case desired.LocalTarget(cmd=cmd, serve=serve):
                if cmd is not None:
                    nodes[command_node(resource.name)] = CommandNode(resource)
                if serve is not None:
                    nodes[serve_node(resource.name)] = ServeNode(resource)
        if not lively.isdisjoint(deploys(resource)):
            nodes[live_node(resource.name)] = LiveNode(resource)
        nodes[resource_node(resource.name)] = ResourceNode(resource)
    return nodes


def deploys(resource: desired.Resource) -> tuple[ImageName, ...]:
    """The images that run in the containers of a resource."""
    named = (image for manifest in _manifests(resource) for image in manifest.images)
    source = source_of(resource)
    watched = () if source is None else (source.name,)
    return tuple(dict.fromkeys((*named, *used_images(resource), *watched)))


def _given_edges(project: desired.Project, nodes: Mapping[NodeName, Node]) -> list[Edge]:
    edges: list[Edge] = []
    for image in project.images:
        edges += [(image_node(base), image_node(image.name)) for base in image.bases]
    for resource in project.resources:
        parts = _parts(resource)
        judge = resource_node(resource.name)
        edges += [(part, judge) for part in parts]
        edges += [(resource_node(d), p) for d in resource.resource_deps for p in parts]
        for m in _manifests(resource):
            edges += [(image_node(i), object_node(m.id)) for i in m.images]
        needed_images = deployed_images(resource)
        edges += [(image_node(i), deploy_node(resource.name)) for i in needed_images]
        source = source_of(resource)
        if source is not None:
            edges.append((image_node(source.name), deploy_node(resource.name)))
        if isinstance(resource.target, desired.ComposeTarget):
            service = service_node(resource.name)
            edges += [(image_node(i), service) for i in used_images(resource)]
        if live_node(resource.name) in nodes:
            first = (*parts, *(image_node(i) for i in deploys(resource)))
            edges += [(node, live_node(resource.name)) for node in first]
            edges.append((live_node(resource.name), judge))
        if command_node(resource.name) in nodes and serve_node(resource.name) in nodes:
            edges.append((command_node(resource.name), serve_node(resource.name)))
    return edges


def _parts(resource: desired.Resource) -> list[NodeName]:
    match resource.target:
        case desired.KubernetesTarget(manifests=manifests, custom=custom):
            deploy = [deploy_node(resource.name)] if custom is not None else []
            return [*(object_node(m.id) for m in manifests), *deploy]
        case desired.ComposeTarget():
            return [service_node(resource.name)]
        case desired.LocalTarget(cmd=cmd, serve=serve):
            command = [command_node(resource.name)] if cmd is not None else []
            return command + ([serve_node(resource.name)] if serve is not None else [])


def _digraph(nodes: Collection[NodeName], edges: Iterable[Edge]) -> "nx.DiGraph[NodeName]":
    from tiltd.core.slim import nx  # noqa: PLC0415 - see the module

    digraph: nx.DiGraph[NodeName] = nx.DiGraph()
    digraph.add_nodes_from(nodes)
    digraph.add_edges_from((a, b) for a, b in edges if a in nodes and b in nodes)
    return digraph


def _circle(digraph: "nx.DiGraph[NodeName]") -> tuple[NodeName, ...]:
    """A circle, if there is one; looked for in a knot only, since without one it takes long."""
    from tiltd.core.slim import nx  # noqa: PLC0415 - see the module

    for knot in _knots(digraph):
        found = cast("list[Edge]", nx.find_cycle(knot))  # pyright: ignore[reportUnknownMemberType] - its stub names no return type
        return (*(edge[0] for edge in found), found[0][0])
    loop = next(iter(nx.nodes_with_selfloops(digraph)), None)
    return () if loop is None else (loop, loop)


def _add_advice(digraph: "nx.DiGraph[NodeName]", advised: Iterable[Edge]) -> None:
    """Add edges that neither the user's own contradict nor, one circle at a time, one another.

    Circles can only lie within knots (strongly connected components), so each is looked at alone:
    to look for one circle after the other in the whole graph takes quadratic time.
    """
    added = dict.fromkeys(e for e in advised if e[0] != e[1] and not digraph.has_edge(*e))
    digraph.add_edges_from(added)
    for knot in _knots(digraph):
        digraph.remove_edges_from(_contradicted(knot, added))
    todo = _knots(digraph)
    while todo:
        knot = todo.pop()
        culprit = next(step for step in itertools.pairwise(_circle(knot)) if step in added)
        digraph.remove_edge(*culprit)
        knot.remove_edge(*culprit)
        todo += _knots(knot)


def _knots(digraph: "nx.DiGraph[NodeName]") -> "list[nx.DiGraph[NodeName]]":
    """Each as a graph of its own, in an order that is the same in every run."""
    from tiltd.core.slim import nx  # noqa: PLC0415 - see the module

    found = [sorted(knot) for knot in nx.strongly_connected_components(digraph) if len(knot) > 1]
    return [_digraph(dict.fromkeys(knot), digraph.edges(knot)) for knot in sorted(found)]


def _contradicted(knot: "nx.DiGraph[NodeName]", added: Collection[Edge]) -> list[Edge]:
    """The added edges of a knot whose ends the user's own edges join the other way round."""
    own = _digraph(knot.nodes, (e for e in knot.edges if e not in added))
    bits = {node: 1 << place for place, node in enumerate(own)}
    below: dict[NodeName, int] = {}
    for node in reversed(_sorted(own)):
        below[node] = bits[node]
        for after in own.successors(node):
            below[node] |= below[after]
    return [(a, b) for a, b in knot.edges if (a, b) in added and below[b] & bits[a]]


def _sorted(digraph: "nx.DiGraph[NodeName]") -> list[NodeName]:
    from tiltd.core.slim import nx  # noqa: PLC0415 - see the module

    return list(nx.topological_sort(digraph))


def active(project: desired.Project, triggered: Iterable[ResourceName]) -> frozenset[ResourceName]:
    """The resources that take part: enabled, and starting by themselves or asked for."""
    asked = set(triggered)
    return frozenset(
        r.name
        for r in project.resources
        if r.name in project.enabled and (r.auto_init or r.name in asked)
    )
