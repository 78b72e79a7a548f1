"""What a session leaves to tell at its end: what was cut short, removed, or could not be read."""

from collections import Counter
from collections.abc import Iterator

from tilt_api.v1 import tilt_pb2 as pb
from tiltd import ports
from tiltd.core import graph as graphs
from tiltd.core import removing
from tiltd.core.removing import Fate
from tiltd.model import graph
from tiltd.model.actions import Work
from tiltd.model.names import NodeName, ResourceName, deploy_node, service_node
from tiltd.model.observed import Scope
from tiltd.model.problems import Code, Problem
from tiltd.model.state import Attempt, AttemptOutcome, Progress, State

_FATES = {
    Fate.PENDING: pb.FATE_PENDING,
    Fate.DELETED: pb.FATE_DELETED,
    Fate.ABSENT: pb.FATE_ABSENT,
    Fate.KEPT: pb.FATE_KEPT,
    Fate.NAMESPACE_KEPT: pb.FATE_NAMESPACE_KEPT,
    Fate.FAILED: pb.FATE_FAILED,
}
_CUT = (Work.BUILD, Work.APPLY, Work.DELETE, Work.COMMAND, Work.LIVE_UPDATE)
_TOLD = frozenset(w.value for w in _CUT)


def cancelled(s: State) -> Iterator[pb.Cancelled]:
    """The work that the session's end cut short.

    Not what only looks and reads, which leaves nothing half done; and a process that serves has no
    other end.
    """
    ended = s.session.ended if s.session else None
    for node, progress in s.progress.items() if ended else ():
        attempt = _cut(progress, ended.at if ended else 0.0)
        if attempt is not None and attempt.work in _TOLD:
            users = graphs.works_for(s.graph, node)
            yield pb.Cancelled(
                id=node,
                name=_shown(node, s),
                work=attempt.work,
                resource=next(iter(users)) if len(users) == 1 else "",
                seconds=(ended.at if ended else 0.0) - attempt.started_at,
            )


def _cut(progress: Progress, end: float) -> Attempt | None:
    if progress.running is not None:
        return progress.running
    last = progress.last
    if last is None or last.outcome is not AttemptOutcome.CANCELLED:
        return None
    return last if last.ended_at is not None and last.ended_at >= end else None


def _shown(name: NodeName, s: State) -> str:
    node = s.graph.nodes.get(name)
    match node:
        case graph.ImageNode(image=image):
            return image.name
        case graph.ObjectNode(manifest=manifest):
            return str(manifest.id)
        case (
            graph.DeployNode(resource=owner)
            | graph.ServiceNode(resource=owner)
            | graph.LiveNode(resource=owner)
            | graph.CommandNode(resource=owner)
            | graph.ServeNode(resource=owner)
        ):
            return owner.name
        case graph.ResourceNode() | None:
            return name


def removals(s: State) -> Iterator[pb.Removal]:
    """What `down` does with each object and each service."""
    for node in s.graph.nodes.values():
        if isinstance(node, graph.ServiceNode) and node.resource.name in s.active:
            service = node.resource.name
            yield pb.Removal(
                object=pb.ObjectRef(kind="Service", name=service),
                resource=service,
                fate=_FATES[removing.undeployed(service, s)],
            )
    for manifest, fate in removing.fates(s):
        name = manifest.id
        where = name.namespace
        yield pb.Removal(
            object=pb.ObjectRef(kind=name.kind, namespace=where, name=name.name),
            resource=s.graph.resource_of.get(name, ""),
            fate=_FATES[fate],
        )


def removal_status(s: State, name: ResourceName) -> str:
    """`2 deleted, 1 kept`."""
    mine = [f.value for m, f in removing.fates(s) if s.graph.resource_of.get(m.id) == name]
    if {deploy_node(name), service_node(name)} & s.graph.nodes.keys():
        mine.append(removing.undeployed(name, s).value)
    return ", ".join(f"{count} {word}" for word, count in Counter(mine).items())


def unreadable(scope: Scope, words: str) -> Problem:
    """What may not be read, and what that costs."""
    where = f" in {scope.namespace}" if scope.namespace else ""
    costs = _COSTS.get(scope.kind, _OTHER)
    return Problem(
        Code.CLUSTER_FORBIDDEN,
        f"may not read {scope.kind}{where}: {costs} ({words})",
        hint="grant the verbs get, list and watch on it (for logs: get on pods/log)",
    )


_OTHER = "what was applied earlier, and what changes, is not seen"
_COSTS = {
    "Event": "verdicts do not need it, but reports lack warnings and some reasons",
    ports.LOG_KIND: "verdicts do not need it, but reports lack what containers printed",
    "Pod": "whether containers start and stay up can't be seen, so nothing becomes healthy",
    "ReplicaSet": "a Deployment's pods can't be told, so it does not become healthy",
}
