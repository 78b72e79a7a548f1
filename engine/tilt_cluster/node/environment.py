"""The environment of a container: services, `envFrom`, `env`, and `$(VAR)` in all of them.

The order is Kubernetes': service variables first, then `envFrom`, then `env`; `$(VAR)` sees what
came before it, `$$` is a dollar sign, and a reference to nothing stays as it is written.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tilt_cluster import fields
from tilt_cluster.objects import CONFIG_MAPS, SECRETS, Object, Resource

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")
_KINDS = {CONFIG_MAPS: ("ConfigMap", "configmap"), SECRETS: ("Secret", "secret")}
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.*)'\]$")


class ConfigError(Exception):
    """A container can't be created as its objects are; the text is Kubernetes' message."""


class Objects(Protocol):
    """Where ConfigMaps and Secrets are looked up."""

    def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """The object, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What `fieldRef` and `resourceFieldRef` may ask beyond the pod object.

    Args:
        pod_ip: its address, empty if it has none yet.
        host_ip: the node's.
        cpus: how many the node has, for containers without a limit.
        memory: the node's, in bytes, likewise.
    """

    pod_ip: str
    host_ip: str
    cpus: float
    memory: float


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(VAR)`."""

    def value(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def content(resource: Resource, obj: Object) -> dict[str, bytes]:
    """The keys of a ConfigMap or a Secret, as bytes."""
    data: Mapping[str, str] = fields.get(obj, "data", default={})
    binary: Mapping[str, str] = fields.get(obj, "binaryData", default={})
    if resource == SECRETS:
        return {key: base64.b64decode(value) for key, value in data.items()}
    found = {key: value.encode() for key, value in data.items()}
    return found | {key: base64.b64decode(value) for key, value in binary.items()}


def variables(
    objects: Objects, pod: Object, container: Object, services: Mapping[str, str], facts: Facts
) -> dict[str, str]:
    """Every variable of a container.

    Args:
        objects: for ConfigMaps and Secrets.
        pod: the pod.
        container: its container.
        services: variables of the Services (`WEB_SERVICE_HOST` …).
        facts: addresses and sizes.

    Raises:
        ConfigError: a ConfigMap, Secret or key that is not optional is missing.
    """
    result = dict(services)
    for source in fields.get(container, "envFrom", default=()):
        result |= _all_of(objects, pod, source)
    for entry in fields.get(container, "env", default=()):
        name = str(entry["name"])
        value_from = entry.get("valueFrom")
        if value_from is None:
            result[name] = expand(str(entry.get("value") or ""), result)
            continue
        value = _value(objects, pod, container, value_from, facts)
        if value is not None:
            result[name] = value
    return result


def _namespace(pod: Object) -> str:
    return fields.namespace(pod)


def _get(objects: Objects, pod: Object, resource: Resource, reference: Object) -> Object | None:
    """The object that is referred to; None if it is missing and optional."""
    name = str(reference.get("name", ""))
    found = objects.find(resource, name, _namespace(pod))
    if found is None and not reference.get("optional"):
        raise ConfigError(f'{_KINDS[resource][1]} "{name}" not found')
    return found


def _all_of(objects: Objects, pod: Object, source: Object) -> dict[str, str]:
    prefix = str(source.get("prefix") or "")
    for field, resource in (("configMapRef", CONFIG_MAPS), ("secretRef", SECRETS)):
        reference = source.get(field)
        if reference is None:
            continue
        found = _get(objects, pod, resource, reference)
        if found is None:
            return {}
        return {
            prefix + key: value.decode(errors="replace")
            for key, value in sorted(content(resource, found).items())
        }
    return {}


def _value(
    objects: Objects, pod: Object, container: Object, source: Object, facts: Facts
) -> str | None:
    for field, resource in (("configMapKeyRef", CONFIG_MAPS), ("secretKeyRef", SECRETS)):
        reference = source.get(field)
        if reference is None:
            continue
        found = _get(objects, pod, resource, reference)
        key = str(reference["key"])
        data = content(resource, found) if found is not None else {}
        if key in data:
            return data[key].decode(errors="replace")
        if reference.get("optional"):
            return None
        full = f"{_namespace(pod)}/{reference.get('name')}"
        raise ConfigError(f"couldn't find key {key} in {_KINDS[resource][0]} {full}")
    if (wanted := source.get("fieldRef")) is not None:
        return field_value(pod, str(wanted["fieldPath"]), facts)
    if (wanted := source.get("resourceFieldRef")) is not None:
        return resource_value(pod, container, wanted, facts)
    return None


def field_value(pod: Object, path: str, facts: Facts) -> str:
    """A `fieldRef`.

    Raises:
        ConfigError: there is no such field.
    """
    if found := _SUBSCRIPT.match(path):
        return str(fields.get(pod, "metadata", found[1], default={}).get(found[2], ""))
    if path in {"metadata.labels", "metadata.annotations"}:
        pairs: Mapping[str, str] = fields.get(pod, *path.split("."), default={})
        lines = (f'{key}="{_escape(value)}"' for key, value in sorted(pairs.items()))
        return "\n".join(lines)
    match path:
        case "metadata.name" | "metadata.namespace" | "metadata.uid" | "spec.nodeName":
            return str(fields.get(pod, *path.split("."), default=""))
        case "spec.serviceAccountName":
            return str(fields.get(pod, "spec", "serviceAccountName", default="default"))
        case "status.podIP" | "status.podIPs":
            return facts.pod_ip
        case "status.hostIP" | "status.hostIPs":
            return facts.host_ip
        case _:
            raise ConfigError(f"unsupported fieldPath: {path}")


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource_value(pod: Object, container: Object, wanted: Object, facts: Facts) -> str:
    """A `resourceFieldRef`: a limit (the node's size if there is none) or a request.

    Raises:
        ConfigError: there is no such container or resource.
    """
    named = wanted.get("containerName")
    if named:
        every: Sequence[Object] = [
            *fields.get(pod, "spec", "containers", default=()),
            *fields.get(pod, "spec", "initContainers", default=()),
        ]
        chosen = next((one for one in every if one.get("name") == named), None)
        if chosen is None:
            raise ConfigError(f"container {named} not found")
        container = chosen
    kind, _, resource = str(wanted["resource"]).partition(".")
    if kind not in {"limits", "requests"} or not resource:
        raise ConfigError(f"unsupported container resource : {wanted['resource']}")
    found = fields.get(container, "resources", kind, resource)
    if found is None and kind == "requests":
        found = fields.get(container, "resources", "limits", resource, default=0)
    if found is None:
        found = {"cpu": facts.cpus, "memory": facts.memory}.get(resource, 0)
    divisor = fields.quantity(wanted.get("divisor")) or 1.0
    amount = fields.quantity(found) / divisor
    return str(-int(-amount // 1))


def of_services(namespace: str, found: Sequence[Object], *, links: bool) -> dict[str, str]:
    """The variables of Services: of the pod's namespace if it wants links, and of `kubernetes`.

    Args:
        namespace: the pod's.
        found: Services.
        links: the pod's `enableServiceLinks`.
    """
    result: dict[str, str] = {}
    for service in found:
        master = (fields.namespace(service), fields.name(service)) == ("default", "kubernetes")
        if not master and not (links and fields.namespace(service) == namespace):
            continue
        address = fields.get(service, "spec", "clusterIP", default="None")
        ports: Sequence[Object] = fields.get(service, "spec", "ports", default=())
        if address in {"", "None"} or not ports:
            continue
        result |= _of_service(fields.name(service), address, ports)
    return result


def _of_service(name: str, address: str, ports: Sequence[Object]) -> dict[str, str]:
    head = name.upper().replace("-", "_")
    first = ports[0]
    result = {
        f"{head}_SERVICE_HOST": address,
        f"{head}_SERVICE_PORT": str(first["port"]),
    }
    for port in ports:
        if port.get("name"):
            result[f"{head}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(
                port["port"]
            )
    protocol = str(first.get("protocol", "TCP")).lower()
    result[f"{head}_PORT"] = f"{protocol}://{address}:{first['port']}"
    for port in ports:
        protocol = str(port.get("protocol", "TCP"))
        link = f"{head}_PORT_{port['port']}_{protocol}"
        result[link] = f"{protocol.lower()}://{address}:{port['port']}"
        result[f"{link}_PROTO"] = protocol.lower()
        result[f"{link}_PORT"] = str(port["port"])
        result[f"{link}_ADDR"] = address
    return result
