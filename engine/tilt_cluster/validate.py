"""Rules that an object must keep, in the words in which Kubernetes refuses.

Names and labels, required fields and enums of the schema, then each kind's own rules and the
fields that never change.  Not every rule of Kubernetes is here; those that people meet are.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import (
    catalog,
    custom,
    custom_rules,
    fields,
    limit_rules,
    names,
    pod_rules,
    quota,
    refusals,
    shapes,
    values,
)
from tilt_cluster.objects import Object
from tilt_cluster.refusals import Cause

_LARGEST = 1024 * 1024
_MIN_CRON_FIELDS = 5
_HIGHEST_PRIORITY = 1_000_000_000

_FINALIZERS = frozenset({"kubernetes", "foregroundDeletion", "orphan"})
_GIVEN_TO_PODS = frozenset({"spec.template.spec.hostname", "spec.template.spec.subdomain"})
_OF_THEIR_OWN = frozenset({("", "resourcequotas")})
"""Kinds whose own rules say more of enums than the schema, in other words."""

_NAME_RULES = {
    ("", "namespaces"): names.label,
    ("", "services"): names.label,
    ("", "events"): names.segment,
    ("events.k8s.io", "events"): names.segment,
    ("policy", "poddisruptionbudgets"): names.segment,
    ("rbac.authorization.k8s.io", "clusterroles"): names.segment,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): names.segment,
    ("rbac.authorization.k8s.io", "roles"): names.segment,
    ("rbac.authorization.k8s.io", "rolebindings"): names.segment,
}


def check(kind: catalog.Kind, old: Object | None, obj: Object, part: str = "") -> Sequence[Cause]:
    """What is wrong with an object (`old`: the one it replaces).

    Args:
        kind: what it is.
        old: the object that it replaces, if any.
        obj: the object.
        part: the subresource that writes; `own` if it is the cluster itself.
    """
    causes = [*_metadata(kind, old, obj)]
    if kind.custom is not None:
        causes += custom_rules.check(kind.storage.schema, obj)
        return causes
    place = (kind.resource.group, kind.resource.name)
    if place not in _OF_THEIR_OWN:
        causes += shapes.check(kind.storage.schema, obj)
    rules = _RULES.get(place)
    if rules:
        causes += rules(obj)
    if kind.kind == "StatefulSet":
        # It gives both to its pods itself, so nobody looks at them in the template.
        causes = [one for one in causes if one.field not in _GIVEN_TO_PODS]
    if old is None:
        causes += _CREATES[place](obj) if place in _CREATES else ()
    elif part == "ephemeralcontainers":
        causes += pod_rules.ephemeral_kept(old, obj)
    elif part == "own" and kind.kind == "Pod":
        causes += pod_rules.bound(old, obj)
    elif place in _UPDATES:
        causes += _UPDATES[place](old, obj)
    return list(dict.fromkeys(causes))


def _metadata(kind: catalog.Kind, old: Object | None, obj: Object) -> Iterator[Cause]:
    metadata: Mapping[str, Any] = obj["metadata"]
    if old is None:
        name: str = metadata["name"]
        rule = _NAME_RULES.get((kind.resource.group, kind.resource.name), names.subdomain)
        yield from (refusals.invalid("metadata.name", name, one) for one in rule(name))
        base = metadata.get("generateName")
        if base:
            wrong = rule(f"{base[:-1]}a" if base.endswith("-") else base)
            yield from (refusals.invalid("metadata.generateName", base, one) for one in wrong)
    yield from values.labels(metadata.get("labels"), "metadata.labels")
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    for key in annotations:
        for one in names.label_key(key.lower()):
            yield refusals.invalid("metadata.annotations", key, one)
    for at, finalizer in enumerate(metadata.get("finalizers") or ()):
        for one in names.label_key(finalizer):
            yield refusals.invalid(f"metadata.finalizers[{at}]", finalizer, one)
        if kind.custom is None and "/" not in finalizer and finalizer not in _FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            yield refusals.invalid(f"metadata.finalizers[{at}]", finalizer, text)
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
    elif any(shapes.check_selector(selector)):
        yield refusals.invalid("spec.selector", dict(selector), "invalid label selector")
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


def _controller(obj: Object) -> Iterator[Cause]:
    """ReplicationControllers, whose selector is a plain map."""
    spec: Mapping[str, Any] = obj.get("spec") or {}
    selector: Mapping[str, str] = spec.get("selector") or {}
    if not selector:
        yield refusals.required("spec.selector")
    template: Mapping[str, Any] | None = spec.get("template")
    if template is None or not (
        template.get("metadata") or fields.get(template, "spec", "containers")
    ):
        yield refusals.required("spec.template")
        return
    labels: Mapping[str, str] = fields.get(template, "metadata", "labels", default={})
    if selector and any(labels.get(key) != value for key, value in selector.items()):
        text = "`selector` does not match template `labels`"
        yield refusals.invalid("spec.template.metadata.labels", labels or None, text)
    yield from pod_rules.template(template, "spec.template")


def _pod_template(obj: Object) -> Iterator[Cause]:
    yield from pod_rules.template(obj.get("template") or {}, "template")


def _not_negative(spec: Mapping[str, Any], path: str, *keys: str) -> Iterator[Cause]:
    for key in keys:
        value = spec.get(key)
        if isinstance(value, int) and value < 0:
            text = "must be greater than or equal to 0"
            yield refusals.invalid(f"{path}.{key}", value, text)


def _pod(obj: Object) -> Iterator[Cause]:
    yield from pod_rules.spec(obj.get("spec") or {}, "spec")


def _job(obj: Object) -> Iterator[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    selector: Mapping[str, Any] | None = spec.get("selector")
    labels: Mapping[str, str] = fields.get(spec, "template", "metadata", "labels", default={})
    if selector is None:
        yield refusals.required("spec.selector")
    if not fields.selects(selector, labels):
        text = "`selector` does not match template `labels`"
        yield refusals.invalid("spec.template.metadata.labels", labels or None, text)
    yield from _job_spec(spec, "spec")


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
            yield from (refusals.invalid(f"{path}.name", name, one) for one in names.label(name))
            if name in seen:
                yield refusals.duplicate(f"{path}.name", name)
            seen.add(name)
        if port.get("port"):
            yield from values.port_number(port["port"], f"{path}.port")
    yield from values.labels(spec.get("selector"), "spec.selector")


def _data(obj: Object) -> Iterator[Cause]:
    size = 0
    for part in ("data", "binaryData"):
        for key, value in fields.get(obj, part, default={}).items():
            size += len(value.encode())
            for one in names.config_key(key):
                yield refusals.invalid(f"{part}[{key}]", key, one)
    if size > _LARGEST:
        field = "data" if obj["kind"] == "Secret" else ""
        text = f"Too long: may not be more than {_LARGEST} bytes"
        yield Cause("FieldValueTooLong", field or "[]", text)


_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
"""Keys that Secrets of a type must have."""


def _secret(secret: Object) -> Iterator[Cause]:
    yield from _data(secret)
    kind = secret.get("type") or ""
    data: Mapping[str, str] = secret.get("data") or {}
    for key in _NEEDED.get(kind, ()):
        if key not in data or (key == "ssh-privatekey" and not data[key]):
            yield refusals.required(f"data[{key}]")
        elif "docker" in kind:
            yield from _json(data[key], f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        yield refusals.required("data[username]")
        yield refusals.required("data[password]")
    account = "kubernetes.io/service-account.name"
    if kind == "kubernetes.io/service-account-token" and not fields.annotations(secret).get(
        account
    ):
        yield refusals.required(f"metadata.annotations[{account}]")


def _json(value: str, path: str) -> Iterator[Cause]:
    try:
        json.loads(base64.b64decode(value))
    except ValueError as error:
        hidden = "<secret contents redacted>"
        text = "unexpected end of JSON input" if not value else f"invalid JSON: {error}"
        yield refusals.invalid(path, hidden, text)


def _volume(obj: Object) -> Iterator[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    capacity: Mapping[str, Any] = spec.get("capacity") or {}
    if not capacity:
        yield refusals.required("spec.capacity")
    if set(capacity) != {"storage"}:
        yield refusals.unsupported("spec.capacity", capacity or None, ["storage"])
    for key, value in capacity.items():
        if fields.quantity(value) <= 0:
            yield refusals.invalid(f"spec.capacity[{key}]", str(value), "must be greater than zero")
    if not _VOLUME_SOURCES & set(spec):
        yield refusals.required("spec", "must specify a volume type")


_VOLUME_SOURCES = frozenset(
    {
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "csi",
        "fc",
        "flexVolume",
        "flocker",
        "gcePersistentDisk",
        "glusterfs",
        "hostPath",
        "iscsi",
        "local",
        "nfs",
        "photonPersistentDisk",
        "portworxVolume",
        "quobyte",
        "rbd",
        "scaleIO",
        "storageos",
        "vsphereVolume",
    }
)


def _binding(obj: Object) -> Iterator[Cause]:
    role: Mapping[str, Any] = obj.get("roleRef") or {}
    kinds = ("ClusterRole",) if obj["kind"] == "ClusterRoleBinding" else ("Role", "ClusterRole")
    yield from values.one_of(*kinds, needed=True, ordered=True)(role.get("kind"), "roleRef.kind")
    for at, subject in enumerate(obj.get("subjects") or ()):
        yield from _subject(subject, f"subjects[{at}]", obj["kind"])


def _subject(subject: Mapping[str, Any], path: str, binding: str) -> Iterator[Cause]:
    name, group = subject.get("name") or "", subject.get("apiGroup") or ""
    if not name:
        yield refusals.required(f"{path}.name")
    match subject.get("kind"):
        case "ServiceAccount":
            yield from values.text(names.subdomain)(name, f"{path}.name")
            if group:
                yield refusals.unsupported(f"{path}.apiGroup", group, [""])
            if not subject.get("namespace") and binding == "ClusterRoleBinding":
                yield refusals.required(f"{path}.namespace")
        case "User" | "Group":
            if group != "rbac.authorization.k8s.io":
                known = ["rbac.authorization.k8s.io"]
                yield refusals.unsupported(f"{path}.apiGroup", group, known)
        case other:
            known = ["ServiceAccount", "User", "Group"]
            yield refusals.unsupported(f"{path}.kind", other or "", known)


def _priority(obj: Object) -> Iterator[Cause]:
    rule = values.one_of("PreemptLowerPriority", "Never", ordered=True)
    yield from rule(obj.get("preemptionPolicy"), "preemptionPolicy")
    if int(obj.get("value") or 0) > _HIGHEST_PRIORITY and not _is_critical(obj):
        text = f"maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}"
        yield refusals.forbidden("value", text)


def _is_critical(obj: Object) -> bool:
    return fields.name(obj) in ("system-cluster-critical", "system-node-critical")


def _storage(obj: Object) -> Iterator[Cause]:
    provisioner = obj.get("provisioner") or ""
    if not provisioner:
        yield refusals.required("provisioner")
    else:
        yield from values.text(names.label_key)(provisioner.lower(), "provisioner")
    yield from values.one_of("Delete", "Retain")(obj.get("reclaimPolicy"), "reclaimPolicy")
    rule = values.one_of("Immediate", "WaitForFirstConsumer")
    yield from rule(obj.get("volumeBindingMode"), "volumeBindingMode")


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
    ("", "limitranges"): limit_rules.check,
    ("", "persistentvolumes"): _volume,
    ("", "pods"): _pod,
    ("", "podtemplates"): _pod_template,
    ("", "replicationcontrollers"): _controller,
    ("", "resourcequotas"): quota.check,
    ("", "secrets"): _secret,
    ("", "services"): _service,
    ("apiextensions.k8s.io", "customresourcedefinitions"): custom.check_definition,
    ("apps", "daemonsets"): _workload,
    ("apps", "deployments"): _workload,
    ("apps", "replicasets"): _workload,
    ("apps", "statefulsets"): _workload,
    ("batch", "cronjobs"): _cron_job,
    ("batch", "jobs"): _job,
    ("networking.k8s.io", "ingresses"): _ingress,
    ("policy", "poddisruptionbudgets"): _budget,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _binding,
    ("rbac.authorization.k8s.io", "rolebindings"): _binding,
    ("scheduling.k8s.io", "priorityclasses"): _priority,
    ("storage.k8s.io", "storageclasses"): _storage,
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
        resources = dict(spec.pop("resources", None) or {})
        requests = dict(resources.pop("requests", None) or {})
        requests.pop("storage", None)
        spec["resources"] = {**resources, "requests": requests}
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


def _priority_kept(old: Object, new: Object) -> Iterator[Cause]:
    if old.get("value") != new.get("value"):
        yield refusals.forbidden("value", "may not be changed in an update.")
    if old.get("preemptionPolicy") != new.get("preemptionPolicy"):
        yield refusals.immutable("preemptionPolicy", new.get("preemptionPolicy"))


def _volume_kept(old: Object, new: Object) -> Iterator[Cause]:
    before, after = old["spec"], new["spec"]
    if any(before.get(key) != after.get(key) for key in _VOLUME_SOURCES):
        text = "spec.persistentvolumesource is immutable after creation"
        yield refusals.forbidden("spec.persistentvolumesource", text)
    if before.get("nodeAffinity") is not None and before["nodeAffinity"] != after.get(
        "nodeAffinity"
    ):
        text = "field is immutable, except for updating from beta label to GA"
        yield refusals.invalid("nodeAffinity", after.get("nodeAffinity"), text)


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
    ("", "persistentvolumes"): _volume_kept,
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
    ("scheduling.k8s.io", "priorityclasses"): _priority_kept,
    ("storage.k8s.io", "storageclasses"): _storage_kept,
}
