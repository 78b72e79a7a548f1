"""From the engine's words to the API's."""

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from tilt_api.v1 import tilt_pb2 as pb
from tiltd.core import graph as graphs
from tiltd.core import judge, limits, live_targets, naming
from tiltd.core.health.events import Event
from tiltd.core.reconcile import reconcile
from tiltd.core.scrub import Scrubber
from tiltd.model import desired, graph, state
from tiltd.model.decisions import Hold
from tiltd.model.health import Assessment, Finding, ObjectRef, Verdict
from tiltd.model.names import CLUSTER, SESSION, TILTFILE, NodeName, ResourceName, resource_node
from tiltd.model.problems import Problem
from tiltd.model.state import Attempt, AttemptOutcome, Cache, LimitOverrides, Mode, Outcome, State
from tiltd.server import links, outcomes, pods

_VERDICTS = {
    Verdict.HEALTHY: pb.VERDICT_HEALTHY,
    Verdict.PROGRESSING: pb.VERDICT_PROGRESSING,
    Verdict.FAILING: pb.VERDICT_FAILING,
    Verdict.FAILED: pb.VERDICT_FAILED,
}
_OUTCOMES = {
    Outcome.HEALTHY: pb.OUTCOME_HEALTHY,
    Outcome.FAILED: pb.OUTCOME_FAILED,
    Outcome.TILTFILE: pb.OUTCOME_TILTFILE_ERROR,
    Outcome.TIMEOUT: pb.OUTCOME_TIMEOUT,
    Outcome.CANCELLED: pb.OUTCOME_CANCELLED,
}
_ATTEMPTS = {
    None: pb.ATTEMPT_OUTCOME_UNSPECIFIED,
    AttemptOutcome.SUCCEEDED: pb.ATTEMPT_OUTCOME_SUCCEEDED,
    AttemptOutcome.FAILED: pb.ATTEMPT_OUTCOME_FAILED,
    AttemptOutcome.CANCELLED: pb.ATTEMPT_OUTCOME_CANCELLED,
}
CACHES = {pb.CACHE_READ: Cache.READ, pb.CACHE_OFF: Cache.OFF}
_MODES = {Mode.CI: pb.MODE_CI, Mode.UP: pb.MODE_UP, Mode.DOWN: pb.MODE_DOWN}


class Converter:
    """Turns the state at one moment into messages.

    Args:
        s: the state.
        now: seconds since the epoch.
        scrubber: takes secret values out of every sentence.
    """

    def __init__(self, s: State, now: float, scrubber: Scrubber) -> None:
        self._s, self._now, self._scrub = s, now, scrubber.scrub
        self._going = _going(s)
        self._order = {name: place for place, name in enumerate(s.graph.resources)}

    def session(self) -> pb.Session | None:
        """The running or last session."""
        session = self._s.session
        if session is None:
            return None
        spec, ended = session.spec, session.ended
        message = pb.Session(
            id=spec.id,
            mode=_MODES[spec.mode],
            tiltfile_path=spec.tiltfile,
            args=spec.args,
            context=self._s.kube_context.name or spec.context,
            namespace=self._s.kube_context.namespace or spec.namespace,
            started_at=session.started_at,
            limits=self._limits(),
            tiltfile=self._target(TILTFILE, pb.TARGET_KIND_TILTFILE, "Tiltfile"),
            cluster=self._target(CLUSTER, pb.TARGET_KIND_CLUSTER, self._s.kube_context.name),
            settled=session.settled,
            keep_going=spec.keep_going,
        )
        for place, warning in self._s.project.warnings if self._s.project else ():
            line = pb.Problem(code="warning", message=self._scrub(warning))
            if place is not None:
                line.file, line.line, line.column = place.file, place.line, place.column
            message.warnings.append(line)
        for scope, words in self._s.unreadable.items():
            message.warnings.append(self.problem(outcomes.unreadable(scope, words)))
        message.cancelled.extend(outcomes.cancelled(self._s))
        if spec.mode is Mode.DOWN:
            message.removals.extend(outcomes.removals(self._s))
        if ended is not None:
            message.ended_at = ended.at
            message.outcome = _OUTCOMES[ended.outcome]
            message.problems.extend(self.problem(p) for p in ended.problems)
        return message

    def _limits(self) -> pb.Limits:
        health = limits.health(self._s)
        message = pb.Limits(
            stable_for=health.stable_for, crash_budget=health.crash_budget, grace=health.grace
        )
        timeout = limits.timeout(self._s)
        if timeout is not None:
            message.timeout = timeout
        if health.readiness is not None:
            message.readiness_timeout = health.readiness
        return message

    def resources(self, names: Iterable[ResourceName]) -> list[pb.Resource]:
        """These resources; names that are gone are left out."""
        return [self.resource(n) for n in names if n in self._s.graph.resources]

    def resource(self, name: ResourceName) -> pb.Resource:
        """One resource with its targets."""
        resource = self._s.graph.resources[name]
        known = self._s.resources[name]
        enabled = self._s.project is not None and name in self._s.project.enabled
        message = pb.Resource(
            name=name,
            kind=_kind(resource.target),
            labels=resource.labels,
            resource_deps=resource.resource_deps,
            enabled=enabled,
            auto_init=resource.auto_init,
            links=[pb.Link(url=link.url, name=link.name) for link in links.of(self._s, resource)],
            port_forwards=links.forwards_of(self._s, resource, self._scrub),
            order=self._order[name],
            targets=[self._node(n) for n in _targets(resource, self._s)],
            pods=pods.of(self._s, name),
            started_at=known.started_at,
            ready_at=known.ready_at,
        )
        if known.health is not None and name in self._s.active:
            self._health(message, known.health, name)
        hold = next((t.hold for t in message.targets if t.HasField("hold")), None)
        if hold is not None:
            message.hold.CopyFrom(hold)
        message.status = self._status(message)
        return message

    def _status(self, message: pb.Resource) -> str:
        if not message.enabled:
            return "not part of this session"
        if not self._s.active.issuperset({ResourceName(message.name)}):
            return "waits to be triggered (auto_init=False)"
        if self._s.session is not None and self._s.session.spec.mode is Mode.DOWN:
            return outcomes.removal_status(self._s, ResourceName(message.name))
        for target in message.targets:
            if target.phase == pb.TARGET_PHASE_RUNNING and target.attempt.work != "serve":
                return f"{target.attempt.work} {target.name}"
        if message.HasField("hold"):
            return message.hold.message
        return message.findings[0].message if message.findings else ""

    def _health(self, message: pb.Resource, health: Assessment, name: ResourceName) -> None:
        message.verdict = _VERDICTS[health.verdict]
        message.findings.extend(self._finding(f, name) for f in health.findings)

    def _finding(self, finding: Finding, name: ResourceName) -> pb.Finding:
        message = pb.Finding(
            verdict=_VERDICTS[finding.verdict],
            rule=finding.rule,
            chain=[_ref(ref) for ref in finding.chain],
            reason=finding.reason,
            message=self._scrub(finding.message),
            observed=finding.observed,
            warnings=[self._scrub(w) for w in finding.warnings],
            hint=finding.hint,
        )
        for field in ("since", "until", "exit_code", "signal", "life"):
            value = getattr(finding, field)
            if value is not None:
                setattr(message, field, value)
        if finding.verdict in {Verdict.FAILING, Verdict.FAILED}:
            told = judge.warnings(self._s, name, finding.chain, self._now)
            message.events.extend(self._event(ref, event) for ref, event in told)
        return message

    def _event(self, ref: ObjectRef, event: Event) -> pb.ClusterEvent:
        return pb.ClusterEvent(
            reason=event.reason,
            message=self._scrub(event.message),
            object=_ref(ref),
            count=event.count,
            first_seen=event.first,
            last_seen=event.last,
        )

    def _node(self, name: NodeName) -> pb.Target:
        node = self._s.graph.nodes[name]
        match node:
            case graph.ImageNode(image=image) if image.of_deploy:
                return self._target(name, pb.TARGET_KIND_LIVE_UPDATE, image.name)
            case graph.ImageNode(image=image):
                target = self._target(name, pb.TARGET_KIND_IMAGE, image.name)
                ready = self._s.images[image.name].ready
                if ready is not None and naming.ready(image.name, self._s):
                    target.key, target.reused = ready.key, ready.reused
                return target
            case graph.ObjectNode(manifest=manifest):
                target = self._target(name, pb.TARGET_KIND_OBJECT, str(manifest.id))
                applied = self._s.applied.get(manifest.id)
                if applied is not None:
                    target.key = applied.key
                    target.reused = "" if applied.changed else "cluster"
                return target
            case graph.DeployNode(resource=resource):
                return self._target(name, pb.TARGET_KIND_COMMAND, resource.name)
            case graph.ServiceNode(resource=resource):
                return self._target(name, pb.TARGET_KIND_SERVICE, resource.name)
            case graph.LiveNode(resource=resource):
                return self._target(name, pb.TARGET_KIND_LIVE_UPDATE, resource.name)
            case graph.CommandNode(resource=resource):
                return self._target(name, pb.TARGET_KIND_COMMAND, resource.name)
            case graph.ServeNode(resource=resource):
                return self._target(name, pb.TARGET_KIND_COMMAND, resource.name)
            case graph.ResourceNode(resource=resource):
                return self._target(name, pb.TARGET_KIND_UNSPECIFIED, resource.name)
            case _:
                assert_never(node)

    def _target(self, name: NodeName, kind: pb.TargetKind.ValueType, shown: str) -> pb.Target:
        progress = self._s.progress.get(name, state.Progress())
        pending = pb.TARGET_PHASE_PENDING
        message = pb.Target(id=name, kind=kind, name=shown, phase=pending, spent=progress.spent)
        attempt = progress.running or progress.last
        if attempt is not None:
            message.attempt.CopyFrom(self._attempt(attempt))
        if progress.running is not None:
            message.phase = pb.TARGET_PHASE_RUNNING
        elif progress.failure is not None and progress.failure.retry_at is None:
            message.phase = pb.TARGET_PHASE_FAILED
        elif _done(name, self._s):
            message.phase = pb.TARGET_PHASE_DONE
        elif self._s.session is not None:
            decision = reconcile(name, self._going, self._now)
            if isinstance(decision, Hold):
                message.hold.CopyFrom(self._hold(decision))
        return message

    def _hold(self, hold: Hold) -> pb.Hold:
        message = pb.Hold(code=hold.code, message=self._scrub(hold.reason), on=hold.on)
        if hold.until is not None:
            message.until = hold.until
        return message

    def _attempt(self, attempt: Attempt) -> pb.Attempt:
        message = pb.Attempt(
            number=attempt.number,
            work=attempt.work,
            started_at=attempt.started_at,
            outcome=_ATTEMPTS[attempt.outcome],
            phases=attempt.phases,
        )
        if attempt.ended_at is not None:
            message.ended_at = attempt.ended_at
        if attempt.problem is not None:
            message.problem.CopyFrom(self.problem(attempt.problem))
        return message

    def problem(self, problem: Problem) -> pb.Problem:
        """A problem, without secrets."""
        message = pb.Problem(
            code=problem.code.value,
            message=self._scrub(problem.message),
            hint=self._scrub(problem.hint),
            detail="\n".join(self._scrub(line) for line in problem.detail.splitlines()),
            resource=problem.resource,
            resources=problem.resources,
            rule=problem.rule,
        )
        if problem.place is not None:
            message.file = problem.place.file
            message.line, message.column = problem.place.line, problem.place.column
        return message


def _going(s: State) -> State:
    """The state as if its session had not ended: a report tells what was waiting, and on what."""
    if s.session is None or s.session.ended is None:
        return s
    return replace(s, session=replace(s.session, ended=None))


def _ref(ref: ObjectRef) -> pb.ObjectRef:
    return pb.ObjectRef(
        kind=ref.kind,
        namespace=ref.namespace,
        name=ref.name,
        uid=ref.uid,
        container=ref.container or "",
    )


def overrides(message: pb.Limits) -> LimitOverrides:
    """The limits that a client gave."""
    return LimitOverrides(
        timeout=message.timeout if message.HasField("timeout") else None,
        readiness=message.readiness_timeout if message.HasField("readiness_timeout") else None,
        stable_for=message.stable_for if message.HasField("stable_for") else None,
        crash_budget=message.crash_budget if message.HasField("crash_budget") else None,
        grace=message.grace if message.HasField("grace") else None,
    )


def resources_of(name: NodeName, s: State) -> Iterable[ResourceName]:
    """The resources whose message a node is part of."""
    node = s.graph.nodes.get(name)
    match node:
        case None:
            return ()
        case graph.ImageNode(image=image):
            users = [
                s.graph.resource_of[i]
                for i, m in s.graph.manifests.items()
                if image.name in m.images
            ] + [n for n, r in s.graph.resources.items() if image.name in graphs.deploys(r)]
            above = [n for n in s.graph.dependents.get(name, ()) if n.startswith("image/")]
            return {*users, *(r for n in above for r in resources_of(n, s))}
        case graph.ObjectNode(resource=resource):
            return (resource,)
        case (
            graph.DeployNode(resource=owner)
            | graph.ServiceNode(resource=owner)
            | graph.LiveNode(resource=owner)
            | graph.CommandNode(resource=owner)
            | graph.ServeNode(resource=owner)
        ):
            return (owner.name,)
        case graph.ResourceNode(resource=owner):
            return (owner.name,)
        case _:
            assert_never(node)


def _kind(
    target: desired.KubernetesTarget | desired.ComposeTarget | desired.LocalTarget,
) -> pb.ResourceKind.ValueType:
    match target:
        case desired.ComposeTarget():
            return pb.RESOURCE_KIND_COMPOSE
        case desired.KubernetesTarget():
            return pb.RESOURCE_KIND_KUBERNETES
        case desired.LocalTarget():
            return pb.RESOURCE_KIND_LOCAL
        case _:
            assert_never(target)


def _targets(resource: desired.Resource, s: State) -> list[NodeName]:
    """The images that a resource is made of, bases first, then its own parts."""
    parts = [
        n
        for n in s.graph.dependencies.get(resource_node(resource.name), ())
        if not n.startswith("resource/")
    ]
    images: dict[NodeName, None] = {}
    todo = [i for p in parts for i in s.graph.dependencies.get(p, ()) if i.startswith("image/")]
    while todo:
        image = todo.pop()
        if image not in images:
            images[image] = None
            todo += s.graph.dependencies.get(image, ())
    return [*reversed(images), *parts]


def _done(name: NodeName, s: State) -> bool:
    """Whether a node has what it is for; holds after the session's end, too."""
    if name == TILTFILE:
        return s.project is not None and s.loaded_generation == s.tiltfile_generation
    if name == CLUSTER:
        return s.cluster is not None
    node = s.graph.nodes.get(name)
    match node:
        case None | graph.ResourceNode():
            return name == SESSION
        case graph.ImageNode(image=image):
            return live_targets.usable(image.name, s)
        case graph.ObjectNode(manifest=manifest):
            return manifest.id in s.applied or manifest.id in s.removed
        case graph.DeployNode(resource=resource):
            return resource.name in s.deployed or s.resources[resource.name].undeployed
        case graph.ServiceNode(resource=resource):
            return resource.name in s.services or s.resources[resource.name].undeployed
        case graph.LiveNode(resource=resource):
            return not any(live_targets.outdated(resource.name, s))
        case graph.CommandNode(resource=resource):
            return bool(s.resources[resource.name].command_done)
        case graph.ServeNode(resource=resource):
            serve = s.resources[resource.name].serve
            return serve is not None and serve.exit_code is None
        case _:
            assert_never(node)
