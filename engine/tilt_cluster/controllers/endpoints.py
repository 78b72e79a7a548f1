"""Endpoints and EndpointSlices: the addresses of a Service's pods, ready and not."""

from collections.abc import Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import pods
from tilt_cluster.controllers.plan import Create, Delete, Key, Steps, Update, View
from tilt_cluster.objects import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES, Object

_MANAGED = "endpointslice.kubernetes.io/managed-by"
_SLICER = "endpointslice-controller.k8s.io"
_SERVICE = "kubernetes.io/service-name"
_ENDPOINTS_MANAGED = "endpoints.kubernetes.io/managed-by"


def sync(view: View, key: Key, _now: float) -> Steps:
    """Bring the slices and the Endpoints of one Service up to date."""
    service = view.find(SERVICES, key.name, key.namespace)
    slices = view.list(
        ENDPOINT_SLICES,
        key.namespace,
        labels={"matchLabels": {_SERVICE: key.name, _MANAGED: _SLICER}},
    )
    endpoints = view.find(ENDPOINTS, key.name, key.namespace)
    ours = endpoints is not None and _ENDPOINTS_MANAGED in fields.labels(endpoints)
    selector = fields.get(service, "spec", "selector")
    if service is None or not selector or fields.get(service, "spec", "type") == "ExternalName":
        for one in slices:
            yield Delete(ENDPOINT_SLICES, one)
        if endpoints is not None and ours and service is None:
            yield Delete(ENDPOINTS, endpoints)
        return None
    members = [
        pod
        for pod in view.list(PODS, key.namespace, labels={"matchLabels": selector})
        if fields.get(pod, "status", "podIP") and not pods.finished(pod)
    ]
    wanted = _slices(service, members)
    yield from _reconcile_slices(service, slices, wanted)
    subsets = _subsets(service, members)
    if endpoints is None:
        yield Create(ENDPOINTS, _endpoints(service, subsets))
    elif fields.get(endpoints, "subsets", default=[]) != subsets:
        yield Update(ENDPOINTS, {**endpoints, "subsets": subsets})
    return None


Ports = tuple[tuple[str, int, str], ...]


def ports(service: Object, pod: Object) -> Ports:
    """Name, number and protocol of a Service's target ports in a pod; without unknown names."""
    found: list[tuple[str, int, str]] = []
    for port in fields.get(service, "spec", "ports", default=()):
        number = target(port, pod)
        if number is not None:
            found.append((port.get("name", ""), number, port.get("protocol", "TCP")))
    return tuple(found)


def target(port: Object, pod: Object) -> int | None:
    """The number of a service port's target in a pod; None if the pod has no port of that name."""
    wanted = port.get("targetPort") or port.get("port")
    if isinstance(wanted, int):
        return wanted
    if isinstance(wanted, str) and wanted.isdigit():
        return int(wanted)
    containers: list[Object] = [
        *fields.get(pod, "spec", "containers", default=()),
        *fields.get(pod, "spec", "initContainers", default=()),
    ]
    for container in containers:
        for one in container.get("ports") or ():
            same_protocol = one.get("protocol", "TCP") == port.get("protocol", "TCP")
            if one.get("name") == wanted and same_protocol:
                return int(one["containerPort"])
    return None


def _publishes_unready(service: Object) -> bool:
    return bool(fields.get(service, "spec", "publishNotReadyAddresses", default=False))


def _hostname(service: Object, pod: Object) -> str | None:
    """The pod's own name under a Service (for StatefulSets)."""
    hostname = fields.get(pod, "spec", "hostname")
    same = fields.get(pod, "spec", "subdomain") == fields.name(service)
    return str(hostname) if hostname and same else None


def _reference(pod: Object) -> Object:
    return {
        "kind": "Pod",
        "namespace": fields.namespace(pod),
        "name": fields.name(pod),
        "uid": fields.uid(pod),
    }


def _slices(service: Object, members: Sequence[Object]) -> dict[Ports, list[Object]]:
    wanted: dict[Ports, list[Object]] = {}
    for pod in members:
        serving = pods.ready(pod)
        leaving = fields.deleting(pod)
        endpoint: dict[str, Any] = {
            "addresses": [fields.get(pod, "status", "podIP")],
            "conditions": {
                "ready": _publishes_unready(service) or (serving and not leaving),
                "serving": serving,
                "terminating": leaving,
            },
            "nodeName": fields.get(pod, "spec", "nodeName"),
            "targetRef": _reference(pod),
        }
        if hostname := _hostname(service, pod):
            endpoint["hostname"] = hostname
        wanted.setdefault(ports(service, pod), []).append(endpoint)
    return wanted or {(): []}


def _port_list(found: Ports) -> list[Object]:
    return [
        {"name": name, "port": number, "protocol": protocol} for name, number, protocol in found
    ]


def _reconcile_slices(
    service: Object, slices: Sequence[Object], wanted: dict[Ports, list[Object]]
) -> Steps:
    left = list(slices)
    for found, endpoints in wanted.items():
        port_list = _port_list(found)
        old = next((one for one in left if (one.get("ports") or []) == port_list), None)
        old = old or (left[0] if left and len(wanted) == 1 else None)
        if old is None:
            yield Create(ENDPOINT_SLICES, _slice(service, port_list, endpoints))
            continue
        left.remove(old)
        if (old.get("ports") or [], old.get("endpoints") or []) != (port_list, endpoints):
            yield Update(ENDPOINT_SLICES, {**old, "ports": port_list, "endpoints": endpoints})
    for one in left:
        yield Delete(ENDPOINT_SLICES, one)
    return None


def _headless(service: Object) -> dict[str, str]:
    none = fields.get(service, "spec", "clusterIP") == "None"
    return {"service.kubernetes.io/headless": ""} if none else {}


def _slice(service: Object, port_list: Sequence[Object], endpoints: Sequence[Object]) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{fields.name(service)}-",
            "namespace": fields.namespace(service),
            "labels": {
                **fields.labels(service),
                **_headless(service),
                _MANAGED: _SLICER,
                _SERVICE: fields.name(service),
            },
            "ownerReferences": [fields.owned("v1", "Service", service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": port_list,
    }


def _endpoints(service: Object, subsets: Sequence[Object]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": fields.name(service),
            "namespace": fields.namespace(service),
            "labels": {
                **fields.labels(service),
                **_headless(service),
                _ENDPOINTS_MANAGED: "endpoint-controller",
            },
        },
        "subsets": subsets,
    }


def _subsets(service: Object, members: Sequence[Object]) -> list[Object]:
    groups: dict[Ports, tuple[list[Object], list[Object]]] = {}
    for pod in members:
        if fields.deleting(pod):
            continue
        address: dict[str, Any] = {
            "ip": fields.get(pod, "status", "podIP"),
            "nodeName": fields.get(pod, "spec", "nodeName"),
            "targetRef": _reference(pod),
        }
        if hostname := _hostname(service, pod):
            address["hostname"] = hostname
        ready, unready = groups.setdefault(ports(service, pod), ([], []))
        into = ready if _publishes_unready(service) or pods.ready(pod) else unready
        into.append(address)
    result: list[Object] = []
    for found, (ready, unready) in groups.items():
        port_list = [{k: v for k, v in one.items() if v != ""} for one in _port_list(found)]
        subset: dict[str, Any] = {}
        if ready:
            subset["addresses"] = ready
        if unready:
            subset["notReadyAddresses"] = unready
        if port_list:
            subset["ports"] = port_list
        result.append(subset)
    return result
