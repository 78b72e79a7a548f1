"""Rules of the types that Services, Ingresses, autoscalers, roles, Jobs and others are made of.

Like `pod_types`: `FIELDS` has rules of single fields, `WHOLES` those that look at several.
"""

import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import fields, names, refusals, values
from tilt_cluster.pod_types import Whole
from tilt_cluster.refusals import Cause
from tilt_cluster.values import Rule

_GROUP = "rbac.authorization.k8s.io"
_LONGEST_AFFINITY = 86400
_LONGEST_WINDOW = 3600
_LONGEST_PERIOD = 1800
_MOST_POLICY_TYPES = 2

_own = values.anything
_label = values.text(names.label)
_subdomain = values.text(names.subdomain)
_segment = values.text(names.segment)
_key = values.text(names.label_key, needed=True)
_not_negative = values.least(0)
_protocol = values.one_of("SCTP", "TCP", "UDP")
_retention = values.one_of("Retain", "Delete", ordered=True)


def _zone(value: Any, path: str) -> Iterator[Cause]:
    if value is None:
        return
    if not value:
        yield refusals.invalid(path, value, "timeZone must be nil or non-empty string")
    elif value.lower() == "local" or not _is_zone(value):
        yield refusals.invalid(path, value, f"unknown time zone {value}")


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _api_version(value: Any, path: str) -> Iterator[Cause]:
    if value and value.count("/") > 1:
        text = f"unexpected GroupVersion string: {value}"
        yield refusals.invalid(path, value, text)


def _family(value: Any, path: str) -> Iterator[Cause]:
    seen = set[str]()
    for at, one in enumerate(value or ()):
        if one not in ("IPv4", "IPv6"):
            yield refusals.unsupported(f"{path}[{at}]", one, ["IPv4", "IPv6"])
        elif one in seen:
            yield refusals.duplicate(f"{path}[{at}]", one)
        seen.add(one)


def _status(value: Any, path: str) -> Iterator[Cause]:
    if value:  # a CronJob's template has no default yet
        yield from values.one_of("False", "True", "Unknown")(value, path)


def _modes(value: Any, path: str) -> Iterator[Cause]:
    known = values.one_of("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
    for one in value or ():
        yield from known(one, path)


def _range(value: Any, path: str) -> Iterator[Cause]:
    if value:
        yield from values.network(value, path)


def _needed(*options: str) -> Rule:
    listed = " ".join(f'"{one}"' for one in options)

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if not value:
            yield refusals.required(path, f"valid values: [{listed}]")
        else:
            yield from values.one_of(*options)(value, path)

    return rule


def _management(value: Any, path: str) -> Iterator[Cause]:
    if value not in ("OrderedReady", "Parallel"):
        text = "must be 'OrderedReady' or 'Parallel'"
        yield refusals.invalid(path, value or "", text)


FIELDS: Mapping[str, Mapping[str, Rule]] = {
    "ServiceSpec": {
        "externalIPs": values.each(values.address),
        "ipFamilies": _family,
        "ipFamilyPolicy": values.one_of("PreferDualStack", "RequireDualStack", "SingleStack"),
        "loadBalancerClass": values.pointer(names.label_key),
        "trafficDistribution": values.one_of(
            "PreferClose", "PreferSameZone", "PreferSameNode", ordered=True
        ),
    },
    "ServicePort": {
        "port": _own,
        "targetPort": values.port,
        "appProtocol": values.pointer(names.label_key),
    },
    "ClientIPConfig": {
        "timeoutSeconds": values.between(
            1, _LONGEST_AFFINITY, f"must be greater than 0 and less than {_LONGEST_AFFINITY}"
        )
    },
    "IngressSpec": {"ingressClassName": values.pointer(names.subdomain)},
    "IngressTLS": {"secretName": _subdomain},
    "HTTPIngressRuleValue": {"paths": values.filled()},
    "HTTPIngressPath": {"backend": _own, "pathType": _own},
    "IngressServiceBackend": {"name": values.named(names.label)},
    "ServiceBackendPort": {
        "name": values.text(names.port),
        "number": lambda value, path: values.port_number(value or None, path),
    },
    "IngressClassParametersReference": {
        "apiGroup": values.pointer(names.subdomain),
        "kind": values.named(names.segment),
        "name": values.named(names.segment),
        "scope": values.one_of("Cluster", "Namespace"),
    },
    "NetworkPolicySpec": {"policyTypes": _own},
    "IPBlock": {
        "cidr": values.every(values.filled(), _range),
        "except": values.each(values.network),
    },
    "HorizontalPodAutoscalerSpec": {"maxReplicas": _own, "scaleTargetRef": _own},
    "CrossVersionObjectReference": {
        "kind": values.named(names.segment),
        "name": values.named(names.segment),
        "apiVersion": _api_version,
    },
    "MetricSpec": {"type": _own},
    "MetricTarget": {"type": _own},
    "MetricIdentifier": {
        "name": values.every(values.filled("must specify a metric name"), _segment)
    },
    "ResourceMetricSource": {
        "name": values.filled("must specify a resource name"),
        "target": _own,
    },
    "ContainerResourceMetricSource": {
        "name": values.every(values.filled("must specify a resource name"), values.resource),
        "container": values.every(values.filled("must specify a container"), _label),
        "target": _own,
    },
    "PodsMetricSource": {"metric": _own, "target": _own},
    "ObjectMetricSource": {"metric": _own, "target": _own, "describedObject": _own},
    "ExternalMetricSource": {"metric": _own, "target": _own},
    "HPAScalingRules": {
        "stabilizationWindowSeconds": values.every(
            values.least(0, "must be greater than or equal to zero"), values.most(_LONGEST_WINDOW)
        ),
        "selectPolicy": values.one_of("Disabled", "Max", "Min"),
    },
    "HPAScalingPolicy": {
        "type": values.one_of("Percent", "Pods", needed=True),
        "value": values.least(1, "must be greater than zero"),
        "periodSeconds": values.every(
            values.least(1, "must be greater than zero"), values.most(_LONGEST_PERIOD)
        ),
    },
    "PodDisruptionBudgetSpec": {"minAvailable": values.part, "maxUnavailable": values.part},
    "PolicyRule": {"verbs": values.filled("verbs must contain at least one value")},
    "AggregationRule": {
        "clusterRoleSelectors": values.filled(
            "at least one clusterRoleSelector required if aggregationRule is non-nil"
        )
    },
    "Subject": {"kind": _own, "name": _own},
    "RoleRef": {
        "apiGroup": values.one_of(_GROUP, needed=True),
        "kind": _own,  # `validate` knows which kinds a binding may name
        "name": values.named(names.segment),
    },
    "RollingUpdateDeployment": {"maxSurge": values.share, "maxUnavailable": values.part},
    "RollingUpdateDaemonSet": {"maxSurge": values.part, "maxUnavailable": values.part},
    "RollingUpdateStatefulSetStrategy": {"partition": _not_negative},
    "StatefulSetSpec": {
        "serviceName": _label,
        "revisionHistoryLimit": _own,
        "podManagementPolicy": _management,
    },
    "StatefulSetOrdinals": {"start": _not_negative},
    "StatefulSetPersistentVolumeClaimRetentionPolicy": {
        "whenDeleted": _retention,
        "whenScaled": _retention,
    },
    "CronJobSpec": {
        "timeZone": _zone,
        "startingDeadlineSeconds": _not_negative,
        "successfulJobsHistoryLimit": _not_negative,
        "failedJobsHistoryLimit": _not_negative,
    },
    "ReplicationControllerSpec": {"replicas": _not_negative, "minReadySeconds": _not_negative},
    "JobSpec": {"backoffLimitPerIndex": _not_negative, "maxFailedIndexes": _not_negative},
    "PodFailurePolicy": {"rules": _own},
    "PodFailurePolicyRule": {"action": _needed("Count", "FailIndex", "FailJob", "Ignore")},
    "PodFailurePolicyOnExitCodesRequirement": {
        "operator": _needed("In", "NotIn"),
        "values": _own,
    },
    "PodFailurePolicyOnPodConditionsPattern": {
        "type": _key,
        "status": _status,
    },
    "SuccessPolicy": {
        "rules": values.filled(
            "at least one rules must be specified when the successPolicy is specified"
        )
    },
    "EndpointPort": {"protocol": _protocol},
    "PersistentVolumeSpec": {
        "accessModes": values.every(values.filled(), _modes),
        "storageClassName": _subdomain,
    },
    "VolumeNodeAffinity": {"required": values.filled("must specify required node constraints")},
    "LeaseSpec": {
        "leaseDurationSeconds": values.least(1, "must be greater than 0"),
        "leaseTransitions": _not_negative,
    },
    "LimitRangeSpec": {"limits": _own},
    "LimitRangeItem": {"type": _own},
}


def _service(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    kind = spec.get("type")
    if kind == "ExternalName":
        external = str(spec.get("externalName") or "").rstrip(".")
        yield from _subdomain(external, f"{path}.externalName")
    if kind != "LoadBalancer":
        yield from _balanced(spec, path)
    if kind not in ("NodePort", "LoadBalancer") and not spec.get("externalIPs"):
        policy = spec.get("externalTrafficPolicy")
        if policy:
            text = "may only be set for externally-accessible services"
            yield refusals.invalid(f"{path}.externalTrafficPolicy", policy, text)
    ranges = spec.get("loadBalancerSourceRanges")
    yield from values.each(values.network)(ranges, f"{path}.LoadBalancerSourceRanges")
    seen = set[tuple[Any, Any]]()
    for at, one in enumerate(spec.get("ports") or ()):
        where = f"{path}.ports[{at}]"
        if not one.get("port"):
            yield from values.port_number(0, f"{where}.port")
        pair = (one.get("port"), one.get("protocol"))
        if pair in seen:
            shown = {
                "Name": "",
                "Protocol": pair[1],
                "AppProtocol": None,
                "Port": pair[0],
                "TargetPort": 0,
                "NodePort": 0,
            }
            yield refusals.duplicate(where, shown)
        seen.add(pair)


def _balanced(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    text = "may only be used when `type` is 'LoadBalancer'"
    for key, shown in (
        ("loadBalancerSourceRanges", "LoadBalancerSourceRanges"),
        ("allocateLoadBalancerNodePorts", "allocateLoadBalancerNodePorts"),
        ("loadBalancerClass", "loadBalancerClass"),
    ):
        if spec.get(key) not in (None, []):
            yield refusals.forbidden(f"{path}.{shown}", text)


def _ingress_rule(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    yield from _host(given.get("host"), f"{path}.host")


def _ingress_tls(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for at, one in enumerate(given.get("hosts") or ()):
        yield from _host(one, f"{path}.hosts[{at}]", needed=True)


def _host(value: Any, path: str, *, needed: bool = False) -> Iterator[Cause]:
    if value and "*" in value:
        yield from values.text(names.wildcard)(value, path)
    else:
        yield from values.text(names.subdomain, needed=needed)(value, path)


def _ingress_path(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    where = given.get("path") or ""
    kind = given.get("pathType")
    if kind is None:
        yield refusals.required(f"{path}.pathType", "pathType must be specified")
    elif kind not in ("Exact", "Prefix", "ImplementationSpecific"):
        known = ["Exact", "ImplementationSpecific", "Prefix"]
        yield refusals.unsupported(f"{path}.pathType", kind, known)
    elif (kind != "ImplementationSpecific" or where) and not where.startswith("/"):
        yield refusals.invalid(f"{path}.path", where, "must be an absolute path")
    if kind in ("Exact", "Prefix"):
        for part in ("//", "/./", "/../", "%2f", "%2F"):
            if part in where:
                yield refusals.invalid(f"{path}.path", where, f"must not contain '{part}'")
        for end in ("/..", "/."):
            if where.endswith(end):
                yield refusals.invalid(f"{path}.path", where, f"cannot end with '{end}'")
    if not given.get("backend"):
        yield from _backend({}, f"{path}.backend")


def _backend(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    service, resource = given.get("service"), given.get("resource")
    if service is not None and resource is not None:
        text = "cannot set both resource and service backends"
        yield refusals.invalid(path, "", text)
    elif service is not None:
        port: Mapping[str, Any] = service.get("port") or {}
        if port.get("name") and port.get("number"):
            yield refusals.invalid(path, "", "cannot set both port name & port number")
        elif not port.get("name") and not port.get("number"):
            yield refusals.required(path, "port name or number is required")
    elif resource is None:
        yield refusals.invalid(path, "", "resource or service backend is required")
    else:
        yield from values.pointer(names.subdomain)(
            resource.get("apiGroup"), f"{path}.resource.apiGroup"
        )
        for key in ("kind", "name"):
            yield from _segment(resource.get(key), f"{path}.resource.{key}")


def _peer(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if not any(
        given.get(key) is not None for key in ("podSelector", "namespaceSelector", "ipBlock")
    ):
        yield refusals.required(path, "must specify a peer")
    elif given.get("ipBlock") is not None and len(given) > 1:
        yield refusals.forbidden(path, "may not specify both ipBlock and another peer")


def _policy(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    kinds: Sequence[str] = given.get("policyTypes") or ()
    if len(kinds) > _MOST_POLICY_TYPES:
        text = "may not specify more than two policyTypes"
        yield refusals.invalid(f"{path}.policyTypes", list(kinds), text)
        return
    for at, one in enumerate(kinds):
        if one not in ("Ingress", "Egress"):
            yield refusals.unsupported(f"{path}.policyTypes[{at}]", one, ["Egress", "Ingress"])


def _policy_port(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    number, end = given.get("port"), given.get("endPort")
    if number is not None:
        yield from values.port(number, f"{path}.port")
    if end is None:
        return
    where = f"{path}.endPort"
    if number is None:
        yield refusals.invalid(where, end, "may not be specified when `port` is not specified")
    elif isinstance(number, str):
        yield refusals.invalid(where, end, "may not be specified when `port` is non-numeric")
    else:
        if end < number:
            yield refusals.invalid(where, number, "must be greater than or equal to `port`")
        yield from values.port_number(end, where)


METRIC_SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
"""The field in which a metric of an autoscaler says more, by its type."""


def _metric(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    kind = given.get("type") or ""
    if not kind:
        yield refusals.required(f"{path}.type", "must specify a metric source type")
    if kind not in METRIC_SOURCES:
        yield refusals.unsupported(f"{path}.type", kind, sorted(METRIC_SOURCES))
        return
    wanted = METRIC_SOURCES[kind]
    if given.get(wanted) is None:
        text = "must populate information for the given metric source"
        yield refusals.required(f"{path}.{wanted}", text)
    for other in METRIC_SOURCES.values():
        if other != wanted and given.get(other) is not None:
            text = "must populate the given metric source only"
            yield refusals.forbidden(f"{path}.{other}", text)


def _target(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    kind = given.get("type") or ""
    if not kind:
        yield refusals.required(f"{path}.type", "must specify a metric target type")
    if kind not in ("Utilization", "Value", "AverageValue"):
        text = "must be either Utilization, Value, or AverageValue"
        yield refusals.invalid(f"{path}.type", kind, text)
    for key in ("averageUtilization", "value", "averageValue"):
        asked = given.get(key)
        if asked is not None and fields.quantity(asked) <= 0:
            shown = asked if key == "averageUtilization" else str(asked)
            text = "must be greater than 0" if key == "averageUtilization" else "must be positive"
            yield refusals.invalid(f"{path}.{key}", shown, text)


def _aimed(detail: str, said: str, *enough: str) -> Whole:
    def rule(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
        target: Mapping[str, Any] = given.get("target") or {}
        if all(target.get(key) is None for key in enough):
            yield refusals.required(f"{path}.target.{said}", detail)

    return rule


def _autoscaler(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if low is not None and low < 1:
        yield refusals.invalid(f"{path}.minReplicas", low, "must be greater than or equal to 1")
        if low == 0:
            text = (
                "must specify at least one Object or External metric to support scaling to zero "
                "replicas"
            )
            if all(
                one.get("type") not in ("Object", "External") for one in spec.get("metrics") or ()
            ):
                yield refusals.forbidden(f"{path}.metrics", text)
    if high == 0:
        yield refusals.required(f"{path}.maxReplicas", "must be set and greater than 0")
    elif high < 0:
        yield refusals.invalid(f"{path}.maxReplicas", high, "must be greater than or equal to 1")
    if low is not None and high < low:
        text = "must be greater than or equal to `minReplicas`"
        yield refusals.invalid(f"{path}.maxReplicas", high, text)
    target: Mapping[str, Any] = spec.get("scaleTargetRef") or {}
    where = f"{path}.scaleTargetRef"
    version = target.get("apiVersion") or ""
    if "/" not in version:
        yield refusals.invalid(f"{where}.apiVersion", version, "apiVersion must specify API group")


def _scaling(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if not given.get("policies"):
        yield refusals.required(f"{path}.policies", "must specify at least one Policy")


def _role_rule(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    paths = given.get("nonResourceURLs")
    if paths:
        if any(given.get(key) for key in ("apiGroups", "resources", "resourceNames")):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            yield refusals.invalid(f"{path}.nonResourceURLs", list(paths), text)
        return
    if not given.get("apiGroups"):
        text = "resource rules must supply at least one api group"
        yield refusals.required(f"{path}.apiGroups", text)
    if not given.get("resources"):
        text = "resource rules must supply at least one resource"
        yield refusals.required(f"{path}.resources", text)


def _daemon_update(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    surge, away = _count(given.get("maxSurge")), _count(given.get("maxUnavailable"))
    if surge and away:
        text = "may not be set when maxUnavailable is non-zero"
        yield refusals.invalid(f"{path}.maxSurge", given["maxSurge"], text)
    elif not surge and not away:
        yield refusals.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def _deployment_update(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if not _count(given.get("maxSurge")) and not _count(given.get("maxUnavailable")):
        text = "may not be 0 when `maxSurge` is 0"
        yield refusals.invalid(f"{path}.maxUnavailable", given.get("maxUnavailable"), text)


def _count(value: Any) -> int:
    text = str(value or 0).removesuffix("%")
    return int(text) if text.lstrip("-").isdigit() else 0


def _deployment(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and 0 <= deadline <= (spec.get("minReadySeconds") or 0):
        text = "must be greater than minReadySeconds"
        yield refusals.invalid(f"{path}.progressDeadlineSeconds", deadline, text)
    strategy: Mapping[str, Any] = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate") is not None:
        text = "may not be specified when strategy `type` is 'Recreate'"
        yield refusals.forbidden(f"{path}.strategy.rollingUpdate", text)


def _job(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    indexed = spec.get("completionMode") == "Indexed"
    completions = spec.get("completions")
    if indexed and completions is None:
        yield refusals.required(f"{path}.completions", "when completion mode is Indexed")
    for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
        if spec.get(key) is not None and not indexed:
            text = "requires indexed completion mode"
            yield refusals.invalid(f"{path}.{key}", spec[key], text)
    most = spec.get("maxFailedIndexes")
    if most is not None:
        if indexed and spec.get("backoffLimitPerIndex") is None:
            text = "when maxFailedIndexes is specified"
            yield refusals.required(f"{path}.backoffLimitPerIndex", text)
        if completions is not None and most > completions:
            text = "must be less than or equal to completions"
            yield refusals.invalid(f"{path}.maxFailedIndexes", most, text)
    containers = {
        one.get("name")
        for key in ("containers", "initContainers")
        for one in fields.get(spec, "template", "spec", key, default=())
    }
    policy = spec.get("podFailurePolicy")
    if policy is not None:
        restart = fields.get(spec, "template", "spec", "restartPolicy")
        if restart != "Never":
            text = 'only "Never" is supported when podFailurePolicy is specified'
            yield refusals.invalid(f"{path}.template.spec.restartPolicy", restart, text)
        for at, rule in enumerate(policy.get("rules") or ()):
            yield from _failure(rule, f"{path}.podFailurePolicy.rules[{at}]", containers)


def _failure(rule: Mapping[str, Any], path: str, containers: set[Any]) -> Iterator[Cause]:
    codes = rule.get("onExitCodes")
    if codes is None and not rule.get("onPodConditions"):
        text = "specifying one of OnExitCodes and OnPodConditions is required"
        yield Cause("FieldValueInvalid", path, f"Invalid value: {text}")
    if codes is None:
        return
    where = f"{path}.onExitCodes"
    name = codes.get("containerName")
    if name is not None and name not in containers:
        text = "must be one of the container or initContainer names in the pod template"
        yield refusals.invalid(f"{where}.containerName", name, text)
    listed: Sequence[int] = codes.get("values") or ()
    if not listed:
        text = "at least one value is required"
        yield refusals.invalid(f"{where}.values", codes.get("values"), text)
    seen = set[int]()
    for at, one in enumerate(listed):
        if one in seen:
            yield refusals.duplicate(f"{where}.values[{at}]", one)
        elif one == 0 and codes.get("operator") == "In":
            text = "must not be 0 for the In operator"
            yield refusals.invalid(f"{where}.values[{at}]", one, text)
        seen.add(one)
    if list(listed) != sorted(listed):
        yield refusals.invalid(f"{where}.values", list(listed), "must be ordered")


def _success(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if given.get("succeededCount") is None and given.get("succeededIndexes") is None:
        text = "at least one of succeededCount or succeededIndexes must be specified"
        yield refusals.required(path, text)
    yield from _not_negative(given.get("succeededCount"), f"{path}.succeededCount")


def _subset(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if not given.get("addresses") and not given.get("notReadyAddresses"):
        yield refusals.required(path, "must specify `addresses` or `notReadyAddresses`")


WHOLES: Mapping[str, Whole] = {
    "ServiceSpec": _service,
    "IngressRule": _ingress_rule,
    "IngressTLS": _ingress_tls,
    "HTTPIngressPath": _ingress_path,
    "IngressBackend": _backend,
    "NetworkPolicySpec": _policy,
    "NetworkPolicyPeer": _peer,
    "NetworkPolicyPort": _policy_port,
    "HorizontalPodAutoscalerSpec": _autoscaler,
    "MetricSpec": _metric,
    "MetricTarget": _target,
    "ResourceMetricSource": _aimed(
        "must set either a target raw value or a target utilization",
        "averageUtilization",
        "averageUtilization",
        "averageValue",
    ),
    "ContainerResourceMetricSource": _aimed(
        "must set either a target raw value or a target utilization",
        "averageUtilization",
        "averageUtilization",
        "averageValue",
    ),
    "PodsMetricSource": _aimed(
        "must specify a positive target averageValue", "averageValue", "averageValue"
    ),
    "ObjectMetricSource": _aimed(
        "must set either a target value or averageValue", "averageValue", "value", "averageValue"
    ),
    "ExternalMetricSource": _aimed(
        "must set either a target value for metric or a per-pod target",
        "averageValue",
        "value",
        "averageValue",
    ),
    "HPAScalingRules": _scaling,
    "PolicyRule": _role_rule,
    "RollingUpdateDaemonSet": _daemon_update,
    "RollingUpdateDeployment": _deployment_update,
    "DeploymentSpec": _deployment,
    "JobSpec": _job,
    "SuccessPolicyRule": _success,
    "EndpointSubset": _subset,
}
