"""DaemonSet: one pod on each node that its template fits."""

from collections.abc import Generator, Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import pods, revisions, rollout, scheduler
from tilt_cluster.controllers.plan import Delete, Key, Status, Steps, Tell, Update, View
from tilt_cluster.objects import DAEMON_SETS, NODES, PODS, ApiError, Object

_HASH = "controller-revision-hash"
_GENERATION = "deprecated.daemonset.template.generation"
_TOLERATIONS: Sequence[Object] = (
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
)


def sync(view: View, key: Key, now: float) -> Steps:
    """Bring one DaemonSet to one pod of its template a node."""
    owner = view.find(DAEMON_SETS, key.name, key.namespace)
    if owner is None:
        return None
    generation = str(fields.generation(owner))
    if _GENERATION not in fields.annotations(owner) and not fields.deleting(owner):
        notes = {**fields.annotations(owner), _GENERATION: generation}
        stored = yield Update(DAEMON_SETS, fields.with_metadata(owner, annotations=notes))
        if stored is not None and not isinstance(stored, ApiError):
            owner = stored
    reference = fields.owned("apps/v1", "DaemonSet", owner)
    mine = yield from pods.claim(view, PODS, owner, reference)
    known = yield from revisions.ensure(view, owner, reference, _HASH)
    if not known:
        return 1.0
    hashed = fields.labels(known[-1]).get(_HASH, "")
    error: ApiError | None = None
    if not fields.deleting(owner):
        error = yield from _manage(view, owner, reference, mine, hashed)
        if error is None:
            yield from _replace(view, owner, mine, hashed, now)
    status, again = _status(view, owner, mine, hashed, now)
    yield Status(DAEMON_SETS, fields.with_status(owner, status))
    used = {
        fields.name(one)
        for one in known
        if any(fields.labels(pod).get(_HASH) == fields.labels(one).get(_HASH) for pod in mine)
    }
    yield from revisions.forget(owner, known, used | {fields.name(known[-1])})
    return 5.0 if error else again


def _fits(node: Object, owner: Object) -> bool:
    """Whether its pod shall run there: node name, selector, affinity and taints, not resources."""
    spec = fields.get(owner, "spec", "template", "spec", default={})
    wanted = fields.get(spec, "nodeName")
    if wanted and wanted != fields.name(node):
        return False
    tolerations = [*(spec.get("tolerations") or ()), *_TOLERATIONS]
    pod = {"spec": {**spec, "tolerations": tolerations}}
    return scheduler.admits(node, pod)


def _on(pod: Object) -> str:
    """The node of a pod: where it is, or where its affinity says that it shall be."""
    there = fields.get(pod, "spec", "nodeName")
    if there:
        return str(there)
    path = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = fields.get(
        pod, "spec", "affinity", "nodeAffinity", path, "nodeSelectorTerms", default=()
    )
    for term in terms:
        for one in term.get("matchFields") or ():
            if one.get("key") == "metadata.name":
                return str(one["values"][0])
    return ""


def _manage(
    view: View, owner: Object, reference: Object, mine: Sequence[Object], hashed: str
) -> Generator[Any, Any, ApiError | None]:
    nodes = {fields.name(node): _fits(node, owner) for node in view.list(NODES)}
    for pod in mine:
        if fields.deleting(pod):
            continue
        if not nodes.get(_on(pod), False):
            yield from pods.delete(DAEMON_SETS, owner, pod)
        elif pods.phase(pod) == "Failed":
            message = f"Found failed daemon pod {fields.namespace(pod)}/{fields.name(pod)} on node "
            message += f"{_on(pod)}, will try to kill it"
            yield Tell(DAEMON_SETS, owner, "Warning", "FailedDaemonPod", message)
            yield Delete(PODS, pod)
    for node, fits in nodes.items():
        there = [pod for pod in mine if _on(pod) == node]
        if fits and not there:
            error = yield from pods.create(DAEMON_SETS, owner, _pod(owner, reference, node, hashed))
            if error is not None:
                return error
        for extra in sorted(there, key=fields.created)[1:]:
            if not fields.deleting(extra) and not any(fields.deleting(pod) for pod in there):
                yield from pods.delete(DAEMON_SETS, owner, extra)
    return None


def _pod(owner: Object, reference: Object, node: str, hashed: str) -> Object:
    pod = pods.from_template(
        fields.get(owner, "spec", "template", default={}),
        namespace=fields.namespace(owner),
        owner=reference,
        generate=f"{fields.name(owner)}-",
        labels={
            _HASH: hashed,
            "pod-template-generation": fields.annotations(owner).get(_GENERATION, "1"),
        },
    )
    spec = pod["spec"]
    here = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    affinity = fields.get(spec, "affinity", default={})
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = fields.get(affinity, "nodeAffinity", required, "nodeSelectorTerms", default=[{}])
    node_affinity = {
        **fields.get(affinity, "nodeAffinity", default={}),
        required: {"nodeSelectorTerms": [{**term, "matchFields": here} for term in terms]},
    }
    return {
        **pod,
        "spec": {
            **spec,
            "affinity": {**affinity, "nodeAffinity": node_affinity},
            "tolerations": [*(spec.get("tolerations") or ()), *_TOLERATIONS],
        },
    }


def _replace(
    view: View, owner: Object, mine: Sequence[Object], hashed: str, now: float
) -> Generator[Any, Any, None]:
    """Delete pods of older templates, at most `maxUnavailable` unavailable ones at a time."""
    strategy = fields.get(owner, "spec", "updateStrategy", default={})
    if strategy.get("type") == "OnDelete":
        return
    desired = sum(1 for node in view.list(NODES) if _fits(node, owner))
    limit = fields.get(strategy, "rollingUpdate", "maxUnavailable", default=1)
    allowed = max(1, rollout.portion(limit, desired, up=True))
    min_ready = fields.get(owner, "spec", "minReadySeconds", default=0)
    old = [pod for pod in mine if fields.labels(pod).get(_HASH) != hashed and pods.active(pod)]
    count, _ = pods.available([pod for pod in mine if pods.active(pod)], min_ready, now)
    down = max(0, desired - count)
    for pod in sorted(old, key=pods.ready):  # those that are down cost nothing
        if pods.available_in(pod, min_ready, now) == 0:
            if down >= allowed:
                continue
            down += 1
        yield from pods.delete(DAEMON_SETS, owner, pod)


def _status(
    view: View, owner: Object, mine: Sequence[Object], hashed: str, now: float
) -> tuple[Object, float | None]:
    fits = {fields.name(node): _fits(node, owner) for node in view.list(NODES)}
    alive = [pod for pod in mine if pods.active(pod)]
    right = [pod for pod in alive if fits.get(_on(pod), False)]
    desired = sum(fits.values())
    min_ready = fields.get(owner, "spec", "minReadySeconds", default=0)
    count, again = pods.available(right, min_ready, now)
    status: dict[str, Any] = {
        "currentNumberScheduled": len({_on(pod) for pod in right}),
        "numberMisscheduled": len(alive) - len(right),
        "desiredNumberScheduled": desired,
        "numberReady": sum(1 for pod in right if pods.ready(pod)),
        "observedGeneration": fields.generation(owner),
        "updatedNumberScheduled": sum(1 for p in right if fields.labels(p).get(_HASH) == hashed),
        "numberAvailable": count,
        "numberUnavailable": desired - count,
    }
    if collisions := fields.get(owner, "status", "collisionCount"):
        status["collisionCount"] = collisions
    always = (
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
    )
    return {key: value for key, value in status.items() if value or key in always}, again
