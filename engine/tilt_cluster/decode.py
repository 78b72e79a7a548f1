"""From a client's bytes to an object of its kind: types, unknown and duplicate fields.

The API server reads JSON (or YAML) into Go structs.  What it does to it on the way is done here
along the schema: null and empty optional lists and maps vanish, unknown fields are dropped and
told, a value of a wrong type is refused in the words of Go's decoder.
"""

import base64
import collections
import contextlib
import json
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from tilt_cluster import quantities, schema
from tilt_cluster.objects import ApiError

_DEEPEST = 100
_NESTED = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_SCHEMAS = frozenset({"JSONSchemaPropsOrBool", "JSONSchemaPropsOrArray"})
_LETTERS = f"{string.ascii_letters}{string.digits}+/"
_QUANTITY = re.compile(
    r"[+-]?(\d+(\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d{1,3})?", re.ASCII
)
_QUANTITY_RULE = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)

_SCALARS = frozenset({"string", "integer", "number", "boolean"})


class RefusedError(ValueError):
    """The body can't be read; the text says why."""


class _Pairs(dict[str, Any]):
    """A JSON object that remembers keys which came twice."""

    __slots__ = ("doubles",)

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.doubles: tuple[str, ...] = ()
        if len(self) != len(pairs):
            counts = collections.Counter(key for key, _ in pairs)
            self.doubles = tuple(key for key, count in counts.items() if count > 1)


def parse_json(body: bytes) -> Any:
    """The value, whose objects remember their duplicate keys.

    Raises:
        RefusedError: it is no JSON, or nested too deep.
    """
    try:
        value = json.loads(body, object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedError(str(error)) from error
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


def parse_yaml(body: bytes) -> Any:
    """The value of a YAML body, as JSON would give it.

    Raises:
        RefusedError: it is no YAML, or no JSON could say it.
    """
    if body.lstrip().startswith(b"{"):
        # What clients send as YAML is JSON mostly, which is read a hundred times faster.
        with contextlib.suppress(RefusedError):
            return parse_json(body)
    import yaml  # noqa: PLC0415 - takes 30 ms that a start doesn't have

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(loader):  # type: ignore[misc] # one of two classes
        """Keeps every key, so that those which come twice are known."""

    def pairs(reader: Any, node: Any) -> Any:
        reader.flatten_mapping(node)
        return _Pairs(
            [
                (str(reader.construct_object(key)), reader.construct_object(value, deep=True))
                for key, value in node.value
            ]
        )

    Loader.add_constructor("tag:yaml.org,2002:map", pairs)
    try:
        value: Any = yaml.load(body, Loader=Loader)  # noqa: S506 - a safe loader
        return _plain_value(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RefusedError(f"error converting YAML to JSON: yaml: {error}") from error


def _plain_value(value: Any) -> Any:
    """A YAML value as JSON has it: times are texts."""
    if isinstance(value, _Pairs):
        for key, item in value.items():
            value[key] = _plain_value(item)
        return value
    if isinstance(value, list):
        return [_plain_value(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - YAML
    return value if isinstance(value, str | int | float | None) else str(value)


class Decoder:
    """Reads one object; collects what strict decoding would refuse.

    Args:
        kind: the kind, for messages.
        version: the version that the client speaks, for messages.
        typed: a built-in kind: types are checked here, and what Go's encoder leaves out goes.
            Custom kinds keep it all for `custom.check`.
        whole: keep what Go's encoder would leave out, and add nothing: who applies an object owns
            all that it says.

    Attributes:
        problems: such as `unknown field "spec.foo"`.
    """

    def __init__(self, kind: str, version: str, *, typed: bool, whole: bool = False) -> None:
        self._kind = kind
        self._whole = whole
        self._typed = typed
        self._owner = kind
        self._version = version
        self.problems: list[str] = []

    def read(self, of: schema.Schema, body: Mapping[str, Any]) -> dict[str, Any]:
        """The object as the API would keep it.

        Raises:
            ApiError: 400, a value has a wrong type.
        """
        return dict(self._map(of, body, "", 0))

    def strict(self) -> ApiError | None:
        """What to answer to a client that asked for strict validation."""
        if not self.problems:
            return None
        return self.refuse(f"strict decoding error: {', '.join(self.problems)}")

    def refuse(self, why: str) -> ApiError:
        """The answer to a body that can't be decoded."""
        return ApiError(
            400,
            "BadRequest",
            f'{self._kind} in version "{self._version}" cannot be handled as a {self._kind}: {why}',
        )

    def _any(self, of: schema.Schema, value: Any, path: str, depth: int) -> Any:
        if depth > _DEEPEST:
            raise self.refuse("json: exceeded max depth")
        if not self._typed and not _shaped(of, value):
            return value
        if self._typed and of.short in _SCHEMAS:
            return self._nested(of, value, path, depth)
        match of.type:
            case "object":
                if not schema.is_map(value):
                    raise self._wrong(of, value, path, _go_name(of) or "map[string]string")
                return self._map(of, value, path, depth)
            case "array":
                if not schema.is_list(value):
                    wanted = _go_name(of.items) or _go_type(of.items, value)
                    raise self._wrong(of, value, path, f"[]{wanted}")
                items = of.items
                return [
                    self._any(items, item, f"{path}[{at}]", depth + 1)
                    if item is not None
                    else self._nothing(items)
                    for at, item in enumerate(value)
                ]
            case "integer" if isinstance(value, float) and value.is_integer():
                return int(value)
            case _ if of.short == "Quantity":
                return self._quantity(value)
            case _:
                return self._scalar(of, value, path)

    def _scalar(self, of: schema.Schema, value: Any, path: str) -> Any:
        if not _fits(of, value):
            raise self._wrong(of, value, path, _go_type(of, value))
        if self._typed and of.raw.get("format") == "byte":
            fault = _base64_fault(str(value))
            if fault:
                raise self.refuse(fault)
        return value

    def _quantity(self, value: Any) -> Any:
        if not _QUANTITY.fullmatch(str(value)):
            raise self.refuse(_QUANTITY_RULE)
        # Who applies an object is compared with others by what it says.
        return value if self._whole else quantities.canonical(value)

    def _nested(self, of: schema.Schema, value: Any, path: str, depth: int) -> Any:
        """A schema in a schema; nobody is told of fields that are unknown there."""
        if schema.is_map(value):
            told = len(self.problems)
            read = self._map(schema.named(_NESTED), value, path, depth)
            del self.problems[told:]
            return read
        if isinstance(value, bool) and of.short.endswith("Bool"):
            return value
        if schema.is_list(value) and of.short.endswith("Array"):
            return [self._nested(of, one, path, depth + 1) for one in value]
        raise self.refuse("boolean or JSON schema expected")

    def _nothing(self, items: schema.Schema) -> Any:
        """What null in a list is to Go: the item type's zero value."""
        if not self._typed:
            return None
        if items.short == "Quantity":
            return "0"
        zeros: Mapping[str, Any] = {"object": {}, "array": [], "string": "", "integer": 0}
        if items.type == "object" and items.is_struct and not self._whole:
            return self._map(items, {}, "", 0)
        return zeros.get(items.type)

    def _map(
        self, of: schema.Schema, value: Mapping[str, Any], path: str, depth: int
    ) -> dict[str, Any]:
        self.problems += [
            f'duplicate field "{path}.{key}"' if path else f'duplicate field "{key}"'
            for key in getattr(value, "doubles", ())
        ]
        if of.open and not of.is_struct and of.values is None:
            return dict(value)
        found: dict[str, Any] = {}
        required = of.required
        for key, item in value.items():
            inner = f"{path}.{key}" if path else key
            child = of.field(key)
            if child is None:
                if of.open:
                    found[key] = item
                else:
                    self.problems.append(f'unknown field "{inner}"')
                continue
            if item is None:
                if self._typed and not of.is_struct:
                    found[key] = self._nothing(child)
                elif child.raw.get("nullable") or not (self._typed or "default" in child.raw):
                    found[key] = None
                continue
            if of.is_struct:
                self._owner = of.short or self._kind
            read = self._any(child, item, inner, depth + 1)
            if self._typed and not self._whole and not of.is_struct and child.short == "Quantity":
                read = quantities.canonical(read, milli=True)
            if (
                self._typed
                and of.is_struct
                and not read
                and key not in required
                and not self._whole
                and (_vanishes(child, read) or _is_zero(of, key, child))
            ):
                continue
            found[key] = read
        if self._typed and of.is_struct and not self._whole:
            _add_zeros(of.zeros, found)
        return found

    def _wrong(self, of: schema.Schema, value: Any, path: str, wanted: str) -> ApiError:
        del of
        owner, _, field = path.rpartition(".")
        name = f"{owner}.{field}" if owner else field
        return self.refuse(
            f"json: cannot unmarshal {_go(value)} into Go struct field "
            f"{self._owner}.{_plain(name)} of type {wanted}"
        )


def _shaped(of: schema.Schema, value: Any) -> bool:
    """Whether a custom object's value has parts to look at."""
    wanted = {"object": dict, "array": list}.get(of.type)
    return wanted is not None and isinstance(value, wanted)


def _fits(of: schema.Schema, value: Any) -> bool:
    wanted = of.type
    if of.short == "IntOrString" and isinstance(value, float):
        return False
    if isinstance(value, bool):
        return wanted in ("boolean", "")
    types: Mapping[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "int-or-string": (str, int, float),
    }
    return isinstance(value, types.get(wanted, object))


def _go_name(of: schema.Schema) -> str:
    """A struct's name in Go, with its package."""
    parts = of.name.split(".")
    return ".".join(parts[-2:]) if of.is_struct and len(parts) > 1 else ""


def _go_type(of: schema.Schema, value: Any) -> str:
    if of.short == "IntOrString":
        return "int32" if isinstance(value, float) else "intstr.IntOrString"
    plain = {"integer": str(of.raw.get("format", "int64")), "number": "float64", "boolean": "bool"}
    return plain.get(of.type) or of.short or "string"


def _base64_fault(value: str) -> str | None:
    """What Go says of a text that is no base64, or None."""
    packed = value.replace("\r", "").replace("\n", "")
    try:
        base64.b64decode(packed, validate=True)
    except ValueError:
        letters = len(packed) - len(packed.lstrip(_LETTERS))
        if letters == len(packed):
            letters -= letters % 4  # the last group is too short
        elif packed[letters:] == "=" and letters % 4 == 2:  # noqa: PLR2004 - it needs two of them
            letters = len(packed)
        return f"illegal base64 data at input byte {letters}"
    return None


def _vanishes(child: schema.Schema, value: Any) -> bool:
    """Go's `omitempty`: empty lists and maps; empty structs are behind pointers and stay."""
    if schema.is_list(value):
        return "nullable" not in child.raw
    return schema.is_map(value) and not child.is_struct and child.values is not None


def _is_zero(of: schema.Schema, key: str, child: schema.Schema) -> bool:
    """Whether Go's encoder leaves out an empty value of a field that is a text, number or flag."""
    return child.type in _SCALARS and not child.name and key not in of.kept


def _add_zeros(zeros: Mapping[str, Any], found: dict[str, Any]) -> None:
    """What a struct always has, as Go's encoder writes it."""
    for key, value in zeros.items():
        if key not in found:
            if schema.is_map(value):
                inner: dict[str, Any] = {}
                _add_zeros(value, inner)
                found[key] = inner
            else:
                found[key] = value


def _plain(path: str) -> str:
    return "".join(
        part.partition("]")[2] if at else part for at, part in enumerate(path.split("["))
    )


def _go(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int():
            return "number"
        case float():
            return f"number {value}"
        case list():
            return "array"
        case _:
            return "object"
