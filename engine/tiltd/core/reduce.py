"""The only place where state changes: one event folded in, nothing decided.

An event tells a fact; what follows from it is for `reconcile`.  What a fact makes obsolete goes in
the same step: a verdict that does not know the newest look at the cluster is marked as such, a
failure of work that is no longer wanted is forgotten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import assert_never

from tiltd.core import (
    affected,
    backoff,
    forwards,
    inject,
    judge,
    live,
    live_changes,
    manual,
    serving,
    stock,
)
from tiltd.core import graph as graphs
from tiltd.core import health as rules
from tiltd.model import events, state
from tiltd.model.desired import JSON
from tiltd.model.graph import CommandNode, Graph
from tiltd.model.health import Verdict
from tiltd.model.names import (
    CLUSTER,
    ImageName,
    NodeName,
    ObjectId,
    ResourceName,
    image_node,
    service_node,
)
from tiltd.model.observed import ContainerRun, Live, Uid
from tiltd.model.state import Attempt, AttemptOutcome, Deployed, Progress, ResourceState, State


def reduce(old: State, *found: events.Event) -> State:
    """The state after these events, in their order.

    Those that come by the hundred are folded in together: a copy of each mapping for each of a
    thousand objects would take longer than all else.
    """
    s = old
    for _, alike in groupby(found, type):
        together = tuple(alike)
        if applied := [e for e in together if isinstance(e, events.ObjectApplied)]:
            s = _applied(s, applied)
        elif judged := [e for e in together if isinstance(e, events.HealthJudged)]:
            s = _judged(s, judged)
        else:
            for event in together:
                s = _reduce(s, event)
    return replace(s, revision=old.revision + 1)


def _reduce(s: State, event: events.Event) -> State:  # noqa: C901, PLR0911, PLR0912 - a table of events
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
        case events.TiltfileBroken(watched=watched):
            return replace(s, mending=watched)
        case events.Connected(info=info):
            return replace(s, cluster=info)
        case events.Looked(scopes=scopes, found=found):
            return replace(s, looked=s.looked | scopes, found={**s.found, **found})
        case events.InputsRead():
            return _inputs_read(s, event)
        case events.ImageBuilt():
            return _image_built(s, event)
        case events.ContainerUpdated(resource=name):
            return _with(live_changes.updated(s, event), name, judged=False)
        case events.LiveUpdateStopped(reasons=reasons):
            for image, reason in reasons.items():
                s = live_changes.forgiven(_with_image(s, image, stopped=reason), image)
            return s
        case events.ObjectApplied():
            return _applied(s, (event,))
        case events.ObjectRemoved(id=name):
            return replace(s, removed=s.removed | {name})
        case events.SightChanged(blind=blind):
            return replace(s, blind=blind)
        case events.LogEnded(run=run, at=at):
            return _log_ended(s, run, at)
        case events.Unreadable(scope=scope, words=words):
            return replace(s, unreadable={**s.unreadable, scope: words})
        case events.ResourceDeployed():
            return _deployed(s, event)
        case events.StockTaken(key=key, gone=gone, pruned=pruned):
            taken = replace(s.stock, taken=key, gone=gone, pruned=pruned)
            return replace(s, stock=taken)
        case events.ResourceUndeployed(resource=name):
            return _with(s, name, undeployed=True)
        case events.ServiceStarted():
            return _service_started(s, event)
        case events.ServiceSeen():
            return _service_seen(s, event)
        case events.ServicesRemoved(resources=names, absent=absent):
            for name in names:
                s = _with(s, name, undeployed=True, absent=name in absent)
            return s
        case events.CommandDone(resource=name, wanted=wanted, parts=parts):
            return _with(s, name, command_done=wanted, command_parts=parts, judged=False)
        case events.ServeChanged(resource=name, status=status):
            return _with(s, name, serve=status, judged=False)
        case events.ClusterChanged():
            return _cluster_changed(s, event)
        case events.ForwardChanged():
            return _forward_changed(s, event)
        case events.FilesChanged(paths=paths):
            return _files_changed(s, paths)
        case events.HealthJudged():
            return _judged(s, (event,))
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
            name: replace(
                image,
                generation=image.generation + 1,
                ready=None,
                built=None,
                changes={},
                stopped="",
            )
            for name, image in s.images.items()
        },
    )


def _attempt_started(s: State, event: events.AttemptStarted) -> State:
    progress = s.progress.get(event.node, Progress())
    number = 1 + (progress.last.number if progress.last else 0)
    running = Attempt(number, event.work, event.wanted, event.at)
    started = replace(progress, running=running)
    s = replace(s, progress={**s.progress, event.node: started})
    node = s.graph.nodes.get(event.node)
    # What breaks off half-way has done something all the same: it is no longer as it was.
    return _with(s, node.resource.name, command_parts={}) if isinstance(node, CommandNode) else s


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
        since = before.since if before and again else event.at
        failure = state.Failure(last.wanted, event.problem, tries, retry, since)
    ended = Progress(last=last, failure=failure, spent=_spent(progress, last, event.at))
    return _unjudged(replace(s, progress={**s.progress, event.node: ended}), event.node)


def _spent(progress: Progress, ended: Attempt, at: float) -> Mapping[str, float]:
    """What the tries at one thing took; after a success, or for another thing, it begins anew."""
    phases = ended.phases or {ended.work: at - ended.started_at}
    before = progress.last
    if (
        before is None
        or before.wanted != ended.wanted
        or before.outcome is AttemptOutcome.SUCCEEDED
    ):
        return phases
    known = progress.spent
    return {n: known.get(n, 0.0) + phases.get(n, 0.0) for n in (*known, *phases)}


def _unjudged(s: State, node: NodeName) -> State:
    """A failure of a part may change the verdict of its resource."""
    for name in graphs.works_for(s.graph, node):
        if name in s.resources and s.resources[name].judged:
            s = _with(s, name, judged=False)
    return s


def _loaded(s: State, event: events.TiltfileLoaded) -> State:
    """What the new project no longer has is dropped; what it still has keeps what is known.

    An image that is built otherwise now reads other files, so its inputs have to be read again.
    """
    images = {name: _kept(s, name, event.graph) for name in event.graph.images}
    resources = {name: _carried(s, name, event) for name in event.graph.resources}
    loaded = replace(
        s,
        project=event.project,
        graph=event.graph,
        kube_context=event.kube_context,
        loaded_generation=event.generation,
        mending=(),
        images=images,
        services={k: v for k, v in s.services.items() if k in event.graph.resources},
        resources={n: replace(r, judged=False) for n, r in resources.items()},
        applied={k: v for k, v in s.applied.items() if k in event.graph.manifests},
        deployed={k: v for k, v in s.deployed.items() if k in event.graph.resources},
        stock=replace(s.stock, wanted=stock.digest(event.graph)),
    )
    return _readopt(_activate(loaded), event.at)


def _kept(s: State, name: ImageName, graph: Graph) -> state.ImageState:
    known, before = s.images.get(name), s.graph.images.get(name)
    if known is None:
        return state.ImageState()
    if before is None or before.build == graph.images[name].build:
        return known
    if known.ready is not None and manual.holds_image(graph, frozenset(graph.resources), name):
        return replace(known, due=True)
    return replace(known, generation=known.generation + 1)


def _carried(s: State, name: ResourceName, event: events.TiltfileLoaded) -> ResourceState:
    """What is known of a resource; where only a trigger updates it, what it became is due."""
    known, before = s.resources.get(name, ResourceState()), s.graph.resources.get(name)
    after = event.graph.resources[name]
    held = manual.is_manual(after) and known.started_at is not None
    changed = held and before is not None and manual.differs(before, after)
    return replace(known, due=True) if changed else known


def _readopt(s: State, at: float) -> State:
    """Objects may belong to other resources now."""
    if not s.live.objects:
        return s
    objects = tuple(s.live.objects.values())
    return _adopt(replace(s, live=Live()), objects, (), at, _owners(s))


def _owners(s: State) -> dict[Uid, ResourceName]:
    """Whose the applied objects are: their names on the cluster may differ (see `live.find`)."""
    known = ((a.uid, s.graph.resource_of.get(i)) for i, a in s.applied.items())
    deployed = {uid: name for name, d in s.deployed.items() for uid in d.objects}
    return {uid: name for uid, name in known if name is not None} | deployed


def _activate(s: State) -> State:
    """Work out who takes part, and what they need."""
    if s.project is None:
        return s
    triggered = [n for n, r in s.resources.items() if r.triggered]
    down = s.session is not None and s.session.spec.mode is state.Mode.DOWN
    # What was started by hand has to be removed, too.
    active = graphs.active(s.project, s.graph.resources if down else triggered)
    wanted = graphs.needed(s.graph, active)
    return replace(s, active=active, wanted=wanted)


def _applied(s: State, found: Sequence[events.ObjectApplied]) -> State:
    """One that a reload dropped while it was applied is nobody's any more."""
    found = [event for event in found if event.id in s.graph.manifests]
    if not found:
        return s
    applied, owners = dict(s.applied), dict[Uid, ResourceName]()
    for event in found:
        known = _as_applied(applied.get(event.id), event)
        applied[event.id] = known
        owner = s.graph.resource_of.get(event.id)
        if owner is not None:
            owners[known.uid] = owner
    # What was found before the session is old now, whoever looks at it next.
    left = s.found
    if not applied.keys().isdisjoint(left):
        named = {event.id for event in found}
        left = {name: body for name, body in left.items() if name not in named}
    s = replace(s, applied=applied, found=left)
    seen = tuple(applied[event.id].body for event in found)
    return _begun(_adopt(s, seen, (), found[-1].at, owners), found)


def _as_applied(before: state.Applied | None, event: events.ObjectApplied) -> state.Applied:
    uid = live.uid(event.body)
    again = before is not None and before.key == event.key and before.uid == uid and event.changed
    healed = before.healed + 1 if before is not None and again else 0
    return state.Applied(event.key, uid, event.at, event.changed, live.trimmed(event.body), healed)


def _begun(s: State, found: Sequence[events.ObjectApplied]) -> State:
    """The resources whose objects these are have begun."""
    resources = dict(s.resources)
    for event in found:
        name = s.graph.resource_of.get(event.id)
        if name is None or name not in resources:
            continue
        known = resources[name]
        started = event.at if known.started_at is None else known.started_at
        changed = event.at if event.changed else known.changed_at
        if known.judged or (started, changed) != (known.started_at, known.changed_at):
            resources[name] = replace(known, started_at=started, changed_at=changed, judged=False)
    return replace(s, resources=resources)


def _deployed(s: State, event: events.ResourceDeployed) -> State:
    """What a command of the user's applied is watched and judged as manifests are."""
    if event.resource not in s.resources:
        return s
    objects = {live.uid(body): live.trimmed(body) for body in event.objects}
    known = s.resources[event.resource]
    s = _with(
        s,
        event.resource,
        started_at=event.at if known.started_at is None else known.started_at,
        changed_at=event.at,
        judged=False,
    )
    deployed = Deployed(event.key, event.at, objects)
    s = replace(s, deployed={**s.deployed, event.resource: deployed})
    return _adopt(s, event.objects, (), event.at, dict.fromkeys(objects, event.resource))


def _service_started(s: State, event: events.ServiceStarted) -> State:
    name = event.resource
    if name not in s.resources:
        return s
    known = s.resources[name]
    up = serving.started(s.services.get(name), event)
    started = event.at if known.started_at is None else known.started_at
    s = replace(s, services={**s.services, name: up})
    return _with(s, name, started_at=started, changed_at=event.at, judged=False)


def _service_seen(s: State, event: events.ServiceSeen) -> State:
    """A look ends an earlier failure to look.  What somebody removed has to come again."""
    name, node = event.resource, service_node(event.resource)
    known = s.services.get(name)
    if known is None:
        return s
    seen = serving.seen(known, event)
    others = {other: up for other, up in s.services.items() if other != name}
    kept = {name: seen} if seen is not None else dict[ResourceName, state.ServiceUp]()
    progress = s.progress.get(node)
    if progress is not None and progress.failure is not None:
        s = replace(s, progress={**s.progress, node: replace(progress, failure=None)})
    return _with(replace(s, services=others | kept), name, judged=False)


def _lost(s: State, gone: set[Uid]) -> State:
    """Of what a command deployed something was deleted: it has to run again.

    Not for what ends by itself: a Job may be deleted when it is done, and so may a bare pod.
    """
    for name, known in s.deployed.items():
        lost = gone & known.objects.keys()
        if not lost:
            continue
        kinds = {str(known.objects[uid].get("kind")) for uid in lost}
        left = {uid: body for uid, body in known.objects.items() if uid not in lost}
        others = {other: d for other, d in s.deployed.items() if other != name}
        ends = kinds <= {"Job", "Pod"}
        kept = {name: replace(known, objects=left)} if ends else dict[ResourceName, Deployed]()
        s = _with(replace(s, deployed=others | kept), name, judged=False)
    return s


def _adopt(
    s: State,
    seen: tuple[JSON, ...],
    gone: tuple[Uid, ...],
    at: float,
    owners: Mapping[Uid, ResourceName] | None = None,
    ages: Sequence[float] = (),
) -> State:
    where = s.kube_context.namespace
    after, touched = live.adopt(s.live, s.graph, where, seen, gone, owners or {})
    if after is s.live:
        return s
    s = replace(s, live=after)
    whens = (at - age for age in ages or (0.0,) * len(seen))
    fresh: dict[str, float] = {live.uid(body): when for body, when in zip(seen, whens, strict=True)}
    changed = {
        name: replace(s.resources[name], judged=False, memory=judge.remember(s, name, at, fresh))
        for name in touched
        if name in s.resources
    }
    return replace(s, resources={**s.resources, **changed}) if changed else s


def _judged(s: State, found: Sequence[events.HealthJudged]) -> State:
    """A session that goes on after a failure must not forget it: others would have ended."""
    resources = dict(s.resources)
    keeps = s.session is not None and s.session.spec.keep_going
    for event in found:
        name, health = event.resource, event.health
        known = resources[name]
        failed = keeps and known.blamed is None and health.verdict is Verdict.FAILED
        # Who waits for it may want to reach it through a port of this machine.
        once = known.ready_once or (judge.ready(health) and not forwards.pending(name, s))
        resources[name] = replace(
            known,
            health=health,
            judged=True,
            blamed=health if failed else known.blamed,
            ready_once=once,
            ready_at=event.at if once and known.ready_at is None else known.ready_at,
        )
    return replace(s, resources=resources)


def _cluster_changed(s: State, event: events.ClusterChanged) -> State:
    """An object of ours that was deleted is no longer applied, nor is it there to be found."""
    gone = set(event.gone)
    if gone and any(live.uid(b) in gone for b in s.found.values()):
        s = replace(s, found={k: b for k, b in s.found.items() if live.uid(b) not in gone})
    lost = {k for k, a in s.applied.items() if a.uid in gone} if gone else set[ObjectId]()
    if lost:
        s = replace(s, applied={k: a for k, a in s.applied.items() if k not in lost})
    s = _lost(s, gone) if gone else s
    return _adopt(s, event.seen, event.gone, event.at, ages=event.ages)


def _forward_changed(s: State, event: events.ForwardChanged) -> State:
    """A first answer, whichever, may be what is left to be waited for."""
    left = {f: status for f, status in s.forwards.items() if f != event.forward}
    now = left if event.status is None else {**left, event.forward: event.status}
    name = event.forward.resource
    known = s.resources.get(name)
    s = replace(s, forwards=now)
    return _with(s, name, judged=False) if known is not None and not known.ready_once else s


def _files_changed(s: State, paths: tuple[str, ...]) -> State:
    if s.project is None:
        return replace(s, tiltfile_generation=s.tiltfile_generation + 1)
    hit = affected.by(s.project, paths)
    images = {n: _image_hit(s, n) if n in hit.images else i for n, i in s.images.items()}
    due = manual.concerned(s, hit)
    resources = {
        n: replace(r, due=True)
        if n in due
        else replace(r, generation=r.generation + 1)
        if n in hit.resources
        else r
        for n, r in s.resources.items()
    }
    tiltfile = hit.tiltfile or affected.any_within(paths, s.mending)
    generation = s.tiltfile_generation + (1 if tiltfile else 0)
    return replace(s, images=images, resources=resources, tiltfile_generation=generation)


def _image_hit(s: State, name: ImageName) -> state.ImageState:
    known = s.images[name]
    if manual.holds_image(s.graph, s.active, name):
        return replace(known, due=True)
    return replace(known, generation=known.generation + 1)


def _triggered(s: State, name: ResourceName) -> State:
    if name not in s.resources:
        return s
    generation = s.resources[name].generation + 1
    parts = graphs.made_of(s.graph, name) | {CLUSTER}
    progress = {
        node: replace(p, failure=None) if node in parts else p for node, p in s.progress.items()
    }
    images = {
        n: replace(i, due=False, generation=i.generation + 1)
        if i.due and image_node(n) in parts
        else i
        for n, i in s.images.items()
    }
    s = _with(
        replace(s, progress=progress, images=images),
        name,
        command_parts={},
        triggered=True,
        due=False,
        generation=generation,
        judged=False,
    )
    return _activate(s)


def _inputs_read(s: State, event: events.InputsRead) -> State:
    known = s.images.get(event.image, state.ImageState())
    return _with_image(
        s,
        event.image,
        inputs=event.digest,
        grounds=known.grounds if event.grounds is None else event.grounds,
        inputs_generation=event.generation,
        moves=known.moves + 1 if event.moved else known.moves,
        files=event.files,
        changes=live_changes.of(known.built, event.files),
        stopped=live_changes.still_stopped(known, event),
    )


def _image_built(s: State, event: events.ImageBuilt) -> State:
    name, known = event.image, s.images.get(event.image)
    if known is None:
        return s
    built = live_changes.built(known, event)
    changes = live_changes.of(built, known.files)
    s = _with_image(s, name, ready=event.ready, moves=0, built=built, changes=changes, stopped="")
    return live_changes.forgiven(s, name)


def _with_image(s: State, name: ImageName, **changes: object) -> State:
    """An image that a reload has just dropped is nobody's any more."""
    if name not in s.images:
        return s
    image = replace(s.images[name], **changes)  # type: ignore[arg-type]
    return replace(s, images={**s.images, name: image})


def _log_ended(s: State, run: ContainerRun, at: float | None) -> State:
    if run.resource not in s.resources:
        return s
    known = s.resources[run.resource].memory
    return _with(s, run.resource, memory=rules.heard(known, run, at), judged=False)


def _with(s: State, name: ResourceName, **changes: object) -> State:
    if name not in s.resources:
        return s
    resource = replace(s.resources[name], **changes)  # type: ignore[arg-type]
    return replace(s, resources={**s.resources, name: resource})
