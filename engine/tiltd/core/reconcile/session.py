"""The session: when is it over, and how?

In `ci` it ends with everything healthy at one and the same moment, with the first failure that
will not heal, or with its deadline.  A verdict counts only if it knows everything that has been
seen (`judged`): a crash that is known but not yet weighed holds back success.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from tiltd.core import judge, limits
from tiltd.model import graph
from tiltd.model.decisions import Decision, Hold, Record
from tiltd.model.events import SessionEnded
from tiltd.model.health import Verdict
from tiltd.model.names import CLUSTER, TILTFILE, NodeName, ResourceName
from tiltd.model.problems import Code, Problem
from tiltd.model.state import Mode, Outcome, Session, State


def reconcile(s: State, now: float) -> Decision:
    """See the module."""
    session = s.session
    if session is None or session.spec.mode is Mode.UP:
        return Hold("running", "runs until it is stopped")
    problem = _failure(s, TILTFILE)
    if problem is not None:
        return Record(SessionEnded(Outcome.TILTFILE, now, (problem,)))
    problems = tuple(dict.fromkeys(_problems(s)))
    if problems:
        return Record(SessionEnded(Outcome.FAILED, now, problems))
    if s.project is not None and all(_healthy(s, n, now) for n in s.active):
        return Record(SessionEnded(Outcome.HEALTHY, now))
    return _waiting(s, session, now)


def _waiting(s: State, session: Session, now: float) -> Decision:
    waiting = tuple(unfinished(s))
    timeout = limits.timeout(s)
    end = None if timeout is None else session.started_at + timeout
    if timeout is None or end is None or now < end:
        reason = f"waiting for {', '.join(waiting) or 'the Tiltfile'}"
        return Hold("waiting", reason, until=end)
    named = ", ".join(waiting[:5]) + (f" and {len(waiting) - 5} more" if waiting[5:] else "")
    problem = Problem(
        Code.TIMEOUT,
        f"not healthy after {timeout:g}s: {named or 'the Tiltfile is still being read'}",
        hint="give more time with --timeout or ci_settings(timeout=…)",
    )
    return Record(SessionEnded(Outcome.TIMEOUT, now, (problem,)))


def unfinished(s: State) -> Iterator[ResourceName]:
    """The resources that are not healthy yet, in the Tiltfile's order."""
    for name in s.graph.resources:
        if name in s.active:
            health = s.resources[name].health
            if health is None or health.verdict is not Verdict.HEALTHY:
                yield name


def _healthy(s: State, name: ResourceName, now: float) -> bool:
    known = s.resources[name]
    if not known.judged or known.health is None or known.health.verdict is not Verdict.HEALTHY:
        return False
    until = known.health.until
    return until is None or now < until


def _problems(s: State) -> Iterator[Problem]:
    problem = _failure(s, CLUSTER)
    if problem is not None:
        yield problem
    for node in sorted(s.wanted):
        problem = _failure(s, node)
        if problem is not None:
            yield replace(problem, resource=_owner(s, node))
    for name in s.graph.resources:
        if name in s.active:
            yield from _stuck(s, name)
            yield from _verdict(s, name)


def _stuck(s: State, name: ResourceName) -> Iterator[Problem]:
    """It waits for a resource that nobody starts; in `ci` nobody is there to do it."""
    resource = s.graph.resources[name]
    for other in resource.resource_deps:
        if other in s.resources and other not in s.active and not s.resources[other].ready_once:
            yield Problem(
                Code.TILTFILE,
                f"{name} depends on {other}, which does not start by itself",
                place=resource.place,
                hint=f"take auto_init=False from {other}, or {other} out of its resource_deps",
                resource=name,
            )


def _failure(s: State, node: NodeName) -> Problem | None:
    """A failure that no further try mends."""
    progress = s.progress.get(node)
    failure = progress.failure if progress else None
    return failure.problem if failure is not None and failure.retry_at is None else None


def _owner(s: State, node: NodeName) -> str:
    """The resource that a node works for; an image may work for several, and is told by itself."""
    part = s.graph.nodes[node]
    match part:
        case graph.ObjectNode(resource=name):
            return name
        case graph.CommandNode(resource=resource) | graph.ServeNode(resource=resource):
            return resource.name
        case graph.ResourceNode(resource=resource):
            return resource.name
        case graph.ImageNode(image=image):
            users = [
                s.graph.resource_of[i]
                for i, m in s.graph.manifests.items()
                if image.name in m.images
            ]
            return users[0] if len(users) == 1 else ""
        case _:
            assert_never(part)


def _verdict(s: State, name: ResourceName) -> Iterator[Problem]:
    health = s.resources[name].health
    if health is None or health.verdict is not Verdict.FAILED:
        return
    for finding in health.findings:
        if finding.verdict is Verdict.FAILED and not finding.rule.startswith(judge.WORK):
            yield Problem(Code.HEALTH, finding.message, hint=finding.hint, resource=name)
