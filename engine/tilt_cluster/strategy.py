"""What the API server itself does to objects of a kind when they are written.

Addresses of Services, the token volume of a pod, the selector of a Job, the clear text of a
Secret: things that are neither defaults nor rules, and that no controller does later.
"""

import base64
import ipaddress
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from tilt_cluster import catalog, fields, limits, names, refusals
from tilt_cluster.objects import (
    PRIORITY_CLASSES,
    SERVICE_ACCOUNTS,
    SERVICES,
    Facts,
    Object,
    Resource,
)

Json = dict[str, Any]


class Reads(Protocol):
    """What a strategy may look at."""

    @property
    def facts(self) -> Facts:
        """Addresses to allocate from."""
        ...

    def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """An object."""
        ...

    def list(self, resource: Resource, namespace: str | None = None) -> Sequence[Object]:
        """Objects."""
        ...


def create(reads: Reads, kind: catalog.Kind, obj: Json, warnings: list[str]) -> None:
    """Complete a new object.

    Raises:
        ApiError: admission refuses it.
    """
    act = _CREATE.get((kind.resource.group, kind.resource.name))
    if act:
        act(reads, obj, warnings)


def update(reads: Reads, kind: catalog.Kind, old: Object, new: Json) -> None:
    """Complete an object that replaces another one."""
    act = _UPDATE.get((kind.resource.group, kind.resource.name))
    if act:
        act(reads, old, new)


# Pods

_TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_CRITICAL = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}


def _pod(reads: Reads, pod: Json, warnings: list[str]) -> None:
    del warnings
    spec: Json = pod["spec"]
    limits.fill(reads, pod)
    _account(reads, pod, spec)
    _priority(reads, pod, spec)
    tolerations: list[Json] = spec.get("tolerations") or []
    spec["tolerations"] = tolerations
    known = {(one.get("key"), one.get("effect")) for one in tolerations}
    tolerations += [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        if (key, "NoExecute") not in known and (None, None) not in known
    ]
    status: Json = pod.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status["qosClass"] = quality(spec)


def _account(reads: Reads, pod: Json, spec: Json) -> None:
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    namespace: str = pod["metadata"]["namespace"]
    account = reads.find(SERVICE_ACCOUNTS, name, namespace)
    if account is None and name != "default":
        why = (
            f"error looking up service account {namespace}/{name}: "
            f'serviceaccount "{name}" not found'
        )
        raise refusals.denied(Resource("", "pods"), pod["metadata"]["name"], why)
    if account and account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = account["imagePullSecrets"]
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None and account is not None:
        wanted = account.get("automountServiceAccountToken")
    if wanted is not False:
        _mount_token(spec)


def _mount_token(spec: Json) -> None:
    volumes: list[Json] = spec.setdefault("volumes", [])
    volume = next(
        (one["name"] for one in volumes if one["name"].startswith("kube-api-access-")), None
    )
    if volume is None:
        volume = names.generated("kube-api-access-")
        volumes.append({"name": volume, "projected": _token_volume()})
    for container in _containers(spec):
        mounts: list[Json] = container.setdefault("volumeMounts", [])
        if all(one.get("mountPath") != _TOKEN_MOUNT for one in mounts):
            mounts.append({"name": volume, "readOnly": True, "mountPath": _TOKEN_MOUNT})


def _token_volume() -> Json:
    place = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {
                "configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                }
            },
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": place}]}},
        ],
        "defaultMode": 0o644,
    }


def _containers(spec: Mapping[str, Any]) -> Iterator[Json]:
    for key in ("initContainers", "containers"):
        yield from spec.get(key) or ()


def _priority(reads: Reads, pod: Json, spec: Json) -> None:
    name = spec.get("priorityClassName")
    policy = "PreemptLowerPriority"
    value = 0
    if name:
        found = reads.find(PRIORITY_CLASSES, name)
        if found is None and name not in _CRITICAL:
            why = f"no PriorityClass with name {name} was found"
            raise refusals.denied(Resource("", "pods"), pod["metadata"]["name"], why)
        value = _CRITICAL.get(name, 0) if found is None else int(found.get("value", 0))
        policy = (found or {}).get("preemptionPolicy", policy)
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", policy)


def quality(spec: Mapping[str, Any]) -> str:
    """The quality of service class of a pod's resources."""
    requests: list[Mapping[str, Any]] = []
    limits: list[Mapping[str, Any]] = []
    for container in _containers(spec):
        resources: Mapping[str, Any] = container.get("resources") or {}
        requests.append(fields.get(resources, "requests", default={}))
        limits.append(fields.get(resources, "limits", default={}))
    if not any(one.get("cpu") or one.get("memory") for one in (*requests, *limits)):
        return "BestEffort"
    for asked, most in zip(requests, limits, strict=True):
        for name in ("cpu", "memory"):
            if name not in most:
                return "Burstable"
            if fields.quantity(asked.get(name, most[name])) != fields.quantity(most[name]):
                return "Burstable"
    return "Guaranteed"


# Services


def _service(reads: Reads, service: Json, warnings: list[str]) -> None:
    spec: Json = service["spec"]
    protocols = {port.get("protocol") for port in spec.get("ports") or ()}
    if "SCTP" in protocols:
        warnings.append("the embedded cluster stores ports of SCTP, but doesn't serve them")
    if "UDP" in protocols and spec["type"] in ("NodePort", "LoadBalancer"):
        warnings.append("the embedded cluster serves UDP at the cluster IP, but at no node port")
    if spec["type"] == "ExternalName":
        return
    _one_family(spec, service["metadata"]["name"])
    taken = _Taken(reads)
    asked = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), None)
    spec["clusterIP"] = asked or taken.address()
    spec["clusterIPs"] = [spec["clusterIP"]]
    if asked and asked != "None":
        taken.claim(asked, service["metadata"]["name"])
    _node_ports(spec, taken, service["metadata"]["name"])


def _one_family(spec: Json, name: str) -> None:
    """IPv4, and nothing else, but for Services whose endpoints are somebody else's.

    Raises:
        InvalidError: the Service wants IPv6.
    """
    if spec.get("clusterIP") == "None" and not spec.get("selector"):
        # Whoever writes its endpoints decides.
        spec["ipFamilies"] = spec.get("ipFamilies") or ["IPv4", "IPv6"]
        spec["ipFamilyPolicy"] = spec.get("ipFamilyPolicy") or "RequireDualStack"
        return
    spec["ipFamilies"] = spec.get("ipFamilies") or ["IPv4"]
    spec["ipFamilyPolicy"] = spec.get("ipFamilyPolicy") or "SingleStack"
    cause: refusals.Cause | None = None
    if spec["ipFamilyPolicy"] == "RequireDualStack":
        text = "this cluster is not configured for dual-stack services"
        cause = refusals.invalid("spec.ipFamilyPolicy", "RequireDualStack", text)
    elif len(spec["ipFamilies"]) > 1 and spec["ipFamilyPolicy"] == "SingleStack":
        text = (
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are "
            "specified"
        )
        cause = refusals.invalid("spec.ipFamilyPolicy", "SingleStack", text)
    elif "IPv6" in spec["ipFamilies"]:
        at = spec["ipFamilies"].index("IPv6")
        text = "not configured on this cluster"
        cause = refusals.invalid(f"spec.ipFamilies[{at}]", "IPv6", text)
    if cause:
        raise refusals.invalid_object("", "Service", name, [cause])


def _service_again(reads: Reads, old: Object, service: Json) -> None:
    spec: Json = service["spec"]
    before: Mapping[str, Any] = old["spec"]
    _forget(spec, before)
    if spec["type"] == "ExternalName":
        return
    _one_family(spec, service["metadata"]["name"])
    taken = _Taken(reads, but=fields.uid(old))
    spec["clusterIP"] = spec.get("clusterIP") or before.get("clusterIP") or taken.address()
    spec["clusterIPs"] = [spec["clusterIP"]]
    known = {
        (one.get("name"), one.get("port"), one.get("protocol")): one.get("nodePort")
        for one in before.get("ports") or ()
    }
    if spec["type"] in ("NodePort", "LoadBalancer"):
        for port in spec.get("ports") or ():
            number = known.get((port.get("name"), port.get("port"), port.get("protocol")))
            if not port.get("nodePort") and number:
                port["nodePort"] = number
    elif before.get("type") in ("NodePort", "LoadBalancer"):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
        spec.pop("externalTrafficPolicy", None)
    _node_ports(spec, taken, service["metadata"]["name"])


_BALANCED = ("allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort")
_INSIDE = (
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
    "externalTrafficPolicy",
)


def _forget(spec: Json, before: Mapping[str, Any]) -> None:
    """A Service that changes its type loses what meant something to the old one only.

    What the writer has changed at the same time is a wish, and stays (to be refused, maybe).
    """
    kind = spec["type"]
    if kind == before.get("type"):
        return
    unfit = () if kind == "LoadBalancer" else _BALANCED
    if kind == "ClusterIP":
        unfit = (*unfit, "externalTrafficPolicy")
    elif kind == "ExternalName":
        unfit = (*unfit, *_INSIDE)
    for key in unfit:
        if spec.get(key) == before.get(key):
            spec.pop(key, None)


def _node_ports(spec: Json, taken: "_Taken", name: str) -> None:
    if spec["type"] not in ("NodePort", "LoadBalancer"):
        return
    wanted = spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts") is not False
    for at, port in enumerate(spec.get("ports") or ()):
        if port.get("nodePort"):
            taken.claim_port(port["nodePort"], name, at, port.get("protocol", "TCP"))
        elif wanted:
            port["nodePort"] = taken.port()
    is_local = spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"
    if is_local and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = taken.port()


class _Taken:
    """Addresses and ports that Services have."""

    def __init__(self, reads: Reads, but: str = "") -> None:
        self._facts = reads.facts
        specs = [one["spec"] for one in reads.list(SERVICES) if fields.uid(one) != but]
        self._addresses = {one.get("clusterIP") for one in specs} | {reads.facts.dns_ip}
        self._ports = {
            (port["nodePort"], port.get("protocol", "TCP"))
            for one in specs
            for port in one.get("ports") or ()
            if port.get("nodePort")
        }

    def address(self) -> str:
        """A free one."""
        network = ipaddress.ip_network(self._facts.service_cidr)
        size = min(network.num_addresses - 2, 2**16)
        while True:
            found = str(network[1 + secrets.randbelow(size)])
            if found not in self._addresses and not found.endswith((".0", ".255", ".0.1")):
                return found

    def claim(self, address: str, name: str) -> None:
        """Check an address that somebody asks for."""
        cause: refusals.Cause | None = None
        try:
            inside = ipaddress.ip_address(address) in ipaddress.ip_network(self._facts.service_cidr)
        except ValueError:
            text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            cause = refusals.invalid("spec.clusterIPs[0]", address, text)
        else:
            if not inside:
                text = (
                    "failed to allocate IP "
                    f"{address}: the provided IP ({address}) is not in the valid range. "
                    f"The range of valid IPs is {self._facts.service_cidr}"
                )
                cause = refusals.invalid("spec.clusterIPs", [address], text)
            elif address in self._addresses - {self._facts.dns_ip}:
                text = f"failed to allocate IP {address}: provided IP is already allocated"
                cause = refusals.invalid("spec.clusterIPs", [address], text)
        if cause:
            raise refusals.invalid_object("", "Service", name, [cause])

    def port(self) -> int:
        """A free one."""
        first, last = self._facts.node_ports
        used = {number for number, _ in self._ports}
        free = [one for one in range(first, last + 1) if one not in used]
        found = secrets.choice(free)
        self._ports.add((found, ""))
        return found

    def claim_port(self, number: int, name: str, at: int, protocol: str) -> None:
        """Check a port that somebody asks for."""
        first, last = self._facts.node_ports
        text = ""
        if not first <= number <= last:
            text = (
                "provided port is not in the valid range. "
                f"The range of valid ports is {first}-{last}"
            )
        elif (number, protocol) in self._ports:
            text = "provided port is already allocated"
        if text:
            cause = refusals.invalid(f"spec.ports[{at}].nodePort", number, text)
            raise refusals.invalid_object("", "Service", name, [cause])
        self._ports.add((number, protocol))


# Others


def _secret(reads: Reads, secret: Json, warnings: list[str]) -> None:
    del reads, warnings
    clear: Mapping[str, str] = secret.pop("stringData", None) or {}
    if clear:
        data: Json = secret.setdefault("data", {})
        for key, value in clear.items():
            data[key] = base64.b64encode(value.encode()).decode()


def _secret_again(reads: Reads, old: Object, secret: Json) -> None:
    del old
    _secret(reads, secret, [])


def _namespace(reads: Reads, namespace: Json, warnings: list[str]) -> None:
    del reads, warnings
    spec: Json = namespace.setdefault("spec", {})
    if "kubernetes" not in spec.setdefault("finalizers", []):
        spec["finalizers"].append("kubernetes")


def _job(reads: Reads, job: Json, warnings: list[str]) -> None:
    del reads, warnings
    spec: Json = job["spec"]
    if spec.get("manualSelector"):
        return
    uid: str = job["metadata"]["uid"]
    template: Json = spec["template"].setdefault("metadata", {})
    labels: Json = {
        **fields.get(template, "labels", default={}),
        "controller-uid": uid,
        "job-name": job["metadata"]["name"],
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": job["metadata"]["name"],
    }
    template["labels"] = labels
    own = "batch.kubernetes.io/controller-uid"
    if not spec.get("selector"):
        spec["selector"] = {"matchLabels": {own: labels[own]}}
    if not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)


def _claim(reads: Reads, claim: Json, warnings: list[str]) -> None:
    del warnings
    if claim["spec"].get("storageClassName") is None:
        marked = "storageclass.kubernetes.io/is-default-class"
        for one in reads.list(Resource("storage.k8s.io", "storageclasses")):
            if fields.annotations(one).get(marked) == "true":
                claim["spec"]["storageClassName"] = fields.name(one)
    _protect(claim, "kubernetes.io/pvc-protection")


def _volume(reads: Reads, volume: Json, warnings: list[str]) -> None:
    del reads, warnings
    _protect(volume, "kubernetes.io/pv-protection")


def _protect(obj: Json, finalizer: str) -> None:
    found: list[str] = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in found:
        found.append(finalizer)


def _webhook(reads: Reads, hook: Json, warnings: list[str]) -> None:
    del reads, hook
    warnings.append("the embedded cluster stores this, but never calls webhooks or policies")


def _policy(reads: Reads, policy: Json, warnings: list[str]) -> None:
    del reads, policy
    warnings.append("the embedded cluster stores this, but doesn't enforce it")


_CREATE: Mapping[tuple[str, str], Callable[[Reads, Json, list[str]], None]] = {
    ("", "namespaces"): _namespace,
    ("", "persistentvolumeclaims"): _claim,
    ("", "persistentvolumes"): _volume,
    ("", "pods"): _pod,
    ("", "secrets"): _secret,
    ("", "services"): _service,
    ("networking.k8s.io", "networkpolicies"): _policy,
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): _webhook,
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): _webhook,
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): _webhook,
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): _webhook,
    ("batch", "jobs"): _job,
}
_UPDATE: Mapping[tuple[str, str], Callable[[Reads, Object, Json], None]] = {
    ("", "secrets"): _secret_again,
    ("", "services"): _service_again,
}
