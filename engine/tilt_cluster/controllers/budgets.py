"""The status of PodDisruptionBudgets: how many pods may be evicted now."""

from collections.abc import Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import conditions, pods, rollout
from tilt_cluster.controllers.plan import Key, Status, Steps, View
from tilt_cluster.objects import POD_DISRUPTION_BUDGETS, PODS, Object


def sync(view: View, key: Key, now: float) -> Steps:
    """Count the healthy pods of one budget."""
    budget = view.find(POD_DISRUPTION_BUDGETS, key.name, key.namespace)
    if budget is None:
        return None
    selector = fields.get(budget, "spec", "selector")
    mine = [
        pod
        for pod in view.list(PODS, key.namespace)
        if fields.selects(selector, fields.labels(pod)) and not pods.finished(pod)
    ]
    healthy = sum(1 for pod in mine if pods.ready(pod) and not fields.deleting(pod))
    expected = _expected(view, mine)
    desired = _desired(budget, expected)
    allowed = max(0, healthy - desired) if expected else 0
    kept = conditions.put(
        fields.get(budget, "status", "conditions", default=()),
        "DisruptionAllowed",
        "True" if allowed else "False",
        now,
        reason="SufficientPods" if allowed else "InsufficientPods",
        message="",
        observedGeneration=fields.generation(budget),
    )
    status: dict[str, Any] = {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": fields.generation(budget),
        "conditions": kept,
    }
    if disrupted := fields.get(budget, "status", "disruptedPods"):
        left = {name: at for name, at in disrupted.items() if now - fields.parse(at) < 120}  # noqa: PLR2004 - Kubernetes' DeletionTimeout in seconds
        left = {name: at for name, at in left.items() if name in {fields.name(p) for p in mine}}
        if left:
            status["disruptedPods"] = left
    yield Status(POD_DISRUPTION_BUDGETS, fields.with_status(budget, status))
    return None


def _expected(view: View, mine: Sequence[Object]) -> int:
    """The sizes of the controllers of these pods; a pod without one counts as one."""
    sizes: dict[str, int] = {}
    for pod in mine:
        reference = fields.controller(pod)
        if reference is None:
            sizes[fields.uid(pod)] = 1
            continue
        owner = _owner(view, reference, fields.namespace(pod))
        above = fields.controller(owner) if owner is not None else None
        if above is not None:
            owner = _owner(view, above, fields.namespace(pod)) or owner
        scale = fields.get(owner, "spec", "replicas")
        sizes[str((above or reference)["uid"])] = int(scale) if scale is not None else 1
    return sum(sizes.values())


def _owner(view: View, reference: Object, namespace: str) -> Object | None:
    resource = view.resource_of(str(reference["apiVersion"]), str(reference["kind"]))
    return view.find(resource, str(reference["name"]), namespace) if resource else None


def _desired(budget: Object, expected: int) -> int:
    least = fields.get(budget, "spec", "minAvailable")
    if least is not None:
        return rollout.portion(least, expected, up=True)
    most = fields.get(budget, "spec", "maxUnavailable", default=1)
    return max(0, expected - rollout.portion(most, expected, up=True))
