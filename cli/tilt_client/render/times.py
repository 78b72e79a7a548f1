"""How long each step of a resource took.

Building and pushing are those of the images that it is made of; an image that several resources
share counts for each.  Of work that was tried again all tries at the same thing count, the pauses
between them do not.  `ready` is from its first apply (or the start of its command) until it was
ready for the first time.
"""

from collections.abc import Iterable
from typing import NamedTuple

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import style

_WORK = ("build", "push", "apply", "command")
_TITLES = {"ready": "until ready"}
_ROWS = 20
_NONE = "-"


class Times(NamedTuple):
    """Seconds; `None` is a step that there was not, or that has not ended."""

    build: float | None = None
    push: float | None = None
    apply: float | None = None
    command: float | None = None
    ready: float | None = None


def of(resource: pb.Resource) -> Times:
    """The times of a resource."""
    spent: dict[str, float] = {}
    for target in resource.targets:
        for name in _WORK:
            if name in target.spent:
                spent[name] = spent.get(name, 0.0) + max(target.spent[name], 0.0)
    ready, start = None, first(resource)
    if resource.HasField("ready_at") and start is not None:
        ready = max(resource.ready_at - start, 0.0)
    build, push, apply, command = (spent.get(name) for name in _WORK)
    return Times(build, push, apply, command, ready)


def first(resource: pb.Resource) -> float | None:
    """When it was applied first, or its command began."""
    if resource.HasField("started_at"):
        return resource.started_at
    commands = (t for t in resource.targets if t.kind == pb.TARGET_KIND_COMMAND)
    return min((t.attempt.started_at for t in commands if t.HasField("attempt")), default=None)


def began(resource: pb.Resource) -> float | None:
    """When the first work for it began, as far as the newest tries tell."""
    starts = [t.attempt.started_at for t in resource.targets if t.HasField("attempt")]
    if resource.HasField("started_at"):
        starts.append(resource.started_at)
    return min(starts, default=None)


def table(resources: Iterable[pb.Resource], began_at: float) -> list[str]:
    """A row for each resource that took time, in their order; of many, those that took longest.

    The last column counts from `began_at`, the session's start.
    """
    timed = [(r, of(r)) for r in resources]
    timed = [(r, times) for r, times in timed if any(t is not None for t in times)]
    slowest = sorted(timed, key=lambda row: -_until(row[0], began_at))[:_ROWS]
    names = {resource.name for resource, _ in slowest}
    columns = [name for i, name in enumerate(Times._fields) if any(t[i] for _, t in timed)]
    rows = [["", *(_TITLES.get(name, name) for name in columns), "ready at"]]
    for resource, times in timed:
        if resource.name in names:
            cells = [_cell(getattr(times, name)) for name in columns]
            rows.append([resource.name, *cells, _cell(_until(resource, began_at) or None)])
    if len(rows) == 1:
        return []
    out = style.columns(rows, right=True)
    return [*out, f"(the slowest {_ROWS} of {len(timed)})"] if len(timed) > _ROWS else out


def _until(resource: pb.Resource, began_at: float) -> float:
    return max(resource.ready_at - began_at, 0.0) if resource.HasField("ready_at") else 0.0


def _cell(seconds: float | None) -> str:
    return _NONE if seconds is None else style.duration(seconds)
