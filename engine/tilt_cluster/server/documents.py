"""Discovery and OpenAPI, made from the catalog: what is served is what is said.

Paths of the OpenAPI documents carry what kubectl looks for (the kind, the operation's parameters);
schemas are the recorded ones.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import catalog, schema

_REF = "#/components/schemas/"
_PARAMETERS: Mapping[str, Sequence[str]] = {
    "post": ("dryRun", "fieldManager", "fieldValidation"),
    "put": ("dryRun", "fieldManager", "fieldValidation"),
    "patch": ("dryRun", "fieldManager", "fieldValidation", "force"),
    "delete": ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"),
    "get": ("pretty",),
}
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def aggregated(known: catalog.Catalog, *, core: bool) -> Mapping[str, Any]:
    """The aggregated discovery document of `/api` or `/apis`."""
    items: list[Any] = []
    for group, versions in known.groups().items():
        if (group == "") is not core:
            continue
        listed = [
            {
                "version": version,
                "resources": [_aggregated(kind, version) for kind in _of(known, group, version)],
                "freshness": "Current",
            }
            for version in versions
        ]
        metadata = {"name": group} if group else {}
        items.append({"metadata": metadata, "versions": listed})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _of(known: catalog.Catalog, group: str, version: str) -> Iterator[catalog.Kind]:
    yield from (kind for kind in known if kind.group == group and version in kind.versions)


def _aggregated(kind: catalog.Kind, version: str) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "resource": kind.resource.name,
        "responseKind": {"group": kind.group, "version": version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    }
    if kind.short_names:
        found["shortNames"] = kind.short_names
    if kind.categories:
        found["categories"] = kind.categories
    subresources = list(kind.versions[version].subresources.values())
    if subresources:
        found["subresources"] = subresources
    return found


def group_list(known: catalog.Catalog) -> Mapping[str, Any]:
    """`/apis` for clients that don't know aggregated discovery."""
    groups = [_group(group, versions) for group, versions in known.groups().items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(known: catalog.Catalog, name: str) -> Mapping[str, Any] | None:
    """`/apis/GROUP`."""
    versions = known.groups().get(name)
    if not name or not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _group(name: str, versions: Sequence[str]) -> Mapping[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(known: catalog.Catalog, group: str, version: str) -> Mapping[str, Any] | None:
    """`/api/v1` or `/apis/GROUP/VERSION`."""
    resources: list[Mapping[str, Any]] = []
    for kind in _of(known, group, version):
        one: dict[str, Any] = {
            "name": kind.resource.name,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": kind.verbs,
        }
        if kind.short_names:
            one["shortNames"] = kind.short_names
        if kind.categories:
            one["categories"] = kind.categories
        resources.append(one)
        resources += [_part(kind, part) for part in kind.versions[version].subresources.values()]
    if not resources:
        return None
    place = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": place,
        "resources": resources,
    }


def _part(kind: catalog.Kind, part: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "name": f"{kind.resource.name}/{part['subresource']}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": part["responseKind"]["kind"],
        "verbs": part["verbs"],
    }
    if part["responseKind"].get("group"):
        found["group"] = part["responseKind"]["group"]
    if part["responseKind"].get("version"):
        found["version"] = part["responseKind"]["version"]
    return found


def openapi_index(known: catalog.Catalog) -> Mapping[str, Any]:
    """`/openapi/v3`: where each group version's document is."""
    paths: dict[str, Any] = {}
    for group_name, versions in known.groups().items():
        for version in versions:
            place = f"apis/{group_name}/{version}" if group_name else f"api/{version}"
            text = json.dumps([_custom(one) for one in _of(known, group_name, version)])
            # The same schemas have the same address in every cluster: kubectl caches by it.
            digest = hashlib.sha256(text.encode()).hexdigest().upper()
            paths[place] = {"serverRelativeURL": f"/openapi/v3/{place}?hash={digest}"}
    return {"paths": paths}


def _custom(kind: catalog.Kind) -> Any:
    return kind.custom or kind.kind


def openapi(known: catalog.Catalog, group_name: str, version: str) -> Mapping[str, Any] | None:
    """The OpenAPI v3 document of a group version."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    wanted: list[str] = []
    base = f"/apis/{group_name}/{version}" if group_name else f"/api/{version}"
    for kind in _of(known, group_name, version):
        of = kind.versions[version].schema
        name = of.name or f"{group_name}.{version}.{kind.kind}"
        place = f"{base}/namespaces/{{namespace}}" if kind.namespaced else base
        gvk = {"group": kind.group, "version": version, "kind": kind.kind}
        paths[f"{place}/{kind.resource.name}"] = _operations(kind, gvk, name, one=False)
        paths[f"{place}/{kind.resource.name}/{{name}}"] = _operations(kind, gvk, name, one=True)
        if kind.custom is not None:
            schemas[name] = {**of.raw, "x-kubernetes-group-version-kind": [gvk]}
        wanted += list(_references(of.raw)) if kind.custom is not None else [of.name]
    if not paths:
        return None
    _collect(wanted, schemas)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": schema.recorded("version")["gitVersion"]},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operations(
    kind: catalog.Kind, gvk: Mapping[str, str], name: str, *, one: bool
) -> Mapping[str, Any]:
    methods = ("get", "put", "patch", "delete") if one else ("get", "post")
    actions = {"get": "get" if one else "list"}
    found: dict[str, Any] = {}
    for method in methods:
        content: dict[str, Any] = {"schema": {"$ref": _REF + name}}
        operation: dict[str, Any] = {
            "operationId": f"{method}{kind.kind}{'One' if one else ''}",
            "x-kubernetes-action": actions.get(method, method),
            "x-kubernetes-group-version-kind": gvk,
            "parameters": [
                {"name": parameter, "in": "query", "schema": {"type": "string"}}
                for parameter in _PARAMETERS[method]
            ],
            "responses": {"200": {"description": "OK", "content": {"application/json": content}}},
        }
        if method in ("post", "put"):
            operation["requestBody"] = {"content": {"*/*": content}}
        elif method == "patch":
            patch = {"schema": {"type": "object"}}
            operation["requestBody"] = {"content": dict.fromkeys(_PATCHES, patch)}
        found[method] = operation
    return found


def _collect(names: Sequence[str], into: dict[str, Any]) -> None:
    """Every schema that is referred to."""
    recorded: Mapping[str, Any] = schema.recorded("schemas")
    waiting = [name for name in names if name]
    while waiting:
        name = waiting.pop()
        if name not in into and name in recorded:
            into[name] = recorded[name]
            waiting += _references(recorded[name])


def _references(raw: Any) -> Iterator[str]:
    if schema.is_map(raw):
        ref = raw.get("$ref")
        if isinstance(ref, str):
            yield ref.removeprefix(_REF)
        for inner in raw.values():
            yield from _references(inner)
    elif schema.is_list(raw):
        for inner in raw:
            yield from _references(inner)
