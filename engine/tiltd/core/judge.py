"""A resource's verdict out of all that is known: the bridge from the state to `core.health`."""

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tiltd.core import composing, keys, limits, live, live_targets, podspec, updating
from tiltd.core import graph as graphs
from tiltd.core import health as rules
from tiltd.core.health import compose, local, stability
from tiltd.core.health.events import Event
from tiltd.core.health.well import Well
from tiltd.model import desired
from tiltd.model.health import Assessment, Finding, Memory, ObjectRef, Verdict
from tiltd.model.names import (
    ObjectId,
    ResourceName,
    command_node,
    live_node,
    object_node,
    serve_node,
    service_node,
)
from tiltd.model.observed import ServeStatus, Uid
from tiltd.model.state import Failure, State


def remember(s: State, name: ResourceName, now: float, fresh: Mapping[str, float]) -> Memory:
    """What is to be remembered of a resource's pods after one more look.

    Args:
        s: with what that look has seen.
        name: the resource's.
        now: the moment of the look.
        fresh: when it saw what it has seen, by uid; all else is as it was.
    """
    pods = [
        s.live.objects[u]
        for u in s.live.by_resource.get(name, frozenset())
        if s.live.objects[u].get("kind") == "Pod"
    ]
    began = s.session.started_at if s.session else None
    memory = s.resources[name].memory
    return rules.observe(memory, pods, _clock(s, now), began_at=began, fresh=fresh)


def judge(s: State, name: ResourceName, now: float) -> Assessment:
    """The verdict on a resource at this moment."""
    resource = s.graph.resources[name]
    match resource.target:
        case desired.KubernetesTarget() as target:
            findings = [
                *_failures(s, resource, now),
                *updating.findings(s, resource),
                *_kubernetes(s, resource, target, now),
            ]
        case desired.ComposeTarget() as service:
            findings = [
                *_failures(s, resource, now),
                *updating.findings(s, resource),
                *_service(s, resource, service, now),
            ]
        case desired.LocalTarget() as local_target:
            findings = [*_failures(s, resource, now), *_local(s, resource, local_target, now)]
    return rules.assessment(findings or [_nothing(resource)])


def warnings(
    s: State, name: ResourceName, chain: tuple[ObjectRef, ...], now: float
) -> tuple[tuple[ObjectRef, Event], ...]:
    """The warning events about the objects of a finding's chain, each with its object."""
    scope = rules.Scope(_objects(s, name), _clock(s, now), limits.health(s), rules.Context())
    refs = {ref.uid: ref for ref in reversed(chain) if ref.uid}
    told = ((ref, e) for ref in refs.values() for e in scope.warnings((ref,)))
    return tuple(sorted(told, key=lambda pair: pair[1].at))


_STABILISING = frozenset({stability.RULE, local.STABILISING, compose.STABILISING})


def ready(health: Assessment) -> bool:
    """Whether others may start that wait for this (`resource_deps`).

    It is there and answers; that it also stays there is what the verdict of the whole run asks,
    and nobody needs to wait for that.
    """
    return all(f.verdict is Verdict.HEALTHY or f.rule in _STABILISING for f in health.findings)


def _nothing(resource: desired.Resource) -> Finding:
    subject = (ObjectRef("Resource", "", resource.name),)
    return Finding(Verdict.HEALTHY, "resource.empty", subject, message="has nothing to start")


def _clock(s: State, now: float) -> rules.Clock:
    return rules.Clock(now, s.cluster.skew if s.cluster else 0.0)


def _failures(s: State, resource: desired.Resource, now: float) -> Iterator[Finding]:
    """Work for this resource that failed: builds, applies, commands."""
    for node in sorted(graphs.made_of(s.graph, resource.name)):
        progress = s.progress.get(node)
        failure = progress.failure if progress is not None else None
        if failure is not None and not _past(node, failure, s, resource.name):
            yield _failed_work(node, failure, s, now)


def _past(node: str, failure: Failure, s: State, name: ResourceName) -> bool:
    """A live update that could not be made now, of containers that are gone meanwhile."""
    again = failure.retry_at is not None and node == live_node(name)
    return again and not any(live_targets.outdated(name, s))


WORK = "work."
"""Rules of findings that tell of failed work; the work's own problem says the same."""


def _failed_work(node: str, failure: Failure, s: State, now: float) -> Finding:
    """A failed try, as a finding about its node: Failing while it is tried again in time."""
    kind, _, name = node.partition("/")
    problem, end = failure.problem, limits.gives_up_at(failure, s)
    over = end is not None and now >= end
    again = failure.retry_at is not None
    limit = f" of {end - failure.since:g}s" if end is not None else ""
    return Finding(
        Verdict.FAILED if over else Verdict.FAILING,
        f"{WORK}{problem.code.value}",
        (ObjectRef(kind.capitalize(), "", name),),
        message=str(problem),
        observed=f"tried for {now - failure.since:.0f}s{limit}" if again and over else "",
        since=failure.since,
        until=None if over else end,
        hint=problem.hint,
    )


def _kubernetes(
    s: State, resource: desired.Resource, target: desired.KubernetesTarget, now: float
) -> Iterator[Finding]:
    objects = _objects(s, resource.name)
    _well(s, resource.name).begin()
    for manifest in target.manifests:
        applied = s.applied.get(manifest.id)
        subject = ObjectRef(manifest.id.kind, manifest.id.namespace, manifest.id.name)
        if applied is None:
            yield Finding(
                Verdict.PROGRESSING,
                "object.pending",
                (subject,),
                message=f"{subject} has not been applied yet",
            )
            continue
        scope = _scope(s, resource, target, objects, manifest.id, now)
        body = s.live.objects.get(applied.uid, applied.body)
        yield from rules.assess_object(body, scope).findings
    yield from _deployed(s, resource, target, objects, now)
    yield from _extra_pods(s, resource, target, objects, now)


def _deployed(
    s: State,
    resource: desired.Resource,
    target: desired.KubernetesTarget,
    objects: rules.Objects,
    now: float,
) -> Iterator[Finding]:
    """What the resource's own command applied, judged as manifests are."""
    known = s.deployed.get(resource.name)
    if target.custom is None:
        return
    if known is None:
        message = f"{resource.name} has not been deployed yet"
        subject = (ObjectRef("Deploy", "", resource.name),)
        yield Finding(Verdict.PROGRESSING, "deploy.pending", subject, message=message)
        return
    for uid, body in known.objects.items():
        scope = _scope(s, resource, target, objects, None, now)
        yield from rules.assess_object(s.live.objects.get(uid, body), scope).findings


def _extra_pods(
    s: State,
    resource: desired.Resource,
    target: desired.KubernetesTarget,
    objects: rules.Objects,
    now: float,
) -> Iterator[Finding]:
    """Pods that only a selector of the Tiltfile ties to the resource."""
    if not target.extra_pod_selectors and target.discovery_strategy != desired.SELECTORS_ONLY:
        return
    alone = target.discovery_strategy == desired.SELECTORS_ONLY
    scope = _scope(s, resource, target, objects, None, now, of_pod=True)
    waits = target.pod_readiness is not desired.PodReadiness.IGNORE
    if alone and waits and not objects.kind("Pod"):
        yield rules.unselected(resource.name, scope)
    owned = {s.applied[m.id].uid for m in target.manifests if m.id in s.applied}
    deployed = s.deployed.get(resource.name)
    owned |= deployed.objects.keys() if deployed else set()
    for pod in objects.kind("Pod"):
        if alone or not _descends(pod, owned, s):
            yield from rules.assess_object(pod, scope).findings


def _descends(body: desired.JSON, owned: set[Uid], s: State) -> bool:
    if live.uid(body) in owned:
        return True
    owners = podspec.rows(podspec.section(body, "metadata").get("ownerReferences"))
    above = [Uid(str(o.get("uid"))) for o in owners]
    return any(
        u in owned or (u in s.live.objects and _descends(s.live.objects[u], owned, s))
        for u in above
    )


def _objects(s: State, name: ResourceName) -> rules.Objects:
    known = [s.live.objects[u] for u in sorted(s.live.by_resource.get(name, frozenset()))]
    return rules.Objects(
        items=tuple(o for o in known if o.get("kind") != "Event"),
        reported=tuple(o for o in known if o.get("kind") == "Event"),
    )


def _scope(
    s: State,
    resource: desired.Resource,
    target: desired.KubernetesTarget,
    objects: rules.Objects,
    subject: ObjectId | None,
    now: float,
    *,
    of_pod: bool = False,
) -> rules.Scope:
    known = s.resources[resource.name]
    applied = s.applied.get(subject) if subject else None
    # Only a pod can miss another object, and gathering them all costs.
    others = _references(s) if objects.kind("Pod") else _NOTHING
    context = rules.Context(
        applied_at=applied.at if applied else known.started_at,
        changed_at=known.changed_at,
        pending=others.pending,
        applied=others.applied,
        pod_readiness=_readiness(target) if of_pod else _of_objects(target),
        memory=known.memory,
    )
    return rules.Scope(objects, _clock(s, now), limits.health(s), context, _well(s, resource.name))


@dataclass(frozen=True, slots=True)
class _References:
    """The project's objects as a pod may name them: to be applied, or with the time of that."""

    pending: frozenset[rules.Reference] = frozenset()
    applied: Mapping[rules.Reference, float] = field(default_factory=dict[rules.Reference, float])


_NOTHING = _References()


def _references(s: State) -> _References:
    """Remembered for the state's parts that it is made of: most judgements find these as before."""
    parts = (s.graph, s.wanted, s.applied, s.kube_context)
    if not all(map(operator.is_, _remembered.parts, parts)):
        named = dict(_named(s))
        found = _References(
            frozenset(r for r, at in named.items() if at is None),
            {r: at for r, at in named.items() if at is not None},
        )
        _remembered.parts, _remembered.found = parts, found
    return _remembered.found


def _well(s: State, name: ResourceName) -> Well:
    """The pods of a resource that were found well; of another project nothing is kept."""
    if _remembered.graph is not s.graph:
        _remembered.graph, _remembered.well = s.graph, {}
    return _remembered.well.setdefault(name, Well())


@dataclass(slots=True)
class _Remembered:
    """Answers that are likely to be asked for again."""

    parts: tuple[object, ...] = (None, None, None, None)
    found: _References = _NOTHING
    graph: object = None
    well: dict[ResourceName, Well] = field(default_factory=dict[ResourceName, Well])


_remembered = _Remembered()


def _named(s: State) -> Iterator[tuple[rules.Reference, float | None]]:
    for name in s.graph.manifests:
        if object_node(name) in s.wanted:
            applied = s.applied.get(name)
            at = applied.at if applied else None
            kind = name.kind.lower()
            yield rules.Reference(kind, name.namespace or s.kube_context.namespace, name.name), at
            yield rules.Reference(kind, "", name.name), at  # as a cluster-scoped one is named


def _service(
    s: State, resource: desired.Resource, target: desired.ComposeTarget, now: float
) -> list[Finding]:
    if updating.restarts(s, resource):
        return []  # that it is being updated is told
    up = composing.current(resource.name, target, s)
    progress = s.progress.get(service_node(resource.name))
    if progress is not None and progress.failure is not None and up is None:
        return []  # the failure has its finding already
    service = compose.Service(
        name=resource.name,
        replicas=composing.replicas(target),
        server=composing.publishes(target),
        ends=target.ends,
        wait=target.project.wait,
    )
    return compose.assess(service, up, limits.health(s), now)


def _local(
    s: State, resource: desired.Resource, target: desired.LocalTarget, now: float
) -> Iterator[Finding]:
    known = s.resources[resource.name]
    if target.cmd is not None:
        progress = s.progress.get(command_node(resource.name))
        failed = progress is not None and progress.failure is not None
        if not failed:  # a failure has its finding already
            running = progress is not None and progress.running is not None
            # Done once is not done again: a trigger or a changed file asks for another run.
            done = known.command_done == keys.command_key(target.cmd, known.generation)
            yield _commanded(resource, done=done, running=running)
    if target.serve is not None:
        progress = s.progress.get(serve_node(resource.name))
        failed = progress is not None and progress.failure is not None
        if not failed:
            wanted = keys.command_key(target.serve, known.generation)
            current = known.serve is not None and known.serve.key == wanted
            stable_for = limits.health(s).stable_for
            yield _served(resource, target, known.serve if current else None, now, stable_for)


def _commanded(resource: desired.Resource, *, done: bool, running: bool) -> Finding:
    if done or running:
        return local.command(resource.name, 0 if done else None)
    return _pending(resource, "command.pending")


def _pending(resource: desired.Resource, rule: str) -> Finding:
    subject = (ObjectRef("Local", "", resource.name),)
    message = f"{resource.name} has not been started yet"
    return Finding(Verdict.PROGRESSING, rule, subject, message=message)


def _served(
    resource: desired.Resource,
    target: desired.LocalTarget,
    status: ServeStatus | None,
    now: float,
    stable_for: float,
) -> Finding:
    if status is None:
        return _pending(resource, "serve.pending")
    if target.readiness_probe is None:
        probe = local.Probe.NONE
    elif status.ready is None:
        probe = local.Probe.WAITING
    else:
        probe = local.Probe.PASSING if status.ready else local.Probe.FAILING
    stable = (now, status.started_at + stable_for)
    said = status.probe_message
    if target.may_end:
        return local.free(resource.name, status.exit_code)
    return local.serve(resource.name, status.exit_code, probe, said=said, stable=stable)


def _readiness(target: desired.KubernetesTarget) -> desired.PodReadiness | None:
    """What the Tiltfile waits for; its `wait` is each kind's own way of being ready."""
    if target.pod_readiness is desired.PodReadiness.WAIT:
        return None
    return target.pod_readiness


def _of_objects(target: desired.KubernetesTarget) -> desired.PodReadiness | None:
    """For what is not a pod by itself: where only selectors choose pods, its own don't count."""
    if target.discovery_strategy == desired.SELECTORS_ONLY:
        return desired.PodReadiness.IGNORE
    return _readiness(target)
