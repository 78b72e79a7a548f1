"""Deployment: a ReplicaSet for each template, and the way from the old ones to the new one.

Kubernetes' arithmetic of a rolling update: at most `maxSurge` pods more than wanted in sum, at
least wanted minus `maxUnavailable` available ones.  Old replicas that never became healthy go
first, since nobody misses them.  The ReplicaSets are the state: their annotations carry revision
and size, so that being called again continues where the last call stopped.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import pods, rollout
from tilt_cluster.controllers.plan import Create, Delete, Key, Status, Steps, Tell, Update, View
from tilt_cluster.objects import DEPLOYMENTS, PODS, REPLICA_SETS, ApiError, Object

REVISION = "deployment.kubernetes.io/revision"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MAXIMUM = "deployment.kubernetes.io/max-replicas"
_HASH = "pod-template-hash"
_UNCOPIED = frozenset(
    {REVISION, _DESIRED, _MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration"}
)

Scaling = Generator[Any, Object | ApiError | None, bool]


@dataclass(frozen=True, slots=True)
class _Fleet:
    """A Deployment and its ReplicaSets, oldest first; `new` has the current template."""

    owner: Object
    new: Object | None
    old: Sequence[Object]

    @property
    def all(self) -> Sequence[Object]:
        return [*self.old, *([self.new] if self.new else [])]


def sync(view: View, key: Key, now: float) -> Steps:
    """Bring one Deployment a step nearer to its template and size."""
    owner = view.find(DEPLOYMENTS, key.name, key.namespace)
    if owner is None:
        return None
    reference = fields.owned("apps/v1", "Deployment", owner)
    sets = yield from pods.claim(view, REPLICA_SETS, owner, reference)
    fleet = _fleet(owner, sets)
    error: ApiError | None = None
    if not fields.deleting(owner):
        fleet, error = yield from _progress(view, fleet, reference)
    status, timed_out = rollout.status(fleet.owner, fleet.new, fleet.old, now, error)
    yield Status(DEPLOYMENTS, fields.with_status(fleet.owner, status))
    return timed_out


def _fleet(owner: Object, sets: Sequence[Object]) -> _Fleet:
    ordered = sorted(sets, key=lambda one: (fields.created(one), _revision(one), fields.name(one)))
    wanted = _template(owner)
    new = next((one for one in ordered if _same(_template(one), wanted)), None)
    return _Fleet(owner, new, [one for one in ordered if one is not new])


def _template(obj: Object) -> Object:
    found: Object = fields.get(obj, "spec", "template", default={})
    return found


def _same(one: Object, other: Object) -> bool:
    """Whether two templates differ in nothing but the hash among the labels."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Object) -> Object:
    labels = {key: value for key, value in fields.labels(template).items() if key != _HASH}
    metadata = {
        key: value
        for key, value in fields.get(template, "metadata", default={}).items()
        if value and key != "creationTimestamp"
    }
    return {"spec": template.get("spec"), "metadata": {**metadata, "labels": labels}}


def _revision(obj: Object) -> int:
    text = fields.annotations(obj).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _is(replica_set: Object, count: str) -> int:
    return int(fields.get(replica_set, "status", count, default=0))


def _progress(view: View, fleet: _Fleet, reference: Object) -> Generator[Any, Any, Any]:
    """Make the newest ReplicaSet and scale all; the fleet after it, and what was refused."""
    owner = fleet.owner
    paused = bool(fields.get(owner, "spec", "paused", default=False))
    if not paused and fields.get(owner, "spec", "rollbackTo") is None:
        if fleet.new is None and rollout.recreates(owner):
            changed = yield from _stop_old(fleet)
            if changed or any(_runs(view, one) for one in fleet.old):
                return fleet, None
        fleet, error = yield from _ensure_new(fleet, reference)
        if error is not None or fleet.new is None:
            return fleet, error
    if paused or _resized(fleet):
        yield from _proportional(fleet)
    elif rollout.recreates(owner):
        if not (yield from _stop_old(fleet)) and not any(_runs(view, one) for one in fleet.old):
            yield from _scale(fleet, fleet.new, rollout.size(owner))
    elif not (yield from _grow(fleet)):
        yield from _shrink(fleet)
    if not paused:
        yield from _forget(fleet)
    return fleet, None


def _runs(view: View, replica_set: Object) -> bool:
    """Whether a ReplicaSet still has pods that have not ended."""
    found = view.list(PODS, fields.namespace(replica_set), owner=fields.uid(replica_set))
    return any(not pods.finished(pod) for pod in found)


def _ensure_new(fleet: _Fleet, reference: Object) -> Generator[Any, Any, Any]:
    """The newest ReplicaSet with the right revision, in the Deployment's annotations too."""
    owner, new = fleet.owner, fleet.new
    revision = max((_revision(one) for one in fleet.old), default=0) + 1
    if new is None:
        new = yield Create(REPLICA_SETS, _new_set(fleet, reference, revision))
        if isinstance(new, ApiError):
            message = f"Failed to create new replica set: {new}"
            yield Tell(DEPLOYMENTS, owner, "Warning", "ReplicaSetCreateError", message)
            return fleet, new
        if rollout.replicas(new):
            yield from _tell(fleet, new, 0, rollout.replicas(new))
    elif _revision(new) < revision:
        annotations = {**fields.annotations(new), REVISION: str(revision)}
        new = yield Update(REPLICA_SETS, fields.with_metadata(new, annotations=annotations))
        if isinstance(new, ApiError):
            return fleet, new
    fleet = _Fleet(owner, new, fleet.old)
    current = fields.annotations(new).get(REVISION, "1")
    if fields.annotations(owner).get(REVISION) != current:
        annotations = {**fields.annotations(owner), REVISION: current}
        stored = yield Update(DEPLOYMENTS, fields.with_metadata(owner, annotations=annotations))
        if not isinstance(stored, ApiError) and stored is not None:
            fleet = _Fleet(stored, new, fleet.old)
    return fleet, None


def _new_set(fleet: _Fleet, reference: Object, revision: int) -> Object:
    owner = fleet.owner
    template = _template(owner)
    collisions = fields.get(owner, "status", "collisionCount", default=0)
    hashed = pods.digest(template, collisions)
    taken = {fields.name(one) for one in fleet.old}
    while f"{fields.name(owner)}-{hashed}" in taken:
        collisions += 1
        hashed = pods.digest(template, collisions)
    labels = {**fields.labels(template), _HASH: hashed}
    selector = fields.get(owner, "spec", "selector", default={})
    metadata = {**fields.get(template, "metadata", default={}), "labels": labels}
    spec: dict[str, Any] = {
        "replicas": _initial(fleet),
        "selector": {
            **selector,
            "matchLabels": {**fields.get(selector, "matchLabels", default={}), _HASH: hashed},
        },
        "template": {**template, "metadata": metadata},
    }
    if min_ready := fields.get(owner, "spec", "minReadySeconds"):
        spec["minReadySeconds"] = min_ready
    annotations = {
        key: value for key, value in fields.annotations(owner).items() if key not in _UNCOPIED
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{fields.name(owner)}-{hashed}",
            "namespace": fields.namespace(owner),
            "labels": labels,
            "annotations": {**annotations, REVISION: str(revision), **_sizes(owner)},
            "ownerReferences": [reference],
        },
        "spec": spec,
    }


def _sizes(owner: Object) -> dict[str, str]:
    return {
        _DESIRED: str(rollout.size(owner)),
        _MAXIMUM: str(rollout.size(owner) + rollout.bounds(owner)[0]),
    }


def _initial(fleet: _Fleet) -> int:
    owner = fleet.owner
    if rollout.recreates(owner):
        return rollout.size(owner)
    room = (
        rollout.size(owner)
        + rollout.bounds(owner)[0]
        - sum(rollout.replicas(one) for one in fleet.old)
    )
    return max(0, min(room, rollout.size(owner)))


def _scale(fleet: _Fleet, replica_set: Object | None, to: int) -> Scaling:
    if replica_set is None:
        return False
    before = rollout.replicas(replica_set)
    sizes = _sizes(fleet.owner)
    if before == to and sizes.items() <= fields.annotations(replica_set).items():
        return False
    spec = {**fields.get(replica_set, "spec", default={}), "replicas": to}
    annotations = {**fields.annotations(replica_set), **sizes}
    changed = fields.with_metadata({**replica_set, "spec": spec}, annotations=annotations)
    outcome = yield Update(REPLICA_SETS, changed)
    if isinstance(outcome, ApiError) or before == to:
        return False
    yield from _tell(fleet, replica_set, before, to)
    return True


def _tell(fleet: _Fleet, replica_set: Object, before: int, to: int) -> Generator[Tell, Any, None]:
    direction = "up" if to > before else "down"
    message = f"Scaled {direction} replica set {fields.name(replica_set)} from {before} to {to}"
    yield Tell(DEPLOYMENTS, fleet.owner, "Normal", "ScalingReplicaSet", message)


def _resized(fleet: _Fleet) -> bool:
    """Whether `spec.replicas` has changed since the ReplicaSets were last scaled."""
    wanted = str(rollout.size(fleet.owner))
    return any(
        fields.annotations(one).get(_DESIRED, wanted) != wanted
        for one in fleet.all
        if rollout.replicas(one) > 0
    )


def _proportional(fleet: _Fleet) -> Scaling:
    """Follow a new size, also in the middle of a rollout or while paused."""
    running = [one for one in fleet.all if rollout.replicas(one) > 0]
    owner = fleet.owner
    if len(running) <= 1:
        target = running[0] if running else (fleet.new or (fleet.old[-1] if fleet.old else None))
        return (yield from _scale(fleet, target, rollout.size(owner)))
    total = sum(rollout.replicas(one) for one in running)
    allowed = rollout.size(owner) + rollout.bounds(owner)[0] if rollout.size(owner) else 0
    add = allowed - total
    changed = False
    order = sorted(running, key=rollout.replicas, reverse=True)
    rest = add
    targets: dict[str, int] = {}
    for one in order:
        before = int(fields.annotations(one).get(_MAXIMUM, str(total)))
        share = (
            round(rollout.replicas(one) * allowed / max(1, before)) - rollout.replicas(one)
            if add
            else 0
        )
        share = min(max(share, 0), rest) if add > 0 else max(min(share, 0), rest)
        rest -= share
        targets[fields.uid(one)] = rollout.replicas(one) + share
    if order:
        largest = fields.uid(order[0])
        targets[largest] = max(0, targets[largest] + rest)
    for one in order:
        changed = (yield from _scale(fleet, one, targets[fields.uid(one)])) or changed
    return changed


def _stop_old(fleet: _Fleet) -> Scaling:
    changed = False
    for one in fleet.old:
        if rollout.replicas(one):
            changed = (yield from _scale(fleet, one, 0)) or changed
    return changed


def _grow(fleet: _Fleet) -> Scaling:
    """The newest one, as far as `maxSurge` lets it."""
    if fleet.new is None:
        return False
    wanted, have = rollout.size(fleet.owner), rollout.replicas(fleet.new)
    if have >= wanted:
        return (yield from _scale(fleet, fleet.new, wanted))
    room = wanted + rollout.bounds(fleet.owner)[0] - sum(rollout.replicas(one) for one in fleet.all)
    return (yield from _scale(fleet, fleet.new, have + max(0, min(room, wanted - have))))


def _shrink(fleet: _Fleet) -> Scaling:
    """The old ones, as far as `maxUnavailable` lets them."""
    if fleet.new is None or not any(rollout.replicas(one) for one in fleet.old):
        return False
    minimum = rollout.size(fleet.owner) - rollout.bounds(fleet.owner)[1]
    total = sum(rollout.replicas(one) for one in fleet.all)
    missing = rollout.replicas(fleet.new) - _is(fleet.new, "availableReplicas")
    spare = total - minimum - missing
    targets = {fields.uid(one): rollout.replicas(one) for one in fleet.old}
    for one in fleet.old:  # what is not healthy costs nothing
        take = max(0, min(spare, rollout.replicas(one) - _is(one, "availableReplicas")))
        targets[fields.uid(one)] -= take
        spare -= take
    spare = min(spare, sum(_is(one, "availableReplicas") for one in fleet.all) - minimum)
    for one in fleet.old:
        take = max(0, min(spare, targets[fields.uid(one)]))
        targets[fields.uid(one)] -= take
        spare -= take
    changed = False
    for one in fleet.old:
        changed = (yield from _scale(fleet, one, targets[fields.uid(one)])) or changed
    return changed


def _forget(fleet: _Fleet) -> Generator[Delete, Any, None]:
    """Delete the oldest empty ReplicaSets beyond `revisionHistoryLimit`, once all is rolled out."""
    if fleet.new is None or not rollout.complete(fleet.owner, fleet.new, fleet.old):
        return
    limit = int(fields.get(fleet.owner, "spec", "revisionHistoryLimit", default=10))
    empty = [
        one
        for one in sorted(fleet.old, key=_revision)
        if not rollout.replicas(one) and not _is(one, "replicas") and not fields.deleting(one)
    ]
    for one in empty[: max(0, len(empty) - limit)]:
        yield Delete(REPLICA_SETS, one)
