"""ReplicaSet (and ReplicationController): as many active pods of one template as wanted."""

from collections.abc import Generator, Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import conditions, pods
from tilt_cluster.controllers.plan import Key, Status, Steps, View
from tilt_cluster.objects import (
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    ApiError,
    Object,
    Resource,
)

_BURST = 500


def sync(view: View, key: Key, now: float) -> Steps:
    """Bring one ReplicaSet to its number of replicas."""
    return _sync(view, key, now, REPLICA_SETS, ("apps/v1", "ReplicaSet"))


def sync_controller(view: View, key: Key, now: float) -> Steps:
    """Bring one ReplicationController to its number of replicas."""
    return _sync(view, key, now, REPLICATION_CONTROLLERS, ("v1", "ReplicationController"))


def _sync(view: View, key: Key, now: float, resource: Resource, kind: tuple[str, str]) -> Steps:
    found = view.find(resource, key.name, key.namespace)
    if found is None:
        return None
    owner = found if resource == REPLICA_SETS else _with_label_selector(found)
    reference = fields.owned(*kind, owner)
    mine = yield from pods.claim(view, PODS, owner, reference)
    active = [pod for pod in mine if pods.active(pod)]
    error: ApiError | None = None
    if not fields.deleting(owner):
        error = yield from _manage(resource, owner, active, reference)
    min_ready = fields.get(owner, "spec", "minReadySeconds", default=0)
    count, again = pods.available(active, min_ready, now)
    status = _status(owner, mine, count, error, now)
    yield Status(resource, fields.with_status(found, status))
    return 5.0 if error else again


def _with_label_selector(controller: Object) -> Object:
    """A ReplicationController as if its selector were a ReplicaSet's."""
    spec = fields.get(controller, "spec", default={})
    return {**controller, "spec": {**spec, "selector": {"matchLabels": spec.get("selector")}}}


def wanted(owner: Object) -> int:
    """`spec.replicas`."""
    return int(fields.get(owner, "spec", "replicas", default=1))


def _manage(
    resource: Resource, owner: Object, active: Sequence[Object], reference: Object
) -> Generator[Any, Any, ApiError | None]:
    missing = min(wanted(owner) - len(active), _BURST)
    if missing > 0:
        template = fields.get(owner, "spec", "template", default={})
        pod = pods.from_template(
            template,
            namespace=fields.namespace(owner),
            owner=reference,
            generate=f"{fields.name(owner)}-",
        )
        for _ in range(missing):
            error = yield from pods.create(resource, owner, pod)
            if error is not None:
                return error
    elif missing < 0:
        for extra in sorted(active, key=pods.sacrifice_order)[:-missing]:
            yield from pods.delete(resource, owner, extra)
    return None


def _status(
    owner: Object, mine: Sequence[Object], available: int, error: ApiError | None, now: float
) -> Object:
    active = [pod for pod in mine if pods.active(pod)]
    template = fields.labels(fields.get(owner, "spec", "template", default={}))
    labelled = [pod for pod in active if template.items() <= fields.labels(pod).items()]
    kept = conditions.drop(
        fields.get(owner, "status", "conditions", default=()),
        "" if error is not None else "ReplicaFailure",
    )
    if error is not None:
        kept = conditions.put(
            kept, "ReplicaFailure", "True", now, reason="FailedCreate", message=error.message
        )
    status: Object = {
        "replicas": len(active),
        "fullyLabeledReplicas": len(labelled),
        "readyReplicas": sum(1 for pod in active if pods.ready(pod)),
        "availableReplicas": available,
        "terminatingReplicas": sum(
            1 for pod in mine if fields.deleting(pod) and not pods.finished(pod)
        ),
        "observedGeneration": fields.generation(owner),
    }
    shown = {
        key: value
        for key, value in status.items()
        if value or key in {"replicas", "terminatingReplicas"}
    }
    return {**shown, **({"conditions": kept} if kept else {})}
