"""JSON patch (RFC 6902), JSON merge patch (RFC 7386) and strategic merge patch.

A strategic merge patch is a merge patch that knows lists: along the schema's merge keys, items are
matched rather than replaced, and directives (`$patch`, `$retainKeys`, `$deleteFromPrimitiveList`,
`$setElementOrder`) say what plain JSON can't.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tilt_cluster import refusals
from tilt_cluster.objects import ApiError
from tilt_cluster.schema import Schema, is_list, is_map

_MOST_OPERATIONS = 10_000
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def json_patch(document: Any, operations: Any) -> Any:
    """The document after a list of operations.

    Raises:
        ApiError: 400 for a patch that is none, 422 for one that doesn't fit the document.
    """
    if not is_list(operations):
        raise refusals.bad_request("error decoding patch: json: cannot unmarshal into Go value")
    if len(operations) > _MOST_OPERATIONS:
        text = (
            "Request entity too large: The allowed maximum operations in a JSON patch is "
            f"{_MOST_OPERATIONS}, got {len(operations)}"
        )
        raise ApiError(413, "RequestEntityTooLarge", text)
    document = _copy(document)
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            why = error.args[0] if error.args else "the patch doesn't fit"
            text = f"the server rejected our request due to an error in our request: {why}"
            raise ApiError(422, "Invalid", text) from error
    return document


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _operate(document: Any, operation: Mapping[str, Any]) -> Any:
    path: str = operation["path"]
    match operation["op"]:
        case "add":
            return _add(document, path, operation.get("value"))
        case "remove":
            return _remove(document, path)[0]
        case "replace":
            if not path:
                return operation.get("value")
            if is_list(_find(document, path[: path.rindex("/")])):
                _remove(document, path)
            # An object's field may be new: the API server's library takes it so.
            return _add(document, path, operation.get("value"))
        case "move":
            document, value = _remove(document, operation["from"])
            return _add(document, path, value)
        case "copy":
            return _add(document, path, _copy(_find(document, operation["from"])))
        case "test":
            if _find(document, path, absent=None) != operation.get("value"):
                raise ValueError(f"testing value {path} failed")
            return document
        case other:
            raise ValueError(f"Unexpected kind: {other}")


def _parts(path: str) -> Sequence[str]:
    if not path:
        return ()
    if not path.startswith("/"):
        raise ValueError(f"invalid path {path!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]


_MISSING = object()


def _find(document: Any, path: str, absent: Any = _MISSING) -> Any:
    for part in _parts(path):
        if is_list(document) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif is_map(document) and part in document:
            document = document[part]
        elif absent is not _MISSING:
            return absent
        else:
            raise KeyError(f"no value at {path}")
    return document


def _add(document: Any, path: str, value: Any) -> Any:
    parts = _parts(path)
    if not parts:
        return value
    parent = _find(document, path[: path.rindex("/")])
    last = parts[-1]
    if is_list(parent):
        at = len(parent) if last == "-" else int(last)
        if not 0 <= at <= len(parent):
            raise IndexError(f"Unable to access invalid index: {at}")
        parent.insert(at, value)
    elif is_map(parent):
        parent[last] = value
    else:
        raise TypeError(f"no container at {path}")
    return document


def _remove(document: Any, path: str) -> tuple[Any, Any]:
    value = _find(document, path)
    parent = _find(document, path[: path.rindex("/")])
    last = _parts(path)[-1]
    if is_list(parent):
        del parent[int(last)]
    else:
        del parent[last]
    return document, value


def merge_patch(document: Any, patch: Any) -> Any:
    """The document after a merge patch: null removes, objects merge, the rest replaces."""
    if not is_map(patch):
        return patch
    merged: dict[str, Any] = dict(document) if is_map(document) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic(of: Schema, document: Any, patch: Mapping[str, Any]) -> Any:
    """The document after a strategic merge patch.

    Raises:
        ApiError: 400, a list's item has no merge key, or a directive is unknown.
    """
    directive = patch.get("$patch")
    rest = {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "replace":
        return rest
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise refusals.bad_request(f"Unknown patch type: {directive}")
    merged: dict[str, Any] = dict(document) if is_map(document) else {}
    retained = rest.pop("$retainKeys", None)
    if is_list(retained):
        merged = {key: value for key, value in merged.items() if key in retained}
    orders: dict[str, Sequence[Any]] = {}
    for key, value in rest.items():
        if key.startswith(_ORDER):
            orders[key.removeprefix(_ORDER)] = value
        elif key.startswith(_DELETE_FROM):
            name = key.removeprefix(_DELETE_FROM)
            merged[name] = [one for one in merged.get(name) or () if one not in value]
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = _field(of.field(key), merged.get(key), value)
    for key, order in orders.items():
        if is_list(merged.get(key)):
            merged[key] = _ordered(of.field(key), merged[key], order)
    return merged


def _field(of: Schema | None, now: Any, value: Any) -> Any:
    if of is None:
        return merge_patch(now, value)
    if is_map(value):
        if "replace" in of.strategies:
            return {key: inner for key, inner in value.items() if key != "$patch"}
        return strategic(of, now, value)
    if is_list(value):
        if "merge" not in of.strategies:
            return value
        if of.merge_key:
            return _items(of, of.merge_key, now if is_list(now) else [], value)
        known = list(now) if is_list(now) else []
        merged = [*known, *(one for one in value if one not in known)]
        return _merged_order(merged, value, known)
    return value


def _items(of: Schema, key: str, now: Sequence[Any], patch: Sequence[Any]) -> Sequence[Any]:
    items: list[Any] = list(now)
    named: list[Any] = []
    if any(is_map(one) and one.get("$patch") == "replace" for one in patch):
        return [one for one in patch if one.get("$patch") != "replace"]
    for one in patch:
        if not is_map(one) or key not in one:
            text = f"map: {json.dumps(one)} does not contain declared merge key: {key}"
            raise refusals.bad_request(text)
        at = next((at for at, item in enumerate(items) if _has(item, key, one[key])), None)
        named.append(one[key])
        if one.get("$patch") == "delete":
            items = [item for item in items if not _has(item, key, one[key])]
        elif at is None:
            items.append(strategic(of.items, {}, one))
        else:
            items[at] = strategic(of.items, items[at], one)
    names = [item.get(key) if is_map(item) else None for item in items]
    before = [item.get(key) if is_map(item) else None for item in now]
    order = _merged_order(names, named, before)
    return sorted(items, key=lambda item: order.index(item.get(key) if is_map(item) else None))


def _merged_order(
    names: Sequence[Any], patched: Sequence[Any], before: Sequence[Any]
) -> Sequence[Any]:
    """The order of a merged list: what the patch names, in its order, merged with the rest.

    A patched item that was there stays before those that it preceded; a new one comes first.
    """
    left = [name for name in patched if name in names]
    right = [name for name in names if name not in left]
    merged: list[Any] = []
    while left and right:
        behind = left[0] in before and before.index(left[0]) > before.index(right[0])
        merged.append(right.pop(0) if behind else left.pop(0))
    return [*merged, *left, *right]


def _has(item: Any, key: str, value: Any) -> bool:
    return is_map(item) and item.get(key) == value


def _ordered(of: Schema | None, items: Sequence[Any], order: Sequence[Any]) -> Sequence[Any]:
    """Items in the given order; the others stay behind the ones that they followed."""
    key = of.merge_key if of else None

    def identity(item: Any) -> Any:
        return item.get(key) if key and is_map(item) else item

    wanted = [identity(one) for one in order]
    listed = sorted(
        (item for item in items if identity(item) in wanted),
        key=lambda item: wanted.index(identity(item)),
    )
    return [*listed, *(item for item in items if identity(item) not in wanted)]
