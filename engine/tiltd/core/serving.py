"""What is remembered of a Docker Compose service from one look at its containers to the next."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tiltd.model.events import ServiceSeen, ServiceStarted
from tiltd.model.observed import ServiceContainer
from tiltd.model.state import ServiceUp


def started(before: ServiceUp | None, event: ServiceStarted) -> ServiceUp:
    """The service once it was brought up.

    What ran before that runs on untouched, and its restarts until now are old.
    """
    known = before.baselines if before is not None else dict[str, int]()
    since = before.unhealthy_since if before is not None else dict[str, float]()
    baselines = {
        c.id: known.get(c.id, c.restarts if 0 < c.started_at < event.began else 0)
        for c in event.containers
    }
    return ServiceUp(
        key=event.key,
        generation=event.generation,
        at=event.at,
        made=len(event.containers),
        baselines=baselines,
        unhealthy_since=since,
    )


def seen(before: ServiceUp, event: ServiceSeen) -> ServiceUp | None:
    """The service after one more look; None if all its containers have been removed."""
    if before.made and not event.containers:
        return None
    unhealthy = _unhealthy(before.unhealthy_since, event.containers, event.at)
    return replace(before, seen=True, containers=event.containers, unhealthy_since=unhealthy)


def _unhealthy(
    since: Mapping[str, float], containers: Iterable[ServiceContainer], at: float
) -> dict[str, float]:
    return {c.id: since.get(c.id, at) for c in containers if c.health == "unhealthy"}
