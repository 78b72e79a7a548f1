"""Which images are taken as they are, and under which tags others find ours.

An image's tag is its key, and what is there under that tag is used.  A build that is not
reproducible (no lock file, the network) is keyed by its inputs all the same; so there is a way to
ask for another one of the same key.  It gets a tag of its own, `tilt-KEY-r1`, then `-r2` and so on:
a tag that nodes have pulled must never mean something else.  Whoever looks for the key takes the
highest that is there, on every machine.

With `Cache.READ` and `Cache.OFF` nothing is left for others: what is built has the session in its
tag, which nobody looks for.
"""

from dataclasses import replace

from tiltd.model.actions import ImageRefs
from tiltd.model.graph import Graph
from tiltd.model.names import ImageName, ResourceName, resource_node
from tiltd.model.state import Cache, SessionSpec, State


def revised(refs: ImageRefs, number: int) -> ImageRefs:
    """The names of the image that was built again so many times."""
    return _with(refs, f"-r{number}") if number else refs


def private(refs: ImageRefs, spec: SessionSpec) -> ImageRefs:
    """The names of an image that is for this session alone."""
    return _with(refs, f"-{spec.id}")


def shared(spec: SessionSpec) -> bool:
    """Whether others may find what is built here."""
    return spec.cache is Cache.WRITE


def due(image: ImageName, s: State) -> bool:
    """Whether an image has to be built again, although its key may be there: once in a session."""
    spec = s.session.spec if s.session else None
    known = s.images.get(image)
    if spec is None or not spec.rebuild or (known is not None and known.ready is not None):
        return False
    return _asked(image, spec, s.graph)


def unknown(spec: SessionSpec, graph: Graph) -> tuple[str, ...]:
    """What was asked to be rebuilt and is neither an image nor a resource."""
    there = {*map(str, graph.images), *map(str, graph.resources)}
    return tuple(name for name in spec.rebuild if name not in there)


def _asked(image: ImageName, spec: SessionSpec, graph: Graph) -> bool:
    """By its name, by that of a resource that it is for, or because one of its bases is."""
    if image in spec.rebuild:
        return True
    if any(_asked(base, spec, graph) for base in graph.images[image].bases):
        return True
    return any(name in spec.rebuild and _uses(name, image, graph) for name in graph.resources)


def _uses(resource: ResourceName, image: ImageName, graph: Graph) -> bool:
    parts = graph.dependencies.get(resource_node(resource), ())
    return any(f"image/{image}" in graph.dependencies.get(part, ()) for part in parts)


def _with(refs: ImageRefs, suffix: str) -> ImageRefs:
    return replace(refs, local=f"{refs.local}{suffix}", in_cluster=f"{refs.in_cluster}{suffix}")
