"""Reasons for waiting that several kinds of nodes share."""

from tiltd.core import live_targets, work
from tiltd.model.actions import Action
from tiltd.model.decisions import Act, Hold
from tiltd.model.names import ImageName, NodeName, ResourceName, image_node, resource_node
from tiltd.model.state import State


def not_wanted(node: NodeName, s: State) -> Hold | None:
    """No resource that takes part needs this node."""
    if node in s.wanted:
        return None
    return Hold("not-started", "nothing that was started needs it")


def unless_failed(node: NodeName, action: Action, s: State, now: float) -> Act | Hold:
    """Do it, unless the last try at the same failed and the time for the next has not come."""
    progress = s.progress.get(node)
    failure = progress.failure if progress else None
    if failure is None or failure.wanted != work.wanted(action):
        return Act(action)
    if failure.retry_at is None:
        return Hold("failed", failure.problem.message)
    if failure.retry_at > now:
        reason = f"try {failure.tries + 1} follows soon: {failure.problem.message}"
        return Hold("backing-off", reason, until=failure.retry_at)
    return Act(action)


def dependencies(names: tuple[ResourceName, ...], s: State) -> Hold | None:
    """Resources that have to be ready first (`resource_deps`)."""
    waiting = tuple(n for n in names if n in s.resources and not s.resources[n].ready_once)
    if not waiting:
        return None
    on = tuple(resource_node(n) for n in waiting)
    return Hold("waiting-for-dependency", f"waiting for {', '.join(waiting)}", on=on)


def images(names: tuple[ImageName, ...], s: State) -> Hold | None:
    """Images that have to be there first."""
    waiting = tuple(n for n in names if not live_targets.usable(n, s))
    if not waiting:
        return None
    on = tuple(image_node(n) for n in waiting)
    return Hold("waiting-for-image", f"waiting for {', '.join(waiting)}", on=on)
