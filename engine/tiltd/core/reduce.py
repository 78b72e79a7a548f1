"""The only place where state changes: one event folded in, nothing decided.

An event tells a fact; what follows from it is for `reconcile`.  What a fact makes obsolete goes in
the same step: a verdict that does not know the newest look at the cluster is marked as such, a
failure of work that is no longer wanted is forgotten.
"""

from dataclasses import replace
from typing import TypeVar, assert_never

from tiltd.core import affected, backoff, inject, judge, live
from tiltd.core import graph as graphs
from tiltd.model import events, state
from tiltd.model.desired import JSON
from tiltd.model.names import NodeName, ObjectId, ResourceName, resource_node
from tiltd.model.observed import Uid
from tiltd.model.state import Attempt, AttemptOutcome, Progress, ResourceState, State

K = TypeVar("K")
V = TypeVar("V")


def reduce(old: State, event: events.Event) -> State:
    """The state after `event`."""
    return replace(_reduce(old, event), revision=old.revision + 1)


def _reduce(s: State, event: events.Event) -> State:  # noqa: C901, PLR0911 - a table of events
    match event:
        case events.SessionStarted():
            return _session_started(s, event)
        case events.SessionEnded(outcome=outcome, at=at, problems=problems):
            if s.session is None or s.session.ended is not None:
                return s
            ended = state.Ended(outcome, at, problems)
            return replace(s, session=replace(s.session, ended=ended))
        case events.SessionSettled():
            return s if s.session is None else replace(s, session=replace(s.session, settled=True))
        case events.AttemptStarted():
            return _attempt_started(s, event)
        case events.AttemptEnded():
            return _attempt_ended(s, event)
        case events.TiltfileLoaded():
            return _loaded(s, event)
        case events.Connected(info=info):
            return replace(s, cluster=info)
        case events.Looked(scopes=scopes, found=found):
            return replace(s, looked=s.looked | scopes, found={**s.found, **found})
        case events.InputsRead(image=name, generation=generation, digest=digest):
            image = replace(s.images[name], inputs=digest, inputs_generation=generation)
            return replace(s, images={**s.images, name: image})
        case events.ImageBuilt(image=name, ready=ready):
            image = replace(s.images[name], ready=ready)
            return replace(s, images={**s.images, name: image})
        case events.ObjectApplied():
            return _applied(s, event)
        case events.CommandDone(resource=name, wanted=wanted):
            return _with(s, name, command_done=wanted, judged=False)
        case events.ServeChanged(resource=name, status=status):
            return _with(s, name, serve=status, judged=False)
        case events.ClusterChanged():
            return _cluster_changed(s, event)
        case events.FilesChanged(paths=paths):
            return _files_changed(s, paths)
        case events.HealthJudged(resource=name, health=health):
            once = s.resources[name].ready_once or judge.ready(health)
            return _with(s, name, health=health, judged=True, ready_once=once)
        case events.Triggered(resource=name):
            return _triggered(s, name)
        case _:
            assert_never(event)


def _session_started(s: State, event: events.SessionStarted) -> State:
    """A new session knows nothing but what files and images are: those facts keep their keys."""
    return State(
        revision=s.revision,
        session=state.Session(event.spec, event.at),
        label=inject.project_label(event.spec.tiltfile),
        images={
            name: replace(image, generation=image.generation + 1, ready=None)
            for name, image in s.images.items()
        },
    )


def _attempt_started(s: State, event: events.AttemptStarted) -> State:
    progress = s.progress.get(event.node, Progress())
    number = 1 + (progress.last.number if progress.last else 0)
    running = Attempt(number, event.work, event.wanted, event.at)
    started = replace(progress, running=running)
    return replace(s, progress={**s.progress, event.node: started})


def _attempt_ended(s: State, event: events.AttemptEnded) -> State:
    progress = s.progress.get(event.node)
    if progress is None or progress.running is None:
        return s  # of an earlier session
    last = replace(
        progress.running,
        ended_at=event.at,
        outcome=event.outcome,
        problem=event.problem,
        phases=event.phases,
    )
    failure = None
    if event.outcome is AttemptOutcome.FAILED and event.problem is not None:
        before = progress.failure
        again = before is not None and before.wanted == last.wanted
        tries = 1 + (before.tries if before and again else 0)
        retry = event.at + backoff.delay(tries) if event.transient else None
        failure = state.Failure(last.wanted, event.problem, tries, retry)
    ended = Progress(last=last, failure=failure)
    return _unjudged(replace(s, progress={**s.progress, event.node: ended}), event.node)


def _unjudged(s: State, node: NodeName) -> State:
    """A failure of a part may change the verdict of its resource."""
    for above in s.graph.dependents.get(node, ()):
        part = s.graph.nodes.get(above)
        if above.startswith("resource/") and part is not None:
            name = ResourceName(above.removeprefix("resource/"))
            if above == resource_node(name):
                s = _with(s, name, judged=False)
    return s


def _loaded(s: State, event: events.TiltfileLoaded) -> State:
    """What the new project no longer has is dropped; what it still has keeps what is known."""
    images = {
        name: s.images.get(name, state.ImageState(generation=1)) for name in event.graph.images
    }
    resources = {name: s.resources.get(name, ResourceState()) for name in event.graph.resources}
    loaded = replace(
        s,
        project=event.project,
        graph=event.graph,
        kube_context=event.kube_context,
        loaded_generation=event.generation,
        images=images,
        resources={n: replace(r, judged=False) for n, r in resources.items()},
        applied={k: v for k, v in s.applied.items() if k in event.graph.manifests},
    )
    return _activate(loaded)


def _activate(s: State) -> State:
    """Work out who takes part, and what they need."""
    if s.project is None:
        return s
    triggered = [n for n, r in s.resources.items() if r.triggered]
    active = graphs.active(s.project, triggered)
    wanted = graphs.reachable(s.graph, [resource_node(n) for n in active])
    return replace(s, active=active, wanted=wanted)


def _applied(s: State, event: events.ObjectApplied) -> State:
    uid = live.uid(event.body)
    applied = state.Applied(event.key, uid, event.at, event.changed, live.trimmed(event.body))
    s = _adopt(replace(s, applied={**s.applied, event.id: applied}), (event.body,), (), event.at)
    name = s.graph.resource_of.get(event.id)
    if name is None or name not in s.resources:
        return s
    known = s.resources[name]
    started = event.at if known.started_at is None else known.started_at
    changed = event.at if event.changed else known.changed_at
    return _with(s, name, started_at=started, changed_at=changed, judged=False)


def _adopt(s: State, seen: tuple[JSON, ...], gone: tuple[Uid, ...], at: float) -> State:
    after, touched = live.adopt(s.live, s.graph, s.kube_context.namespace, seen, gone)
    s = replace(s, live=after)
    for name in touched:
        if name in s.resources:
            s = _with(s, name, judged=False, memory=judge.remember(s, name, at))
    return s


def _cluster_changed(s: State, event: events.ClusterChanged) -> State:
    """An object of ours that was deleted is no longer applied."""
    gone = set(event.gone)
    lost = {k for k, a in s.applied.items() if a.uid in gone} if gone else set[ObjectId]()
    if lost:
        s = replace(s, applied={k: a for k, a in s.applied.items() if k not in lost})
    return _adopt(s, event.seen, event.gone, event.at)


def _files_changed(s: State, paths: tuple[str, ...]) -> State:
    if s.project is None:
        return replace(s, tiltfile_generation=s.tiltfile_generation + 1)
    hit = affected.by(s.project, paths)
    images = {
        n: replace(i, generation=i.generation + 1) if n in hit.images else i
        for n, i in s.images.items()
    }
    resources = {
        n: replace(r, generation=r.generation + 1) if n in hit.resources else r
        for n, r in s.resources.items()
    }
    generation = s.tiltfile_generation + (1 if hit.tiltfile else 0)
    return replace(s, images=images, resources=resources, tiltfile_generation=generation)


def _triggered(s: State, name: ResourceName) -> State:
    if name not in s.resources:
        return s
    generation = s.resources[name].generation + 1
    parts = set(s.graph.dependencies.get(resource_node(name), ()))
    progress = {
        node: replace(p, failure=None) if node in parts else p for node, p in s.progress.items()
    }
    s = _with(
        replace(s, progress=progress), name, triggered=True, generation=generation, judged=False
    )
    return _activate(s)


def _with(s: State, name: ResourceName, **changes: object) -> State:
    if name not in s.resources:
        return s
    resource = replace(s.resources[name], **changes)  # type: ignore[arg-type]
    return replace(s, resources={**s.resources, name: resource})
