"""What a node needs next: an action, a fact to record, or the reason for doing nothing."""

from dataclasses import dataclass

from tiltd.model.actions import Action
from tiltd.model.events import Event
from tiltd.model.names import NodeName


@dataclass(frozen=True, slots=True)
class Act:
    """Do this."""

    action: Action


@dataclass(frozen=True, slots=True)
class Record:
    """No work in the outside world: this follows from what is known already.

    With it in the state the node has what it needs: only another event, or time, changes that.

    Args:
        until: look again at this time.
    """

    event: Event
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now.

    Args:
        code: the reason for machines (`waiting-for-image`).
        reason: the reason for people.
        until: look again at this time (seconds since the epoch), whatever happens before.
        on: the nodes that it waits for.
    """

    code: str
    reason: str
    until: float | None = None
    on: tuple[NodeName, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """As wanted.

    Args:
        until: look again at this time.
    """

    until: float | None = None


Decision = Act | Record | Hold | Done
