"""Label and field selectors, as the query of a list says them and as objects hold them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tilt_cluster import fields, names
from tilt_cluster.objects import ApiError, Object, Resource

Test = Callable[[Object], bool]

_NAME = r"(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET = re.compile(rf"\s*({_NAME})\s+(in|notin)\s*\(([^)]*)\)\s*")
_COMPARE = re.compile(rf"\s*({_NAME})\s*(==|=|!=|>|<)\s*({_VALUE})\s*")
_EXISTS = re.compile(rf"\s*(!?)\s*({_NAME})\s*")

_EVERYWHERE = ("metadata.name", "metadata.namespace")
_OF_PODS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
)
_OF_EVENTS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)
_FIELDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): _OF_PODS,
    ("", "events"): _OF_EVENTS,
    ("", "namespaces"): ("status.phase",),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "secrets"): ("type",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("", "replicationcontrollers"): ("status.replicas",),
    ("batch", "jobs"): ("status.successful",),
    ("certificates.k8s.io", "certificatesigningrequests"): ("spec.signerName",),
}


@dataclass(frozen=True, slots=True)
class _Term:
    key: str
    operator: str
    values: frozenset[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        try:
            found, bound = int(value or ""), int(next(iter(self.values)))
        except ValueError:
            return False
        return found > bound if self.operator == ">" else found < bound


def labels(text: str) -> Test | None:
    """The test that a `labelSelector` query means; None if it selects everything.

    Raises:
        ApiError: 400, it can't be parsed.
    """
    terms = [_term(part, text) for part in _split(text)]
    if not terms:
        return None

    def test(obj: Object) -> bool:
        found = fields.labels(obj)
        return all(term.holds(found) for term in terms)

    return test


def _term(part: str, text: str) -> _Term:
    if found := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in found[3].split(","))
        return _Term(found[1], found[2], values)
    if found := _COMPARE.fullmatch(part):
        for fault in (*names.label_key(found[1]), *names.label_value(found[3])):
            raise ApiError(
                400, "BadRequest", f"unable to parse requirement: {part.strip()}: {fault}"
            )
        if found[2] in "<>" and not found[3].lstrip("-").isdigit():
            why = (
                f'unable to parse requirement: values[0]: Invalid value: "{found[3]}": for '
                "'Gt', 'Lt' operators, the value must be an integer"
            )
            raise ApiError(400, "BadRequest", why)
        operator = {"=": "in", "==": "in", "!=": "notin"}.get(found[2], found[2])
        return _Term(found[1], operator, frozenset({found[3]}))
    if found := _EXISTS.fullmatch(part):
        return _Term(found[2], "absent" if found[1] else "exists", frozenset())
    raise ApiError(400, "BadRequest", f"unable to parse requirement: {text}")


def _split(text: str) -> list[str]:
    parts: list[str] = []
    depth = 0
    now = ""
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(now)
            now = ""
        else:
            now += letter
    return [*parts, now] if text.strip() else []


def by_fields(text: str, resource: Resource, custom: tuple[str, ...] = ()) -> Test | None:
    """The test that a `fieldSelector` query means; None if it selects everything.

    Raises:
        ApiError: 400, it can't be parsed or names a field by which this kind can't be selected.
    """
    allowed = {*_EVERYWHERE, *_FIELDS.get((resource.group, resource.name), ()), *custom}
    wanted: list[tuple[str, bool, str]] = []
    for part in text.split(","):
        if not part.strip():
            continue
        found = re.fullmatch(r"\s*([^=!]+?)\s*(==|=|!=)\s*(.*?)\s*", part)
        if not found:
            raise ApiError(
                400,
                "BadRequest",
                f"invalid selector: '{text}'; can't understand '{part}'",
            )
        if found[1] not in allowed:
            own = [*custom, *_FIELDS.get((resource.group, resource.name), ())]
            text = f"field label not supported: {found[1]}"
            if not own:
                text = (
                    f'"{found[1]}" is not a known field selector: only "metadata.name", '
                    '"metadata.namespace"'
                )
            raise ApiError(400, "BadRequest", text)
        wanted.append((found[1], found[2] != "!=", found[3]))
    if not wanted:
        return None

    def test(obj: Object) -> bool:
        return all((_text(obj, path) == value) is same for path, same, value in wanted)

    return test


def _text(obj: Object, path: str) -> str:
    value: Any = obj
    if path == "source":
        value = fields.get(obj, "source", "component")
    elif path == "status.successful":
        value = fields.get(obj, "status", "succeeded", default=0)
    else:
        value = fields.get(obj, *path.split("."))
    match value:
        case None:
            return _ABSENT.get(path, "")
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


_ABSENT = {
    "spec.hostNetwork": "false",
    "spec.unschedulable": "false",
    "status.replicas": "0",
    "spec.schedulerName": "",
}
