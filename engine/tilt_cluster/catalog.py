"""Which kinds there are: the recorded discovery document, and what CRDs add to it.

One `Kind` stands for a resource in all its versions.  Two resources of Kubernetes are one here,
stored once: `events` of core and of events.k8s.io.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilt_cluster import schema
from tilt_cluster.objects import EVENTS, Resource

_LEFT_OUT = {"componentstatuses"}
_STORED = {"autoscaling": "v2"}
"""Stored versions of groups that have several (else the first)."""
GENERATION = frozenset(
    {
        "cronjobs",
        "customresourcedefinitions",
        "daemonsets",
        "deployments",
        "endpointslices",
        "flowschemas",
        "ingresses",
        "ingressclasses",
        "jobs",
        "mutatingwebhookconfigurations",
        "networkpolicies",
        "poddisruptionbudgets",
        "pods",
        "podtemplates",
        "priorityclasses",
        "prioritylevelconfigurations",
        "replicasets",
        "replicationcontrollers",
        "statefulsets",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    }
)
"""Built-in resources whose `metadata.generation` counts."""


@dataclass(frozen=True, slots=True)
class Version:
    """One served version of a kind.

    Args:
        name: for example `v1beta1`.
        schema: what its objects look like.
        columns: recorded or declared columns of its tables (None: name and age).
        subresources: by name, as discovery says them.
        deprecated: the warning to answer with, or empty.
    """

    name: str
    schema: schema.Schema
    subresources: Mapping[str, Mapping[str, Any]]
    columns: Sequence[Mapping[str, Any]] | None = None
    deprecated: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object, in every version that is served.

    Args:
        resource: its collection; `aliases` are other names of the same one.
        stored: the version in which objects are stored.
        versions: by name, the preferred one first.
        verbs: what a client may do (empty list means: create only, nothing is stored).
        custom: the CRD's spec, or None for a built-in kind.
    """

    resource: Resource
    kind: str
    singular: str
    namespaced: bool
    verbs: Sequence[str]
    stored: str
    versions: Mapping[str, Version]
    short_names: Sequence[str] = ()
    categories: Sequence[str] = ()
    custom: Mapping[str, Any] | None = None

    @property
    def group(self) -> str:
        """The API group."""
        return self.resource.group

    def api_version(self, version: str = "") -> str:
        """`apiVersion` of its objects, as stored unless said otherwise."""
        version = version or self.stored
        return f"{self.group}/{version}" if self.group else version

    @property
    def storage(self) -> Version:
        """The stored version."""
        return self.versions[self.stored]

    @property
    def counts_generation(self) -> bool:
        """Whether `metadata.generation` counts changes of the spec."""
        return self.custom is not None or self.resource.name in GENERATION

    def has_status(self) -> bool:
        """Whether `status` is a subresource, so that a plain write leaves it alone."""
        return "status" in self.storage.subresources


class Catalog:
    """All kinds; CRDs come and go."""

    def __init__(self) -> None:
        self._kinds: dict[Resource, Kind] = {}
        self._aliases: dict[Resource, Resource] = {Resource("events.k8s.io", "events"): EVENTS}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        for kind in _built_in():
            self.put(kind)

    def put(self, kind: Kind) -> None:
        """Add or replace a kind."""
        self._kinds[kind.resource] = kind
        self._by_kind[kind.group, kind.kind] = kind.resource

    def drop(self, resource: Resource) -> None:
        """Remove a custom kind."""
        kind = self._kinds.pop(resource, None)
        if kind is not None:
            self._by_kind.pop((kind.group, kind.kind), None)

    def find(self, resource: Resource) -> Kind | None:
        """The kind of a resource."""
        return self._kinds.get(resource)

    def home(self, resource: Resource) -> Resource:
        """Where a resource's objects are stored."""
        return self._aliases.get(resource, resource)

    def of_kind(self, group: str, kind: str) -> Kind | None:
        """The kind by group and kind name."""
        resource = self._by_kind.get((group, kind))
        return self._kinds.get(resource) if resource else None

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._kinds.values()))

    def stored(self) -> Sequence[Kind]:
        """The kinds of which there are objects, each once."""
        return [
            kind
            for kind in self._kinds.values()
            if "list" in kind.verbs and kind.resource not in self._aliases
        ]

    def groups(self) -> Mapping[str, Sequence[str]]:
        """Versions by group, the preferred one first; core (empty) included."""
        found: dict[str, list[str]] = {}
        for kind in self._kinds.values():
            known = found.setdefault(kind.group, [])
            known += [version for version in kind.versions if version not in known]
        return found


def _built_in() -> Iterator[Kind]:
    columns: Mapping[str, Any] = schema.recorded("columns")
    for group in schema.recorded("discovery"):
        name: str = group["name"]
        by_resource: dict[str, dict[str, Mapping[str, Any]]] = {}
        for version in group["versions"]:
            for one in version["resources"]:
                if one["resource"] not in _LEFT_OUT:
                    by_resource.setdefault(one["resource"], {})[version["version"]] = one
        for plural, found in by_resource.items():
            yield _kind(name, plural, found, columns)


def _kind(
    group: str,
    plural: str,
    found: Mapping[str, Mapping[str, Any]],
    columns: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Kind:
    one = next(iter(found.values()))
    kind: str = one["responseKind"]["kind"]
    base = f"/apis/{group}" if group else "/api"
    versions = {
        version: Version(
            name=version,
            schema=schema.of_kind(group, version, kind),
            subresources={
                sub["subresource"]: sub for sub in raw.get("subresources") or () if sub["verbs"]
            },
            columns=columns.get(f"{base}/{version}/{plural}"),
        )
        for version, raw in found.items()
    }
    stored = _STORED.get(group, next(iter(versions)))
    return Kind(
        resource=Resource(group, plural),
        kind=kind,
        singular=one.get("singularResource", ""),
        namespaced=one["scope"] == "Namespaced",
        verbs=tuple(one["verbs"]),
        stored=stored if stored in versions else next(iter(versions)),
        versions=versions,
        short_names=tuple(one.get("shortNames") or ()),
        categories=tuple(one.get("categories") or ()),
    )
