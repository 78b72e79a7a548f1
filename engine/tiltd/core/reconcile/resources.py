"""A resource: judge it whenever something was seen, or a limit ends."""

from dataclasses import replace

from tiltd.core import holds, judge, manual
from tiltd.model.decisions import Decision, Done, Hold, Record
from tiltd.model.desired import Resource
from tiltd.model.events import HealthJudged
from tiltd.model.health import Verdict
from tiltd.model.names import resource_node
from tiltd.model.state import State


def reconcile(resource: Resource, s: State, now: float) -> Decision:
    """The verdict is computed from scratch each time; it is recorded when it differs."""
    if resource.name not in s.active:
        return holds.not_wanted(resource_node(resource.name), s) or Done()
    known = s.resources[resource.name]
    health = judge.judge(s, resource.name, now)
    if not known.judged or health != known.health:
        return Record(HealthJudged(resource.name, health, now), health.until)
    if health.verdict is Verdict.HEALTHY:
        hold = manual.hold((resource.name,), s)
        return replace(hold, until=health.until) if hold else Done(until=health.until)
    worst = health.worst
    code = "failed" if health.verdict is Verdict.FAILED else "not-healthy"
    return Hold(code, worst.message, until=health.until)
