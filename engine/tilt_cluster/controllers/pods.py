"""What every controller of pods needs: their state, their making, their order of deletion.

Rules are those of Kubernetes' controllers: which pod counts as active, ready or available; that a
controller adopts orphans which its selector matches and releases what it doesn't match any more;
and which pods are deleted first when there are too many.
"""

import hashlib
import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers.plan import Create, Delete, Tell, Update, View
from tilt_cluster.objects import PODS, ApiError, Object, Resource

_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def phase(pod: Object) -> str:
    """`status.phase`."""
    return str(fields.get(pod, "status", "phase", default="Pending"))


def finished(pod: Object) -> bool:
    """Whether no container of it will ever run again."""
    return phase(pod) in {"Succeeded", "Failed"}


def active(pod: Object) -> bool:
    """Whether it counts as a replica."""
    return not finished(pod) and not fields.deleting(pod)


def ready(pod: Object) -> bool:
    """Whether its condition `Ready` is true."""
    return fields.is_true(pod, "Ready")


def available_in(pod: Object, min_ready: float, now: float) -> float | None:
    """Seconds until it has been ready for `min_ready` seconds; 0 if it has, None if not ready."""
    found = fields.condition(pod, "Ready")
    if found is None or found.get("status") != "True":
        return None
    if not min_ready:
        return 0.0
    return max(0.0, fields.parse(found.get("lastTransitionTime")) + min_ready - now)


def available(pods: Iterable[Object], min_ready: float, now: float) -> tuple[int, float | None]:
    """How many pods are available, and the seconds until the next one may be."""
    waits = [wait for pod in pods if (wait := available_in(pod, min_ready, now)) is not None]
    later = [wait for wait in waits if wait > 0]
    return len(waits) - len(later), min(later, default=None)


def digest(value: Any, collisions: int = 0) -> str:
    """A short hash of JSON in the alphabet of Kubernetes' generated names."""
    text = json.dumps([value, collisions], sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    return "".join(_SAFE[int(digit) % len(_SAFE)] for digit in str(number))


def from_template(
    template: Object,
    *,
    namespace: str,
    owner: Object,
    name: str = "",
    generate: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    finalizers: Sequence[str] = (),
) -> dict[str, Any]:
    """A pod of a template.

    Args:
        template: `spec.template` of its controller.
        namespace: of the pod.
        owner: the ownerReference.
        name: its whole name; else `generate` begins it.
        generate: what a generated name begins with.
        labels: in addition to the template's.
        annotations: likewise.
        finalizers: of the pod.
    """
    metadata: dict[str, Any] = {"namespace": namespace, "ownerReferences": [owner]}
    metadata |= {"name": name} if name else {"generateName": generate}
    all_labels = {**fields.labels(template), **(labels or {})}
    all_annotations = {**fields.annotations(template), **(annotations or {})}
    if all_labels:
        metadata["labels"] = all_labels
    if all_annotations:
        metadata["annotations"] = all_annotations
    wanted = [*fields.get(template, "metadata", "finalizers", default=()), *finalizers]
    if wanted:
        metadata["finalizers"] = wanted
    spec = fields.get(template, "spec", default={})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def claim(
    view: View, resource: Resource, owner: Object, reference: Object
) -> Generator[Update, Object | ApiError | None, list[Object]]:
    """The objects that the owner controls, after adopting orphans and releasing strangers.

    Args:
        view: the world.
        resource: of what is claimed.
        owner: whose `spec.selector` decides.
        reference: the ownerReference that it sets.
    """
    selector: Object = fields.get(owner, "spec", "selector", default={})
    mine: list[Object] = []
    for obj in view.list(resource, fields.namespace(owner), owner=fields.uid(owner)):
        if fields.selects(selector, fields.labels(obj)):
            mine.append(obj)
        elif not fields.deleting(owner):
            references = fields.get(obj, "metadata", "ownerReferences", default=())
            kept = [one for one in references if one.get("uid") != fields.uid(owner)]
            yield Update(resource, fields.with_metadata(obj, ownerReferences=kept))
    if fields.deleting(owner):
        return mine
    for obj in view.list(resource, fields.namespace(owner), labels=selector):
        if fields.controller(obj) is None and not fields.deleting(obj):
            references = [*fields.get(obj, "metadata", "ownerReferences", default=()), reference]
            taken = yield Update(resource, fields.with_metadata(obj, ownerReferences=references))
            if isinstance(taken, Mapping):
                mine.append(taken)
    return mine


def sacrifice_order(pod: Object) -> tuple[Any, ...]:
    """A sort key: those to delete first come first (as ReplicaSet's controller orders them)."""
    restarts: Sequence[Object] = fields.get(pod, "status", "containerStatuses", default=())
    ready_since = fields.parse(fields.get(fields.condition(pod, "Ready"), "lastTransitionTime"))
    return (
        bool(fields.get(pod, "spec", "nodeName")),
        {"Pending": 0, "Unknown": 1}.get(phase(pod), 2),
        ready(pod),
        int(fields.annotations(pod).get("controller.kubernetes.io/pod-deletion-cost", "0")),
        -ready_since,
        -max((int(one.get("restartCount", 0)) for one in restarts), default=0),
        -fields.created(pod),
        fields.name(pod),
    )


def create(
    resource: Resource, owner: Object, pod: Object
) -> Generator[Create | Tell, Object | ApiError | None, ApiError | None]:
    """Create a pod and tell about it; the error, if the API refuses."""
    outcome = yield Create(PODS, pod)
    if isinstance(outcome, ApiError):
        yield Tell(resource, owner, "Warning", "FailedCreate", f"Error creating: {outcome}")
        return outcome
    if outcome is not None:
        message = f"Created pod: {fields.name(outcome)}"
        yield Tell(resource, owner, "Normal", "SuccessfulCreate", message)
    return None


def delete(
    resource: Resource, owner: Object, pod: Object
) -> Generator[Delete | Tell, Object | ApiError | None, None]:
    """Delete a pod and tell about it."""
    outcome = yield Delete(PODS, pod)
    if not isinstance(outcome, ApiError):
        message = f"Deleted pod: {fields.name(pod)}"
        yield Tell(resource, owner, "Normal", "SuccessfulDelete", message)
