"""The scheduler: which pods the one node can take, and why it can't take the others.

It is asked about each pod that has no node.  What it checks, in the order and in the words of
Kubernetes' plugins: unschedulable node and taints, node selector and required node affinity, host
ports, resources (requests of the pods that are there, number of pods), and claims.  Preferences and
spreading make no difference with a single node.
"""

from collections.abc import Mapping, Sequence

from tilt_cluster import fields
from tilt_cluster.controllers import conditions, pods
from tilt_cluster.controllers.plan import Key, Status, Steps, Tell, Update, View
from tilt_cluster.objects import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    STORAGE_CLASSES,
    ApiError,
    Object,
)

_SCHEDULER = "default-scheduler"


def sync(view: View, key: Key, now: float) -> Steps:
    """Give a pod its node, or say why it has none."""
    pod = view.find(PODS, key.name, key.namespace)
    if pod is None or fields.deleting(pod) or pods.finished(pod):
        return None
    if fields.get(pod, "spec", "schedulerName", default=_SCHEDULER) != _SCHEDULER:
        return None
    if fields.get(pod, "spec", "nodeName"):
        return None
    gates: Sequence[Object] = fields.get(pod, "spec", "schedulingGates", default=())
    if gates:
        message = "Scheduling is blocked due to non-empty scheduling gates"
        yield _unscheduled(pod, "SchedulingGated", message, now)
        return None
    nodes = view.list(NODES)
    refusals = [_refusals(view, node, pod) for node in nodes]
    fitting = next((n for n, why in zip(nodes, refusals, strict=True) if not why), None)
    trouble = _claims(view, pod)
    if trouble or fitting is None:
        message = trouble or _explain(refusals)
        old = fields.condition(pod, "PodScheduled")
        outcome = yield _unscheduled(pod, "Unschedulable", message, now)
        if (old is None or old.get("message") != message) and not isinstance(outcome, ApiError):
            yield Tell(PODS, pod, "Warning", "FailedScheduling", message)
        return None
    node = fields.name(fitting)
    spec = {**fields.get(pod, "spec", default={}), "nodeName": node}
    bound = yield Update(PODS, {**pod, "spec": spec})
    if isinstance(bound, ApiError) or bound is None:
        return 1.0
    kept = fields.get(bound, "status", "conditions", default=())
    done = conditions.put(kept, "PodScheduled", "True", now, reason="", message="")
    shown = [{k: v for k, v in one.items() if v != ""} for one in done]
    status = {**fields.get(bound, "status", default={}), "conditions": shown}
    yield Status(PODS, fields.with_status(bound, status))
    full = f"{key.namespace}/{key.name}"
    yield Tell(PODS, pod, "Normal", "Scheduled", f"Successfully assigned {full} to {node}")
    return None


def _unscheduled(pod: Object, reason: str, message: str, now: float) -> Status:
    kept = fields.get(pod, "status", "conditions", default=())
    put = conditions.put(kept, "PodScheduled", "False", now, reason=reason, message=message)
    status = {**fields.get(pod, "status", default={}), "phase": "Pending", "conditions": put}
    return Status(PODS, fields.with_status(pod, status))


def _explain(refusals: Sequence[Sequence[str]]) -> str:
    total = len(refusals)
    if not total:
        return "no nodes available to schedule pods"
    counts: dict[str, int] = {}
    for refusal in refusals:
        for reason in refusal:
            counts[reason] = counts.get(reason, 0) + 1
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    head = f"0/{total} nodes are available"
    return (
        f"{head}: {reasons}. no new claims to deallocate, preemption: {head}: "
        f"{total} Preemption is not helpful for scheduling."
    )


def _refusals(view: View, node: Object, pod: Object) -> list[str]:
    """Why a node can't take a pod; the first kind of reason that applies, as the scheduler does."""
    taint = _taint(node, pod)
    if taint is not None:
        return [taint]
    if not _affine(node, pod):
        return ["node(s) didn't match Pod's node affinity/selector"]
    there = [
        other
        for other in view.list(PODS)
        if fields.get(other, "spec", "nodeName") == fields.name(node) and not pods.finished(other)
    ]
    if _host_ports(pod) & {port for other in there for port in _host_ports(other)}:
        return ["node(s) didn't have free ports for the requested pod ports"]
    return _scarce(node, pod, there)


def admits(node: Object, pod: Object) -> bool:
    """Whether taints, selector and affinity let a pod on a node, whatever its resources."""
    return _taint(node, pod) is None and _affine(node, pod)


def _taint(node: Object, pod: Object) -> str | None:
    tolerations: Sequence[Object] = fields.get(pod, "spec", "tolerations", default=())
    if fields.get(node, "spec", "unschedulable", default=False):
        taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        if not any(tolerates(one, taint) for one in tolerations):
            return "node(s) were unschedulable"
    for taint in fields.get(node, "spec", "taints", default=()):
        if taint.get("effect") == "PreferNoSchedule":
            continue
        if not any(tolerates(one, taint) for one in tolerations):
            value = taint.get("value", "")
            why = _why(node) if taint["key"] == "node.kubernetes.io/not-ready" else ""
            return f"node(s) had untolerated taint(s) {{{taint['key']}: {value}}}{why}"
    return None


def _why(node: Object) -> str:
    """What a node that isn't ready says of it, so that who looks at the pod needn't look there."""
    ready = fields.condition(node, "Ready")
    message = fields.get(ready, "message", default="")
    return f" ({message})" if message and fields.get(ready, "status") != "True" else ""


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether a toleration covers a taint."""
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    key = toleration.get("key")
    if key and key != taint.get("key"):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(key) and toleration.get("value", "") == taint.get("value", "")


def _affine(node: Object, pod: Object) -> bool:
    on = fields.labels(node)
    wanted: Mapping[str, str] = fields.get(pod, "spec", "nodeSelector", default={})
    if any(on.get(key) != value for key, value in wanted.items()):
        return False
    required = fields.get(
        pod,
        "spec",
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    )
    if required is None:
        return True
    return any(_term(term, node) for term in required)


def _term(term: Object, node: Object) -> bool:
    expressions = fields.get(term, "matchExpressions", default=())
    names = fields.get(term, "matchFields", default=())
    if not expressions and not names:
        return False
    by_field = {"metadata.name": fields.name(node)}
    return fields.selects(
        {"matchExpressions": expressions}, fields.labels(node)
    ) and fields.selects({"matchExpressions": names}, by_field)


def _host_ports(pod: Object) -> set[tuple[int, str]]:
    return {
        (int(port["hostPort"]), str(port.get("protocol", "TCP")))
        for container in fields.get(pod, "spec", "containers", default=())
        for port in container.get("ports") or ()
        if port.get("hostPort")
    }


def requests(pod: Object) -> dict[str, float]:
    """What a pod asks for: its containers' sum or its largest init container, plus overhead."""
    total: dict[str, float] = {}
    for container in fields.get(pod, "spec", "containers", default=()):
        _add(total, _requests(container))
    sidecars: dict[str, float] = {}
    peak: dict[str, float] = {}
    for container in fields.get(pod, "spec", "initContainers", default=()):
        wants = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, wants)
            continue
        for name, amount in wants.items():
            peak[name] = max(peak.get(name, 0), amount + sidecars.get(name, 0))
    _add(total, sidecars)
    for name, amount in peak.items():
        total[name] = max(total.get(name, 0), amount)
    overhead = fields.get(pod, "spec", "overhead", default={})
    _add(total, {name: fields.quantity(amount) for name, amount in overhead.items()})
    return total


def _requests(container: Object) -> dict[str, float]:
    limits = fields.get(container, "resources", "limits", default={})
    asked = {**limits, **fields.get(container, "resources", "requests", default={})}
    return {name: fields.quantity(amount) for name, amount in asked.items()}


def _add(total: dict[str, float], more: Mapping[str, float]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _scarce(node: Object, pod: Object, there: Sequence[Object]) -> list[str]:
    allocatable = fields.get(node, "status", "allocatable", default={})
    reasons: list[str] = []
    if len(there) + 1 > fields.quantity(allocatable.get("pods", 110)):
        reasons.append("Too many pods")
    used: dict[str, float] = {}
    for other in there:
        _add(used, requests(other))
    reasons += [
        f"Insufficient {name}"
        for name, amount in sorted(requests(pod).items())
        if amount and used.get(name, 0) + amount > fields.quantity(allocatable.get(name, 0)) + 1e-9
    ]
    return reasons


def _claims(view: View, pod: Object) -> str | None:
    """What is wrong with the claims of a pod, if something is."""
    total = len(view.list(NODES))
    for name in claims(pod):
        found = view.find(PERSISTENT_VOLUME_CLAIMS, name, fields.namespace(pod))
        if found is None:
            missing = f'persistentvolumeclaim "{name}" not found'
            return f"0/{total} nodes are available: {missing}. not found"
        if fields.deleting(found):
            return (
                f'0/{total} nodes are available: persistentvolumeclaim "{name}" is being deleted.'
            )
        if fields.get(found, "status", "phase") == "Bound":
            continue
        storage = fields.get(found, "spec", "storageClassName")
        of_class = view.find(STORAGE_CLASSES, storage) if storage else None
        if of_class is None or of_class.get("volumeBindingMode") != "WaitForFirstConsumer":
            return (
                f"0/{total} nodes are available: pod has unbound immediate PersistentVolumeClaims. "
                f"not found"
            )
        return f"0/{total} nodes are available: {total} waiting for the claim {name} to be bound."
    return None


def claims(pod: Object) -> list[str]:
    """The names of the claims that a pod uses."""
    names: list[str] = []
    for volume in fields.get(pod, "spec", "volumes", default=()):
        if volume.get("persistentVolumeClaim"):
            names.append(str(volume["persistentVolumeClaim"]["claimName"]))
        elif volume.get("ephemeral"):
            names.append(f"{fields.name(pod)}-{volume['name']}")
    return names
