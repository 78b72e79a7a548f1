"""ControllerRevisions: the remembered templates of StatefulSets and DaemonSets."""

from collections.abc import Generator, Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import pods
from tilt_cluster.controllers.plan import Create, Delete, Update, View
from tilt_cluster.objects import CONTROLLER_REVISIONS, ApiError, Object


def number(revision: Object) -> int:
    """`revision`, by which they are ordered."""
    return int(revision.get("revision", 0))


def template(revision: Object) -> Object:
    """The pod template that it keeps."""
    return {
        key: value
        for key, value in fields.get(revision, "data", "spec", "template", default={}).items()
        if key != "$patch"
    }


def ensure(
    view: View, owner: Object, reference: Object, hash_label: str
) -> Generator[Any, Object | ApiError | None, list[Object]]:
    """The revisions of an owner, oldest first; the last one has its current template.

    Args:
        view: the world.
        owner: a StatefulSet or DaemonSet.
        reference: the ownerReference to it.
        hash_label: the label in which a revision carries its hash.
    """
    found = yield from pods.claim(view, CONTROLLER_REVISIONS, owner, reference)
    ordered = sorted(found, key=number)
    data = {
        "spec": {
            "template": {**fields.get(owner, "spec", "template", default={}), "$patch": "replace"}
        }
    }
    same = next((one for one in reversed(ordered) if one.get("data") == data), None)
    following = number(ordered[-1]) + 1 if ordered else 1
    if same is not None:
        if same is ordered[-1]:
            return ordered
        stored = yield Update(CONTROLLER_REVISIONS, {**same, "revision": following})
    else:
        labels = fields.labels(fields.get(owner, "spec", "template", default={}))
        collisions = fields.get(owner, "status", "collisionCount", default=0)
        hashed = pods.digest(data, collisions)
        obj = {
            "metadata": {
                "name": f"{fields.name(owner)}-{hashed}",
                "namespace": fields.namespace(owner),
                "labels": {**labels, hash_label: hashed},
                "ownerReferences": [reference],
            },
            "data": data,
            "revision": following,
        }
        stored = yield Create(CONTROLLER_REVISIONS, obj)
    if stored is None or isinstance(stored, ApiError):
        return ordered
    return [*(one for one in ordered if one is not same), stored]


def forget(owner: Object, known: Sequence[Object], used: set[str]) -> Generator[Delete, Any, None]:
    """Delete the oldest unused revisions beyond `revisionHistoryLimit`.

    Args:
        owner: whose limit applies.
        known: its revisions, oldest first.
        used: the names of those that pods have, or shall have.
    """
    limit = int(fields.get(owner, "spec", "revisionHistoryLimit", default=10))
    unused = [one for one in known if fields.name(one) not in used]
    for one in unused[: max(0, len(unused) - limit)]:
        yield Delete(CONTROLLER_REVISIONS, one)
