"""Rules that hold for a type wherever it stands: required fields, enums, `pod_types`, `kind_types`.

An object is walked along its schema, so a rule of, say, a ConfigMap's key holds in a Pod and in the
template of a template alike.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tilt_cluster import kind_types, pod_types, refusals, schema
from tilt_cluster.objects import Object
from tilt_cluster.refusals import Cause
from tilt_cluster.schema import is_list, is_map
from tilt_cluster.values import Rule

_ELSEWHERE = frozenset({"apiVersion", "kind", "metadata", "status"})
_FIELDS: Mapping[str, Mapping[str, Rule]] = {**kind_types.FIELDS, **pod_types.FIELDS}
_WHOLES = {**kind_types.WHOLES, **pod_types.WHOLES}
_SELECTOR = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"
_NONE: Mapping[str, Rule] = {}


def check(of: schema.Schema, obj: Object) -> Iterator[Cause]:
    """What is wrong with an object of a built-in kind, its metadata and status aside."""
    for key, value in obj.items():
        child = None if key in _ELSEWHERE else of.field(key)
        if child is not None:
            yield from _walk(child, value, key)


def check_selector(selector: Mapping[str, Any]) -> Iterator[Cause]:
    """What is wrong with a label selector."""
    yield from _walk(schema.named(_SELECTOR), selector, "")


def _walk(of: schema.Schema, value: Any, path: str) -> Iterator[Cause]:
    if is_map(value):
        if of.is_struct:
            yield from _struct(of, value, path)
        elif of.values is not None and (of.values.is_struct or of.values.items.is_struct):
            for key, item in value.items():
                yield from _walk(of.values, item, f"{path}.{key}")
    elif is_list(value):
        items = of.items
        if items.is_struct or "enum" in items.raw:
            for at, item in enumerate(value):
                yield from _walk(items, item, f"{path}[{at}]")
    else:
        enum = of.raw.get("enum")
        if is_list(enum) and value not in enum:
            yield refusals.unsupported(path, value, [one for one in enum if one])


def _goes_on(of: schema.Schema) -> bool:
    """Whether there is more to a value than the field's own rule says."""
    return of.is_struct or (of.type == "array" and of.items.is_struct)


def _struct(of: schema.Schema, value: Mapping[str, Any], path: str) -> Iterator[Cause]:
    rules = _FIELDS.get(of.short, _NONE)
    for name in of.required:
        if name not in rules and value.get(name) in (None, ""):
            yield refusals.required(f"{path}.{name}")
    for name, rule in rules.items():
        yield from rule(value.get(name), f"{path}.{name}")
    whole = _WHOLES.get(of.short)
    if whole is not None:
        yield from whole(value, path)
    for key, item in value.items():
        child = of.field(key)
        if child is not None and (key not in rules or _goes_on(child)):
            yield from _walk(child, item, f"{path}.{key}")
