"""Who set which field: managedFields, and server-side apply on top of them.

A set of fields is a set of paths; a path is a tuple of the elements that FieldsV1 writes
(`f:spec`, `k:{"name":"web"}`, `v:"x"`).  A path in the set says that the field itself is owned;
its parents are not, unless they are in the set too.

Rules are those of Kubernetes' structured merge: a plain write owns what it adds or changes, and
takes it from whoever had it.  An apply owns exactly what it says: what it said last time and no
longer says goes, unless somebody else owns it; what somebody else set to another value is a
conflict, unless forced.
"""

import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilt_cluster import fields
from tilt_cluster.objects import ApiError
from tilt_cluster.schema import Schema, is_list, is_map

Path = tuple[str, ...]

_STRIPPED: frozenset[Path] = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    }
)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: the field manager, the version it speaks, and the subresource."""

    manager: str
    api_version: str
    subresource: str = ""


@dataclass(slots=True)
class _Entry:
    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    paths: frozenset[Path]

    def said(self) -> str:
        """How conflicts name this manager."""
        text = json.dumps(self.manager)
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version}"
        return text

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": _tree(self.paths),
        }
        if self.subresource:
            found["subresource"] = self.subresource
        return found


def same(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether two managedFields differ in times at most."""
    return [{**one, "time": ""} for one in before] == [{**one, "time": ""} for one in after]


def after_update(
    of: Schema, old: Mapping[str, Any] | None, new: Mapping[str, Any], writer: Writer
) -> Sequence[Any]:
    """The managedFields after a plain write (create, update, patch)."""
    entries = _read(new)
    changed, removed = _compare(of, old or {}, new)
    changed, removed = _visible(changed, writer), _visible(removed, writer)
    if not changed and not removed:
        return [*(new["metadata"].get("managedFields") or ())]
    own = next((one for one in entries if _is(one, writer, "Update")), None)
    kept: list[_Entry] = []
    for one in entries:
        if one is not own:
            one.paths -= changed | removed
            kept.append(one)
    paths = ((own.paths if own else frozenset[Path]()) | changed) - removed
    kept.append(
        _Entry(writer.manager, "Update", writer.api_version, writer.subresource, _now(), paths)
    )
    return _written(kept)


def doubles(of: Schema, value: Any, path: str = "") -> Iterator[str]:
    """What is said twice: items of a `map` list that have the same keys."""
    if is_map(value):
        for key, item in value.items():
            child = of.field(key)
            if child is not None and (is_map(item) or is_list(item)):
                yield from doubles(child, item, f"{path}.{key}")
    elif is_list(value):
        seen = set[Any]()
        for item in value:
            found = of.key_of(item) if of.list_type == "map" else None
            if found is not None and found in seen:
                pairs = zip(of.keys, found, strict=True)
                said = ",".join(f"{name}={json.dumps(part)}" for name, part in pairs)
                yield f"{path}: duplicate entries for key [{said}]"
            seen.add(found)
            yield from doubles(of.items, item, path)


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply gives: the object, and its managedFields."""

    obj: dict[str, Any]
    managed: Sequence[Any]


def apply(
    of: Schema,
    live: Mapping[str, Any] | None,
    config: Mapping[str, Any],
    writer: Writer,
    *,
    force: bool,
) -> Applied:
    """Merge an applied configuration into the live object.

    Raises:
        ApiError: 409 with a cause for each field that another manager set to another value.
    """
    mine = _visible(frozenset(_paths(of, config, ())), writer)
    if live is None:
        entry = _Entry(
            writer.manager, "Apply", writer.api_version, writer.subresource, _now(), mine
        )
        return Applied(dict(config), _written([entry]))
    entries = _read(live)
    if not entries:
        everything = _visible(frozenset(_compare(of, {}, live)[0]), writer)
        entries = [
            _Entry("before-first-apply", "Update", writer.api_version, "", _now(), everything)
        ]
    own = next((one for one in entries if _is(one, writer, "Apply")), None)
    others = [one for one in entries if one is not own]
    merged: Any = _merge(of, live, config)
    if own is not None and own.paths:
        owned = mine.union(*(one.paths for one in others))
        merged = _prune(of, merged, (), _Pruning(own.paths, owned))
    changed, removed = _compare(of, live, merged)
    conflicts = [(one, path) for one in others for path in sorted(one.paths & changed)]
    if conflicts and not force:
        raise _conflict(conflicts)
    for one in others:
        one.paths -= changed | removed
    at = own.time if own and own.paths == mine and own.api_version == writer.api_version else _now()
    new = _Entry(writer.manager, "Apply", writer.api_version, writer.subresource, at, mine)
    return Applied(merged, _written([new, *others]))


def _conflict(conflicts: Sequence[tuple[_Entry, Path]]) -> ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {one.said()}",
            "field": _shown(path),
        }
        for one, path in conflicts
    ]
    if len(conflicts) == 1:
        one, path = conflicts[0]
        text = f"Apply failed with 1 conflict: conflict with {one.said()}: {_shown(path)}"
    else:
        lines: list[str] = []
        for said in sorted({one.said() for one, _ in conflicts}):
            lines.append(f"conflicts with {said}:")
            lines += [f"- {_shown(path)}" for one, path in conflicts if one.said() == said]
        text = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", text, {"causes": causes})


def _now() -> str:
    return fields.stamp(time.time())


def _is(entry: _Entry, writer: Writer, operation: str) -> bool:
    return (
        entry.manager == writer.manager
        and entry.operation == operation
        and entry.subresource == writer.subresource
        and (operation == "Apply" or entry.api_version == writer.api_version)
    )


def _visible(paths: frozenset[Path], writer: Writer) -> frozenset[Path]:
    """Without what nobody owns, and without what this kind of write can't set."""
    status = writer.subresource == "status"
    if status:
        return frozenset(path for path in paths if path[:1] == ("f:status",))
    return frozenset(path for path in paths if path not in _STRIPPED and path[:1] != ("f:status",))


def _read(obj: Mapping[str, Any]) -> list[_Entry]:
    return [
        _Entry(
            one.get("manager", ""),
            one.get("operation", ""),
            one.get("apiVersion", ""),
            one.get("subresource", ""),
            one.get("time", ""),
            _parsed(json.dumps(one.get("fieldsV1") or {})),
        )
        for one in fields.get(obj, "metadata", "managedFields", default=())
    ]


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> frozenset[Path]:
    found: set[Path] = set()

    def visit(node: Mapping[str, Any], path: Path) -> None:
        for key, inner in node.items():
            if key == ".":
                found.add(path)
            elif inner:
                visit(inner, (*path, key))
            else:
                found.add((*path, key))

    visit(json.loads(text), ())
    return frozenset(found)


def _written(entries: Sequence[_Entry]) -> Sequence[Any]:
    order = {"Apply": 0, "Update": 1}
    kept = [one for one in entries if one.paths]
    kept.sort(key=lambda one: (order.get(one.operation, 2), one.time, one.manager))
    return [one.json() for one in kept]


def _tree(paths: frozenset[Path]) -> dict[str, Any]:
    top: dict[str, Any] = {}
    for path in sorted(paths):
        node = top
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    _tidy(top)
    return top


def _tidy(node: dict[str, Any]) -> None:
    for key, inner in node.items():
        if inner.keys() == {"."}:
            node[key] = {}
        elif key != ".":
            _tidy(inner)


def _shown(path: Path) -> str:
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        match kind:
            case "f":
                text += f".{rest}"
            case "k":
                pairs = json.loads(rest).items()
                listed = ",".join(f"{key}={_compact(value)}" for key, value in pairs)
                text += f"[{listed}]"
            case "v":
                text += f"[={rest}]"
            case _:
                text += f"[{rest}]"
    return text


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _items(of: Schema, value: Sequence[Any]) -> dict[str, Any]:
    """The items of a set or map list by their path element."""
    found: dict[str, Any] = {}
    for item in value:
        if of.list_type == "set":
            found[f"v:{_compact(item)}"] = item
        else:
            key = of.key_of(item)
            names = sorted(zip(of.keys, key or (), strict=False))
            pairs = {name: part for name, part in names if part is not None}
            found[f"k:{_compact(pairs)}"] = item
    return found


def _children(of: Schema, value: Any) -> Iterator[tuple[str, Schema, Any]] | None:
    """The parts of a value that are owned one by one; None if it is owned as a whole."""
    if of.atomic:
        return None
    if is_map(value):
        return ((f"f:{key}", of.field(key) or Schema({}), inner) for key, inner in value.items())
    if is_list(value) and of.type == "array":
        items = of.items
        return ((element, items, inner) for element, inner in _items(of, value).items())
    return None


def _paths(of: Schema, value: Any, path: Path) -> Iterator[Path]:
    """The fields that an applied configuration says."""
    children = _children(of, value)
    if children is None:
        yield path
        return
    for element, inner_schema, inner in children:
        inner_path = (*path, element)
        yield from _paths(inner_schema, inner, inner_path)
        of_map = element.startswith("f:") and element[2:] not in of.properties
        if not element.startswith("f:") or of_map or inner in ({}, None):
            yield inner_path


def _everything(of: Schema, value: Any, path: Path) -> Iterator[Path]:
    yield path
    for element, inner_schema, inner in _children(of, value) or ():
        yield from _everything(inner_schema, inner, (*path, element))


def _compare(of: Schema, old: Any, new: Any) -> tuple[frozenset[Path], frozenset[Path]]:
    """What was added or changed, and what was removed."""
    changed: set[Path] = set()
    removed: set[Path] = set()
    _walk(of, old, new, (), changed, removed)
    return frozenset(changed), frozenset(removed)


def _walk(
    of: Schema, old: Any, new: Any, path: Path, changed: set[Path], removed: set[Path]
) -> None:
    if old is new:
        return
    before, after = _children(of, old), _children(of, new)
    if before is None or after is None:
        if old != new:
            changed.add(path)
        return
    was = {element: (inner_schema, inner) for element, inner_schema, inner in before}
    now = {element: (inner_schema, inner) for element, inner_schema, inner in after}
    for element in {**was, **now}:
        inner_schema = (now.get(element) or was[element])[0]
        implied = element.startswith("f:") and (
            inner_schema.implied or (inner_schema.type == "array" and element[2:] in of.required)
        )
        inner_path = (*path, element)
        if element not in was and not implied:
            changed.update(_everything(inner_schema, now[element][1], inner_path))
        elif element not in now and not implied:
            removed.update(_everything(inner_schema, was[element][1], inner_path))
        else:
            nothing: Any = [] if inner_schema.type == "array" else {}
            left = was[element][1] if element in was else nothing
            right = now[element][1] if element in now else nothing
            _walk(inner_schema, left, right, inner_path, changed, removed)


def _merge(of: Schema, live: Any, config: Any) -> Any:
    if of.atomic or config is None:
        return config
    if is_map(live) and is_map(config):
        merged = dict(live)
        for key, value in config.items():
            inner = of.field(key) or Schema({})
            merged[key] = _merge(inner, live[key], value) if key in live else value
        return merged
    if is_list(live) and is_list(config) and of.type == "array":
        return _merge_list(of, live, config)
    return config


def _merge_list(of: Schema, live: Sequence[Any], config: Sequence[Any]) -> Sequence[Any]:
    """Items of the configuration in its order; others stay where they were beside them."""
    was, now = _items(of, live), _items(of, config)
    merged: list[Any] = []
    left, given = list(was), list(now)
    while left or given:
        if left and left[0] not in now:
            merged.append(was[left.pop(0)])
        elif given:
            element = given.pop(0)
            value = now[element]
            if element in was:
                value = _merge(of.items, was[element], value)
                left.remove(element)
            merged.append(value)
    return merged


class _Pruning:
    """What the manager said last time, and what anybody owns now."""

    def __init__(self, last: frozenset[Path], owned: frozenset[Path]) -> None:
        parents = {path[:length] for path in last for length in range(1, len(path))}
        self.inside = parents
        self.last = last | {path for path in parents if path[-1].startswith("f:")}
        self.owned = {path[:length] for path in owned for length in range(1, len(path) + 1)}


def _prune(of: Schema, value: Any, path: Path, pruning: _Pruning) -> Any:
    if of.atomic:
        return value

    def keeps(inner_path: Path) -> bool:
        return inner_path not in pruning.last or inner_path in pruning.owned

    if is_map(value):
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            inner_path = (*path, f"f:{key}")
            if keeps(inner_path):
                deeper = inner_path in pruning.inside
                schema = of.field(key)
                kept[key] = (
                    _prune(schema, inner, inner_path, pruning) if deeper and schema else inner
                )
        return kept
    if not is_list(value):
        return value
    return [
        _prune(of.items, inner, (*path, element), pruning)
        for element, inner in _items(of, value).items()
        if keeps((*path, element))
    ]
