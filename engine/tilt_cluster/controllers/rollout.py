"""The status of a Deployment: its counts, and how its rollout goes, in Kubernetes' words."""

import math
from collections.abc import Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import conditions
from tilt_cluster.objects import ApiError, Object

_COUNTS = ("replicas", "readyReplicas", "availableReplicas", "terminatingReplicas")
_NEVER = 2**31 - 1


def size(owner: Object) -> int:
    """`spec.replicas`."""
    return int(fields.get(owner, "spec", "replicas", default=1))


def recreates(owner: Object) -> bool:
    """Whether its strategy is `Recreate`."""
    return bool(fields.get(owner, "spec", "strategy", "type") == "Recreate")


def bounds(owner: Object) -> tuple[int, int]:
    """`maxSurge` and `maxUnavailable` in pods; never both 0."""
    if recreates(owner):
        return 0, size(owner)
    rolling = fields.get(owner, "spec", "strategy", "rollingUpdate", default={})
    surge = portion(rolling.get("maxSurge", "25%"), size(owner), up=True)
    unavailable = portion(rolling.get("maxUnavailable", "25%"), size(owner), up=False)
    return surge, unavailable if surge or unavailable else 1


def portion(value: Any, of: int, *, up: bool) -> int:
    """An IntOrString as a number: a percentage of `of`, rounded up or down."""
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    share = int(text[:-1]) * of
    return math.ceil(share / 100) if up else share // 100


def replicas(replica_set: Object) -> int:
    """`spec.replicas` of a ReplicaSet."""
    return int(fields.get(replica_set, "spec", "replicas", default=1))


def status(
    owner: Object,
    new: Object | None,
    old: Sequence[Object],
    now: float,
    error: ApiError | None = None,
) -> tuple[Object, float | None]:
    """The status, and the seconds until the progress deadline needs another look.

    Args:
        owner: the Deployment.
        new: the ReplicaSet of its current template.
        old: its other ReplicaSets.
        now: Unix seconds.
        error: why a ReplicaSet could not be made.
    """
    counts = _counts(owner, new, old)
    result: dict[str, Any] = {
        "observedGeneration": fields.generation(owner),
        **{key: value for key, value in counts.items() if value or key == "terminatingReplicas"},
    }
    if collisions := fields.get(owner, "status", "collisionCount"):
        result["collisionCount"] = collisions
    kept: list[Object] = list(fields.get(owner, "status", "conditions", default=()))
    kept = _availability(kept, owner, counts, now)
    kept = _failure(kept, [*old, *([new] if new else [])], error, now)
    kept = _progressing(kept, owner, new, counts, now)
    result["conditions"] = kept
    return result, _again(kept, owner, counts, now)


def complete(owner: Object, new: Object | None, old: Sequence[Object]) -> bool:
    """Whether only pods of the current template are left, and all are available."""
    return _complete(owner, _counts(owner, new, old))


def _counts(owner: Object, new: Object | None, old: Sequence[Object]) -> dict[str, int]:
    sets = [*old, *([new] if new else [])]
    counts = {
        name: sum(int(fields.get(one, "status", name, default=0)) for one in sets)
        for name in _COUNTS
    }
    counts["updatedReplicas"] = int(fields.get(new, "status", "replicas", default=0))
    total = sum(replicas(one) for one in sets)
    counts["unavailableReplicas"] = max(0, total - counts["availableReplicas"])
    if not sets:
        counts["unavailableReplicas"] = size(owner)
    return counts


def _complete(owner: Object, counts: dict[str, int]) -> bool:
    wanted = size(owner)
    return (
        counts["updatedReplicas"] == wanted
        and counts["replicas"] == wanted
        and counts["availableReplicas"] == wanted
    )


def _put(
    kept: Sequence[Object], kind: str, value: str, now: float, reason: str, message: str
) -> list[Object]:
    old = next((one for one in kept if one.get("type") == kind), None)
    if old and (old.get("status"), old.get("reason")) == (value, reason):
        updated = old.get("lastUpdateTime")
    else:
        updated = None
    return conditions.put(
        kept,
        kind,
        value,
        now,
        reason=reason,
        message=message,
        lastUpdateTime=updated or fields.stamp(now),
    )


def _availability(
    kept: list[Object], owner: Object, counts: dict[str, int], now: float
) -> list[Object]:
    least = size(owner) - bounds(owner)[1]
    if counts["availableReplicas"] >= least:
        message = "Deployment has minimum availability."
        return _put(kept, "Available", "True", now, "MinimumReplicasAvailable", message)
    message = "Deployment does not have minimum availability."
    return _put(kept, "Available", "False", now, "MinimumReplicasUnavailable", message)


def _failure(
    kept: list[Object], sets: Sequence[Object], error: ApiError | None, now: float
) -> list[Object]:
    if error is not None:
        reason, message = "FailedCreate", error.message
        return _put(kept, "ReplicaFailure", "True", now, reason, message)
    for one in sets:
        found = fields.condition(one, "ReplicaFailure")
        if found is not None and found.get("status") == "True":
            reason, message = str(found.get("reason")), str(found.get("message"))
            return _put(kept, "ReplicaFailure", "True", now, reason, message)
    return conditions.drop(kept, "ReplicaFailure")


def _deadline(owner: Object) -> int:
    return int(fields.get(owner, "spec", "progressDeadlineSeconds", default=_NEVER))


def _progressing(
    kept: list[Object], owner: Object, new: Object | None, counts: dict[str, int], now: float
) -> list[Object]:
    if _deadline(owner) >= _NEVER:
        return conditions.drop(kept, "Progressing")
    current = next((one for one in kept if one.get("type") == "Progressing"), None)
    reason = str(current.get("reason")) if current else ""
    if fields.get(owner, "spec", "paused", default=False):
        message = "Deployment is paused"
        return _put(kept, "Progressing", "Unknown", now, "DeploymentPaused", message)
    if reason == "DeploymentPaused":
        message = "Deployment is resumed"
        return _put(kept, "Progressing", "Unknown", now, "DeploymentResumed", message)
    name = f'ReplicaSet "{fields.name(new)}"' if new else f'Deployment "{fields.name(owner)}"'
    if _complete(owner, counts) and new is not None:
        message = f"{name} has successfully progressed."
        return _put(kept, "Progressing", "True", now, "NewReplicaSetAvailable", message)
    if current is None or (new is not None and fields.name(new) not in str(current["message"])):
        if new is None:
            return kept
        message = f'Created new replica set "{fields.name(new)}"'
        return _put(kept, "Progressing", "True", now, "NewReplicaSetCreated", message)
    if _moved(owner, counts):
        message = f"{name} is progressing."
        rest = conditions.drop(kept, "Progressing")
        since = current.get("lastTransitionTime") if current.get("status") == "True" else None
        updated = _put(rest, "Progressing", "True", now, "ReplicaSetUpdated", message)
        last = {**updated[-1], "lastTransitionTime": since or fields.stamp(now)}
        return [*updated[:-1], last]
    if reason == "NewReplicaSetAvailable":  # a pod was lost: not the rollout's doing
        return kept
    waited = now - fields.parse(current.get("lastUpdateTime"))
    if reason == "ProgressDeadlineExceeded" or waited >= _deadline(owner):
        message = f"{name} has timed out progressing."
        return _put(kept, "Progressing", "False", now, "ProgressDeadlineExceeded", message)
    return kept


def _moved(owner: Object, counts: dict[str, int]) -> bool:
    """Whether the rollout has come further since the last status."""

    def before(name: str) -> int:
        return int(fields.get(owner, "status", name, default=0))

    return (
        counts["updatedReplicas"] > before("updatedReplicas")
        or counts["replicas"] - counts["updatedReplicas"]
        < before("replicas") - before("updatedReplicas")
        or counts["readyReplicas"] > before("readyReplicas")
        or counts["availableReplicas"] > before("availableReplicas")
    )


def _again(
    kept: Sequence[Object], owner: Object, counts: dict[str, int], now: float
) -> float | None:
    current = next((one for one in kept if one.get("type") == "Progressing"), None)
    if current is None or _complete(owner, counts) or current.get("status") != "True":
        return None
    if current.get("reason") == "NewReplicaSetAvailable":
        return None
    end = fields.parse(current.get("lastUpdateTime")) + _deadline(owner)
    return max(0.5, end - now + 0.5)
