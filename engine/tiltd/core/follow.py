"""What has to be watched, and whose logs are followed: both follow from the state."""

from collections.abc import Iterator

from tiltd.core import podspec
from tiltd.core.health.clock import RESOLUTION, Clock
from tiltd.model.desired import JSON, KubernetesTarget, Manifest
from tiltd.model.names import ResourceName
from tiltd.model.observed import ContainerRun, Scope, Uid
from tiltd.model.state import Mode, State

# Their health is that they exist, which the answer to the apply says: no watch is needed in `ci`.
_STATIC = frozenset(
    {
        *("ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "ClusterRole"),
        *("ClusterRoleBinding", "NetworkPolicy", "LimitRange", "ResourceQuota", "PriorityClass"),
        *("StorageClass", "IngressClass", "PodDisruptionBudget", "HorizontalPodAutoscaler"),
        *("Ingress", "Endpoints", "EndpointSlice", "RuntimeClass", "CSIDriver", "Lease"),
    }
)
# Why they are not as they should be stands nowhere else.
_TOLD_BY_EVENTS = frozenset({"PersistentVolumeClaim", "Service"})
_POD_KINDS = (("apps", "v1", "ReplicaSet"), ("", "v1", "Pod"), ("", "v1", "Event"))


def look_scopes(s: State) -> frozenset[Scope]:
    """The scopes that can hold what this project applied earlier."""
    known: dict[tuple[str, str, str], Scope] = {}
    for m in _manifests(s):
        where = m.api_version, m.id.kind, m.id.namespace
        if where not in known:
            known[where] = scope(m, s, ours=True)
    return frozenset(known.values())


def watch_scopes(s: State) -> frozenset[Scope]:
    """The scopes whose changes can change a verdict."""
    if s.cluster is None or s.session is None or s.session.ended is not None:
        return frozenset()
    if s.session.spec.mode is Mode.DOWN:
        return frozenset()  # each delete sees to its object's end by itself
    scopes: set[Scope] = set()
    for manifest in _manifests(s):
        if manifest.id.kind in _STATIC:
            if s.session.spec.mode is Mode.UP:  # what somebody else changes is put right
                scopes.add(scope(manifest, s, ours=True))
        else:
            scopes.add(scope(manifest, s, ours=True))
            where = manifest.id.namespace or s.kube_context.namespace
            if manifest.id.kind in _TOLD_BY_EVENTS:
                scopes.add(Scope("", "v1", "Event", where, ours=False))
            if _may_have_pods(manifest.id.group, manifest.body):
                scopes |= {Scope(g, v, k, where, ours=False) for g, v, k in _POD_KINDS}
    for name in s.active:
        known = s.deployed.get(name)
        for body in known.objects.values() if known else ():
            scopes.update(_deployed_scopes(body))
    return frozenset(scopes)


def _deployed_scopes(body: JSON) -> Iterator[Scope]:
    """Those of an object that a command applied: it does not carry our label."""
    kind, group, version, where = _coordinates(body)
    if kind not in _STATIC:
        yield Scope(group, version, kind, where, ours=False)
        if kind in _TOLD_BY_EVENTS:
            yield Scope("", "v1", "Event", where, ours=False)
        if _may_have_pods(group, body):
            yield from (Scope(g, v, k, where, ours=False) for g, v, k in _POD_KINDS)


def deployed_scope(body: JSON, namespace: str) -> Scope:
    """The scope that holds an object which a command says it applied.

    Args:
        body: the object.
        namespace: where it is if it does not say so.
    """
    kind, group, version, where = _coordinates(body)
    return Scope(group, version, kind, where or namespace, ours=False)


def _coordinates(body: JSON) -> tuple[str, str, str, str]:
    group, _, version = str(body.get("apiVersion", "")).rpartition("/")
    where = str(podspec.section(body, "metadata").get("namespace") or "")
    return str(body.get("kind", "")), group, version, where


def _may_have_pods(group: str, body: JSON) -> bool:
    """Any kind with a pod template, and custom resources: their operators make pods."""
    custom = "." in group and not group.endswith(".k8s.io")
    return custom or any(True for _ in podspec.templates(body))


def _manifests(s: State) -> Iterator[Manifest]:
    for name in s.active:
        target = s.graph.resources[name].target
        if isinstance(target, KubernetesTarget):
            yield from target.manifests


def scope(manifest: Manifest, s: State, *, ours: bool) -> Scope:
    """The scope that an object of the project is in."""
    group, _, version = manifest.api_version.rpartition("/")
    where = manifest.id.namespace or s.kube_context.namespace
    return Scope(group, version, manifest.id.kind, where, ours)


def log_runs(s: State) -> frozenset[ContainerRun]:
    """The lives of containers whose logs are to be followed."""
    if s.session is None or s.session.ended is not None:
        return frozenset()
    return frozenset(run for run, _ in _all_runs(s))


def object_runs(name: ResourceName, uid: Uid, s: State) -> frozenset[ContainerRun]:
    """Those of one live object of a resource; in one session the answer changes only with it."""
    return frozenset(run for run, _ in _runs(name, uid, s.live.objects[uid], s))


def finished_runs(s: State) -> frozenset[ContainerRun]:
    """Those of them that are over: their logs have an end."""
    return frozenset(run for run, over in _all_runs(s) if over)


def restarted_runs(s: State) -> frozenset[ContainerRun]:
    """Those that began where another is over: they may say what that one said."""
    runs = dict(_all_runs(s))
    again = {(run.uid, run.container) for run in runs if run.previous}
    return frozenset(r for r, over in runs.items() if not over and (r.uid, r.container) in again)


def _all_runs(s: State) -> Iterator[tuple[ContainerRun, bool]]:
    for name in s.active:
        yield from _resource_runs(name, s)


def _resource_runs(name: ResourceName, s: State) -> Iterator[tuple[ContainerRun, bool]]:
    for uid in s.live.by_resource.get(name, frozenset()):
        yield from _runs(name, uid, s.live.objects[uid], s)


def _runs(name: ResourceName, uid: Uid, pod: JSON, s: State) -> Iterator[tuple[ContainerRun, bool]]:
    if pod.get("kind") != "Pod":
        return
    metadata = podspec.section(pod, "metadata")
    status = podspec.section(pod, "status")
    for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for container in podspec.rows(status.get(key)):
            where = (name, str(metadata.get("namespace")), str(metadata.get("name")), uid)
            yield from _lives((*where, str(container.get("name"))), container, s)


def _lives(
    base: tuple[ResourceName, str, str, Uid, str], container: JSON, s: State
) -> Iterator[tuple[ContainerRun, bool]]:
    """The lives of a container whose log can be had: the newest that began, and the one before.

    The count of restarts grows when the next life begins: while it is waited for, it still is that
    of the life that is over.
    """
    restarts = int(container.get("restartCount") or 0)
    current = podspec.section(container, "state")
    last = podspec.section(podspec.section(container, "lastState"), "terminated")
    if "running" in current:
        old = _old(podspec.section(current, "running"), "startedAt", s)
        since = _present(s) if old else 0.0
        yield ContainerRun(*base, restarts, since=since), False
    elif ended := podspec.section(current, "terminated") or last:
        # Of one that is down, the last words count, whenever it began.
        well = not ended.get("exitCode") and _old(ended, "startedAt", s)
        yield ContainerRun(*base, restarts, since=_present(s) if well else 0.0), True
    begun = "running" in current or "terminated" in current
    if begun and last and restarts and not _old(last, "finishedAt", s):
        yield ContainerRun(*base, restarts - 1, previous=True), True


def _old(told: JSON, what: str, s: State) -> bool:
    """Whether this was before the session: then it is no news."""
    if s.session is None:
        return False
    moment = Clock(0.0, s.cluster.skew if s.cluster else 0.0).host(str(told.get(what) or ""))
    return moment is not None and moment + RESOLUTION < s.session.started_at


def _present(s: State) -> float:
    """The beginning of the session as the cluster counts: from then on, a line is news."""
    skew = s.cluster.skew if s.cluster else 0.0
    return s.session.started_at + skew if s.session else 0.0
