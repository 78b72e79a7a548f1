"""Schemas of CustomResourceDefinitions: what makes one structural, and what nobody will check.

The rules are those that people break by accident.  What is in order and can't be evaluated here is
a warning to whoever writes the definition, so that a missing refusal later is no surprise.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import custom_rules, fields, formats, refusals, regexps, schema
from tilt_cluster.refusals import Cause
from tilt_cluster.schema import is_list, is_map

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = ("$ref", "definitions", "dependencies", "deprecated", "discriminator", "id")
_EMPTY_IN_JUNCTIONS = ("type", "description", "title", "additionalProperties", "nullable")
_JUNCTIONS = ("allOf", "anyOf", "oneOf")
_LISTS = ("atomic", "set", "map")
_SHOWN = 3
Raw = Mapping[str, Any]


def _roots(versions: Sequence[Raw]) -> Iterator[tuple[str, Raw]]:
    """The schemas, and their paths as the API server names them."""
    found: list[Raw] = [
        fields.get(one, "schema", "openAPIV3Schema", default={}) for one in versions
    ]
    if found and all(one == found[0] for one in found):
        yield "spec.validation.openAPIV3Schema", found[0]
        return
    for at, one in enumerate(found):
        yield f"spec.versions[{at}].schema.openAPIV3Schema", one


def _parts(raw: Raw, path: str, joined: Raw | None = None) -> Iterator[tuple[str, Raw, Raw | None]]:
    """Every schema in a schema, its path, and to which `anyOf` and the like join it, if they do."""
    yield path, raw, joined
    properties: Raw = raw.get("properties") or {}
    for key, inner in properties.items():
        if is_map(inner):
            yield from _parts(inner, f"{path}.properties[{key}]", joined)
    for word in ("items", "additionalProperties"):
        inner = raw.get(word)
        if is_map(inner):
            yield from _parts(inner, f"{path}.{word}", joined)
    for word in _JUNCTIONS:
        listed = raw.get(word)
        for at, inner in enumerate(listed if is_list(listed) else ()):
            if is_map(inner):
                yield from _parts(inner, f"{path}.{word}[{at}]", joined or raw)
    inner = raw.get("not")
    if is_map(inner):
        yield from _parts(inner, f"{path}.not", joined or raw)


def check(versions: Sequence[Raw]) -> Iterator[Cause]:
    """What is wrong with the schemas of a definition's versions."""
    for root, whole in _roots(versions):
        if not whole:
            continue
        for path, raw, joined in _parts(whole, root):
            yield from _check_words(raw, path)
            yield from _check_list(raw, path)
            if joined is not None:
                yield from _check_joined(raw, path, joined)
            else:
                yield from _check_type(raw, path, is_root=path == root)


def _check_words(raw: Raw, path: str) -> Iterator[Cause]:
    for word in _UNSUPPORTED:
        if word in raw:
            yield refusals.forbidden(f"{path}.{word}", f"{word} is not supported")
    if raw.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield refusals.forbidden(f"{path}.uniqueItems", text)
    pattern = raw.get("pattern")
    if isinstance(pattern, str):
        try:
            regexps.compiled(pattern)
        except regexps.RefusedError as error:
            text = f"must be a valid regular expression, but isn't: {error}"
            yield refusals.invalid(f"{path}.pattern", pattern, text)
        except regexps.ForeignError:
            pass


def _check_list(raw: Raw, path: str) -> Iterator[Cause]:
    """How a list merges: its items' keys must be fields that every item has."""
    kind, keys = raw.get("x-kubernetes-list-type"), raw.get("x-kubernetes-list-map-keys") or ()
    where = f"{path}.x-kubernetes-list-type"
    if raw.get("x-kubernetes-preserve-unknown-fields") is False:
        text = "must be true or undefined"
        yield refusals.invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, text)  # noqa: FBT003 - its value
    if kind is not None and kind not in _LISTS:
        yield refusals.unsupported(where, kind, _LISTS)
    if kind is not None and raw.get("type") != "array":
        text = "must be array if x-kubernetes-list-type is specified"
        if raw.get("type"):
            yield refusals.invalid(f"{path}.type", raw["type"], text)
        else:
            yield refusals.required(f"{path}.type", text)
    if keys and kind != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        if kind is None:
            yield refusals.required(where, text)
        else:
            yield refusals.invalid(where, kind, text)
    if kind == "map":
        yield from _check_keys(raw, path, keys)


def _check_keys(raw: Raw, path: str, keys: Sequence[str]) -> Iterator[Cause]:
    where = f"{path}.x-kubernetes-list-map-keys"
    items: Any = raw.get("items")
    if not keys:
        yield refusals.required(where, "must not be empty if x-kubernetes-list-type is map")
    if len(set(keys)) != len(keys):
        yield refusals.invalid(where, list(keys), "must not contain duplicate entries")
    if not is_map(items):
        return
    if items.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        yield refusals.invalid(f"{path}.items.type", items.get("type") or "", text)
    properties: Raw = items.get("properties") or {}
    if not set(keys) <= set(properties):
        yield refusals.invalid(where, list(keys), "entries must all be names of item properties")
        return
    for key in dict.fromkeys(keys):
        if key not in (items.get("required") or ()) and "default" not in properties[key]:
            text = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a "
                "required property"
            )
            yield refusals.required(f"{path}.items.properties[{key}].default", text)


def _check_joined(raw: Raw, path: str, to: Raw) -> Iterator[Cause]:
    # `anyOf: [{type: integer}, {type: string}]` belongs to it.
    either = set(raw) == {"type"} and to.get("x-kubernetes-int-or-string")
    for word in _EMPTY_IN_JUNCTIONS:
        if raw.get(word) and not either:
            yield refusals.forbidden(f"{path}.{word}", "must be empty to be structural")
    if "default" in raw:
        yield refusals.forbidden(f"{path}.default", "must be undefined to be structural")


def _check_type(raw: Raw, path: str, *, is_root: bool) -> Iterator[Cause]:
    kind = raw.get("type")
    if "default" in raw:
        for one in custom_rules.check_value(schema.Schema(raw), raw["default"]):
            field = f"{path}.default" + (f".{one.field}" if one.field else "")
            yield Cause(one.reason, field, one.message)
    if kind:
        if kind not in _TYPES:
            yield refusals.unsupported(f"{path}.type", kind, _TYPES)
        elif kind == "array" and raw.get("items") is None:
            yield refusals.required(f"{path}.items", "must be specified")
    elif not _is_open(raw):
        where = _place(path, is_root=is_root)
        yield refusals.required(f"{path}.type", f"must not be empty {where}")


def _is_open(raw: Raw) -> bool:
    words = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
    return any(raw.get(word) for word in words)


def _place(path: str, *, is_root: bool) -> str:
    if is_root:
        return "at the root"
    if path.endswith("]"):
        return "for specified object fields"
    return "for specified array items" if path.endswith(".items") else "for specified object values"


def warnings(versions: Sequence[Raw]) -> Iterator[str]:
    """What of the schemas will not be checked."""
    rules: list[str] = []
    for root, whole in _roots(versions):
        for path, raw, _ in _parts(whole, root):
            if raw.get("x-kubernetes-validations"):
                rules.append(path.removeprefix(root).lstrip(".") or "the root")
            form, pattern = raw.get("format"), raw.get("pattern")
            if form and raw.get("type") == "string" and not formats.is_known(form):
                yield f'unrecognized format "{form}"'
            elif form in formats.UNCHECKED:
                yield f'the embedded cluster does not check the format "{form}" ({path})'
            if isinstance(pattern, str) and not _can_match(pattern):
                yield f"the embedded cluster does not check the pattern '{pattern}' ({path})"
    if rules:
        shown = ", ".join(rules[:_SHOWN]) + (", …" if len(rules) > _SHOWN else "")
        yield (
            f"the embedded cluster does not evaluate CEL rules (x-kubernetes-validations) of this "
            f"definition, so that objects which break them are accepted: {shown}"
        )


def _can_match(pattern: str) -> bool:
    try:
        regexps.compiled(pattern)
    except regexps.ForeignError:
        return False
    except regexps.RefusedError:
        return True
    return True
