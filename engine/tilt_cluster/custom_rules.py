"""Rules that custom objects must keep: their structural schemas', in the API server's words.

An error of `anyOf`, `oneOf`, `allOf` and `not` is nobody's field: Kubernetes says `<nil>`.  Of
alternatives that all fail it tells what is wrong with the one that comes closest; here that is the
first.  Rules in CEL are not evaluated (`structure` warns of them when a definition is written).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import formats, refusals, regexps, schema
from tilt_cluster.schema import is_list, is_map

_NOWHERE = "<nil>"
_RANGES: Mapping[str, tuple[float, float]] = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "float": (-3.4028234663852886e38, 3.4028234663852886e38),
}
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}


def check(of: schema.Schema, obj: Mapping[str, Any]) -> Sequence[refusals.Cause]:
    """Every rule of the schema that an object breaks."""
    causes: list[refusals.Cause] = []
    for key in of.properties:
        child = of.field(key)
        if key not in ("metadata", "apiVersion", "kind") and key in obj and child is not None:
            causes += _check(child, obj[key], key)
    causes += [refusals.required(name) for name in of.required if name not in obj]
    causes += _check_size(of.raw, obj, "")
    causes += _check_combined(of.raw, obj, "")
    return causes


def check_value(of: schema.Schema, value: Any) -> Iterator[refusals.Cause]:
    """Likewise of a part, such as a default."""
    yield from _check(of, value, "")


def _check(of: schema.Schema, value: Any, path: str) -> Iterator[refusals.Cause]:
    if value is None and of.raw.get("nullable"):
        return
    yield from _check_combined(of.raw, value, path)
    wanted = of.type
    if wanted == "int-or-string":
        if isinstance(value, bool) or not isinstance(value, int | str):
            text = f'{path} in body must be of type integer,string: "{_kind(value)}"'
            yield refusals.type_invalid(path, _kind(value), text)
            return
    elif wanted in _TYPES and not _has_type(wanted, value):
        text = f'{path} in body must be of type {wanted}: "{_kind(value)}"'
        yield refusals.type_invalid(path, _kind(value), text)
        return
    enum = of.raw.get("enum")
    if is_list(enum) and value not in enum:
        yield refusals.unsupported(path, value, [str(one) for one in enum])
    if isinstance(value, str):
        yield from _check_text(of.raw, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_number(of.raw, value, path)
    elif is_list(value):
        yield from _check_list(of, value, path)
    elif is_map(value):
        yield from _check_map(of, value, path)


def _has_type(wanted: str, value: Any) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[wanted])


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"


def _check_text(raw: Mapping[str, Any], value: str, path: str) -> Iterator[refusals.Cause]:
    form = raw.get("format")
    if form and not formats.has(form, value):
        text = f'{path} in body must be of type {form}: "{value}"'
        yield refusals.type_invalid(path, value, text)
    pattern = raw.get("pattern")
    if pattern is not None and not regexps.matches(pattern, value):
        text = f"{path} in body should match '{pattern}'"
        yield refusals.invalid(path, value, text)
    least, most = raw.get("minLength"), raw.get("maxLength")
    if least is not None and len(value) < least:
        text = f"{path} in body should be at least {least} chars long"
        yield refusals.invalid(path, value, text)
    if most is not None and len(value) > most:
        yield refusals.Cause(
            "FieldValueTooLong", path, f"Too long: may not be more than {most} bytes"
        )


def _check_number(raw: Mapping[str, Any], value: float, path: str) -> Iterator[refusals.Cause]:
    form = str(raw.get("format", ""))
    if form in _RANGES and not _RANGES[form][0] <= value <= _RANGES[form][1]:
        kind = "integer" if form.startswith("int") else "number"
        text = f"Checked value must be of type {kind} with format {form} in {path}"
        yield refusals.invalid(_NOWHERE, "", text)
    least, most = raw.get("minimum"), raw.get("maximum")
    if least is not None and (value < least or (raw.get("exclusiveMinimum") and value == least)):
        word = "greater than" if raw.get("exclusiveMinimum") else "greater than or equal to"
        yield refusals.invalid(path, value, f"{path} in body should be {word} {least}")
    if most is not None and (value > most or (raw.get("exclusiveMaximum") and value == most)):
        word = "less than" if raw.get("exclusiveMaximum") else "less than or equal to"
        yield refusals.invalid(path, value, f"{path} in body should be {word} {most}")
    step = raw.get("multipleOf")
    if step and value % step:
        yield refusals.invalid(path, value, f"{path} in body should be a multiple of {step}")


def _check_list(of: schema.Schema, value: Sequence[Any], path: str) -> Iterator[refusals.Cause]:
    least, most = of.raw.get("minItems"), of.raw.get("maxItems")
    if least is not None and len(value) < least:
        text = f"{path} in body should have at least {least} items"
        yield refusals.invalid(path, len(value), text)
    if most is not None and len(value) > most:
        yield refusals.Cause(
            "FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {most} items"
        )
    seen: list[Any] = []
    for at, item in enumerate(value):
        identity = of.key_of(item) if of.list_type == "map" else item
        if of.list_type in ("map", "set") and identity in seen:
            shown = dict(zip(of.keys, identity or (), strict=False)) if of.keys else item
            yield refusals.duplicate(f"{path}[{at}]", shown)
        seen.append(identity)
        yield from _check(of.items, item, f"{path}[{at}]")


def _check_map(of: schema.Schema, value: Mapping[str, Any], path: str) -> Iterator[refusals.Cause]:
    yield from _check_size(of.raw, value, path)
    for name in of.required:
        if name not in value:
            yield refusals.required(_inside(path, name))
    for key, item in value.items():
        child = of.field(key)
        if child is not None:
            yield from _check(child, item, _inside(path, key))


def _inside(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _check_size(
    raw: Mapping[str, Any], value: Mapping[str, Any], path: str
) -> Iterator[refusals.Cause]:
    least, most = raw.get("minProperties"), raw.get("maxProperties")
    if least is not None and len(value) < least:
        text = f"{path} in body should have at least {least} properties"
        yield refusals.invalid(path or _NOWHERE, len(value), text)
    if most is not None and len(value) > most:
        text = f"Too many: {len(value)}: must have at most {most} items"
        yield refusals.Cause("FieldValueTooMany", path or _NOWHERE, text)


def _check_combined(raw: Mapping[str, Any], value: Any, path: str) -> Iterator[refusals.Cause]:
    """`anyOf`, `oneOf`, `allOf`, `not`: the rule, and what is wrong with the first alternative."""

    def tried(word: str) -> list[list[refusals.Cause]]:
        return [[*_check(schema.Schema(one), value, path)] for one in raw.get(word) or ()]

    if (found := tried("anyOf")) and all(found):
        yield _junction(path, "must validate at least one schema (anyOf)")
        yield from found[0]
    if found := tried("oneOf"):
        valid = sum(not one for one in found)
        if valid != 1:
            said = f"Found {valid} valid alternatives" if valid else "Found none valid"
            yield _junction(path, f"must validate one and only one schema (oneOf). {said}")
        if not valid:
            yield from found[0]
    if any(found := tried("allOf")):
        none = ". None validated" if all(found) else ""
        yield _junction(path, f"must validate all the schemas (allOf){none}")
        for causes in found:
            yield from causes
    refused = raw.get("not")
    if is_map(refused) and not [*_check(schema.Schema(refused), value, path)]:
        yield _junction(path, "must not validate the schema (not)")


def _junction(path: str, text: str) -> refusals.Cause:
    return refusals.invalid(_NOWHERE, "", f'"{path}" {text}')
