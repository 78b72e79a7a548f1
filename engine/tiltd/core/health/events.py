"""Events of the cluster (core/v1), as the rules read them.

An Event is a hint, never a state: it may be lost, comes late, is kept for an hour, and is counted
up rather than repeated.  So rules read conditions and container states first; events give them the
words (what a probe said), and the few facts that stand nowhere else (a mount that fails, a node
that is being added).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tiltd.core.health import fields
from tiltd.core.health.clock import Clock
from tiltd.core.health.fields import Obj


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `first` and `last` are host times, `container` is empty for the whole object."""

    reason: str
    message: str
    container: str
    warning: bool
    first: float | None
    last: float | None
    count: int = 1

    @property
    def at(self) -> float:
        """When it was last seen, for ordering."""
        return self.last if self.last is not None else 0.0


def parse(event: Obj, clock: Clock) -> Event:
    """Read a `v1.Event`, written with first/lastTimestamp or, by newer sources, eventTime."""
    single = fields.text(event, "eventTime")
    first = fields.text(event, "firstTimestamp") or single
    last = fields.text(event, "series", "lastObservedTime")
    last = last or fields.text(event, "lastTimestamp") or single or first
    return Event(
        reason=fields.text(event, "reason"),
        message=fields.text(event, "message").strip(),
        container=_container(fields.text(event, "involvedObject", "fieldPath")),
        warning=fields.text(event, "type") == "Warning",
        first=clock.host(first or last),
        last=clock.host(last),
        count=_count(event),
    )


def _count(event: Obj) -> int:
    series = fields.number(event, "series", "count")
    return max(1, series, fields.number(event, "count"))


def _container(field_path: str) -> str:
    """`main` of `spec.containers{main}`."""
    _, brace, rest = field_path.partition("{")
    return rest.rstrip("}") if brace else ""


def newest(events: Iterable[Event], *reasons: str, container: str = "") -> Event | None:
    """The newest of these reasons; with `container`, only events about that one."""
    found = [
        e for e in events if e.reason in reasons and (not container or e.container == container)
    ]
    return max(found, key=lambda e: e.at, default=None)
