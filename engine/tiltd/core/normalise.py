"""A live object reduced to what can be compared with a desired one.

What the desired object does not name was defaulted or set by others and is no difference.  List
items are matched by the keys by which the API merges them (name, containerPort …); a key that
only the live side has was defaulted.  Spellings that mean the same are folded: quantities
(`1000m` is `1`), numbers for ports given as strings, empty and absent.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from tiltd.model.desired import JSON

_MERGE_KEYS = (
    "name",
    "containerPort",
    "mountPath",
    "devicePath",
    "port",
    "ip",
    "key",
    "type",
    "uid",
)
_QUANTITY = re.compile(r"^([+-]?[0-9.]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$")
_UNITS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_QUANTITY_MAPS = frozenset({"limits", "requests", "hard", "capacity", "allocatable"})


def pair(live: JSON, desired: JSON) -> tuple[Any, Any]:
    """Both sides, reduced to what can differ."""
    return _pair(live, desired, "")


def _pair(live: Any, desired: Any, field: str) -> tuple[Any, Any]:
    if isinstance(desired, Mapping):
        return _pair_maps(live, cast("JSON", desired), field)
    if isinstance(desired, list):
        return _pair_lists(live, cast("Sequence[Any]", desired), field)
    return live, desired


def _pair_maps(live: Any, desired: JSON, field: str) -> tuple[Any, Any]:
    known: JSON = cast("JSON", live) if isinstance(live, Mapping) else {}
    left: dict[str, Any] = {}
    right: dict[str, Any] = {}
    for key, value in desired.items():
        if _empty(value) and _empty(known.get(key)):
            continue
        a, b = _pair(known.get(key), value, key)
        if field in _QUANTITY_MAPS or key == "sizeLimit":
            a, b = quantity(a), quantity(b)
        left[key], right[key] = a, b
    return left, right


def _pair_lists(live: Any, desired: Sequence[Any], field: str) -> tuple[Any, Any]:
    items: Sequence[Any] = cast("Sequence[Any]", live) if isinstance(live, list) else []
    key = _merge_key([*items, *desired])
    if key is None:
        pairs = [_pair(a, b, field) for a, b in zip(items, desired, strict=False)]
        rest = [*items[len(pairs) :]], [*desired[len(pairs) :]]
        return [a for a, _ in pairs] + rest[0], [b for _, b in pairs] + rest[1]
    left: dict[str, Any] = {str(i[key]): i for i in items}
    right: dict[str, Any] = {}
    for item in desired:
        name = str(item[key])
        left[name], right[name] = _pair(left[name], item, field) if name in left else (None, item)
    return {k: v for k, v in left.items() if v is not None}, right


def _merge_key(items: Sequence[Any]) -> str | None:
    for key in _MERGE_KEYS:
        if items and all(isinstance(i, Mapping) and key in i for i in items):
            values = [str(cast("JSON", i)[key]) for i in items]
            if len(set(values)) * 2 >= len(values):
                return key
    return None


def _empty(value: object) -> bool:
    return value is None or value in ({}, [])


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
