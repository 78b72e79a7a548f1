"""`/openapi/v2`: one document of all kinds, for clients that don't know version 3 yet.

It is made from what makes version 3.  Version 2 has no alternatives and no null, so it says less:
`IntOrString` is a string with a format, and `oneOf`, `anyOf`, `not` and `nullable` of custom kinds
are left out, as Kubernetes leaves them out.  JSON only: the protobuf form of old kubectls is a 406.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tilt_cluster import catalog, schema
from tilt_cluster.schema import is_list, is_map
from tilt_cluster.server import documents

_OLD, _NEW = "#/components/schemas/", "#/definitions/"
_LEFT_OUT = frozenset({"oneOf", "anyOf", "not", "nullable", "x-kubernetes-validations"})
_PRODUCED = ["application/json", "application/yaml"]
_WHERE = ("namespace", "name")


def document(known: catalog.Catalog) -> Mapping[str, Any]:
    """The OpenAPI v2 document."""
    paths: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for group, versions in known.groups().items():
        for version in versions:
            newer = documents.openapi(known, group, version)
            if newer is None:
                continue
            for path, item in newer["paths"].items():
                paths[path] = _path(path, item)
            for name, raw in newer["components"]["schemas"].items():
                if name not in definitions:
                    definitions[name] = _definition(name, raw)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": schema.recorded("version")["gitVersion"]},
        "paths": paths,
        "definitions": definitions,
    }


def _definition(name: str, raw: Mapping[str, Any]) -> Any:
    if name.endswith(".IntOrString"):
        return {"type": "string", "format": "int-or-string"}
    if name.endswith(".Quantity"):
        return {"type": "string"}
    return _older(raw)


def _older(raw: Any) -> Any:
    """A schema in the words of version 2."""
    if is_list(raw):
        return [_older(one) for one in raw]
    if not is_map(raw):
        return raw
    joined = raw.get("allOf")
    reference = raw.get("$ref")
    if is_list(joined) and len(joined) == 1 and is_map(joined[0]):
        reference = joined[0].get("$ref", reference)
    if isinstance(reference, str):
        return {"$ref": reference.replace(_OLD, _NEW)}
    found = {key: raw[key] for key in raw if key not in _LEFT_OUT}
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = _older(found[key])
    if is_map(found.get("properties")):
        found["properties"] = {name: _older(one) for name, one in found["properties"].items()}
    return found


def _path(path: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = {method: _operation(one) for method, one in item.items()}
    given = [name for name in _WHERE if f"{{{name}}}" in path]
    found["parameters"] = [
        {"name": name, "in": "path", "required": True, "type": "string", "uniqueItems": True}
        for name in given
    ]
    return found


def _operation(newer: Mapping[str, Any]) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = newer["responses"]["200"]["content"]["application/json"]
    body: Mapping[str, Any] = newer.get("requestBody", {}).get("content", {})
    parameters: list[Any] = [
        {"name": one["name"], "in": "query", "type": one["schema"]["type"], "uniqueItems": True}
        for one in newer["parameters"]
    ]
    if body:
        inside = next(iter(body.values()))["schema"]
        taken = {"name": "body", "in": "body", "required": True, "schema": _older(inside)}
        parameters.insert(0, taken)
    return {
        "operationId": newer["operationId"],
        "consumes": [*body] or ["*/*"],
        "produces": _PRODUCED,
        "schemes": ["https"],
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "schema": _older(answer["schema"])}},
        "x-kubernetes-action": newer["x-kubernetes-action"],
        "x-kubernetes-group-version-kind": newer["x-kubernetes-group-version-kind"],
    }


def accepts(header: str) -> bool:
    """Whether a client takes JSON."""
    media: Iterable[str] = (one.partition(";")[0].strip() for one in header.split(","))
    return any(one in {"", "application/json", "application/*", "*/*"} for one in media)
