"""Which pods of a workload are of the newest revision: only they tell how the new state fares.

| workload | the newest revision |
| --- | --- |
| Deployment | the ReplicaSet with the highest `deployment.kubernetes.io/revision` |
| StatefulSet | its `status.updateRevision`; with a partition or `OnDelete` all |
| DaemonSet | the highest `pod-template-generation`, else its newest pod's; `OnDelete`: all |
| anything else | all pods; workloads below it (of a custom resource) by these same rules |

Pods on their way out never count.
"""

from collections.abc import Sequence

from tiltd.core.health import fields, pods
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import DEPTH, Objects

Line = tuple[Obj, ...]  # from below the workload down to the pod

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "controller-revision-hash"
_GENERATION = "pod-template-generation"


def newest(obj: Obj, objects: Objects) -> tuple[Line, ...]:
    """The lines down to the pods that count for `obj`, ordered by the pods' names."""
    return tuple(sorted(_newest(obj, objects), key=lambda line: fields.named(line[-1])))


def _newest(obj: Obj, objects: Objects, depth: int = DEPTH) -> Sequence[Line]:
    owned = objects.owned(obj)
    kind = fields.text(obj, "kind")
    if kind == "Deployment":
        current = max(owned, key=_revision, default=None)
        owned = (current,) if current else ()
    lines = [line for item in owned for line in _down(item, objects, depth)]
    if kind == "StatefulSet" and not by_hand(obj):
        wanted = fields.text(obj, "status", "updateRevision")
        return [line for line in lines if _label(line[-1], _HASH) == wanted]
    if kind == "DaemonSet" and not by_hand(obj):
        return _of_daemon_set(lines)
    return lines


def _down(item: Obj, objects: Objects, depth: int) -> Sequence[Line]:
    if fields.text(item, "kind") == "Pod":
        return () if pods.leaving(item) else ((item,),)
    below = _newest(item, objects, depth - 1) if depth else ()
    return [(item, *rest) for rest in below]


def by_hand(obj: Obj) -> bool:
    """Whether older revisions are meant to stay: `OnDelete`, or a partition."""
    strategy = fields.section(obj, "spec", "updateStrategy")
    partition = fields.number(strategy, "rollingUpdate", "partition")
    return fields.text(strategy, "type") == "OnDelete" or partition > 0


def _label(obj: Obj, name: str) -> str:
    return fields.text(obj, "metadata", "labels", name)


def _revision(replica_set: Obj) -> tuple[int, str]:
    written = fields.text(replica_set, "metadata", "annotations", _REVISION)
    made = fields.text(replica_set, "metadata", "creationTimestamp")
    return (int(written) if written.isdecimal() else 0, made)


def _of_daemon_set(lines: Sequence[Line]) -> Sequence[Line]:
    if not lines:
        return ()
    last = max((line[-1] for line in lines), key=_template)
    same = _label(last, _HASH)
    return [line for line in lines if _label(line[-1], _HASH) == same]


def _template(pod: Obj) -> tuple[int, str]:
    written = _label(pod, _GENERATION)
    made = fields.text(pod, "metadata", "creationTimestamp")
    return (int(written) if written.isdecimal() else 0, made)
