"""`--keep-going`: has everything come to its end that can?

A failure ends what depends on it and nothing else.  So the run goes on while anything is being
done or tried again, and while a resource may still become healthy or fail: one that waits for
something that has failed will do neither.
"""

from collections.abc import Iterator
from typing import Final

from tiltd.core import keys, limits, naming
from tiltd.model import graph
from tiltd.model.actions import Work
from tiltd.model.desired import LocalTarget
from tiltd.model.health import Finding, Verdict
from tiltd.model.names import NodeName, ResourceName, resource_node
from tiltd.model.state import State

_PENDING: Final = frozenset(
    {"deploy.pending", "object.pending", "compose.pending", "command.pending", "serve.pending"}
)


def reached(s: State, now: float) -> bool:
    """See the module."""
    if any(
        p.running is not None and p.running.work != Work.SERVE.value for p in s.progress.values()
    ):
        return False
    blocked = _blocked(s, now)
    return all(_ended(s, name, blocked) for name in s.active)


def _ended(s: State, name: ResourceName, blocked: frozenset[NodeName]) -> bool:
    known = s.resources[name]
    if known.blamed is not None:
        return True
    if known.health is None or not known.judged:
        return resource_node(name) in blocked
    stuck = resource_node(name) in blocked
    return known.health.verdict is Verdict.FAILED or all(
        _over(finding, stuck=stuck) for finding in known.health.findings
    )


def _over(finding: Finding, *, stuck: bool) -> bool:
    return finding.verdict.settled or (stuck and finding.rule in _PENDING)


def _blocked(s: State, now: float) -> frozenset[NodeName]:
    """What has failed, and what waits for it, however far away."""
    found: set[NodeName] = set()
    todo = list(_failed(s, now))
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += [n for n in s.graph.dependents.get(node, ()) if not _done(s, n)]
    return frozenset(found)


def _failed(s: State, now: float) -> Iterator[NodeName]:
    for node in s.wanted:
        progress = s.progress.get(node)
        failure = progress.failure if progress else None
        if failure is not None and limits.final(failure, s, now):
            yield node
    for name in s.active:
        known = s.resources[name]
        failed = known.health is not None and known.health.verdict is Verdict.FAILED
        if failed and not known.ready_once:
            yield resource_node(name)


def _done(s: State, name: NodeName) -> bool:
    """Whether it needs nobody any more."""
    node = s.graph.nodes[name]
    match node:
        case graph.ImageNode(image=image):
            return naming.ready(image.name, s)
        case graph.ObjectNode(manifest=manifest):
            return manifest.id in s.applied
        case graph.DeployNode(resource=resource):
            return resource.name in s.deployed
        case graph.ServiceNode(resource=resource):
            return resource.name in s.services
        case graph.LiveNode():
            return True  # of `up` alone
        case graph.CommandNode(resource=resource):
            target, known = resource.target, s.resources[resource.name]
            cmd = target.cmd if isinstance(target, LocalTarget) else None
            return cmd is None or known.command_done == keys.command_key(cmd, known.generation)
        case graph.ServeNode(resource=resource):
            return s.resources[resource.name].serve is not None
        case graph.ResourceNode(resource=resource):
            return s.resources[resource.name].ready_once
