"""The values that the API server fills in where an object says nothing.

OpenAPI has only a few of them (and many zero values that Go's encoder writes and that are no
defaults), so the rest is here, kind by kind, as `kubectl get -o yaml` shows them on a real server;
`tests/cluster/test_defaults.py` compares the two.  Every function changes the fresh object that it
gets, and only adds.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tilt_cluster.objects import Resource
from tilt_cluster.schema import is_list, is_map

Json = dict[str, Any]

_MODE = 0o644
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(rf"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?{_PART}(?:/{_PART})*(?::[\w.-]+)?")
"""A reference to an image that has no digest; what is none has no tag, so it is not `latest`."""


def fill(resource: Resource, obj: Json) -> None:
    """Fill in the defaults of a built-in kind."""
    filler = _FILLERS.get((resource.group, resource.name))
    if filler:
        filler(obj)
    first = _FIRST_STATUS.get(resource.name)
    if first is not None and obj.get("status") is None:
        obj["status"] = {**first}


def _put(into: Json, **values: Any) -> None:
    for key, value in values.items():
        if into.get(key) is None:
            into[key] = value


def _dig(obj: Json, *path: str) -> Json:
    """The object at a path, made where it is missing."""
    for key in path:
        inner = obj.get(key)
        if not is_map(inner):
            inner = obj[key] = {}
        obj = inner
    return obj


def _at(obj: Any, *path: str) -> Json | None:
    for key in path:
        obj = obj.get(key) if is_map(obj) else None
    return obj if is_map(obj) else None


def _each(obj: Any, key: str) -> Iterator[Json]:
    found = obj.get(key) if is_map(obj) else None
    if is_list(found):
        yield from (one for one in found if is_map(one))


def _pod_spec(spec: Json) -> None:
    _put(
        spec,
        restartPolicy="Always",
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        terminationGracePeriodSeconds=30,
        securityContext={},
    )
    if name := spec.get("serviceAccountName"):
        _put(spec, serviceAccount=name)
    elif name := spec.get("serviceAccount"):
        _put(spec, serviceAccountName=name)
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for container in _each(spec, key):
            _container(container, spec.get("hostNetwork") is True)
    for volume in _each(spec, "volumes"):
        _volume(volume)


def _container(container: Json, host_network: bool) -> None:  # noqa: FBT001 - one caller
    image = str(container.get("image") or "")
    _put(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="Always" if _is_latest(image) else "IfNotPresent",
        resources={},
    )
    for port in _each(container, "ports"):
        _put(port, protocol="TCP")
        if host_network:
            _put(port, hostPort=port.get("containerPort"))
    for variable in _each(container, "env"):
        source = _at(variable, "valueFrom", "fieldRef")
        if source is not None:
            _put(source, apiVersion="v1")
        key = _at(variable, "valueFrom", "resourceFieldRef")
        if key is not None:
            _put(key, divisor="0")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = _at(container, name)
        if probe is not None:
            _put(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            _handler(probe)
    for name in ("postStart", "preStop"):
        hook = _at(container, "lifecycle", name)
        if hook is not None:
            _handler(hook)


def _is_latest(image: str) -> bool:
    if "@" in image or not _IMAGE.fullmatch(image):
        return False
    tag = re.search(r":([^/:]+)$", image)
    return tag is None or tag[1] == "latest"


def _handler(handler: Json) -> None:
    get = _at(handler, "httpGet")
    if get is not None:
        _put(get, path="/", scheme="HTTP")
    call = _at(handler, "grpc")
    if call is not None:
        _put(call, service="")


def _volume(volume: Json) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for key in ("secret", "configMap", "projected", "downwardAPI"):
        source = _at(volume, key)
        if source is not None:
            _put(source, defaultMode=_MODE)
    host = _at(volume, "hostPath")
    if host is not None:
        _put(host, type="")
    claim = _at(volume, "ephemeral", "volumeClaimTemplate", "spec")
    if claim is not None:
        _put(claim, volumeMode="Filesystem")
    for source in _each(volume.get("projected"), "sources"):
        token = _at(source, "serviceAccountToken")
        if token is not None:
            _put(token, expirationSeconds=3600)
        for item in _each(source.get("downwardAPI"), "items"):
            _field_reference(item)
    for item in _each(volume.get("downwardAPI"), "items"):
        _field_reference(item)


def _field_reference(item: Json) -> None:
    reference = _at(item, "fieldRef")
    if reference is not None:
        _put(reference, apiVersion="v1")
    share = _at(item, "resourceFieldRef")
    if share is not None:
        _put(share, divisor="0")


def _template(spec: Json) -> None:
    _pod_spec(_dig(spec, "template", "spec"))


def _pod(pod: Json) -> None:
    spec = _dig(pod, "spec")
    _pod_spec(spec)
    _put(spec, enableServiceLinks=True)
    for key in ("initContainers", "containers"):
        for container in _each(spec, key):
            limits = _at(container, "resources", "limits") or {}
            if limits:
                _put(_dig(container, "resources", "requests"), **limits)


def _deployment(obj: Json) -> None:
    spec = _dig(obj, "spec")
    _put(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = _dig(spec, "strategy")
    _put(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _put(_dig(strategy, "rollingUpdate"), maxSurge="25%", maxUnavailable="25%")
    _template(spec)


def _replica_set(obj: Json) -> None:
    spec = _dig(obj, "spec")
    _put(spec, replicas=1)
    _template(spec)


def _replication_controller(obj: Json) -> None:
    spec = _dig(obj, "spec")
    labels = _at(spec, "template", "metadata", "labels")
    if labels:
        _put(spec, selector=dict(labels))
        _put(_dig(obj, "metadata"), labels=dict(labels))
    _put(spec, replicas=1)
    _template(spec)


def _stateful_set(obj: Json) -> None:
    spec = _dig(obj, "spec")
    _put(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    strategy = _dig(spec, "updateStrategy")
    _put(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _put(_dig(strategy, "rollingUpdate"), partition=0)
        # Behind a feature gate that is off.
        strategy["rollingUpdate"].pop("maxUnavailable", None)
    retention = _dig(spec, "persistentVolumeClaimRetentionPolicy")
    _put(retention, whenDeleted="Retain", whenScaled="Retain")
    for claim in _each(spec, "volumeClaimTemplates"):
        _put(claim, apiVersion="v1", kind="PersistentVolumeClaim")
        _claim(claim)
    _template(spec)


def _daemon_set(obj: Json) -> None:
    spec = _dig(obj, "spec")
    _put(spec, revisionHistoryLimit=10)
    strategy = _dig(spec, "updateStrategy")
    _put(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _put(_dig(strategy, "rollingUpdate"), maxSurge=0, maxUnavailable=1)
    _template(spec)


def _job_spec(spec: Json) -> None:
    for rule in _each(spec.get("podFailurePolicy"), "rules"):
        for pattern in _each(rule, "onPodConditions"):
            pattern["status"] = pattern.get("status") or "True"
    if spec.get("completions") is None and spec.get("parallelism") is None:
        _put(spec, completions=1)
    limit = 6 if spec.get("backoffLimitPerIndex") is None else 2**31 - 1
    failed_only = spec.get("podFailurePolicy") is not None
    _put(
        spec,
        parallelism=1,
        backoffLimit=limit,
        completionMode="NonIndexed",
        suspend=False,
        manualSelector=False,
        podReplacementPolicy="Failed" if failed_only else "TerminatingOrFailed",
    )
    _template(spec)


def _job(obj: Json) -> None:
    _job_spec(_dig(obj, "spec"))


def _cron_job(obj: Json) -> None:
    spec = _dig(obj, "spec")
    _put(
        spec,
        concurrencyPolicy="Allow",
        suspend=False,
        successfulJobsHistoryLimit=3,
        failedJobsHistoryLimit=1,
    )
    # A CronJob's template gets no defaults of a Job, only those of its pods.
    _template(_dig(spec, "jobTemplate", "spec"))
    _put(spec["jobTemplate"], metadata={})


def _service(obj: Json) -> None:
    spec = _dig(obj, "spec")
    _put(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        _put(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _put(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _put(spec, allocateLoadBalancerNodePorts=True)
    if spec["sessionAffinity"] == "ClientIP":
        _put(_dig(spec, "sessionAffinityConfig", "clientIP"), timeoutSeconds=10800)
    elif spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    for port in _each(spec, "ports"):
        _put(port, protocol="TCP", targetPort=port.get("port"))
        if port["targetPort"] in ("", 0):
            port["targetPort"] = port.get("port")
    _put(_dig(obj, "status"), loadBalancer={})


def _claim(obj: Json) -> None:
    _put(_dig(obj, "spec"), volumeMode="Filesystem")
    _put(_dig(obj, "status"), phase="Pending")


_CLONED = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))


def _data_source(spec: Json) -> None:
    """One of the two fields for what a volume begins with says the other; unknown kinds go."""
    source = _at(spec, "dataSource")
    if source is not None and (source.get("apiGroup") or "", source.get("kind")) not in _CLONED:
        del spec["dataSource"]
        source = None
    wanted = _at(spec, "dataSourceRef")
    if source is not None and wanted is None:
        spec["dataSourceRef"] = dict(source)
    elif (
        wanted is not None
        and source is None
        and not wanted.get("namespace")
        and (wanted.get("apiGroup") or "", wanted.get("kind")) in _CLONED
    ):
        spec["dataSource"] = dict(wanted)


def _claim_object(obj: Json) -> None:
    _claim(obj)
    _data_source(obj["spec"])


def _volume_object(obj: Json) -> None:
    _put(_dig(obj, "spec"), volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")
    host = _at(obj, "spec", "hostPath")
    if host is not None:
        _put(host, type="")
    _put(_dig(obj, "status"), phase="Pending")


def _secret(obj: Json) -> None:
    _put(obj, type="Opaque")


def _namespace(obj: Json) -> None:
    name = _dig(obj, "metadata").get("name")
    if name:
        _dig(obj, "metadata", "labels")["kubernetes.io/metadata.name"] = name
    _put(_dig(obj, "status"), phase="Active")


_QUARTER = 15


def _pace(kind: str, value: int) -> Json:
    return {"type": kind, "value": value, "periodSeconds": _QUARTER}


def _autoscaler(obj: Json) -> None:
    _put(_dig(obj, "spec"), minReplicas=1)
    behavior = _at(obj, "spec", "behavior")
    if behavior is not None:
        up, down = _dig(behavior, "scaleUp"), _dig(behavior, "scaleDown")
        _put(up, stabilizationWindowSeconds=0, policies=[_pace("Pods", 4), _pace("Percent", 100)])
        _put(down, policies=[_pace("Percent", 100)])
        for rules in (up, down):
            _put(rules, selectPolicy="Max")
    if not obj["spec"].get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        cpu = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
        obj["spec"]["metrics"] = [cpu]


def _storage_class(obj: Json) -> None:
    _put(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _network_policy(obj: Json) -> None:
    spec = _dig(obj, "spec")
    types = ["Ingress"] + (["Egress"] if spec.get("egress") else [])
    _put(spec, policyTypes=types)
    for key in ("ingress", "egress"):
        for rule in _each(spec, key):
            for port in _each(rule, "ports"):
                _put(port, protocol="TCP")


def _event(obj: Json) -> None:
    obj.setdefault("eventTime", None)


def _endpoint_slice(obj: Json) -> None:
    for port in _each(obj, "ports"):
        _put(port, name="", protocol="TCP")
    for endpoint in _each(obj, "endpoints"):
        _put(endpoint, conditions={})


def _endpoints(obj: Json) -> None:
    for subset in _each(obj, "subsets"):
        for port in _each(subset, "ports"):
            _put(port, protocol="TCP")


def _binding(obj: Json) -> None:
    group = "rbac.authorization.k8s.io"
    role = _dig(obj, "roleRef")
    role["apiGroup"] = role.get("apiGroup") or group
    for subject in _each(obj, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            _put(subject, apiGroup=group)


def _priority_class(obj: Json) -> None:
    _put(obj, preemptionPolicy="PreemptLowerPriority")


def _limit_range(obj: Json) -> None:
    for limit in _each(obj.get("spec"), "limits"):
        if limit.get("type") == "Container":
            most = limit.get("max")
            if is_map(most):
                _put(_dig(limit, "default"), **most)
            usual = {**(_at(limit, "min") or {}), **(_at(limit, "default") or {})}
            if usual:
                _put(_dig(limit, "defaultRequest"), **usual)


def _pod_template(obj: Json) -> None:
    _template(obj)


def _webhooks(obj: Json) -> None:
    for hook in _each(obj, "webhooks"):
        _put(
            hook,
            failurePolicy="Fail",
            matchPolicy="Equivalent",
            namespaceSelector={},
            objectSelector={},
            timeoutSeconds=10,
        )
        if "mutating" in str(obj.get("kind", "")).lower():
            _put(hook, reinvocationPolicy="Never")
        service = _at(hook, "clientConfig", "service")
        if service is not None:
            _put(service, port=443)
        for rule in _each(hook, "rules"):
            _put(rule, scope="*")


def _definition(obj: Json) -> None:
    spec = _dig(obj, "spec")
    names = _dig(spec, "names")
    kind = str(names.get("kind", ""))
    _put(names, singular=kind.lower(), listKind=f"{kind}List")
    _put(spec, conversion={"strategy": "None"})


_FILLERS: dict[tuple[str, str], Callable[[Json], None]] = {
    ("", "endpoints"): _endpoints,
    ("", "events"): _event,
    ("events.k8s.io", "events"): _event,
    ("", "limitranges"): _limit_range,
    ("", "namespaces"): _namespace,
    ("", "persistentvolumeclaims"): _claim_object,
    ("", "persistentvolumes"): _volume_object,
    ("", "pods"): _pod,
    ("", "podtemplates"): _pod_template,
    ("", "replicationcontrollers"): _replication_controller,
    ("", "secrets"): _secret,
    ("", "services"): _service,
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): _webhooks,
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): _webhooks,
    ("apiextensions.k8s.io", "customresourcedefinitions"): _definition,
    ("apps", "daemonsets"): _daemon_set,
    ("apps", "deployments"): _deployment,
    ("apps", "replicasets"): _replica_set,
    ("apps", "statefulsets"): _stateful_set,
    ("autoscaling", "horizontalpodautoscalers"): _autoscaler,
    ("batch", "cronjobs"): _cron_job,
    ("batch", "jobs"): _job,
    ("discovery.k8s.io", "endpointslices"): _endpoint_slice,
    ("networking.k8s.io", "networkpolicies"): _network_policy,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _binding,
    ("rbac.authorization.k8s.io", "rolebindings"): _binding,
    ("scheduling.k8s.io", "priorityclasses"): _priority_class,
    ("storage.k8s.io", "storageclasses"): _storage_class,
}
_FIRST_STATUS: dict[str, Json] = {
    "cronjobs": {},
    "daemonsets": {
        "currentNumberScheduled": 0,
        "desiredNumberScheduled": 0,
        "numberMisscheduled": 0,
        "numberReady": 0,
    },
    "deployments": {},
    "horizontalpodautoscalers": {"currentMetrics": None, "desiredReplicas": 0},
    "ingresses": {"loadBalancer": {}},
    "jobs": {},
    "poddisruptionbudgets": {
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "disruptionsAllowed": 0,
        "expectedPods": 0,
    },
    "replicasets": {"replicas": 0},
    "replicationcontrollers": {"replicas": 0},
    "statefulsets": {"availableReplicas": 0, "replicas": 0},
}
"""What a status is before any controller has seen the object."""
