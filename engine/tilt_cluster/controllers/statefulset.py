"""StatefulSet: pods with names and claims of their own, made and replaced in order."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import pods, revisions
from tilt_cluster.controllers.plan import Create, Delete, Key, Status, Steps, Tell, View
from tilt_cluster.objects import (
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    STATEFUL_SETS,
    ApiError,
    Object,
)

_HASH = "controller-revision-hash"


@dataclass(frozen=True, slots=True)
class _Set:
    """A StatefulSet, its revisions by name, and the pods that it has by ordinal."""

    owner: Object
    reference: Object
    current: Object
    update: Object
    pods: dict[int, Object]

    @property
    def start(self) -> int:
        return int(fields.get(self.owner, "spec", "ordinals", "start", default=0))

    @property
    def replicas(self) -> int:
        return int(fields.get(self.owner, "spec", "replicas", default=1))

    @property
    def ordinals(self) -> range:
        return range(self.start, self.start + self.replicas)

    @property
    def partition(self) -> int:
        path = ("spec", "updateStrategy", "rollingUpdate", "partition")
        return int(fields.get(self.owner, *path, default=0))

    @property
    def parallel(self) -> bool:
        return bool(fields.get(self.owner, "spec", "podManagementPolicy") == "Parallel")

    def revision(self, ordinal: int) -> Object:
        """The revision with which a missing pod of that ordinal is made."""
        if fields.get(self.owner, "spec", "updateStrategy", "type") == "OnDelete":
            return self.update
        old = ordinal < self.start + self.partition
        name = fields.name(self.current)
        having = sum(
            1
            for pod in self.pods.values()
            if fields.labels(pod).get(_HASH) == name and not fields.deleting(pod)
        )
        return self.current if old or ordinal < self.start + having else self.update


def sync(view: View, key: Key, now: float) -> Steps:
    """Bring one StatefulSet a step nearer."""
    owner = view.find(STATEFUL_SETS, key.name, key.namespace)
    if owner is None:
        return None
    reference = fields.owned("apps/v1", "StatefulSet", owner)
    mine = yield from pods.claim(view, PODS, owner, reference)
    by_ordinal = {
        number: pod for pod in mine if (number := ordinal(fields.name(owner), pod)) is not None
    }
    known = yield from revisions.ensure(view, owner, reference, "controller.kubernetes.io/hash")
    if not known:
        return 1.0
    name = fields.get(owner, "status", "currentRevision")
    current = next((one for one in known if fields.name(one) == name), None)
    parts = _Set(owner, reference, current or known[-1], known[-1], by_ordinal)
    if not fields.deleting(owner):
        yield from _progress(view, parts, now)
    min_ready = fields.get(owner, "spec", "minReadySeconds", default=0)
    count, again = pods.available(_alive(parts), min_ready, now)
    yield Status(STATEFUL_SETS, fields.with_status(owner, _status(parts, count)))
    used = {str(fields.labels(pod).get(_HASH)) for pod in mine}
    used |= {fields.name(parts.current), fields.name(parts.update)}
    yield from revisions.forget(owner, known, used)
    return again


def ordinal(of: str, pod: Object) -> int | None:
    """The number in the name of a StatefulSet's pod; None if it isn't one of its names."""
    head, _, tail = fields.name(pod).rpartition("-")
    return int(tail) if head == of and tail.isdigit() else None


def _alive(parts: _Set) -> list[Object]:
    return [pod for pod in parts.pods.values() if pods.active(pod)]


def _progress(view: View, parts: _Set, now: float) -> Generator[Any, Any, None]:
    min_ready = fields.get(parts.owner, "spec", "minReadySeconds", default=0)
    for number in parts.ordinals:
        pod = parts.pods.get(number)
        if pod is not None and pods.finished(pod) and not fields.deleting(pod):
            yield Delete(PODS, pod)
            kind = "Failed" if pods.phase(pod) == "Failed" else "Succeeded"
            message = (
                f"StatefulSet {fields.namespace(pod)}/{fields.name(parts.owner)} is recreating "
                f"{kind.lower()} Pod {fields.name(pod)}"
            )
            reason = "RecreatingFailedPod" if kind == "Failed" else "RecreatingTerminatedPod"
            yield Tell(STATEFUL_SETS, parts.owner, "Warning", reason, message)
            if not parts.parallel:
                return
            continue
        if pod is None:
            if not (yield from _create(view, parts, number)) or not parts.parallel:
                return
            continue
        yield from _claims(view, parts, number, parts.owner)
        if parts.parallel:
            continue
        if fields.deleting(pod) or pods.available_in(pod, min_ready, now) != 0:
            return
    surplus = sorted((n for n in parts.pods if n not in parts.ordinals), reverse=True)
    for number in surplus:
        pod = parts.pods[number]
        if not fields.deleting(pod):
            yield from _delete(parts, pod)
        if not parts.parallel:
            return
    if not surplus:
        yield from _replace(parts, min_ready, now)


def _replace(parts: _Set, min_ready: float, now: float) -> Generator[Any, Any, None]:
    """Delete the highest pod that has not the newest template, when those above are available."""
    if fields.get(parts.owner, "spec", "updateStrategy", "type") == "OnDelete":
        return
    wanted = fields.labels(parts.update).get("controller.kubernetes.io/hash")
    name = fields.name(parts.update)
    for number in reversed(parts.ordinals):
        if number < parts.start + parts.partition:
            return
        pod = parts.pods.get(number)
        if pod is None:
            return
        if fields.labels(pod).get(_HASH) not in {name, wanted}:
            if not fields.deleting(pod):
                yield from _delete(parts, pod)
            return
        if fields.deleting(pod) or pods.available_in(pod, min_ready, now) != 0:
            return


def _delete(parts: _Set, pod: Object) -> Generator[Any, Any, None]:
    outcome = yield Delete(PODS, pod)
    name = fields.name(parts.owner)
    verdict = "failed" if isinstance(outcome, ApiError) else "successful"
    message = f"delete Pod {fields.name(pod)} in StatefulSet {name} {verdict}"
    if not isinstance(outcome, ApiError):
        yield Tell(STATEFUL_SETS, parts.owner, "Normal", "SuccessfulDelete", message)


def _create(view: View, parts: _Set, number: int) -> Generator[Any, Any, bool]:
    owner, name = parts.owner, f"{fields.name(parts.owner)}-{number}"
    trouble = yield from _claims(view, parts, number, owner)
    revision = parts.revision(number)
    outcome: Any = trouble or (yield Create(PODS, _pod(parts, number, revision)))
    if isinstance(outcome, ApiError):
        message = f"create Pod {name} in StatefulSet {fields.name(owner)} failed error: {outcome}"
        yield Tell(STATEFUL_SETS, owner, "Warning", "FailedCreate", message)
        return False
    message = f"Create Pod {name} in StatefulSet {fields.name(owner)} successful"
    yield Tell(STATEFUL_SETS, owner, "Normal", "SuccessfulCreate", message)
    return True


def _claim_name(parts: _Set, claim: Object, number: int) -> str:
    return f"{fields.name(claim)}-{fields.name(parts.owner)}-{number}"


def _claims(
    view: View, parts: _Set, number: int, owner: Object
) -> Generator[Any, Any, ApiError | None]:
    """Make the claims of one pod that are missing; what was refused."""
    for claim in fields.get(owner, "spec", "volumeClaimTemplates", default=()):
        name = _claim_name(parts, claim, number)
        if view.find(PERSISTENT_VOLUME_CLAIMS, name, fields.namespace(owner)) is not None:
            continue
        labels = fields.get(owner, "spec", "selector", "matchLabels", default={})
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": fields.namespace(owner),
            "labels": {**fields.labels(claim), **labels},
        }
        if notes := fields.annotations(claim):
            metadata["annotations"] = notes
        outcome = yield Create(
            PERSISTENT_VOLUME_CLAIMS, {"metadata": metadata, "spec": claim.get("spec", {})}
        )
        full = f"Claim {name} Pod {fields.name(owner)}-{number} in StatefulSet {fields.name(owner)}"
        if isinstance(outcome, ApiError):
            message = f"create {full} failed error: {outcome}"
            yield Tell(STATEFUL_SETS, owner, "Warning", "FailedCreate", message)
            return outcome
        message = f"create {full} success"
        yield Tell(STATEFUL_SETS, owner, "Normal", "SuccessfulCreate", message)
    return None


def _pod(parts: _Set, number: int, revision: Object) -> Object:
    owner = parts.owner
    name = f"{fields.name(owner)}-{number}"
    pod = pods.from_template(
        revisions.template(revision),
        namespace=fields.namespace(owner),
        owner=parts.reference,
        name=name,
        labels={
            _HASH: fields.name(revision),
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(number),
        },
    )
    claims: Sequence[Object] = fields.get(owner, "spec", "volumeClaimTemplates", default=())
    names = {fields.name(one): _claim_name(parts, one, number) for one in claims}
    own = [
        {"name": volume, "persistentVolumeClaim": {"claimName": claim}}
        for volume, claim in names.items()
    ]
    others = [
        one for one in fields.get(pod, "spec", "volumes", default=()) if one["name"] not in names
    ]
    spec = {**pod["spec"], "hostname": name}
    if service := fields.get(owner, "spec", "serviceName"):
        spec["subdomain"] = service
    if own or others:
        spec["volumes"] = [*own, *others]
    return {**pod, "spec": spec}


def _status(parts: _Set, available: int) -> Object:
    alive = _alive(parts)
    current, update = fields.name(parts.current), fields.name(parts.update)

    def having(revision: str) -> int:
        return sum(1 for pod in alive if fields.labels(pod).get(_HASH) == revision)

    ready = sum(1 for pod in alive if pods.ready(pod))
    updated = having(update)
    status: dict[str, Any] = {
        "observedGeneration": fields.generation(parts.owner),
        "replicas": len([pod for pod in parts.pods.values() if not pods.finished(pod)]),
        "readyReplicas": ready,
        "currentReplicas": having(current),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": update,
        "availableReplicas": available,
        "collisionCount": fields.get(parts.owner, "status", "collisionCount", default=0),
    }
    rolling = fields.get(parts.owner, "spec", "updateStrategy", "type") != "OnDelete"
    if rolling and updated == status["replicas"] == ready and not parts.partition:
        status["currentReplicas"], status["currentRevision"] = updated, update
    shown = {"replicas", "availableReplicas", "collisionCount"}
    return {key: value for key, value in status.items() if value or key in shown}
