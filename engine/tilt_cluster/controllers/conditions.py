"""Conditions of a status: set one, keep the others, and the time of the last real change."""

from collections.abc import Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.objects import Object


def put(
    conditions: Sequence[Object],
    kind: str,
    status: str,
    now: float,
    *,
    reason: str,
    message: str,
    **extra: Any,
) -> list[Object]:
    """The conditions with this one set; its `lastTransitionTime` changes only with its status."""
    old = next((one for one in conditions if one.get("type") == kind), None)
    since = old.get("lastTransitionTime") if old and old.get("status") == status else None
    new: Object = {
        "type": kind,
        "status": status,
        "lastTransitionTime": since or fields.stamp(now),
        "reason": reason,
        "message": message,
        **extra,
    }
    return [new if one is old else one for one in conditions] if old else [*conditions, new]


def drop(conditions: Sequence[Object], kind: str) -> list[Object]:
    """The conditions without those of a type."""
    return [one for one in conditions if one.get("type") != kind]
