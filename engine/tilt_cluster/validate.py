"""Rules that an object must keep, in the words in which Kubernetes refuses.

Names and labels, required fields and enums of the schema, then each kind's own rules and the
fields that never change.  Not every rule of Kubernetes is here; those that people meet are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import (
    catalog,
    custom,
    custom_rules,
    fields,
    names,
    pod_rules,
    quota,
    refusals,
    schema,
)
from tilt_cluster.objects import Object
from tilt_cluster.refusals import Cause
from tilt_cluster.schema import is_list, is_map

_LARGEST = 1024 * 1024
_MOST_PORTS = 65535
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_MIN_CRON_FIELDS = 5

_OF_THEIR_OWN = frozenset({("", "resourcequotas")})
"""Kinds whose own rules say more of enums than the schema, in other words."""

_NAME_RULES = {
    ("", "namespaces"): names.label,
    ("", "services"): names.label,
    ("rbac.authorization.k8s.io", "clusterroles"): names.segment,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): names.segment,
    ("rbac.authorization.k8s.io", "roles"): names.segment,
    ("rbac.authorization.k8s.io", "rolebindings"): names.segment,
}


def check(kind: catalog.Kind, old: Object | None, obj: Object, part: str = "") -> Sequence[Cause]:
    """What is wrong with an object (`old`: the one it replaces, `part`: of it by a subresource)."""
    causes = [*_metadata(kind, old, obj)]
    if kind.custom is not None:
        causes += custom_rules.check(kind.storage.schema, obj)
        return causes
    spec_schema = kind.storage.schema.field("spec")
    place = (kind.resource.group, kind.resource.name)
    if spec_schema is not None and spec_schema.is_struct and place not in _OF_THEIR_OWN:
        causes += _shape(spec_schema, obj.get("spec") or {}, "spec")
    rules = _RULES.get(place)
    if rules:
        causes += rules(obj)
    if old is None:
        causes += _CREATES[place](obj) if place in _CREATES else ()
    elif part == "ephemeralcontainers":
        causes += pod_rules.ephemeral_kept(old, obj)
    elif place in _UPDATES:
        causes += _UPDATES[place](old, obj)
    return list(dict.fromkeys(causes))


def _metadata(kind: catalog.Kind, old: Object | None, obj: Object) -> Iterator[Cause]:
    metadata: Mapping[str, Any] = obj["metadata"]
    if old is None:
        name: str = metadata["name"]
        rule = _NAME_RULES.get((kind.resource.group, kind.resource.name), names.subdomain)
        wrong = rule(name)
        if wrong:
            yield refusals.invalid("metadata.name", name, wrong)
    for key, value in fields.get(metadata, "labels", default={}).items():
        yield from label("metadata.labels", key, value)
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    for key in annotations:
        wrong = names.label_key(key.lower())
        if wrong:
            yield refusals.invalid("metadata.annotations", key, wrong)
    for at, finalizer in enumerate(metadata.get("finalizers") or ()):
        wrong = names.label_key(finalizer)
        if wrong:
            yield refusals.invalid(f"metadata.finalizers[{at}]", finalizer, wrong)
    yield from _owners(metadata)
    if old is not None and fields.deleting(old):
        fresh = set(metadata.get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
        if fresh:
            listed = ", ".join(f'"{one}"' for one in sorted(fresh))
            text = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            yield refusals.forbidden("metadata.finalizers", text)


def label(field: str, key: str, value: str) -> Iterator[Cause]:
    """Rules of one label."""
    wrong = names.label_key(key)
    if wrong:
        yield refusals.invalid(field, key, wrong)
    wrong = names.label_value(value)
    if wrong:
        yield refusals.invalid(field, value, wrong)


def _owners(metadata: Mapping[str, Any]) -> Iterator[Cause]:
    owners: Sequence[Mapping[str, Any]] = metadata.get("ownerReferences") or ()
    for at, owner in enumerate(owners):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                text = {"apiVersion": "version must not be empty"}.get(key, "must not be empty")
                yield refusals.invalid(f"metadata.ownerReferences[{at}].{key}", "", text)
    leading = [owner for owner in owners if owner.get("controller")]
    if len(leading) > 1:
        text = (
            "Only one reference can have Controller set to true. Found "
            f'"true" in references for {leading[0].get("kind")}/{leading[0].get("name")} and '
            f"{leading[1].get('kind')}/{leading[1].get('name')}"
        )
        yield refusals.invalid("metadata.ownerReferences", list(owners), text)


def _shape(of: schema.Schema, value: Any, path: str) -> Iterator[Cause]:
    """Required fields and enums, all the way down."""
    if is_map(value):
        if not of.properties and of.values is None:
            return
        for name in of.required:
            if value.get(name) in (None, ""):
                yield refusals.required(f"{path}.{name}")
        for key, item in value.items():
            child = of.field(key)
            if child is not None:
                yield from _shape(child, item, f"{path}.{key}")
    elif is_list(value):
        for at, item in enumerate(value):
            yield from _shape(of.items, item, f"{path}[{at}]")
    else:
        enum = of.raw.get("enum")
        if is_list(enum) and value not in enum:
            yield refusals.unsupported(path, value, [one for one in enum if one])


def _workload(obj: Object) -> Iterator[Cause]:
    """Deployments, ReplicaSets, StatefulSets, DaemonSets."""
    spec: Mapping[str, Any] = obj.get("spec") or {}
    yield from _not_negative(
        spec,
        "spec",
        "replicas",
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    )
    selector: Mapping[str, Any] | None = spec.get("selector")
    labels: Mapping[str, str] = fields.get(spec, "template", "metadata", "labels", default={})
    mismatch = "`selector` does not match template `labels`"
    if selector is None:
        yield refusals.invalid("spec.template.metadata.labels", labels or None, mismatch)
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        text = f"empty selector is invalid for {str(obj['kind']).lower()}"
        yield refusals.invalid("spec.selector", selector, text)
    elif not fields.selects(selector, labels):
        yield refusals.invalid("spec.template.metadata.labels", labels or None, mismatch)
    template: Mapping[str, Any] = spec.get("template") or {}
    yield from pod_rules.template(template, "spec.template")
    policy = fields.get(template, "spec", "restartPolicy")
    if policy in ("Never", "OnFailure"):
        yield refusals.unsupported("spec.template.spec.restartPolicy", policy, ["Always"])


def _not_negative(spec: Mapping[str, Any], path: str, *keys: str) -> Iterator[Cause]:
    for key in keys:
        value = spec.get(key)
        if isinstance(value, int) and value < 0:
            text = "must be greater than or equal to 0"
            yield refusals.invalid(f"{path}.{key}", value, text)


def _pod(obj: Object) -> Iterator[Cause]:
    yield from pod_rules.spec(obj.get("spec") or {}, "spec")


def _job(obj: Object) -> Iterator[Cause]:
    yield from _job_spec(obj.get("spec") or {}, "spec")


def _job_spec(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    yield from _not_negative(
        spec,
        path,
        "parallelism",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    )
    yield from pod_rules.template(spec.get("template") or {}, f"{path}.template")
    if fields.get(spec, "template", "spec", "restartPolicy") == "Always":
        text = 'Unsupported value: "Always": supported values: "OnFailure", "Never"'
        yield Cause("FieldValueNotSupported", f"{path}.template.spec.restartPolicy", text)


def _cron_job(obj: Object) -> Iterator[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    schedule = spec.get("schedule") or ""
    count = len(schedule.split())
    if schedule and not schedule.startswith("@") and count != _MIN_CRON_FIELDS:
        text = f"expected exactly 5 fields, found {count}: [{schedule}]"
        yield refusals.invalid("spec.schedule", schedule, text)
    yield from _job_spec(
        fields.get(spec, "jobTemplate", "spec", default={}), "spec.jobTemplate.spec"
    )


def _service(obj: Object) -> Iterator[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    ports: Sequence[Mapping[str, Any]] = spec.get("ports") or ()
    external = spec.get("type") == "ExternalName"
    if external and not spec.get("externalName"):
        yield refusals.required("spec.externalName")
    if not ports and not external and spec.get("clusterIP") != "None":
        yield refusals.required("spec.ports")
    seen: set[Any] = set()
    for at, port in enumerate(ports):
        path = f"spec.ports[{at}]"
        name = port.get("name")
        if len(ports) > 1 and not name:
            yield refusals.required(f"{path}.name")
        elif name:
            wrong = names.label(name)
            if wrong:
                yield refusals.invalid(f"{path}.name", name, wrong)
            if name in seen:
                yield refusals.duplicate(f"{path}.name", name)
            seen.add(name)
        number = port.get("port")
        if isinstance(number, int):
            yield from pod_rules.port(number, f"{path}.port")
        target = port.get("targetPort")
        if isinstance(target, int):
            yield from pod_rules.port(target, f"{path}.targetPort")
    for key, value in fields.get(spec, "selector", default={}).items():
        yield from label("spec.selector", key, value)


def _data(obj: Object) -> Iterator[Cause]:
    size = 0
    for part in ("data", "binaryData"):
        for key, value in fields.get(obj, part, default={}).items():
            size += len(value.encode())
            if not _KEY.fullmatch(key) or key in (".", ".."):
                text = (
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                    "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation "
                    "is '[-._a-zA-Z0-9]+')"
                )
                yield refusals.invalid(f"{part}[{key}]", key, text)
    if size > _LARGEST:
        field = "data" if obj["kind"] == "Secret" else ""
        text = f"Too long: may not be more than {_LARGEST} bytes"
        yield Cause("FieldValueTooLong", field or "[]", text)


def _claim(obj: Object) -> Iterator[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    if not spec.get("accessModes"):
        yield refusals.required("spec.accessModes", "at least 1 access mode is required")
    if not fields.get(spec, "resources", "requests", "storage"):
        yield refusals.required("spec.resources[storage]")


def _autoscaler(obj: Object) -> Iterator[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    if int(spec.get("maxReplicas") or 0) < 1:
        text = "must be greater than 0"
        yield refusals.invalid("spec.maxReplicas", spec.get("maxReplicas") or 0, text)


def _budget(obj: Object) -> Iterator[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        text = "minAvailable and maxUnavailable cannot be both set"
        yield refusals.invalid("spec", dict(spec), text)


def _ingress(obj: Object) -> Iterator[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        text = "either `defaultBackend` or `rules` must be specified"
        yield refusals.invalid("spec", [], text)


_RULES = {
    ("", "configmaps"): _data,
    ("", "persistentvolumeclaims"): _claim,
    ("", "pods"): _pod,
    ("", "resourcequotas"): quota.check,
    ("", "secrets"): _data,
    ("", "services"): _service,
    ("apiextensions.k8s.io", "customresourcedefinitions"): custom.check_definition,
    ("apps", "daemonsets"): _workload,
    ("apps", "deployments"): _workload,
    ("apps", "replicasets"): _workload,
    ("apps", "statefulsets"): _workload,
    ("autoscaling", "horizontalpodautoscalers"): _autoscaler,
    ("batch", "cronjobs"): _cron_job,
    ("batch", "jobs"): _job,
    ("networking.k8s.io", "ingresses"): _ingress,
    ("policy", "poddisruptionbudgets"): _budget,
}

_CREATES = {("", "pods"): pod_rules.fresh}

# What never changes


def _selector_kept(old: Object, new: Object) -> Iterator[Cause]:
    if old["spec"].get("selector") != new["spec"].get("selector"):
        yield refusals.immutable("spec.selector", new["spec"].get("selector"))


_STATEFUL_MAY = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def _stateful_kept(old: Object, new: Object) -> Iterator[Cause]:
    before, after = dict(old["spec"]), dict(new["spec"])
    for key in _STATEFUL_MAY:
        before.pop(key, None)
        after.pop(key, None)
    for spec in (before, after):
        claims = spec.get("volumeClaimTemplates") or ()
        spec["volumeClaimTemplates"] = [
            {**claim, "status": None, "metadata": {**claim.get("metadata", {})}} for claim in claims
        ]
    if before != after:
        yield refusals.forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
            "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
            "'minReadySeconds' are forbidden",
        )


def _job_kept(old: Object, new: Object) -> Iterator[Cause]:
    before, after = old["spec"], new["spec"]
    if not before.get("suspend") and before.get("template") != after.get("template"):
        yield refusals.immutable("spec.template", after.get("template"))
    for key in ("selector", "completionMode"):
        if before.get(key) != after.get(key):
            yield refusals.immutable(f"spec.{key}", after.get(key))
    if before.get("completions") != after.get("completions"):
        indexed = after.get("completionMode") == "Indexed"
        if not indexed or after.get("completions") != after.get("parallelism"):
            yield refusals.immutable("spec.completions", after.get("completions"))


def _service_kept(old: Object, new: Object) -> Iterator[Cause]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and after != before and new["spec"].get("type") != "ExternalName":
        yield refusals.invalid("spec.clusterIPs[0]", [after], "may not change once set")


def _data_kept(old: Object, new: Object) -> Iterator[Cause]:
    if old["kind"] == "Secret" and old.get("type") != new.get("type"):
        yield refusals.immutable("type", new.get("type"))
    if not old.get("immutable"):
        return
    text = "field is immutable when `immutable` is set"
    if not new.get("immutable"):
        yield refusals.forbidden("immutable", text)
    for part in ("data", "binaryData"):
        if fields.get(old, part, default={}) != fields.get(new, part, default={}):
            yield refusals.forbidden(part, text)


def _claim_kept(old: Object, new: Object) -> Iterator[Cause]:
    before, after = dict(old["spec"]), dict(new["spec"])
    for spec in (before, after):
        spec.pop("resources", None)
        spec.pop("volumeAttributesClassName", None)
    if before.get("volumeName") is None:
        after.pop("volumeName", None)
    if before.get("storageClassName") is None:
        after.pop("storageClassName", None)
    if before != after:
        text = (
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims"
        )
        yield refusals.forbidden("spec", text)


def _role_kept(old: Object, new: Object) -> Iterator[Cause]:
    if old.get("roleRef") != new.get("roleRef"):
        yield refusals.invalid("roleRef", new.get("roleRef"), "cannot change roleRef")


def _storage_kept(old: Object, new: Object) -> Iterator[Cause]:
    for key in ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"):
        if old.get(key) != new.get(key):
            text = f"updates to {key} are forbidden."
            yield refusals.forbidden(key, text)


_UPDATES = {
    ("", "configmaps"): _data_kept,
    ("", "persistentvolumeclaims"): _claim_kept,
    ("", "pods"): pod_rules.kept,
    ("", "resourcequotas"): quota.kept,
    ("", "secrets"): _data_kept,
    ("", "services"): _service_kept,
    ("apps", "daemonsets"): _selector_kept,
    ("apps", "deployments"): _selector_kept,
    ("apps", "replicasets"): _selector_kept,
    ("apps", "statefulsets"): _stateful_kept,
    ("batch", "jobs"): _job_kept,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _role_kept,
    ("rbac.authorization.k8s.io", "rolebindings"): _role_kept,
    ("storage.k8s.io", "storageclasses"): _storage_kept,
}
