"""What a run would do, and why: computed from a state that has looked and done nothing.

The state is one that `core.reduce` has folded from the same events as a session's, up to where work
would begin: the project, its graph, the cluster's objects, the digests of all inputs.  Beside it
stand three looks at the outside: which images are somewhere already, what the API server says an
apply would give (a dry run), and what went into each key when it was last used (`Past`), which
tells old from new.

An object whose key stands on it, and that nobody else has touched, is left alone, as a session
leaves it alone.  For any other the dry run is compared with the live object, so that defaults,
webhooks and other managers' fields are what they will be; where there is none, the fields that the
manifest names are compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from tiltd.core import diff, inject, keys, naming, parts, podspec
from tiltd.core import graph as graphs
from tiltd.core.parts import Part, Past
from tiltd.core.reconcile import objects
from tiltd.model import graph
from tiltd.model.actions import ImageRefs
from tiltd.model.desired import JSON, DockerBuild, Image, LocalTarget, Manifest, Resource
from tiltd.model.names import (
    ImageName,
    NodeName,
    ObjectId,
    ResourceName,
    command_node,
    image_node,
    object_node,
)
from tiltd.model.problems import Problem
from tiltd.model.state import ImageReady, State
from tiltd.model.stock import Entry
from tiltd.model.trial import Trial

_VALUES = frozenset({"ConfigMap", "Secret"})
_ENDING = frozenset({"Job", "CronJob"})


class Step(Enum):
    """What would be done about a node."""

    NOTHING = "nothing"
    BUILD = "build"
    PUSH = "push"
    CREATE = "create"
    CHANGE = "change"
    RECREATE = "recreate"
    DELETE = "delete"
    RUN = "run"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Planned:
    """One node of the graph.

    Args:
        reason: why, in words; also for nothing.
        key: its digest; empty where it has none.
        last: the key that was used last from here, if that is known.
        parts: what goes into the key.
        changes: of an object: the fields, as they are and as they will be.
        notes: what else is good to know.
        problem: why the cluster would refuse it.
    """

    node: NodeName
    step: Step
    reason: str
    key: str = ""
    last: str = ""
    parts: tuple[Part, ...] = ()
    changes: tuple[diff.Change, ...] = ()
    notes: tuple[str, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """An object that is no longer in the Tiltfile, and still in the cluster.

    Args:
        stays: why it is not deleted; empty: it is.
    """

    entry: Entry
    stays: str


@dataclass(frozen=True, slots=True)
class Looks:
    """What was seen outside; `None` where nobody looked (offline).

    Args:
        images: where each image is, if it is anywhere.
        trials: the dry runs, of the objects that needed one.
        gone: what the project has no longer.
        deps: digests of the `deps` of local resources.
    """

    images: Mapping[ImageName, ImageReady | None] | None = None
    trials: Mapping[ObjectId, Trial] | None = None
    gone: tuple[Gone, ...] = ()
    deps: Mapping[ResourceName, str] = field(default_factory=dict[ResourceName, str])
    past: Past = field(default_factory=Past)


def plan(s: State, looks: Looks) -> tuple[Planned, ...]:
    """Every node of the project, in the order in which the work would be done."""
    shown = (node for node in graphs.sequence(s.graph) if not of_up(s.graph.nodes[node]))
    found = {node: _planned(node, s, looks) for node in shown}
    noted = [replace(p, notes=(*p.notes, *_notes(p, s, found))) for p in found.values()]
    return (*noted, *(_gone(one) for one in looks.gone))


def of_up(node: graph.Node) -> bool:
    """What only `up` has something to do for: updates of running containers."""
    return isinstance(node, graph.LiveNode) or (
        isinstance(node, graph.ImageNode) and node.image.of_deploy
    )


def _gone(one: Gone) -> Planned:
    e = one.entry
    node = object_node(ObjectId(e.group, e.kind, e.namespace, e.name))
    reason = "no longer in the Tiltfile"
    if one.stays:
        return Planned(node, Step.NOTHING, f"{reason}; it stays: {one.stays}")
    return Planned(node, Step.DELETE, reason)


def doubtful(s: State, images: Mapping[ImageName, ImageReady | None]) -> Iterator[Manifest]:
    """The objects that a session would apply: those are worth a dry run."""
    for name, manifest in s.graph.manifests.items():
        if object_node(name) in s.wanted and not _same(rendered(manifest, s, images), name, s):
            yield manifest


def rendered(
    manifest: Manifest, s: State, images: Mapping[ImageName, ImageReady | None]
) -> inject.Rendered:
    """The object that would be sent, with the images that there would be."""
    placements = tuple((s.graph.images[n], _ref(n, s, images)) for n in manifest.images)
    return inject.render(manifest, placements, s.label)


def refs(image: Image, s: State) -> ImageRefs:
    """The names that an image has, or would have."""
    return naming.refs(image, naming.key(image.name, s), s)


def _ref(name: ImageName, s: State, images: Mapping[ImageName, ImageReady | None]) -> str:
    there = images.get(name)
    return there.refs.in_cluster if there else refs(s.graph.images[name], s).in_cluster


def _same(made: inject.Rendered, name: ObjectId, s: State) -> bool:
    found = s.found.get(name)
    return found is not None and objects.same(made, found)


def _planned(name: NodeName, s: State, looks: Looks) -> Planned:
    node = s.graph.nodes[name]
    if name not in s.wanted:
        return Planned(name, Step.NOTHING, "not part of this run")
    match node:
        case graph.ImageNode(image=image):
            return _image(image, s, looks)
        case graph.ObjectNode(manifest=manifest):
            return _object(manifest, s, looks)
        case graph.ResourceNode() | graph.LiveNode():
            return Planned(name, Step.NOTHING, "")
        case graph.DeployNode(resource=resource):
            return Planned(
                name,
                Step.RUN,
                "a command deploys it; what that changes is its own business",
                parts=parts.of_resource(resource),
            )
        case graph.ServiceNode(resource=resource):
            return Planned(
                name,
                Step.RUN,
                "Docker Compose brings it up, where it is not as it should be",
                parts=parts.of_resource(resource),
            )
        case graph.CommandNode(resource=resource) | graph.ServeNode(resource=resource):
            return _local(name, resource, looks)


def _local(node: NodeName, resource: Resource, looks: Looks) -> Planned:
    """A command runs whether or not its key is another one: it may have effects of its own."""
    told = parts.of_resource(resource)
    reason = "local commands run in every session"
    if not isinstance(resource.target, LocalTarget):
        return Planned(node, Step.RUN, reason, parts=told)
    now = parts.of_local(resource.target, looks.deps.get(resource.name, ""))
    key = keys.digest(dict(now))
    before = looks.past.nodes.get(node)
    compared = parts.compared(now, before.parts if before else None, looks.past)
    last = before.key if before else ""
    if before is not None:
        changed = parts.told(compared) if last != key else ""
        reason = f"{reason}; {f'changed: {changed}' if changed else 'nothing has changed'}"
    listed = tuple(part for part in told if part.name == "dep")
    return Planned(node, Step.RUN, reason, key, last, (*compared, *listed))


def _image(image: Image, s: State, looks: Looks) -> Planned:
    node, key = image_node(image.name), naming.key(image.name, s)
    now = image_parts(image, s)
    before = looks.past.nodes.get(node)
    compared = parts.compared(now, before.parts if before else None, looks.past)
    planned = Planned(node, Step.NOTHING, "", key, before.key if before else "", compared)
    changed = parts.told(compared) if before and before.key != key else ""
    if looks.images is None:
        return _image_offline(planned, changed)
    there = looks.images.get(image.name)
    if there is None:
        gone = "as it was built last, but nowhere to be found"
        reason = f"changed: {changed}" if changed else "no image of this key is there yet"
        known = before is not None and before.key == key
        return replace(planned, step=Step.BUILD, reason=gone if known else reason)
    if there.refs.push and there.reused == "engine":
        reason = "in the Docker Engine, not in the registry"
        return replace(planned, step=Step.PUSH, reason=reason)
    return replace(planned, reason=f"in the {there.reused} already")


def _image_offline(planned: Planned, changed: str) -> Planned:
    if not planned.last:
        return replace(planned, step=Step.UNKNOWN, reason="never built from here, as far as known")
    if planned.last == planned.key:
        return replace(planned, reason="as it was built last")
    return replace(planned, step=Step.BUILD, reason=f"changed: {changed}")


def _object(manifest: Manifest, s: State, looks: Looks) -> Planned:
    node = object_node(manifest.id)
    now = object_parts(manifest, s)
    before = looks.past.nodes.get(node)
    compared = parts.compared(now, before.parts if before else None, looks.past)
    source = keys.digest(dict(now))
    planned = Planned(node, Step.NOTHING, "", source, before.key if before else "", compared)
    changed = parts.told(compared) if before and before.key != source else ""
    if looks.trials is None or looks.images is None:
        return _object_offline(planned, changed)
    made = rendered(manifest, s, looks.images)
    planned = replace(planned, key=made.key, last=_live_key(manifest, s))
    if _same(made, manifest.id, s):
        return replace(planned, reason="as it was applied")
    trial = looks.trials.get(manifest.id, Trial())
    live = s.found.get(manifest.id, trial.before)
    return _tried(planned, made, live, trial, changed)


def image_parts(image: Image, s: State) -> Mapping[str, str]:
    """What goes into an image's key, for people."""
    hidden: list[str] = []
    if isinstance(image.build, DockerBuild):
        hidden = [name for name, value in image.build.build_args.items() if value is None]
    return parts.of_image(naming.parts(image.name, s), hidden)


def object_parts(manifest: Manifest, s: State) -> Mapping[str, str]:
    """What decides about an object: its manifest, and the keys of its images."""
    images = {f"image {name}": naming.key(name, s) for name in manifest.images}
    return {"manifest": keys.digest(manifest.body), **images}


def _object_offline(planned: Planned, changed: str) -> Planned:
    if not planned.last:
        reason = "never applied from here, as far as known"
        return replace(planned, step=Step.UNKNOWN, reason=reason)
    if planned.last == planned.key:
        return replace(planned, reason="as it was applied last")
    return replace(planned, step=Step.CHANGE, reason=f"changed: {changed}")


def _live_key(manifest: Manifest, s: State) -> str:
    metadata = podspec.section(s.found.get(manifest.id, {}), "metadata")
    return str(podspec.section(metadata, "annotations").get(inject.KEY_ANNOTATION) or "")


def _tried(
    planned: Planned, made: inject.Rendered, live: JSON | None, trial: Trial, changed: str
) -> Planned:
    if trial.refused is not None:
        reason = "the cluster would refuse it"
        return replace(planned, step=Step.REFUSED, reason=reason, problem=trial.refused)
    if live is None:
        told = (trial.words,) if trial.words else ()
        return replace(planned, step=Step.CREATE, reason="not there yet", notes=told)
    reason = _why(planned, live, changed)
    taken = tuple(f"takes over {field} from another manager" for field in trial.conflicts)
    if trial.immutable:
        changes = diff.between(live, made.body)
        why = f"{reason}; a field that can't be changed takes a delete and a create"
        return replace(planned, step=Step.RECREATE, reason=why, changes=changes, notes=taken)
    exact = trial.after is not None
    changes = diff.exact(live, trial.after) if trial.after else diff.between(live, made.body)
    notes = taken if exact else (*taken, trial.words)
    if not changes:
        notes = (*notes, "only what tiltd notes on it changes")
    return replace(planned, step=Step.CHANGE, reason=reason, changes=changes, notes=notes)


def _why(planned: Planned, live: JSON, changed: str) -> str:
    labels = podspec.section(podspec.section(live, "metadata"), "labels")
    if inject.PROJECT_LABEL not in labels:
        return "it is there, but was not applied by this project"
    if planned.last == planned.key:
        return "drift: somebody else has changed it"
    return f"changed: {changed}" if changed else "changed since it was applied"


def _notes(planned: Planned, s: State, found: Mapping[NodeName, Planned]) -> Iterator[str]:
    """A changed ConfigMap or Secret restarts nobody, as in Kubernetes."""
    node = s.graph.nodes[planned.node]
    if not isinstance(node, graph.ObjectNode) or planned.step is not Step.CHANGE:
        return
    if node.manifest.id.kind in _VALUES and planned.changes:
        for user in s.graph.dependents.get(planned.node, ()):
            part = s.graph.nodes[user]
            if not isinstance(part, graph.ObjectNode) or part.manifest.id.kind in _ENDING:
                continue
            if found[user].step is Step.NOTHING:
                yield f"the pods of {part.manifest.id} are not restarted for it"


def used(s: State) -> Mapping[NodeName, parts.Used]:
    """What the keys of this session's images, objects and commands were, and their parts."""
    images = {
        image_node(name): parts.Used(naming.key(name, s), image_parts(image, s))
        for name, image in s.graph.images.items()
        if naming.ready(name, s) and not image.of_deploy
    }
    applied = {
        object_node(name): parts.Used(keys.digest(dict(found)), found)
        for name, manifest in s.graph.manifests.items()
        if name in s.applied and all(image_node(i) in images for i in manifest.images)
        for found in (object_parts(manifest, s),)
    }
    ran = {
        command_node(name): parts.Used(keys.digest(dict(known.command_parts)), known.command_parts)
        for name, known in s.resources.items()
        if known.command_parts
    }
    return images | applied | ran
