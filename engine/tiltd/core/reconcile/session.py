"""The session: when is it over, and how?

In `ci` it ends with everything healthy at one and the same moment, with the first failure that
will not heal (`--keep-going`: when nothing more can be done), or with its deadline.  A verdict
counts only if it knows everything that has been seen (`judged`): a crash that is known but not yet
weighed holds back success, and so does a cluster that is away.  `down` ends when all is gone that
has to go.
"""

from collections.abc import Iterator

from tiltd.core import causes, ending, holds, judge, limits, removing, stock
from tiltd.core import graph as graphs
from tiltd.model import graph
from tiltd.model.actions import TakeStock
from tiltd.model.decisions import Act, Decision, Hold, Record
from tiltd.model.desired import Resource
from tiltd.model.events import SessionEnded
from tiltd.model.health import Assessment, Verdict
from tiltd.model.names import CLUSTER, SESSION, TILTFILE, NodeName, ResourceName
from tiltd.model.problems import Code, Problem
from tiltd.model.state import Mode, Outcome, Session, State


def reconcile(s: State, now: float) -> Decision:
    """See the module."""
    session = s.session
    if session is None or session.spec.mode is Mode.UP:
        return Hold("running", "runs until it is stopped")
    problem = _failure(s, TILTFILE, now)
    if problem is not None:
        return Record(SessionEnded(Outcome.TILTFILE, now, (problem,)))
    if session.spec.mode is Mode.DOWN:
        return _removing(s, session, now)
    problems = _problems(s, now)
    if s.blind:
        # What is known of the cluster is old: neither good nor bad news of it counts.
        problems = tuple(p for p in problems if p.code is not Code.HEALTH)
    if problems and (not session.spec.keep_going or _hopeless(s, now) or ending.reached(s, now)):
        if unjudged := [n for n in s.active if not s.resources[n].judged and _told(n, problems)]:
            return Hold("judging", f"judging {', '.join(sorted(unjudged))}")
        return Record(SessionEnded(Outcome.FAILED, now, problems))
    seen = s.project is not None and not s.blind
    if not problems and seen and all(_healthy(s, n, now) for n in s.active):
        if not stock.finished(s):
            return _late(s, session, now, ("what is to be deleted",), ())
        return Record(SessionEnded(Outcome.HEALTHY, now))
    return _late(s, session, now, tuple(unfinished(s)), problems)


def _told(name: ResourceName, problems: tuple[Problem, ...]) -> bool:
    """Whether a report is going to tell of it: then it must know what the verdict knows."""
    return any(name in problem.resources for problem in problems)


def _hopeless(s: State, now: float) -> bool:
    """Without its cluster nothing goes on that matters."""
    return _failure(s, CLUSTER, now) is not None


def _removing(s: State, session: Session, now: float) -> Decision:
    """`down` is over when nothing is left to delete; what can't be deleted holds up nothing."""
    problems = _problems(s, now)
    left = removing.left(s) if s.project is not None else ()
    over = _hopeless(s, now) or (s.project is not None and not left)
    if over and s.cluster is not None and s.stock.wanted and not s.stock.pruned:
        entries = stock.entries(s.graph)
        forget = TakeStock(s.stock.wanted, entries, forget=True)
        decision = holds.unless_failed(SESSION, forget, s, now)
        if isinstance(decision, Act):
            return decision  # else the account stays, which does no harm
    if over:
        outcome = Outcome.FAILED if problems else Outcome.HEALTHY
        return Record(SessionEnded(outcome, now, problems))
    return _late(s, session, now, left, problems)


def _late(
    s: State, session: Session, now: float, waiting: tuple[str, ...], problems: tuple[Problem, ...]
) -> Decision:
    timeout = limits.timeout(s)
    end = None if timeout is None else session.started_at + timeout
    if timeout is None or end is None or now < end:
        blind = "the cluster, which does not answer" if s.blind else "the Tiltfile"
        reason = f"waiting for {', '.join(waiting) or blind}"
        return Hold("waiting", reason, until=end)
    named = ", ".join(waiting[:5]) + (f" and {len(waiting) - 5} more" if waiting[5:] else "")
    state = "not gone" if session.spec.mode is Mode.DOWN else "not healthy"
    problem = Problem(
        Code.TIMEOUT,
        f"{state} after {timeout:g}s: {named or 'the Tiltfile is still being read'}",
        hint="give more time with --timeout or ci_settings(timeout=…)",
    )
    return Record(SessionEnded(Outcome.TIMEOUT, now, (problem, *problems)))


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


def _problems(s: State, now: float) -> tuple[Problem, ...]:
    """What has failed for good, each cause once."""
    return causes.grouped(_failures(s, now), tuple(s.graph.resources))


def _failures(s: State, now: float) -> Iterator[causes.Failure]:
    problem = _failure(s, CLUSTER, now)
    if problem is not None:
        yield _work(problem, ())
    # Asked after each event, so only those are looked at that have something to say.
    tried = [n for n, p in s.progress.items() if p.failure is not None and n in s.wanted]
    down = s.session is not None and s.session.spec.mode is Mode.DOWN
    for node in sorted(s.wanted if down and s.unreadable else tried):
        problem = _failure(s, node, now)
        if problem is not None:
            yield _work(problem, _stopped(s, node))
        part = s.graph.nodes[node]
        if down and isinstance(part, graph.ObjectNode):
            unlisted = removing.unlisted(part.manifest, s)
            if unlisted is not None:
                yield _work(unlisted, (part.resource,))
    for name, resource in s.graph.resources.items():
        if name in s.active:
            if resource.resource_deps:
                yield from _stuck(s, resource)
            known = s.resources[name]
            health = known.blamed or known.health
            if health is not None and health.verdict is Verdict.FAILED:
                yield from _verdict(health, name)


def _work(problem: Problem, resources: tuple[ResourceName, ...]) -> causes.Failure:
    return causes.Failure(problem, resources, f"{judge.WORK}{problem.code.value}")


def _stuck(s: State, resource: Resource) -> Iterator[causes.Failure]:
    """It waits for a resource that nobody starts; in `ci` nobody is there to do it."""
    name = resource.name
    if s.session is None or s.session.spec.mode is not Mode.CI:
        return
    for other in resource.resource_deps:
        if other in s.resources and other not in s.active and not s.resources[other].ready_once:
            problem = Problem(
                Code.TILTFILE,
                f"{name} depends on {other}, which does not start by itself",
                place=resource.place,
                hint=f"take auto_init=False from {other}, or {other} out of its resource_deps",
            )
            yield _work(problem, (name,))


def _failure(s: State, node: NodeName, now: float) -> Problem | None:
    """A failure that no further try mends."""
    progress = s.progress.get(node)
    failure = progress.failure if progress else None
    return failure.problem if failure is not None and limits.final(failure, s, now) else None


def _stopped(s: State, node: NodeName) -> tuple[ResourceName, ...]:
    """The resources that take part and that a node works for."""
    works_for = graphs.works_for(s.graph, node)
    return tuple(name for name in s.graph.resources if name in works_for and name in s.active)


def _verdict(health: Assessment, name: ResourceName) -> Iterator[causes.Failure]:
    for finding in health.findings:
        if finding.verdict is Verdict.FAILED and not finding.rule.startswith(judge.WORK):
            yield causes.found(finding, name)
