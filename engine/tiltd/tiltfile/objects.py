"""Kubernetes objects out of YAML: parsed, named, ordered, and who belongs to whom.

An object stays the plain mapping that its YAML gives, without what only a cluster writes
(`status`, `creationTimestamp: null`), which generators leave in.  Only Kubernetes' own kinds count
as holders of pods here, by kind: a custom resource with a pod template is a workload only if
`k8s_kind` says so.  Where a namespace is missing, names and messages say `default`, as Tilt does.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from tiltd.core import podspec
from tiltd.model.desired import JSON
from tiltd.model.names import ObjectId
from tiltd.model.problems import Place
from tiltd.tiltfile import kept, yaml_text
from tiltd.tiltfile.mistakes import Mistake

_DEFAULT_NAMESPACE = "default"
_STAMP = "creationTimestamp"

_APPLIED_FIRST = (
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "PriorityClass",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
)
"""Tilt's order (kustomize's list of kinds); every other kind comes after these."""
_RANKS = {kind: rank for rank, kind in enumerate(_APPLIED_FIRST)}

_POD_HOLDERS = frozenset(
    {
        ("", "Pod"),
        ("", "PodTemplate"),
        ("", "ReplicationController"),
        *((g, k) for g in ("apps", "extensions") for k in ("Deployment", "ReplicaSet")),
        *((g, "DaemonSet") for g in ("apps", "extensions")),
        ("apps", "StatefulSet"),
        ("batch", "Job"),
        ("batch", "CronJob"),
    }
)
"""Group and kind of the built-in objects that describe pods."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Entity:
    """One object.  Two equal objects are still two (`allow_duplicates`).

    Args:
        body: the object.
        source: the file or the expression that it came from.
    """

    body: JSON
    source: str

    @property
    def api_version(self) -> str:
        """`apps/v1`."""
        return str(self.body["apiVersion"])

    @property
    def kind(self) -> str:
        """`Deployment`."""
        return str(self.body["kind"])

    @property
    def group(self) -> str:
        """`apps`; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def name(self) -> str:
        """`metadata.name`; empty for an object with `generateName`."""
        return str(self._metadata.get("name") or "")

    @property
    def given_namespace(self) -> str:
        """`metadata.namespace`, empty where there is none."""
        return str(self._metadata.get("namespace") or "")

    @property
    def namespace(self) -> str:
        """`metadata.namespace`, or `default`."""
        return self.given_namespace or _DEFAULT_NAMESPACE

    @property
    def labels(self) -> Mapping[str, Any]:
        """`metadata.labels`."""
        return podspec.section(self._metadata, "labels")

    @property
    def id(self) -> ObjectId:
        """Its name in the project."""
        return ObjectId(self.group, self.kind, self.given_namespace, self.name)

    @property
    def selector(self) -> str:
        """`name:Kind:namespace`, as messages and `objects=[…]` write it."""
        return ":".join(escape(part) for part in (self.name, self.kind, self.namespace))

    @property
    def full_name(self) -> str:
        """`name:kind:namespace:group`, in lower case and without escapes."""
        return f"{self.name}:{self.kind}:{self.namespace}:{self.group}".lower()

    @property
    def _metadata(self) -> JSON:
        return podspec.section(self.body, "metadata")

    def with_namespace(self, namespace: str) -> "Entity":
        """The same object in `namespace`, unless it names one itself."""
        if self.given_namespace:
            return self
        metadata = {**self._metadata, "namespace": namespace}
        return Entity({**self.body, "metadata": metadata}, self.source)

    def pod_templates(self) -> list[JSON]:
        """The pod templates of a built-in kind (of a Pod: itself)."""
        if (self.group, self.kind) not in _POD_HOLDERS:
            return []
        return list(podspec.templates(self.body))


def parse(text: str, source: str, file: str = "") -> list[Entity]:
    """Read a stream of objects; the items of a List stand for themselves.

    Args:
        text: YAML (or JSON).
        source: where the text came from, for messages.
        file: the path of the file, if it is one.

    Raises:
        Mistake: no YAML, or no objects; with the line.
    """
    try:
        documents = kept.documents(text)
    except yaml_text.YamlError as error:
        place = Place(file, error.line, error.column) if file else None
        where = "" if file or not error.line else f" (line {error.line})"
        raise Mistake(
            f"the YAML of {source} can't be read: {error.reason}{where}", place=place
        ) from error
    found: list[Entity] = []
    stamped = _STAMP in text
    for document in documents:
        place = Place(file, document.line) if file else None
        found += (
            Entity(_without_status(body, stamped=stamped), source)
            for body in _objects(document.value, source, place)
        )
    return found


def render(entities: Iterable[Entity]) -> str:
    """The objects as YAML."""
    return yaml_text.encode_stream([entity.body for entity in entities])


def in_order(entities: Iterable[Entity]) -> list[Entity]:
    """Sorted by kind as Tilt applies them, otherwise in the order given."""
    return sorted(entities, key=lambda e: _RANKS.get(e.kind, len(_RANKS)))


def unique_names(entities: Sequence[Entity]) -> list[str]:
    """For each object the shortest name that no other one has.

    `web`, else `web:deployment`, `web:deployment:shop`, `web:deployment:shop:apps`; objects that
    are the same in all of these get their number behind it.
    """
    wanted = Counter(name for e in entities for name in fragments(e))
    names: list[str] = []
    for number, entity in enumerate(entities):
        candidates = fragments(entity)
        free = (name for name in candidates if wanted[name] == 1)
        names.append(next(free, f"{candidates[-1]}:{number}"))
    return names


def fragments(entity: Entity) -> list[str]:
    """All texts that name an object in `objects=[…]`, shortest first, in lower case."""
    parts = (entity.name, entity.kind, entity.namespace, entity.group or "core")
    escaped = [escape(part).lower() for part in parts]
    return [":".join(escaped[: n + 1]) for n in range(len(escaped))]


def escape(part: str) -> str:
    r"""A part of a selector; a colon in it is written `\:`."""
    return part.replace("\\", "\\\\").replace(":", "\\:")


class Services:
    """The Services among some objects, each to be found by what it selects.

    Args:
        entities: the objects.
    """

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._by_label: dict[tuple[str, str], list[tuple[int, Entity, JSON]]] = {}
        for number, entity in enumerate(entities):
            if (entity.group, entity.kind) == ("", "Service"):
                wanted = podspec.section(podspec.section(entity.body, "spec"), "selector")
                for key, value in list(wanted.items())[:1]:
                    known = self._by_label.setdefault((key, str(value)), [])
                    known.append((number, entity, wanted))

    def selecting(self, workload: Entity) -> list[Entity]:
        """Those whose selector matches the workload's pods, in their order.

        A Service in another namespace than the workload's is none of its, unless it names none.
        """
        found: dict[int, Entity] = {}
        for template in workload.pod_templates() if self._by_label else ():
            labels = podspec.section(podspec.section(template, "metadata"), "labels")
            for pair in labels.items():
                for number, entity, wanted in self._by_label.get((pair[0], str(pair[1])), ()):
                    near = entity.namespace in {_DEFAULT_NAMESPACE, workload.namespace}
                    if near and all(labels.get(key) == value for key, value in wanted.items()):
                        found[number] = entity
        return [entity for _, entity in sorted(found.items())]


def _objects(value: Any, source: str, place: Place | None) -> Iterator[dict[str, Any]]:
    body = _checked(value, source, place)
    items = body.get("items")
    if str(body["kind"]).endswith("List") and isinstance(items, list):
        for item in cast("list[object]", items):
            if item is not None:
                yield from _objects(item, source, place)
        return
    yield body


def _checked(value: Any, source: str, place: Place | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Mistake(
            f"{source} holds {_described(value)} where a Kubernetes object is expected",
            hint="each document of the YAML must be a mapping with apiVersion, kind and metadata",
            place=place,
        )
    body = cast("dict[str, Any]", value)
    for key in ("apiVersion", "kind"):
        if not isinstance(body.get(key), str) or not body[key]:
            raise Mistake(f"a Kubernetes object in {source} has no {key}", place=place)
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise Mistake(
            f"the {body['kind']} in {source} has metadata that are {_described(metadata)}, "
            "not a mapping",
            place=place,
        )
    for key in ("name", "namespace"):
        _check_text(podspec.section(body, "metadata").get(key), key, str(body["kind"]), place)
    return body


def _check_text(value: Any, key: str, kind: str, place: Place | None) -> None:
    if value is None or isinstance(value, str):
        return
    written = " (YAML reads a plain n, no, y, yes, on or off as one)"
    raise Mistake(
        f"metadata.{key} of a {kind} is {_described(value)}, not a text"
        + (written if isinstance(value, bool) else ""),
        hint=f"put quotes around the {key}",
        place=place,
    )


def _described(value: Any) -> str:
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case None:
            return "nothing"
        case _:
            return "a text"


def _without_status(body: dict[str, Any], *, stamped: bool) -> dict[str, Any]:
    cleaned = body
    if "status" in body:
        cleaned = {key: value for key, value in body.items() if key != "status"}
    return cast("dict[str, Any]", _without_empty_timestamps(cleaned)) if stamped else cleaned


def _without_empty_timestamps(value: Any) -> Any:
    match value:
        case dict():
            mapping = cast("dict[str, Any]", value)
            return {
                key: _without_empty_timestamps(item)
                for key, item in mapping.items()
                if not (key == _STAMP and item is None)
            }
        case list():
            items = cast("list[object]", value)
            return [_without_empty_timestamps(item) for item in items]
        case _:
            return value
