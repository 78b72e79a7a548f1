"""What `up` is bringing up to date: until then, the verdict is one on what was.

A resource whose new image is being built, or whose object is being applied again, still runs as
before and may be as healthy as can be; who looks at it wants to know that this is not it yet.
"""

from collections.abc import Iterator

from tiltd.core import graph as graphs
from tiltd.core import live_targets, naming
from tiltd.model.actions import Work
from tiltd.model.desired import Resource
from tiltd.model.health import Finding, ObjectRef, Verdict
from tiltd.model.names import ImageName, NodeName, live_node
from tiltd.model.state import Mode, State

RULE = "update.pending"
_NAMED = 3
_APPLIES = frozenset({Work.APPLY.value})


def findings(s: State, resource: Resource) -> Iterator[Finding]:
    """What is under way for a resource that has been started before."""
    known = s.resources[resource.name]
    if s.session is None or s.session.spec.mode is not Mode.UP or known.started_at is None:
        return
    for node in sorted(graphs.made_of(s.graph, resource.name)):
        kind, _, name = node.partition("/")
        if kind == "image" and _outdated(ImageName(name), node, s):
            yield _pending("Image", name, f"image {name} is being built anew")
        elif kind == "live" and (message := _lacking(resource, node, s)):
            yield _pending("Live", name, message)
        elif _applies(node, s):
            yield _pending(kind.capitalize(), name, f"{name.rpartition('/')[2]} is being applied")


def restarts(s: State, resource: Resource) -> bool:
    """Whether a container may be down only because an update of it ends with its restart."""
    progress = s.progress.get(live_node(resource.name))
    running = progress is not None and progress.running is not None
    return running and any(
        step.kind == "restart_container"
        for image in live_targets.updated(s.graph, resource)
        for step in image.live_update
    )


def _outdated(name: ImageName, node: NodeName, s: State) -> bool:
    """Whether its files, as they were last read, give another image than the one that is there."""
    known = s.images[name]
    if live_targets.handles(name, s):
        return False
    if known.ready is None or known.due or known.inputs_generation < known.generation:
        return False
    progress = s.progress.get(node)
    failed = progress is not None and progress.failure is not None
    return not failed and known.ready.key != naming.key(name, s)


def _lacking(resource: Resource, node: NodeName, s: State) -> str:
    lacking = tuple(live_targets.outdated(resource.name, s))
    if lacking:
        named = ", ".join(map(str, lacking[:_NAMED])) + (" …" if lacking[_NAMED:] else "")
        return f"changed files are being copied into {named}"
    progress = s.progress.get(node)
    running = progress is not None and progress.running is not None
    return f"the containers of {resource.name} are being updated" if running else ""


def _applies(node: NodeName, s: State) -> bool:
    progress = s.progress.get(node)
    return (
        progress is not None
        and progress.running is not None
        and (progress.running.work in _APPLIES)
    )


def _pending(kind: str, name: str, message: str) -> Finding:
    return Finding(Verdict.PROGRESSING, RULE, (ObjectRef(kind, "", name),), message=message)
