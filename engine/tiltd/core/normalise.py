"""A live object reduced to what can be compared with a desired one.

What the desired object does not name was defaulted or set by others and is no difference.  List
items are matched by the keys by which the API merges them (name, containerPort and protocol …); a
field that only the live side has was defaulted.  Spellings that mean the same are folded:
quantities (`1000m` is `1`), empty and absent, zero and absent (the API leaves out what is zero;
only in maps of the user's own names, as labels are, an empty string is not the same as none).
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from tiltd.model.desired import JSON

# Each: the fields that tell items apart, with what the API takes for an absent one.
_MERGE_KEYS: tuple[tuple[tuple[str, str | None], ...], ...] = (
    (("name", None),),
    (("containerPort", None), ("protocol", "TCP")),
    (("port", None), ("protocol", "TCP")),
    (("mountPath", None),),
    (("devicePath", None),),
    (("ip", None),),
    (("topologyKey", None), ("whenUnsatisfiable", None)),
    (("key", None), ("effect", "")),
    (("type", None),),
    (("uid", None),),
)
_QUANTITY = re.compile(r"^([+-]?[0-9.]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$")
_UNITS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_QUANTITY_MAPS = frozenset(
    {
        *("limits", "requests", "hard", "capacity", "allocatable", "overhead"),
        *("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"),
    }
)
_QUANTITIES = frozenset({"sizeLimit", "divisor", "averageValue", "capacity", "maximumVolumeSize"})
_OWN_NAMES = frozenset(
    {
        *("labels", "annotations", "data", "binaryData", "stringData", "nodeSelector"),
        *("matchLabels", "selector", "parameters"),
    }
)
# The API server takes these from the sent object before it notes who set what.
_NOT_OWNED = frozenset({"apiVersion", "kind", "status"})
_NOT_OWNED_METADATA = frozenset(
    {
        *("name", "namespace", "creationTimestamp", "selfLink", "uid", "resourceVersion"),
        *("generation", "managedFields", "clusterName", "generateName", "deletionTimestamp"),
        "deletionGracePeriodSeconds",
    }
)


def owned(body: JSON) -> JSON:
    """An object without what only the API server sets: what a sender can own of it."""
    metadata: object = body.get("metadata")
    known: JSON = cast("JSON", metadata) if isinstance(metadata, Mapping) else {}
    fields = {k: v for k, v in body.items() if k not in _NOT_OWNED}
    fields["metadata"] = {k: v for k, v in known.items() if k not in _NOT_OWNED_METADATA}
    return fields


def pair(live: JSON, desired: JSON) -> tuple[Any, Any]:
    """Both sides, reduced to what differs; equal sides are both empty."""
    return _pair_maps(owned(live), owned(desired), "")


def _pair(live: Any, desired: Any, field: str) -> tuple[Any, Any]:
    if isinstance(desired, Mapping):
        return _pair_maps(live, cast("JSON", desired), field)
    if isinstance(desired, list):
        return _pair_lists(live, cast("Sequence[Any]", desired), field)
    return live, desired


def _pair_maps(live: Any, desired: JSON, field: str) -> tuple[dict[str, Any], dict[str, Any]]:
    known: JSON = cast("JSON", live) if isinstance(live, Mapping) else {}
    left: dict[str, Any] = {}
    right: dict[str, Any] = {}
    for key, value in desired.items():
        if value is None or _nothing(known.get(key), value, own=field in _OWN_NAMES):
            continue
        a, b = _pair(known.get(key), value, key)
        numbers = field in _QUANTITY_MAPS or key in _QUANTITIES
        if a != b and not (numbers and quantity(a) == quantity(b)):
            left[key], right[key] = a, b
    return {k: v for k, v in left.items() if v is not None}, right


def _pair_lists(live: Any, desired: Sequence[Any], field: str) -> tuple[Any, Any]:
    items: Sequence[Any] = cast("Sequence[Any]", live) if isinstance(live, list) else []
    keyed = _keyed(items, desired)
    if keyed is None:
        pairs = [_pair(a, b, field) for a, b in zip(items, desired, strict=False)]
        rest = [*items[len(pairs) :]], [*desired[len(pairs) :]]
        return [a for a, _ in pairs] + rest[0], [b for _, b in pairs] + rest[1]
    there, wanted = keyed
    left: dict[str, Any] = {k: v for k, v in there.items() if k not in wanted}
    right: dict[str, Any] = {}
    for name, item in wanted.items():
        a, b = _pair(there[name], item, field) if name in there else (None, item)
        if a != b:
            right[name] = b
            if name in there:
                left[name] = a
    return left, right


def _keyed(
    live: Sequence[Any], desired: Sequence[Any]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The items by the first key that all have and that tells all apart."""
    for fields in _MERGE_KEYS if live or desired else ():
        left, right = _by(live, fields), _by(desired, fields)
        if left is not None and right is not None:
            return left, right
    return None


def _by(items: Sequence[Any], fields: tuple[tuple[str, str | None], ...]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, Mapping):
            return None
        row = cast("JSON", item)
        values = [row.get(name, default) for name, default in fields]
        if values[0] is None or None in values:
            return None
        shown = [str(v) for v, (_, default) in zip(values, fields, strict=True) if v != default]
        found["/".join(shown)] = item
    return found if len(found) == len(items) else None


def _nothing(live: object, desired: object, *, own: bool) -> bool:
    """Whether both say nothing."""
    if live is not None and live not in ({}, []):
        return False
    if own:
        return desired in ({}, []) and not isinstance(desired, bool)
    return not desired


def quantity(value: Any) -> Any:
    """A resource quantity as a number (resource.Quantity's grammar); else the value itself."""
    match = _QUANTITY.match(str(value)) if isinstance(value, str | int | float) else None
    if match is None or isinstance(value, bool):
        return value
    number, unit = match[1], match[2] or ""
    try:
        if unit in _BINARY:
            return Decimal(number) * 1024 ** _BINARY[unit]
        exponent = int(unit[1:]) if unit[:1] in {"e", "E"} and unit[1:] else _UNITS[unit]
        return Decimal(number).scaleb(exponent)
    except InvalidOperation:
        return value
