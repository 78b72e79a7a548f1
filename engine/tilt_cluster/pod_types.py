"""Rules of the types that pods are made of, wherever such a type stands.

`FIELDS` has rules of single fields, `WHOLES` those that look at several fields of a type; a field
that is named here follows its rule alone, whatever OpenAPI says of what is required or listed.
Odd paths are those of Kubernetes, which leaves out the index here and there.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import fields, names, refusals, values
from tilt_cluster.refusals import Cause
from tilt_cluster.values import Rule

Whole = Callable[[Mapping[str, Any], str], Iterator[Cause]]

_TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_LONGEST_DRIVER = 63
_SHORTEST_TOKEN = 600
_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_SYSCTL_RULE = (
    "must have at most 253 characters and match regex "
    r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
)
_LONGEST_SYSCTL = 253
_HOST_PATH_TYPES = (
    "",
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
)
_OF_META = ("metadata.name", "metadata.namespace", "metadata.uid")
_OF_ENV = (
    *_OF_META,
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_OF_FILES = ("metadata.annotations", "metadata.labels", *_OF_META)
_KNOWN_PATHS = frozenset(
    {
        *_OF_ENV,
        *_OF_FILES,
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.hostNetwork",
        "status.phase",
        "status.nominatedNodeName",
    }
)
_SUBSCRIPT = re.compile(r"metadata\.(annotations|labels)\['(.*)'\]")
_FROM = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def _sysctl(value: Any, path: str) -> Iterator[Cause]:
    if not value:
        yield refusals.required(path)
    elif len(value) > _LONGEST_SYSCTL or not _SYSCTL.fullmatch(value):
        yield refusals.invalid(path, value, _SYSCTL_RULE)


def _driver(value: Any, path: str) -> Iterator[Cause]:
    if not value:
        yield refusals.required(path)
        return
    if len(value) > _LONGEST_DRIVER:
        text = f"Too long: may not be more than {_LONGEST_DRIVER} bytes"
        yield Cause("FieldValueTooLong", path, text)
    yield from values.text(lambda name: names.subdomain(name.lower()))(value, path)


def _unique(value: Any, path: str, *keys: str) -> Iterator[Cause]:
    seen = set[Any]()
    items: Sequence[Mapping[str, Any]] = value or ()
    for at, item in enumerate(items):
        name = tuple(item.get(key) for key in keys)
        if name in seen and all(name):
            yield refusals.duplicate(f"{path}[{at}].{keys[0]}", name[0])
        seen.add(name)


def _sysctls(value: Any, path: str) -> Iterator[Cause]:
    yield from _unique(value, path, "name")


def _storage(value: Any, path: str) -> Iterator[Cause]:
    if value is not None and fields.quantity(value) < 0:
        yield refusals.forbidden(path, "SizeLimit field must be a valid resource quantity")


def _profile(of: str) -> Rule:
    return values.every(
        values.filled(f"type is required when {of} is set"),
        values.one_of("Localhost", "RuntimeDefault", "Unconfined"),
    )


_weight = values.between(1, 100, "must be in the range 1-100")
_key = values.text(names.label_key, needed=True)
_own = values.anything
_subdomain = values.text(names.subdomain)
_label = values.text(names.label)
_never_empty = values.filled("must not be empty")

FIELDS: Mapping[str, Mapping[str, Rule]] = {
    "PodSpec": {
        "activeDeadlineSeconds": values.between(1, 2**31 - 1),
        "containers": _own,  # `pod_rules` says it
        "hostname": _label,
        "subdomain": _label,
        "nodeName": _subdomain,
        "nodeSelector": values.labels,
        "priorityClassName": _subdomain,
        "runtimeClassName": _subdomain,
        "serviceAccountName": _subdomain,
    },
    "PodDNSConfig": {
        "nameservers": values.each(values.address),
        "searches": values.each(values.text(names.search_domain, needed=True)),
    },
    "HostAlias": {
        "ip": values.address,
        "hostnames": values.each(values.text(names.subdomain, needed=True)),
    },
    "PodSecurityContext": {
        "runAsUser": values.number_of_user,
        "runAsGroup": values.number_of_user,
        "fsGroup": values.number_of_user,
        "supplementalGroups": values.each(values.number_of_user),
        "sysctls": _sysctls,
    },
    "SecurityContext": {"runAsUser": values.number_of_user, "runAsGroup": values.number_of_user},
    "Sysctl": {"name": _sysctl, "value": _own},
    "SeccompProfile": {"type": _profile("seccompProfile")},
    "AppArmorProfile": {"type": _profile("appArmorProfile")},
    "TopologySpreadConstraint": {
        "maxSkew": values.least(1, "must be greater than zero"),
        "topologyKey": values.filled("can not be empty"),
        "whenUnsatisfiable": values.one_of("DoNotSchedule", "ScheduleAnyway", needed=True),
    },
    "PodReadinessGate": {"conditionType": _key},
    "NodeSelector": {
        "nodeSelectorTerms": values.filled("must have at least one node selector term")
    },
    "NodeSelectorTerm": {"matchFields": _own},
    "NodeSelectorRequirement": {"key": _own, "operator": _own},
    "PreferredSchedulingTerm": {"weight": _weight, "preference": _own},
    "WeightedPodAffinityTerm": {"weight": _weight, "podAffinityTerm": _own},
    "PodAffinityTerm": {"topologyKey": values.every(values.filled("can not be empty"), _key)},
    "LabelSelector": {"matchLabels": values.labels},
    "LabelSelectorRequirement": {"key": _key, "operator": _own},
    "Toleration": {"operator": _own, "effect": _own, "key": values.text(names.label_key)},
    "ContainerPort": {
        "name": values.text(names.port),
        "hostPort": lambda value, path: values.port_number(value or None, path),
    },
    "ConfigMapEnvSource": {"name": values.named(names.subdomain)},
    "SecretEnvSource": {"name": values.named(names.subdomain)},
    "ConfigMapKeySelector": {
        "name": values.text(names.subdomain, needed=True),
        "key": values.named(names.config_key),
    },
    "SecretKeySelector": {
        "name": values.text(names.subdomain, needed=True),
        "key": values.named(names.config_key),
    },
    "ObjectFieldSelector": {"fieldPath": _own},
    "ResourceFieldSelector": {"resource": _own},
    "HTTPGetAction": {"port": values.port, "path": values.filled()},
    "HTTPHeader": {"name": _own, "value": _own},
    "TCPSocketAction": {"port": values.port},
    "GRPCAction": {"port": values.port},
    "ExecAction": {"command": values.filled()},
    "SleepAction": {"seconds": _own},
    "Container": {"restartPolicy": values.one_of("Always", "Never", "OnFailure")},
    "VolumeMount": {"mountPath": values.filled()},
    "KeyToPath": {
        "key": values.filled(),
        "path": values.every(values.filled(), values.inside),
        "mode": values.mode,
    },
    "EmptyDirVolumeSource": {"sizeLimit": _storage},
    "ConfigMapVolumeSource": {"name": values.filled(), "defaultMode": values.mode},
    "SecretVolumeSource": {"secretName": values.filled(), "defaultMode": values.mode},
    "DownwardAPIVolumeSource": {"defaultMode": values.mode},
    "ProjectedVolumeSource": {"defaultMode": values.mode},
    "ConfigMapProjection": {"name": values.filled()},
    "SecretProjection": {"name": values.filled()},
    "ServiceAccountTokenProjection": {
        "path": _own,
        "expirationSeconds": values.least(
            _SHORTEST_TOKEN, "may not specify a duration less than 10 minutes"
        ),
    },
    "DownwardAPIVolumeFile": {"path": _own, "mode": values.mode},
    "HostPathVolumeSource": {
        "path": values.every(values.filled(), values.no_way_up),
        "type": values.one_of(*_HOST_PATH_TYPES),
    },
    "PersistentVolumeClaimVolumeSource": {"claimName": values.filled()},
    "CSIVolumeSource": {"driver": _driver},
    "EphemeralVolumeSource": {"volumeClaimTemplate": values.filled()},
    "PersistentVolumeClaimTemplate": {"spec": _own},
    "PersistentVolumeClaimSpec": {
        "storageClassName": _subdomain,
        "accessModes": _own,
        "dataSource": _own,
        "dataSourceRef": _own,
    },
}


def _dns(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    config: Mapping[str, Any] | None = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            text = "must provide `dnsConfig` when `dnsPolicy` is None"
            yield refusals.required(f"{path}.dnsConfig", text)
        elif not config.get("nameservers"):
            text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield refusals.required(f"{path}.dnsConfig.nameservers", text)
    options: Sequence[Mapping[str, Any]] = fields.get(spec, "dnsConfig", "options", default=())
    for at, option in enumerate(options):
        if not option.get("name"):
            yield refusals.required(f"{path}.dnsConfig.options[{at}]", "must not be empty")


def _pod(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    yield from _dns(spec, path)
    yield from _sleeps(spec, path)
    where = f"{path}.topologySpreadConstraints"
    seen = set[tuple[Any, Any]]()
    spread: Sequence[Mapping[str, Any]] = spec.get("topologySpreadConstraints") or ()
    for at, one in reversed(list(enumerate(spread))):
        pair = (one.get("topologyKey"), one.get("whenUnsatisfiable"))
        if pair in seen:
            shown = f"{{{pair[0]}, {pair[1]}}}"
            yield refusals.duplicate(f"{where}[{at}].{{topologyKey, whenUnsatisfiable}}", shown)
        seen.add(pair)


def _sleeps(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    grace = spec.get("terminationGracePeriodSeconds")
    if not isinstance(grace, int) or grace < 0:
        return
    for at, container in enumerate(spec.get("containers") or ()):
        for hook in ("postStart", "preStop"):
            seconds = fields.get(container, "lifecycle", hook, "sleep", "seconds")
            if isinstance(seconds, int) and not 0 <= seconds <= grace:
                text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                where = f"{path}.containers[{at}].lifecycle.{hook}.sleep"
                yield refusals.invalid(where, seconds, text)


def _toleration(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    effect = given.get("effect") or ""
    if given.get("tolerationSeconds") is not None and effect != "NoExecute":
        text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield refusals.invalid(f"{path}.effect", effect, text)
    if effect and effect not in _TAINT_EFFECTS:
        yield refusals.unsupported(f"{path}.effect", effect, _TAINT_EFFECTS)
    match given.get("operator") or "Equal":
        case "Equal":
            rule = values.text(names.label_value)
            yield from rule(given.get("value"), f"{path}.operator")
        case "Exists":
            if given.get("value"):
                text = "value must be empty when `operator` is 'Exists'"
                yield refusals.invalid(f"{path}.operator", given["value"], text)
        case other:
            yield refusals.unsupported(f"{path}.operator", other, ["Equal", "Exists"])


def _node_term(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for at, one in enumerate(given.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{at}]"
        yield from _key(one.get("key"), f"{where}.key")
        yield from _node_values(one, where)
    for at, one in enumerate(given.get("matchFields") or ()):
        where = f"{path}.matchFields[{at}]"
        listed: Sequence[str] = one.get("values") or ()
        if one.get("operator") not in ("In", "NotIn"):
            text = "not a valid selector operator"
            yield refusals.invalid(f"{where}.operator", one.get("operator") or "", text)
        elif len(listed) != 1:
            text = (
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            )
            yield refusals.required(f"{where}.values", text)
        if one.get("key") != "metadata.name":
            text = "not a valid field selector key"
            yield refusals.invalid(f"{where}.key", one.get("key") or "", text)
        else:
            rule = values.each(values.text(names.subdomain, needed=True))
            yield from rule(listed, f"{where}.values")


def _node_values(one: Mapping[str, Any], path: str) -> Iterator[Cause]:
    listed: Sequence[str] = one.get("values") or ()
    if one.get("operator") in ("Gt", "Lt"):
        if len(listed) != 1:
            text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            yield refusals.required(f"{path}.values", text)
        return
    yield from _operator_values(one, path)
    # For what is only preferred, the server warns.
    if one.get("operator") in ("In", "NotIn") and ".preferred" not in path:
        yield from values.each(values.text(names.label_value))(listed, f"{path}.values")


def _label_requirement(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    yield from _operator_values(given, path)
    listed: Sequence[str] = given.get("values") or ()
    yield from values.each(values.text(names.label_value))(listed, f"{path}.values")


def _operator_values(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    match given.get("operator"):
        case "In" | "NotIn":
            if not given.get("values"):
                text = "must be specified when `operator` is 'In' or 'NotIn'"
                yield refusals.required(f"{path}.values", text)
        case "Exists" | "DoesNotExist":
            if given.get("values"):
                text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield refusals.forbidden(f"{path}.values", text)
        case other:
            yield refusals.invalid(f"{path}.operator", other or "", "not a valid selector operator")


def _affinity_term(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for name in given.get("namespaces") or ():
        yield from values.text(names.label, needed=True)(name, f"{path}.namespace")


def _port(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    number = given.get("containerPort")
    if not number:
        yield refusals.required(f"{path}.containerPort")
    else:
        yield from values.port_number(number, f"{path}.containerPort")


def _container(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    seen = set[str]()
    for at, one in enumerate(given.get("ports") or ()):
        name = one.get("name")
        if name and name in seen:
            yield refusals.duplicate(f"{path}.ports[{at}].name", name)
        seen.add(name or "")
    yield from _privileges(given.get("securityContext") or {}, f"{path}.securityContext")
    for mount in given.get("volumeMounts") or ():
        for key in ("subPath", "subPathExpr"):
            yield from values.inside(mount.get(key), f"{path}.volumeMounts.{key}")


def _privileges(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if given.get("allowPrivilegeEscalation") is not False:
        return
    text = "cannot set `allowPrivilegeEscalation` to false and "
    if given.get("privileged"):
        yield refusals.invalid(path, dict(given), f"{text}`privileged` to true")
    if "CAP_SYS_ADMIN" in fields.get(given, "capabilities", "add", default=()):
        yield refusals.invalid(path, dict(given), f"{text}`capabilities.Add` CAP_SYS_ADMIN")


def _headers(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for one in given.get("httpHeaders") or ():
        yield from values.header(one.get("name"), f"{path}.httpHeaders")


def _env_from(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    parent = path.rpartition("[")[0]
    sources = [key for key in ("configMapRef", "secretRef") if given.get(key) is not None]
    if not sources:
        text = "must specify one of: `configMapRef` or `secretRef`"
        yield refusals.invalid(parent, "", text)
    elif len(sources) > 1:
        yield refusals.invalid(parent, "", "may not have more than one field specified at a time")


def _value_from(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    found = [key for key in _FROM if given.get(key) is not None]
    if not found:
        text = (
            f"must specify one of: {', '.join(f'`{key}`' for key in _FROM[:-1])} or `{_FROM[-1]}`"
        )
        yield refusals.invalid(path, "", text)
    elif len(found) > 1:
        yield refusals.invalid(path, "", "may not have more than one field specified at a time")
    yield from _reference(given.get("fieldRef"), f"{path}.fieldRef", _OF_ENV)
    yield from _share(given.get("resourceFieldRef"), f"{path}.resourceFieldRef", named=False)


def _reference(
    given: Mapping[str, Any] | None, path: str, supported: Sequence[str]
) -> Iterator[Cause]:
    if given is None:
        return
    where = given.get("fieldPath") or ""
    path = f"{path}.fieldPath"
    subscript = _SUBSCRIPT.fullmatch(where)
    if not where:
        yield refusals.required(path)
    elif subscript:
        for one in names.label_key(subscript[2].lower()):
            yield refusals.invalid(path, subscript[2], one)
    elif where not in _KNOWN_PATHS:
        text = f"error converting fieldPath: field label not supported: {where}"
        yield refusals.invalid(path, where, text)
    elif where not in supported:
        yield refusals.unsupported(path, where, sorted(supported))


def _share(given: Mapping[str, Any] | None, path: str, *, named: bool) -> Iterator[Cause]:
    if given is None:
        return
    resource = given.get("resource") or ""
    known = [f"{kind}.{name}" for kind in ("limits", "requests") for name in _RESOURCES]
    if named and not given.get("containerName"):
        yield refusals.required(f"{path}.containerName")
    elif not resource:
        yield refusals.required(f"{path}.resource")
    elif resource not in known and ".hugepages-" not in resource:
        yield refusals.unsupported(f"{path}.resource", resource, sorted(known))
    else:
        yield from _divisor(resource, str(given.get("divisor") or "0"), f"{path}.divisor")


def _divisor(resource: str, divisor: str, path: str) -> Iterator[Cause]:
    kind = resource.partition(".")[2]
    if kind == "cpu" and fields.quantity(divisor) not in (0, 0.001, 1):
        text = "only divisor's values 1m and 1 are supported with the cpu resource"
        yield refusals.invalid(path, resource, text)
    elif kind != "cpu" and not re.fullmatch(r"0|1([kMGTPE]i?)?", divisor):
        text = (
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are "
            "supported with the memory resource"
        ).replace("the memory", "the memory" if kind == "memory" else "the local ephemeral storage")
        yield refusals.invalid(path, resource, text)


def _file(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    parent = path.rpartition(".items[")[0] or path
    if not given.get("path"):
        yield refusals.required(f"{parent}.path")
    yield from values.inside(given.get("path"), f"{parent}.path")
    if given.get("fieldRef") is None and given.get("resourceFieldRef") is None:
        text = "one of fieldRef and resourceFieldRef is required"
        yield refusals.required(parent, text)
    yield from _reference(given.get("fieldRef"), f"{parent}.fieldRef", _OF_FILES)
    yield from _share(given.get("resourceFieldRef"), f"{parent}.resourceFieldRef", named=True)


def _token(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    parent = path.partition(".sources[")[0]
    if not given.get("path"):
        yield refusals.required(f"{parent}.path")
    yield from values.inside(given.get("path"), f"{parent}.path")


def _nfs(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if not str(given.get("path") or "").startswith("/"):
        text = "must be an absolute path"
        yield refusals.invalid(f"{path}.path", given.get("path") or "", text)


def _hook(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    found = [key for key in ("exec", "httpGet", "tcpSocket", "sleep") if given.get(key) is not None]
    if not found:
        yield refusals.required(path, "must specify a handler type")
    for extra in found[1:]:
        yield refusals.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")


def _claim(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    modes: Sequence[str] = given.get("accessModes") or ()
    known = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
    if not modes:
        yield refusals.required(f"{path}.accessModes", "at least 1 access mode is required")
    for one in modes:
        if one not in known:
            yield refusals.unsupported(f"{path}.accessModes", one, known)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        text = "may not use ReadWriteOncePod with other access modes"
        yield refusals.forbidden(f"{path}.accessModes", text)
    size = fields.get(given, "resources", "requests", "storage")
    if size is None:
        yield refusals.required(f"{path}.resources[storage]")
    elif fields.quantity(size) <= 0:
        text = "must be greater than zero"
        yield refusals.invalid(f"{path}.resources[storage]", str(size), text)
    for key in ("dataSource", "dataSourceRef"):
        source = given.get(key)
        if source:
            yield from _source(source, f"{path}.{key}")


def _claim_template(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    labels = fields.get(given, "metadata", "labels", default={})
    yield from values.labels(labels, f"{path}.metadata.labels")


def _source(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for key in ("name", "kind"):
        if not given.get(key):
            yield refusals.required(f"{path}.{key}")
    group = given.get("apiGroup") or ""
    if not group and given.get("kind") != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        yield refusals.invalid(path, given.get("kind") or "", text)
    if group:
        yield from _subdomain(group, f"{path}.apiGroup")


WHOLES: Mapping[str, Whole] = {
    "PodSpec": _pod,
    "Toleration": _toleration,
    "NodeSelectorTerm": _node_term,
    "LabelSelectorRequirement": _label_requirement,
    "PodAffinityTerm": _affinity_term,
    "Container": _container,
    "ContainerPort": _port,
    "HTTPGetAction": _headers,
    "EnvFromSource": _env_from,
    "EnvVarSource": _value_from,
    "DownwardAPIVolumeFile": _file,
    "ServiceAccountTokenProjection": _token,
    "NFSVolumeSource": _nfs,
    "LifecycleHandler": _hook,
    "PersistentVolumeClaimSpec": _claim,
    "PersistentVolumeClaimTemplate": _claim_template,
}
