"""Which images are kept up to date in their containers, and which containers these are.

In `up`, an image with `live_update` that was built once is left as it is when its files change, and
so are the images that it is built on: its tag stands for the files that it was built of, and the
containers that run it hold what has changed since.  That goes for an image only if it goes for all
who deploy it, or deploy something that is built on it; and it ends, until the next build, when an
update can't be made (`stopped`), or when something else than files has changed.  `ci` and `down`
know nothing of this: there the tag always stands for the files.

Updated is what runs: a container that is about to start waits for its turn, and one that is down is
trouble only if there is something that it lacks.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tiltd.core import composing, health, keys, live, live_update, naming, podspec, reference
from tiltd.core import graph as graphs
from tiltd.core.health import revisions
from tiltd.model.desired import JSON, ComposeTarget, Image, KubernetesTarget, Resource
from tiltd.model.graph import Graph, LiveNode
from tiltd.model.live_update import UNKNOWN, Files, Target, Update
from tiltd.model.names import ImageName, ResourceName
from tiltd.model.observed import Grounds, ServiceContainer
from tiltd.model.state import Mode, State

_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_COMPOSE_STARTING = frozenset({"created", "paused", "restarting"})
_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})


@dataclass(frozen=True, slots=True)
class Down:
    """A container that does not run. `target.id` is that of its last life, if it had one."""

    target: Target
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """The containers of an image in a resource.

    Args:
        running: those that can be changed.
        starting: whether others are about to run.
        down: those that have ended, or can't start.
    """

    running: tuple[Target, ...] = ()
    starting: bool = False
    down: tuple[Down, ...] = ()


def lives(image: Image) -> bool:
    """Whether anything is ever updated in its containers."""
    return any(step.kind == "sync" for step in image.live_update)


def updated(graph: Graph, resource: Resource) -> tuple[Image, ...]:
    """The images of a resource that are updated in its containers."""
    known = (graph.images[n] for n in graphs.deploys(resource) if n in graph.images)
    return tuple(image for image in known if lives(image))


def closure(name: ImageName, graph: Graph) -> tuple[ImageName, ...]:
    """An image and all that it is built on, each once."""
    found: dict[ImageName, None] = {}
    todo = [name]
    while todo:
        image = todo.pop()
        if image not in found:
            found[image] = None
            todo += graph.images[image].bases
    return tuple(found)


Users = Mapping[ImageName, tuple[ImageName, ...]]


class _Remembered:
    parts: tuple[object, ...] = (None, None)
    users: Users = MappingProxyType({})


_remembered = _Remembered()


def _users(s: State) -> Users:
    """By image: those that are deployed and contain it. Remembered, as every decision asks."""
    parts = (s.graph, s.active)
    if not all(map(operator.is_, _remembered.parts, parts)):
        found: dict[ImageName, dict[ImageName, None]] = {}
        for resource in sorted(s.active):
            for image in graphs.deploys(s.graph.resources[resource]):
                for part in closure(image, s.graph) if image in s.graph.images else ():
                    found.setdefault(part, {})[image] = None
        _remembered.users = {part: tuple(users) for part, users in found.items()}
        _remembered.parts = parts
    return _remembered.users


def _up(s: State) -> bool:
    return s.session is not None and s.session.spec.mode is Mode.UP


def listed(name: ImageName, s: State) -> bool:
    """Whether it has to be known which files an image is built of."""
    return _up(s) and any(lives(s.graph.images[user]) for user in _users(s).get(name, ()))


def handles(name: ImageName, s: State) -> bool:
    """Whether what has changed of an image goes into containers, so that it is not built.

    That goes together for all who share something that has changed: what is built for one of them
    is another base for the others.
    """
    if not _up(s) or name not in s.images:
        return False
    users = _users(s)
    seen: set[ImageName] = set()
    todo = list(users.get(name, ()))
    while todo:
        user = todo.pop()
        if user in seen:
            continue
        if not _handled(user, s):
            return False
        seen.add(user)
        changed = (part for part in closure(user, s.graph) if s.images[part].changes)
        todo += [other for part in changed for other in users.get(part, ())]
    return bool(seen)


def usable(name: ImageName, s: State) -> bool:
    """Whether an image is there for those who run it."""
    return naming.ready(name, s) or handles(name, s)


def _handled(name: ImageName, s: State) -> bool:
    known = s.images[name]
    if not lives(s.graph.images[name]) or known.ready is None or known.stopped:
        return False
    parts = [s.images[part] for part in closure(name, s.graph)]
    if not all(part.files and part.built is not None and part.built.files for part in parts):
        return False
    return _built_key(name, s) == known.ready.key


def _built_key(name: ImageName, s: State) -> str:
    """The key of what is there, by the present definition: another one takes another image."""
    image, built = s.graph.images[name], s.images[name].built
    bases = {base: _built_key(base, s) for base in image.bases}
    env = s.session.spec.env if s.session else dict[str, str]()
    inputs, grounds = (built.inputs, built.grounds) if built is not None else ("", Grounds())
    return keys.image_key(image, inputs, bases, env, grounds)


def is_read(image: Image, s: State) -> bool:
    """Whether its files are known as they are now."""
    parts = (s.images[part] for part in closure(image.name, s.graph))
    return all(part.inputs_generation >= part.generation for part in parts)


@dataclass(frozen=True, slots=True)
class Sources:
    """What the files of an image say.

    Args:
        files: as they are now, those of the images below it included.
        built: as they were when it was built.
        changes: where the two differ.
        wanted: what a container is to hold over the image.
    """

    files: Files
    built: Files
    changes: Files
    wanted: Files


def sources(image: Image, s: State) -> Sources:
    """See `Sources`."""
    parts = [s.images[part] for part in closure(image.name, s.graph)]
    files = _together([part.files for part in parts])
    changes = _together([part.changes for part in parts])
    wanted = live_update.wanted(image.live_update, changes, files)
    built = _together([p.built.files if p.built is not None else {} for p in parts])
    return Sources(files, built, changes, wanted)


def _together(parts: Sequence[Files]) -> Files:
    if len(parts) == 1:
        return parts[0]
    return {path: what for part in parts for path, what in part.items()}


def updates(
    image: Image, targets: Iterable[Target], known: Sources, s: State
) -> tuple[Update, ...] | live_update.Refusal:
    """What is to be done in these containers, or why the image has to be built."""
    found: list[Update] = []
    for target in targets:
        held = s.synced.get(target.id, {})
        plan = _plan(image, held, known)
        if isinstance(plan, live_update.Refusal):
            return plan
        if plan is not None:
            steps = (plan.removals, plan.copies, plan.runs, plan.restart)
            due = live_update.pending(known.wanted, held, known.files)
            doubt = {**held, **dict.fromkeys(due, UNKNOWN)}
            found.append(Update(target, image.name, *steps, known.wanted, doubt))
    return tuple(found)


def fresh(image: Image, known: Sources) -> live_update.Plan | live_update.Refusal | None:
    """What a container needs that has just begun."""
    return _plan(image, {}, known)


def _plan(
    image: Image, held: Files, known: Sources
) -> live_update.Plan | live_update.Refusal | None:
    due = live_update.pending(known.wanted, held, known.files)
    if not due:
        return None
    folders = live_update.gone_folders(due, held, known.built)
    return live_update.plan(image.live_update, due, known.changes, folders)


def outdated(name: ResourceName, s: State) -> Iterator[Target]:
    """The running containers of a resource that lack something."""
    resource = s.graph.resources[name]
    for image in updated(s.graph, resource):
        if handles(image.name, s):
            running = containers(resource, image, s).running
            found = updates(image, running, sources(image, s), s)
            if not isinstance(found, live_update.Refusal):
                yield from (update.target for update in found)


def containers(resource: Resource, image: Image, s: State) -> Found:
    """The containers of a resource that run an image as it was built last."""
    if isinstance(resource.target, ComposeTarget):
        # One that is going to be brought up anew has other containers then.
        up = composing.current(resource.name, resource.target, s)
        return _together_found(_of_compose(c) for c in (up.containers if up is not None else ()))
    ready = s.images[image.name].ready
    if ready is None:
        return Found()
    runs = _deployed_by(resource) if image.of_deploy else _named(ready.refs.in_cluster)
    return _together_found(f for pod in _pods(resource, s) for f in _of_pod(pod, runs))


def _together_found(parts: Iterable[Found]) -> Found:
    found = tuple(parts)
    running = sorted((t for f in found for t in f.running), key=str)
    down = sorted((d for f in found for d in f.down), key=lambda d: str(d.target))
    return Found(tuple(running), any(f.starting for f in found), tuple(down))


def _pods(resource: Resource, s: State) -> Iterator[JSON]:
    """The pods of a resource that are there to stay; of a workload, those of its newest state."""
    known = [s.live.objects[u] for u in s.live.by_resource.get(resource.name, frozenset())]
    objects = health.Objects(items=tuple(o for o in known if o.get("kind") != "Event"))
    old: set[str] = set()
    for body in objects.items:
        if body.get("kind") in _WORKLOADS:
            old |= {live.uid(line[-1]) for line in objects.lines(body)}
            old -= {live.uid(line[-1]) for line in revisions.newest(body, objects)}
    for pod in objects.kind("Pod"):
        leaving = podspec.section(pod, "metadata").get("deletionTimestamp")
        if live.uid(pod) not in old and not leaving:
            yield pod


Runs = Callable[[JSON], bool]
"""Whether a container of a pod's specification is one that is meant."""


def _named(image: str) -> Runs:
    return lambda container: container.get("image") == image


def _deployed_by(resource: Resource) -> Runs:
    """As `k8s_custom_deploy` says: by the container's name, or by its image, whatever the tag."""
    target = resource.target
    custom = target.custom if isinstance(target, KubernetesTarget) else None
    if custom is None:
        return lambda _: False
    if custom.container_selector:
        return lambda container: container.get("name") == custom.container_selector
    declared = reference.parse(custom.image_selector)

    def runs(container: JSON) -> bool:
        try:
            return reference.matches(declared, reference.parse(str(container.get("image"))))
        except reference.InvalidReferenceError:
            return False

    return runs


def _of_pod(pod: JSON, runs: Runs) -> Iterator[Found]:
    spec, status = podspec.section(pod, "spec"), podspec.section(pod, "status")
    statuses = {str(c.get("name")): c for c in podspec.rows(status.get("containerStatuses"))}
    metadata = podspec.section(pod, "metadata")
    over = status.get("phase") in {"Succeeded", "Failed"}
    for container in podspec.rows(spec.get("containers")):
        if runs(container):
            name = str(container.get("name"))
            told = statuses.get(name, {})
            life = str(told.get("containerID") or "")
            where = (str(metadata.get("name") or ""), str(metadata.get("namespace") or ""))
            yield _of_container(Target(life, name, *where), told, over=over)


def _of_container(target: Target, status: JSON, *, over: bool) -> Found:
    state = podspec.section(status, "state")
    if over or "terminated" in state:
        return Found(down=(Down(target, "has ended"),))
    if "running" in state and target.id:
        return Found((target,))
    reason = str(podspec.section(state, "waiting").get("reason") or "")
    if reason in _STARTING:
        return Found(starting=True)
    return Found(down=(Down(target, f"does not run ({reason})"),))


def _of_compose(container: ServiceContainer) -> Found:
    target = Target(container.id, container.name)
    if container.status == "running":
        return Found((target,))
    if container.status in _COMPOSE_STARTING:
        return Found(starting=True)
    return Found(down=(Down(target, f"is {container.status}"),))


def lives_of(s: State) -> frozenset[str]:
    """The containers that are there; what others held is of no use any more."""
    found = [
        containers(node.resource, image, s)
        for node in s.graph.nodes.values()
        if isinstance(node, LiveNode)
        for image in updated(s.graph, node.resource)
    ]
    running = {target.id for f in found for target in f.running}
    return frozenset(running | {down.target.id for f in found for down in f.down})
