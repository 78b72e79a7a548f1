"""Checks JSON against the schemas of docs/schema, strictly: fields that they don't name are wrong.

Just the words of JSON Schema that these two use; any other word is an error, so that none is
silently ignored.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

_FOLDER = Path(__file__).parents[2] / "docs" / "schema"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
_WORDS = frozenset(
    {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "required", "properties"}
    | {"items", "enum", "const", "pattern", "minimum", "anyOf", "additionalProperties"}
)


def check(value: object, name: str) -> None:
    """Fail unless a value is as the schema file says."""
    schema = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = list(_wrong(value, schema, schema, "$"))
    assert not found, "\n".join(found)


def _wrong(value: Any, schema: Any, top: Any, at: str) -> Iterator[str]:
    assert schema.keys() <= _WORDS, f"unknown words in the schema of {at}: {schema.keys() - _WORDS}"
    if "$ref" in schema:
        yield from _wrong(value, top["$defs"][schema["$ref"].rpartition("/")[2]], top, at)
    if "anyOf" in schema:
        tries = [list(_wrong(value, one, top, at)) for one in schema["anyOf"]]
        if all(tries):
            yield min(tries, key=len)[0]
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{at}: {value!r} is no {schema['type']}"
    elif isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{at}: {value!r} does not match {schema['pattern']}"
    elif isinstance(value, dict) and "type" in schema:
        yield from _wrong_fields(value, schema, top, at)
    elif isinstance(value, list):
        for number, item in enumerate(cast("list[object]", value)):
            yield from _wrong(item, schema["items"], top, f"{at}[{number}]")
    elif isinstance(value, int | float) and value < schema.get("minimum", value):
        yield f"{at}: {value} is less than {schema['minimum']}"


def _wrong_fields(value: Any, schema: Any, top: Any, at: str) -> Iterator[str]:
    known = schema.get("properties", {})
    required = schema.get("required", ())
    yield from (f"{at}.{name} is missing" for name in required if name not in value)
    for name, field in value.items():
        inner = known.get(name, schema.get("additionalProperties"))
        if inner is None:
            yield f"{at}.{name} is not in the schema"
        else:
            yield from _wrong(field, inner, top, f"{at}.{name}")


def _is(value: object, types: str | list[str]) -> bool:
    names = [types] if isinstance(types, str) else types
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, _TYPES[name]) for name in names)
