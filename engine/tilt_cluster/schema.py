"""What a kind's fields are: OpenAPI schemas, compiled field by field as they are asked for.

Built-in kinds come from `data/schemas.json.gz` (recorded from a real API server by
`tools/record_api.py`), custom ones from their CustomResourceDefinition; both become a tree of
`Schema`, on which decoding, defaulting, patches and server-side apply work alike.

OpenAPI says which structs Go has by value rather than by pointer: their default is `{}`.  That
matters to managedFields, where such a struct is never added or removed (`implied`).
"""

import functools
import gzip
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, TypeGuard

_REF = "#/components/schemas/"


def is_map(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return isinstance(value, list)


@functools.cache
def recorded(name: str) -> Any:
    """One of the recorded documents, parsed; shared, so never change it."""
    path = resources.files("tilt_cluster").joinpath("data", f"{name}.json.gz")
    return json.loads(gzip.decompress(path.read_bytes()))


class Schema:
    """One node of a kind's schema.

    Args:
        raw: its OpenAPI schema; `$ref`s lead into the recorded schemas.
    """

    __slots__ = ("_children", "_items", "_kept", "_values", "_zeros", "name", "raw", "type")

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.name = ""
        self.raw = self._resolve(raw)
        self.type = self._type()
        self._children: dict[str, Schema] = {}
        self._items: Schema | None = None
        self._values: Schema | None = None
        self._kept: frozenset[str] | None = None
        self._zeros: Mapping[str, Any] | None = None

    def _resolve(self, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        ref = raw.get("$ref")
        parts = raw.get("allOf")
        if ref is None and is_list(parts) and len(parts) == 1 and "$ref" in parts[0]:
            ref = parts[0]["$ref"]
        if not isinstance(ref, str):
            return raw
        self.name = ref.removeprefix(_REF)
        merged = {**recorded("schemas")[self.name], **raw}
        merged.pop("allOf", None)
        return merged

    def _type(self) -> str:
        short = self.name.rpartition(".")[2]
        if short in ("Quantity", "IntOrString") or self.raw.get("x-kubernetes-int-or-string"):
            return "int-or-string"
        if short.startswith("JSONSchemaPropsOr") or short == "JSON":
            return ""
        return str(self.raw.get("type", ""))

    @property
    def short(self) -> str:
        """The name of the Go type, as messages say it."""
        return self.name.rpartition(".")[2]

    @property
    def open(self) -> bool:
        """Whether unknown fields are kept."""
        return bool(self.raw.get("x-kubernetes-preserve-unknown-fields")) or (
            self.type == "object"
            and "properties" not in self.raw
            and "additionalProperties" not in self.raw
        )

    @property
    def properties(self) -> Mapping[str, Any]:
        """The raw schemas of the declared fields."""
        return self.raw.get("properties") or {}

    @property
    def is_struct(self) -> bool:
        """Whether it has declared fields."""
        return "properties" in self.raw

    def field(self, key: str) -> "Schema | None":
        """The schema of a declared field, else of a map's values, else None."""
        child = self._children.get(key)
        if child is None:
            raw = self.properties.get(key)
            if raw is None:
                return self.values
            child = self._children[key] = Schema(raw)
        return child

    @property
    def values(self) -> "Schema | None":
        """The schema of a map's values."""
        if self._values is None:
            raw = self.raw.get("additionalProperties")
            if is_map(raw):
                self._values = Schema(raw)
            elif raw is True:
                self._values = ANY
        return self._values

    @property
    def items(self) -> "Schema":
        """The schema of a list's items."""
        if self._items is None:
            raw = self.raw.get("items")
            self._items = Schema(raw) if is_map(raw) else ANY
        return self._items

    @property
    def implied(self) -> bool:
        """A struct that Go has by value: absent and empty are the same."""
        return self.raw.get("default") == {} and self.type == "object"

    @property
    def kept(self) -> frozenset[str]:
        """Fields that keep an empty text, a 0 or a false, as pointers and required ones do in Go.

        Those that are in `zeros` are among them.
        """
        if self._kept is None:
            known = recorded("zeros")
            self._kept = frozenset(self.zeros) | frozenset(known["kept"].get(self.name, ()))
        return self._kept

    @property
    def zeros(self) -> Mapping[str, Any]:
        """What Go's encoder writes for fields that a struct always has, where nobody set them."""
        if self._zeros is None:
            dropped = recorded("zeros")["dropped"].get(self.name, ())
            found: dict[str, Any] = {}
            for key, raw in self.properties.items():
                default = raw.get("default")
                if default == {}:
                    child = self.field(key)
                    if child is not None and child.implied:
                        found[key] = child.zeros
                elif default in ("", 0) and key not in dropped:
                    found[key] = default
            self._zeros = found
        return self._zeros

    @property
    def required(self) -> Sequence[str]:
        """Names of required fields."""
        return self.raw.get("required") or ()

    @property
    def atomic(self) -> bool:
        """Whether server-side apply takes the whole of it as one value."""
        match self.type:
            case "array":
                return self.list_type not in ("map", "set")
            case "object":
                if self.raw.get("x-kubernetes-map-type") == "atomic":
                    return True
                return not self.is_struct and self.values is None
            case _:
                return True

    @property
    def list_type(self) -> str:
        """`map`, `set` or `atomic`."""
        return str(self.raw.get("x-kubernetes-list-type", "atomic"))

    @property
    def keys(self) -> Sequence[str]:
        """The fields that tell the items of a `map` list apart."""
        return self.raw.get("x-kubernetes-list-map-keys") or ()

    @property
    def merge_key(self) -> str | None:
        """The field by which a strategic merge patch matches a list's items."""
        return self.raw.get("x-kubernetes-patch-merge-key")

    @property
    def strategies(self) -> Sequence[str]:
        """`merge`, `replace`, `retainKeys` of a strategic merge patch."""
        return str(self.raw.get("x-kubernetes-patch-strategy", "")).split(",")

    def key_of(self, item: Any) -> tuple[Any, ...] | None:
        """An item's identity in a `map` list (its keys' values, defaults filled in).

        None if the item is no object or lacks a key that has no default.
        """
        if not is_map(item):
            return None
        found: list[Any] = []
        for key in self.keys:
            value = item.get(key)
            if value is None:
                schema = self.items.field(key)
                value = schema.raw.get("default") if schema else None
            found.append(value)
        return tuple(found)


ANY = Schema({"x-kubernetes-preserve-unknown-fields": True})
"""Anything goes."""


@functools.cache
def named(name: str) -> Schema:
    """The compiled schema of a recorded type."""
    return Schema({"$ref": _REF + name})


@functools.cache
def _of_kinds() -> Mapping[tuple[str, str, str], str]:
    found: dict[tuple[str, str, str], str] = {}
    for name, raw in recorded("schemas").items():
        for one in raw.get("x-kubernetes-group-version-kind") or ():
            found[one["group"], one["version"], one["kind"]] = name
    return found


def of_kind(group: str, version: str, kind: str) -> Schema:
    """The schema of a built-in kind; anything goes for one that has none."""
    name = _of_kinds().get((group, version, kind))
    return named(name) if name else ANY


OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
