"""Reading Kubernetes objects: fields that may be missing, times, owners, conditions, selectors.

An object is JSON whose optional fields are absent or null, often several levels deep.  `get` reads
a path through that and never raises, so that the rules which decide something stay readable.
Times are Unix seconds inside, and RFC 3339 only in objects.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from tilt_cluster.objects import Object


def get(obj: Object | None, *path: str, default: Any = None) -> Any:
    """The value at a path of keys; `default` if something on the way is absent or null."""
    value: Any = obj
    for key in path:
        # Nearly all are dicts, and to ask an abstract class takes as long as all the rest.
        if type(value) is not dict and not isinstance(value, Mapping):
            return default
        value = cast("Object", value).get(key)
    return default if value is None else value


def name(obj: Object) -> str:
    """`metadata.name`."""
    return str(get(obj, "metadata", "name", default=""))


def namespace(obj: Object) -> str:
    """`metadata.namespace`, empty where there is none."""
    return str(get(obj, "metadata", "namespace", default=""))


def uid(obj: Object) -> str:
    """`metadata.uid`."""
    return str(get(obj, "metadata", "uid", default=""))


def labels(obj: Object) -> Mapping[str, str]:
    """`metadata.labels`, never null."""
    found: Mapping[str, str] = get(obj, "metadata", "labels", default={})
    return found


def annotations(obj: Object) -> Mapping[str, str]:
    """`metadata.annotations`, never null."""
    found: Mapping[str, str] = get(obj, "metadata", "annotations", default={})
    return found


def deleting(obj: Object) -> bool:
    """Whether somebody asked for its deletion."""
    return get(obj, "metadata", "deletionTimestamp") is not None


def generation(obj: Object) -> int:
    """`metadata.generation`."""
    return int(get(obj, "metadata", "generation", default=0))


def created(obj: Object) -> float:
    """When it was created, in Unix seconds."""
    return parse(get(obj, "metadata", "creationTimestamp"))


def controller(obj: Object) -> Object | None:
    """The ownerReference of its controller, if it has one."""
    references: Sequence[Object] = get(obj, "metadata", "ownerReferences", default=())
    return next((one for one in references if one.get("controller")), None)


def controlled_by(obj: Object, owner: Object) -> bool:
    """Whether `owner` is its controller."""
    reference = controller(obj)
    return reference is not None and reference.get("uid") == uid(owner)


def owned(api_version: str, kind: str, owner: Object) -> Object:
    """The ownerReference that makes `owner` the controller of an object."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name(owner),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def with_metadata(obj: Object, **changes: Any) -> dict[str, Any]:
    """A copy with other metadata fields."""
    return {**obj, "metadata": {**get(obj, "metadata", default={}), **changes}}


def with_status(obj: Object, status: Object) -> dict[str, Any]:
    """A copy with another status."""
    return {**obj, "status": status}


def stamp(seconds: float) -> str:
    """Unix seconds as Kubernetes writes a Time (whole seconds)."""
    return _stamp(int(seconds))


@lru_cache(maxsize=64)
def _stamp(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(seconds: float) -> str:
    """Unix seconds as Kubernetes writes a MicroTime."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str | None) -> float:
    """An RFC 3339 time (also with nanoseconds) in Unix seconds; 0 for none or Go's zero time."""
    if not text or text.startswith("0001-"):
        return 0.0
    whole, _, rest = text.partition(".")
    if not rest:
        return dt.datetime.fromisoformat(text).timestamp()
    digits = len(rest) - len(rest.lstrip("0123456789"))
    moment = dt.datetime.fromisoformat(whole + (rest[digits:] or "Z"))
    return moment.timestamp() + float(f"0.{rest[:digits] or 0}")


def condition(obj: Object, kind: str) -> Object | None:
    """The condition of that type in `status.conditions`."""
    found: Sequence[Object] = get(obj, "status", "conditions", default=())
    return next((one for one in found if one.get("type") == kind), None)


def is_true(obj: Object, kind: str) -> bool:
    """Whether the condition of that type is there and `True`."""
    found = condition(obj, kind)
    return found is not None and found.get("status") == "True"


def selects(selector: Object | None, on: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches labels; an absent one matches nothing, an empty one all."""
    if selector is None:
        return False
    equal: Mapping[str, str] = get(selector, "matchLabels", default={})
    if any(on.get(key) != value for key, value in equal.items()):
        return False
    expressions: Sequence[Object] = get(selector, "matchExpressions", default=())
    return all(_holds(one, on) for one in expressions)


def _holds(expression: Object, on: Mapping[str, str]) -> bool:
    key: str = expression.get("key") or ""
    values: Sequence[str] = get(expression, "values", default=())
    match expression.get("operator"):
        case "In":
            return on.get(key) in values
        case "NotIn":
            return on.get(key) not in values
        case "Exists":
            return key in on
        case "DoesNotExist":
            return key not in on
        case "Gt" | "Lt" as operator:
            text = on.get(key, "")
            if not text.lstrip("-").isdigit():
                return False
            return int(text) > int(values[0]) if operator == "Gt" else int(text) < int(values[0])
        case _:
            return False


_SUFFIXES: Mapping[str, float] = {
    **{unit: 1000.0**power for power, unit in enumerate(("n", "u", "m", "", "k", "M"), start=-3)},
    **{unit: 1000.0**power for power, unit in enumerate(("G", "T", "P", "E"), start=3)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", start=1)},
}


def quantity(value: Any) -> float:
    """A resource quantity (`100m`, `1Gi`, `1e3`, 2) as a number; 0 for none."""
    text = str(value or 0)
    number = text.rstrip("numkKMGTPEi")
    suffix = text[len(number) :]
    if not number or suffix not in _SUFFIXES:
        return float(text)
    return float(number) * _SUFFIXES[suffix]
