"""From an object, or a resource of several, to its verdict.

`assess_object` follows the order of evaluation: what every object may say about itself
(`conditions`), the rule of its kind, then its pods of the newest revision, which can only make it
worse.  At last the readiness deadline turns whatever still has to get better into Failed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tiltd.core.health import (
    api,
    budgets,
    case,
    conditions,
    fields,
    jobs,
    network,
    pods,
    revisions,
    storage,
    workloads,
)
from tiltd.core.health.conditions import report
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import Scope
from tiltd.core.health.verdict import assessment, ref
from tiltd.model.desired import PodReadiness
from tiltd.model.health import Assessment, Finding, ObjectRef, Verdict

Rule = Callable[[Obj, Scope], Finding]
Kind = tuple[str, str]  # API group, kind


def _exists(obj: Obj, _: Scope) -> Finding:
    return report(obj, Verdict.HEALTHY, "object.exists", "exists")


def _custom(obj: Obj, _: Scope) -> Finding:
    return conditions.positive(obj)


_REPLICATED: Final[frozenset[Kind]] = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("", "ReplicationController"),
    }
)
_JOB: Final[Kind] = ("batch", "Job")
_POD: Final[Kind] = ("", "Pod")

_RULES: Final[Mapping[Kind, Rule]] = {
    **dict.fromkeys(_REPLICATED, workloads.judge),
    _JOB: jobs.judge,
    ("batch", "CronJob"): _exists,
    ("", "PersistentVolumeClaim"): storage.claim,
    ("", "Service"): network.service,
    ("", "Namespace"): api.namespace,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): api.definition,
    ("apiregistration.k8s.io", "APIService"): api.service,
    ("networking.k8s.io", "Ingress"): _exists,
    ("autoscaling", "HorizontalPodAutoscaler"): _exists,
    ("policy", "PodDisruptionBudget"): _exists,
    ("", "ConfigMap"): _exists,
    ("", "Secret"): _exists,
    ("", "ServiceAccount"): _exists,
    ("rbac.authorization.k8s.io", "Role"): _exists,
    ("rbac.authorization.k8s.io", "RoleBinding"): _exists,
    ("rbac.authorization.k8s.io", "ClusterRole"): _exists,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _exists,
}


def assess_object(obj: Obj, scope: Scope) -> Assessment:
    """Judge one object of the cluster, with its pods.

    Args:
        obj: as the API server reports it, `apiVersion` and `kind` included.
        scope: other objects, clock, limits, and what this run has done.
    """
    kind = (fields.group(obj), fields.text(obj, "kind"))
    if _only_exists(obj, kind, scope):
        return Assessment((_exists(obj, scope),))
    if early := conditions.preliminary(obj, scope):
        return _timed(obj, [early], scope)
    readiness = _readiness(kind, scope)
    if kind == _POD:
        found: Sequence[Finding] = _pod(obj, readiness, scope)
    elif readiness is PodReadiness.IGNORE and (kind in _REPLICATED or kind == _JOB):
        found = [report(obj, Verdict.HEALTHY, "pods.ignored", "exists; its pods are ignored")]
    else:
        found = _with_pods(obj, kind, readiness, scope)
    return _timed(obj, found, scope)


def assess_resource(parts: Iterable[tuple[Obj, Scope]]) -> Assessment:
    """Judge a resource: the worst of its objects decides, all findings are kept.

    Args:
        parts: its objects, each with its scope (as `Context.applied_at` may differ).

    Raises:
        ValueError: no objects.
    """
    return assessment(f for obj, scope in parts for f in assess_object(obj, scope).findings)


def absent(missing: ObjectRef, scope: Scope) -> Finding:
    """An object of the resource that the cluster does not show (yet, or any more)."""
    message = f"{missing} is not in the cluster (yet)"
    finding = Finding(Verdict.PROGRESSING, "object.absent", (missing,), message=message)
    return budgets.by_deadline(finding, scope)


def unselected(name: str, scope: Scope) -> Finding:
    """A resource whose pods only selectors choose, and none is there that they choose."""
    subject = (ObjectRef("Resource", "", name),)
    message = "no pod that no other resource owns has the labels of its extra_pod_selectors (yet)"
    finding = Finding(Verdict.PROGRESSING, "pods.none", subject, message=message)
    return budgets.by_deadline(finding, scope)


def _only_exists(obj: Obj, kind: Kind, scope: Scope) -> bool:
    """Whether all the other questions are for nothing, as they are for most objects.

    It says nothing about itself, owns nothing, and nobody waits for its pods.
    """
    return (
        _RULES.get(kind) is _exists
        and "status" not in obj
        and not fields.has(obj, "metadata", "deletionTimestamp")
        and not scope.context.expects_pods
        and not scope.objects.owned(obj)
    )


def _readiness(kind: Kind, scope: Scope) -> PodReadiness:
    default = {_JOB: PodReadiness.SUCCEEDED, ("batch", "CronJob"): PodReadiness.IGNORE}
    return scope.context.pod_readiness or default.get(kind, PodReadiness.WAIT)


def _timed(obj: Obj, found: Sequence[Finding], scope: Scope) -> Assessment:
    if (fields.group(obj), fields.text(obj, "kind")) == _JOB:
        return assessment(found)
    return assessment(budgets.by_deadline(finding, scope) for finding in found)


def _pod(obj: Obj, readiness: PodReadiness, scope: Scope) -> Sequence[Finding]:
    if readiness is PodReadiness.IGNORE:
        return [report(obj, Verdict.HEALTHY, "pods.ignored", "exists; its state is ignored")]
    return _judged((obj,), readiness, scope)


def _with_pods(obj: Obj, kind: Kind, readiness: PodReadiness, scope: Scope) -> Sequence[Finding]:
    own = _RULES.get(kind, _custom)(obj, scope)
    if kind == _JOB:
        return _job(obj, own, readiness, scope)
    if readiness is PodReadiness.IGNORE or own.rule == "deployment.paused":
        return [own]
    lines = revisions.newest(obj, scope.objects)
    standing = tuple(line for line in lines if not _over(line[-1]))
    if own.verdict is Verdict.HEALTHY and own.rule != "object.exists":
        lines = standing  # It has all that it wants: what ended along the way is history.
    below = [f for line in lines for f in _below(obj, line, readiness, scope)]
    if own.rule == workloads.DEADLINE and own.verdict is Verdict.FAILED:
        return _out_of_time(obj, own, below, len(lines))
    if kind in _REPLICATED:
        own = _replicated(obj, own, len(standing), scope)
    elif scope.context.expects_pods and not lines and own.verdict is Verdict.HEALTHY:
        own = report(obj, Verdict.PROGRESSING, "pods.none", "has no pods yet")
    return [own, *below]


def _out_of_time(obj: Obj, own: Finding, below: Sequence[Finding], seen: int) -> Sequence[Finding]:
    """A rollout that is over by its deadline: what its pods still hope for is over, too.

    So the report tells their reason, and waits until they have been seen.
    """
    if seen < fields.number(obj, "status", "updatedReplicas"):
        return [replace(own, verdict=Verdict.FAILING), *below]
    worst = max((f.verdict.value for f in below), default=0)
    return [
        own,
        *(
            replace(f, verdict=Verdict.FAILED)
            if f.verdict.value == worst and f.verdict is not Verdict.HEALTHY
            else f
            for f in below
        ),
    ]


def _over(pod: Obj) -> bool:
    """Whether it has ended for good, so that another stands for it."""
    return fields.text(pod, "status", "phase") in {"Failed", "Succeeded"}


def _replicated(obj: Obj, own: Finding, present: int, scope: Scope) -> Finding:
    if own.verdict is Verdict.PROGRESSING and present < workloads.desired(obj):
        return workloads.create_failed(obj, scope) or own
    return workloads.seen(obj, present, own)


def _job(obj: Obj, own: Finding, readiness: PodReadiness, scope: Scope) -> Sequence[Finding]:
    """A Job's pods matter until it has said how it ended."""
    if own.verdict.settled:
        return [own]
    lines = revisions.newest(obj, scope.objects)
    below = [f for line in lines for f in _below(obj, line, readiness, scope)]
    if readiness is PodReadiness.WAIT and below and own.verdict is Verdict.PROGRESSING:
        return below  # the Tiltfile is content with pods that are ready
    return [own, *(f for f in below if f.verdict is not Verdict.HEALTHY)]


def _below(
    obj: Obj, line: revisions.Line, readiness: PodReadiness, scope: Scope
) -> Sequence[Finding]:
    """The findings about the pod at the end of `line`, in a chain that begins at `obj`."""
    return _judged((obj, *line), readiness, scope)


def _judged(line: revisions.Line, readiness: PodReadiness, scope: Scope) -> Sequence[Finding]:
    """The findings about the pod at the end of a line that begins at the object in question."""
    known = scope.well.recall(line, scope, readiness) if scope.well else None
    if known is not None:
        return known
    *above, pod = line
    if above and pods.disturbed(pod) and _over(pod):
        return ()  # its replacement counts; the owner's counts say whether there is one
    settle = fields.number(line[0], "spec", "minReadySeconds") if above else 0
    chain = tuple(ref(item) for item in above)
    found = pods.judge(case.make(pod, chain, scope, readiness, settle))
    if scope.well:
        scope.well.note(line, scope, readiness, found)
    return found
