"""The scale subresource: replicas of anything that has them, as one small kind."""

from collections.abc import Mapping
from typing import Any

from tilt_cluster import catalog, fields, refusals
from tilt_cluster.objects import Object


def _paths(kind: catalog.Kind, version: str) -> tuple[str, str, str]:
    """Where a kind keeps wanted replicas, replicas there are, and the selector."""
    if kind.custom is None:
        return ".spec.replicas", ".status.replicas", ""
    one = next(one for one in kind.custom["versions"] if one["name"] == version)
    scale: Mapping[str, str] = one["subresources"]["scale"]
    return (
        scale["specReplicasPath"],
        scale["statusReplicasPath"],
        scale.get("labelSelectorPath") or "",
    )


def _at(obj: Object, path: str) -> Any:
    return fields.get(obj, *path.strip(".").split("."))


def of(kind: catalog.Kind, version: str, obj: Object) -> Object:
    """The Scale of an object."""
    wanted, there, chosen = _paths(kind, version)
    metadata: Mapping[str, Any] = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: dict[str, Any] = {"replicas": int(_at(obj, there) or 0)}
    selector = _at(obj, chosen) if chosen else _selector(fields.get(obj, "spec", "selector"))
    if selector:
        status["selector"] = selector
    replicas = _at(obj, wanted)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": int(replicas)} if replicas else {},
        "status": status,
    }


def _selector(selector: Mapping[str, Any] | None) -> str:
    if not selector:
        return ""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    parts = [
        f"{key}={value}"
        for key, value in sorted(fields.get(selector, "matchLabels", default={}).items())
    ]
    for one in fields.get(selector, "matchExpressions", default=()):
        values = ",".join(sorted(one.get("values") or ()))
        parts.append(
            {
                "In": f"{one['key']} in ({values})",
                "NotIn": f"{one['key']} notin ({values})",
                "Exists": one["key"],
                "DoesNotExist": f"!{one['key']}",
            }[one["operator"]]
        )
    return ",".join(parts)


def apply(
    kind: catalog.Kind, version: str, obj: Object, scale: Mapping[str, Any]
) -> dict[str, Any]:
    """The object with the replicas that a Scale asks for.

    Raises:
        ApiError: 422, they are no count.
    """
    replicas = fields.get(scale, "spec", "replicas", default=0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        text = "must be greater than or equal to 0"
        cause = refusals.invalid("spec.replicas", replicas, text)
        raise refusals.invalid_object("autoscaling", "Scale", fields.name(obj), [cause])
    path = _paths(kind, version)[0].strip(".").split(".")
    return {**_set(obj, path, replicas), "metadata": dict(obj["metadata"])}


def _set(obj: Object, path: list[str], value: int) -> dict[str, Any]:
    inner = fields.get(obj, path[0], default={})
    return {**obj, path[0]: _set(inner, path[1:], value) if len(path) > 1 else value}
