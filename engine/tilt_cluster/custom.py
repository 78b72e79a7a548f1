"""Custom resources: what a CustomResourceDefinition makes of the API.

A definition's structural schemas become `catalog.Kind`s.  Custom objects are pruned, defaulted and
validated along them, in the words of the API server (`spec.size in body must be of type integer`).
Versions are converted by changing `apiVersion` only: a conversion webhook is refused when the
definition is written, not silently ignored.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import catalog, fields, refusals, schema, structure
from tilt_cluster import names as naming
from tilt_cluster.objects import Object, Resource
from tilt_cluster.schema import is_list, is_map

_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_STATUS_VERBS = ("get", "patch", "update")


def kind(definition: Object) -> catalog.Kind:
    """The kind that an established definition describes."""
    spec: Mapping[str, Any] = definition["spec"]
    names: Mapping[str, Any] = spec["names"]
    group: str = spec["group"]
    versions = {
        one["name"]: _version(group, names["kind"], one)
        for one in sorted(spec["versions"], key=_rank)
        if one.get("served", True) or one.get("storage")
    }
    stored = next(one["name"] for one in spec["versions"] if one.get("storage"))
    return catalog.Kind(
        resource=Resource(group, names["plural"]),
        kind=names["kind"],
        singular=names.get("singular") or names["kind"].lower(),
        namespaced=spec.get("scope") == "Namespaced",
        verbs=_VERBS,
        stored=stored,
        versions=versions,
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        custom=spec,
    )


def _rank(version: Mapping[str, Any]) -> tuple[int, int, int, str]:
    """Kubernetes' order of versions: v2, v1, v1beta2, v1beta1, v1alpha1, then by name."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version["name"])
    if not found:
        return (1, 0, 0, version["name"])
    stage = {None: 2, "beta": 1, "alpha": 0}[found[2]]
    return (0, -stage, -int(found[1]) * 1000 - int(found[3] or 0), "")


def _version(group: str, kind_name: str, one: Mapping[str, Any]) -> catalog.Version:
    subresources: dict[str, Mapping[str, Any]] = {}
    own = {"group": group, "version": one["name"], "kind": kind_name}
    declared: Mapping[str, Any] = one.get("subresources") or {}
    if "status" in declared:
        subresources["status"] = {
            "subresource": "status",
            "responseKind": own,
            "verbs": list(_STATUS_VERBS),
        }
    if "scale" in declared:
        subresources["scale"] = {
            "subresource": "scale",
            "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
            "verbs": list(_STATUS_VERBS),
        }
    return catalog.Version(
        name=one["name"],
        schema=schema.Schema(_whole(fields.get(one, "schema", "openAPIV3Schema", default={}))),
        subresources=subresources,
        columns=one.get("additionalPrinterColumns"),
        deprecated=_deprecation(group, kind_name, one),
    )


def _deprecation(group: str, kind_name: str, one: Mapping[str, Any]) -> str:
    if not one.get("deprecated"):
        return ""
    text = f"{group}/{one['name']} {kind_name} is deprecated"
    return str(one.get("deprecationWarning") or text)


def _whole(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with the fields that every object has."""
    declared: Mapping[str, Any] = raw.get("properties") or {}
    metadata = {"$ref": f"#/components/schemas/{schema.OBJECT_META}"}
    return {
        **raw,
        "type": "object",
        "properties": {
            **declared,
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": metadata,
        },
    }


def is_established(definition: Object) -> bool:
    """Whether its kind is served."""
    return fields.is_true(definition, "Established")


def accepted(definition: Object, known: catalog.Catalog) -> Mapping[str, Any]:
    """The status that the API server gives a definition."""
    spec: Mapping[str, Any] = definition["spec"]
    names: Mapping[str, Any] = spec["names"]
    before: Mapping[str, Any] = definition.get("status") or {}
    resource = Resource(spec["group"], names["plural"])
    other = known.of_kind(spec["group"], names["kind"])
    clash = other is not None and other.resource != resource
    reason, message = ("NoConflicts", "no conflicts found")
    if clash:
        reason, message = "KindConflict", f'"{names["kind"]}" is already in use'
    listed = {one["type"]: one for one in before.get("conditions") or ()}

    def condition(name: str, *, true: bool, reason: str, message: str) -> Mapping[str, Any]:
        state = "True" if true else "False"
        earlier: Mapping[str, Any] | None = listed.get(name)
        if earlier and earlier["status"] == state:
            return earlier
        at = fields.stamp(time.time())
        return {
            "lastTransitionTime": at,
            "message": message,
            "reason": reason,
            "status": state,
            "type": name,
        }

    conditions = [condition("NamesAccepted", true=not clash, reason=reason, message=message)]
    if clash:
        conditions.append(
            condition(
                "Established",
                true=False,
                reason="NotAccepted",
                message="not all names are accepted",
            )
        )
    else:
        text = "the initial names have been accepted"
        conditions.append(
            condition("Established", true=True, reason="InitialNamesAccepted", message=text)
        )
    stored = next(one["name"] for one in spec["versions"] if one.get("storage"))
    versions = [*(before.get("storedVersions") or ())]
    if stored not in versions:
        versions.append(stored)
    return {"conditions": conditions, "acceptedNames": dict(names), "storedVersions": versions}


def fill(of: schema.Schema, obj: dict[str, Any]) -> None:
    """Fill in the defaults that the schema declares, outside of metadata."""
    for key in of.properties:
        if key not in ("metadata", "apiVersion", "kind"):
            _fill_field(of, key, obj)


def _fill(of: schema.Schema, value: Any) -> None:
    if is_map(value):
        for key in of.properties:
            _fill_field(of, key, value)
        inner = of.values
        if inner is not None:
            for key, item in value.items():
                if key not in of.properties:
                    _fill(inner, item)
    elif is_list(value):
        for item in value:
            _fill(of.items, item)


def _fill_field(of: schema.Schema, key: str, into: dict[str, Any]) -> None:
    child = of.field(key)
    if child is None:
        return
    absent = key not in into or (into[key] is None and not child.raw.get("nullable"))
    if absent and "default" in child.raw:
        into[key] = _copy(child.raw["default"])
    if key in into:
        _fill(child, into[key])


def _copy(value: Any) -> Any:
    if is_map(value):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if is_list(value) else value


_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_PATHS = ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")


def _check_names(given: Mapping[str, Any]) -> Iterator[refusals.Cause]:
    for key in ("plural", "singular"):
        for one in naming.old_label(given[key]) if given.get(key) else ():
            yield refusals.invalid(f"spec.names.{key}", given[key], one)
    for key in ("kind", "listKind"):
        for one in naming.old_label(given[key].lower()) if given.get(key) else ():
            text = f"may have mixed case, but should otherwise match: {one}"
            yield refusals.invalid(f"spec.names.{key}", given[key], text)
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        text = "kind and listKind may not be the same"
        yield refusals.invalid("spec.names.listKind", given["listKind"], text)
    for key in ("shortNames", "categories"):
        listed: Sequence[str] = given.get(key) or ()
        for at, name in enumerate(listed):
            for one in naming.old_label(name):
                yield refusals.invalid(f"spec.names.{key}[{at}]", name, one)


def _check_version(given: Mapping[str, Any], path: str) -> Iterator[refusals.Cause]:
    name: str = given.get("name") or ""
    yield from (refusals.invalid(f"{path}.name", name, one) for one in naming.old_label(name))
    warning = given.get("deprecationWarning")
    if warning == "":
        yield refusals.invalid(f"{path}.deprecationWarning", "", "must not be an empty string")
    if warning is not None and not given.get("deprecated"):
        text = "can only be set for deprecated versions"
        yield refusals.invalid(f"{path}.deprecationWarning", warning, text)
    columns: Sequence[Mapping[str, Any]] = given.get("additionalPrinterColumns") or ()
    for at, column in enumerate(columns):
        where = f"{path}.additionalPrinterColumns[{at}]"
        if column.get("type") not in _COLUMN_TYPES:
            text = f"must be one of {','.join(_COLUMN_TYPES)}"
            yield refusals.invalid(f"{where}.type", column.get("type") or "", text)
        yield from _check_path(column.get("jsonPath"), f"{where}.JSONPath")
    scale: Mapping[str, Any] = fields.get(given, "subresources", "scale", default={})
    for key in _PATHS:
        if scale.get(key):
            yield from _check_path(scale[key], f"{path}.subresources.scale.{key}")


def _check_path(value: Any, path: str) -> Iterator[refusals.Cause]:
    if value and not value.startswith("."):
        yield refusals.invalid(path, value, "must be a simple json path starting with .")


def check_definition(obj: Object) -> Iterator[refusals.Cause]:
    """Rules of a definition itself."""
    spec: Mapping[str, Any] = obj.get("spec") or {}
    called: Mapping[str, Any] = spec.get("names") or {}
    plural, group = called.get("plural", ""), spec.get("group", "")
    if not group:
        yield refusals.required("spec.group")
    if not plural:
        yield refusals.required("spec.names.plural")
    if not called.get("kind"):
        yield refusals.required("spec.names.kind")
    if fields.name(obj) != f"{plural}.{group}":
        text = 'must be spec.names.plural+"."+spec.group'
        yield refusals.invalid("metadata.name", fields.name(obj), text)
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        if spec.get("scope"):
            yield refusals.unsupported("spec.scope", spec["scope"], ["Cluster", "Namespaced"])
        else:
            yield refusals.required("spec.scope")
    versions: Sequence[Mapping[str, Any]] = spec.get("versions") or ()
    if sum(bool(one.get("storage")) for one in versions) != 1:
        text = "must have exactly one version marked as storage version"
        yield refusals.invalid("spec.versions", list(versions), text)
    for at, one in enumerate(versions):
        if not fields.get(one, "schema", "openAPIV3Schema"):
            text = "schemas are required"
            yield refusals.required(f"spec.versions[{at}].schema.openAPIV3Schema", text)
    yield from _check_names(called)
    for at, one in enumerate(versions):
        yield from _check_version(one, f"spec.versions[{at}]")
    if fields.get(spec, "conversion", "strategy") not in (None, "None"):
        text = "the embedded cluster has no conversion webhooks; use the strategy None"
        yield refusals.forbidden("spec.conversion.strategy", text)
    yield from structure.check(versions)
