"""The Engine's words for a container of a pod: the body of `POST /containers/create`.

A pod's sandbox owns network, IPC and hostname; the containers join it.  Everything of the spec
that the Engine can enforce is translated here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilt_cluster import fields
from tilt_cluster.node import environment, gates, pause
from tilt_cluster.objects import Object

_LOGS = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
_PERIOD = 100_000
_SHARES_MIN = 2


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the host in a container."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = ""


def on_host_network(pod: Object) -> bool:
    """Whether the pod uses the host's network."""
    return bool(fields.get(pod, "spec", "hostNetwork", default=False))


def joined_by_engine(pod: Object) -> bool:
    """Whether only the Engine can give the pod its network: host's, host ports, and sysctls.

    The last may be about the interface, which must be there before they are set.
    """
    return on_host_network(pod) or bool(
        fields.get(pod, "spec", "securityContext", "sysctls", default=()) or _bindings(pod)
    )


def may_be_alone(pod: Object) -> bool:
    """Whether the pod's only container may do without a sandbox (see `gates`).

    Its namespaces must be nobody else's, and where its pipe is mounted must be free.
    """
    spec: Object = pod["spec"]
    containers: Sequence[Object] = spec["containers"]
    others = ("initContainers", "ephemeralContainers")
    shared = ("hostPID", "hostIPC", "shareProcessNamespace")
    if len(containers) != 1 or any(spec.get(key) for key in (*others, *shared)):
        return False
    mounts: Sequence[Object] = containers[0].get("volumeMounts") or ()
    return (
        not joined_by_engine(pod)
        and not fields.get(containers[0], "securityContext", "privileged")
        and not any(f"{one.get('mountPath')}/".startswith("/dev/") for one in mounts)
    )


def hostname(pod: Object) -> str:
    """The pod's hostname: `spec.hostname` or its name, at most 63 characters."""
    return str(fields.get(pod, "spec", "hostname") or fields.name(pod))[:63].rstrip("-.")


def sandbox(
    pod: Object,
    *,
    network: str | None,
    labels: Mapping[str, str],
    domain: str,
    host_ports: bool = True,
) -> dict[str, Any]:
    """The container that holds a pod's namespaces.

    Args:
        pod: the pod.
        network: of the Engine, that the pod joins; None: it gets its network from somebody else.
        labels: of the container.
        domain: the cluster's DNS domain.
        host_ports: publish `hostPort`s on the host.
    """
    host = on_host_network(pod)
    body: dict[str, Any] = {
        "Image": pause.IMAGE,
        "Labels": dict(labels),
        "HostConfig": {
            "NetworkMode": "host" if host else network or "none",
            "IpcMode": "host" if fields.get(pod, "spec", "hostIPC") else "shareable",
            "LogConfig": {"Type": "none"},
            "RestartPolicy": {"Name": "no"},
            # It runs a program of ours that only waits, and to compile a filter for it takes time.
            "SecurityOpt": ["seccomp=unconfined"],
        },
    }
    if network is None and not host:
        body["NetworkDisabled"] = True
    if fields.get(pod, "spec", "hostPID"):
        body["HostConfig"]["PidMode"] = "host"
    if not host:
        body |= _names(pod, domain)
        sysctls = fields.get(pod, "spec", "securityContext", "sysctls", default=())
        if sysctls:
            body["HostConfig"]["Sysctls"] = {one["name"]: one["value"] for one in sysctls}
        bindings = _bindings(pod) if host_ports else {}
        if bindings:
            body["ExposedPorts"] = {key: {} for key in bindings}
            body["HostConfig"]["PortBindings"] = bindings
    return body


def _names(pod: Object, domain: str) -> dict[str, str]:
    names = {"Hostname": hostname(pod)}
    if subdomain := fields.get(pod, "spec", "subdomain"):
        names["Domainname"] = f"{subdomain}.{fields.namespace(pod)}.svc.{domain}"
    return names


def alone(
    pod: Object,
    body: Mapping[str, Any],
    *,
    program: Sequence[str],
    gate: str,
    domain: str,
) -> dict[str, Any]:
    """The same container as its pod's only one: with namespaces of its own, and behind a gate.

    Args:
        pod: the pod.
        body: of a container that joins a sandbox.
        program: what it runs, with arguments.
        gate: the folder that `gates.make` has made.
        domain: the cluster's DNS domain.
    """
    host: Mapping[str, Any] = body["HostConfig"]
    mounts = [*host["Mounts"], _mount(Mount(gate, gates.TARGET, read_only=True))]
    return {
        **body,
        **_names(pod, domain),
        "NetworkDisabled": True,
        "Entrypoint": [gates.START],
        "Cmd": list(program),
        # Who is added to the pod later (kubectl debug) joins it as it would a sandbox.
        "HostConfig": {**host, "NetworkMode": "none", "IpcMode": "shareable", "Mounts": mounts},
    }


def program(
    body: Mapping[str, Any], entrypoint: Sequence[str], arguments: Sequence[str]
) -> list[str]:
    """What a container runs, with arguments.

    Args:
        body: of the container.
        entrypoint: of its image.
        arguments: likewise; an entrypoint of the container's own does without them.
    """
    own: Sequence[str] = body.get("Entrypoint") or ()
    rest: Sequence[str] = body.get("Cmd") or (() if own else arguments)
    return [*(own or entrypoint), *rest]


def _bindings(pod: Object) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for container in fields.get(pod, "spec", "containers", default=()):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                key = f"{port['containerPort']}/{str(port.get('protocol', 'TCP')).lower()}"
                address = port.get("hostIP") or "127.0.0.1"
                bindings.setdefault(key, []).append(
                    {"HostIp": address, "HostPort": str(port["hostPort"])}
                )
    return bindings


def container(
    pod: Object,
    one: Object,
    *,
    image: str,
    image_user: str,
    variables: Mapping[str, str],
    mounts: Sequence[Mount],
    sandbox_id: str,
    target_id: str,
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """A container of a pod.

    Args:
        pod: the pod.
        one: the container's spec.
        image: what the Engine calls it.
        image_user: the user that the image names.
        variables: its environment.
        mounts: its volumes and files.
        sandbox_id: of the pod's sandbox.
        target_id: of the container whose processes it shall see (empty: its own only).
        labels: of the container.
    """
    body: dict[str, Any] = {
        "Image": image,
        "Labels": dict(labels),
        "Env": [f"{key}={value}" for key, value in variables.items()],
        "Healthcheck": {"Test": ["NONE"]},
        "OpenStdin": bool(one.get("stdin")),
        "StdinOnce": bool(one.get("stdinOnce")),
        "Tty": bool(one.get("tty")),
        "HostConfig": {
            "NetworkMode": f"container:{sandbox_id}",
            "LogConfig": _LOGS,
            "RestartPolicy": {"Name": "no"},
            "Mounts": [_mount(mount) for mount in mounts],
            **_namespaces(pod, sandbox_id),
            **({"PidMode": f"container:{target_id}"} if target_id else {}),
            **_resources(one),
            **_security(pod, one),
        },
    }
    if one.get("command"):
        body["Entrypoint"] = [environment.expand(str(arg), variables) for arg in one["command"]]
    if one.get("args"):
        body["Cmd"] = [environment.expand(str(arg), variables) for arg in one["args"]]
    if one.get("workingDir"):
        body["WorkingDir"] = str(one["workingDir"])
    if who := user(pod, one, image_user):
        body["User"] = who
    return body


def _namespaces(pod: Object, sandbox_id: str) -> dict[str, str]:
    result: dict[str, str] = {}
    host_ipc = fields.get(pod, "spec", "hostIPC")
    result["IpcMode"] = "host" if host_ipc else f"container:{sandbox_id}"
    if fields.get(pod, "spec", "hostPID"):
        result["PidMode"] = "host"
    elif fields.get(pod, "spec", "shareProcessNamespace"):
        result["PidMode"] = f"container:{sandbox_id}"
    return result


def _mount(mount: Mount) -> dict[str, Any]:
    result: dict[str, Any] = {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
    if mount.propagation:
        result["BindOptions"] = {"Propagation": mount.propagation}
    return result


def _resources(one: Object) -> dict[str, Any]:
    limits = fields.get(one, "resources", "limits", default={})
    requests = {**limits, **fields.get(one, "resources", "requests", default={})}
    result: dict[str, Any] = {}
    if memory := int(fields.quantity(limits.get("memory"))):
        result |= {"Memory": memory, "MemorySwap": memory}
    if cpus := fields.quantity(limits.get("cpu")):
        result |= {"CpuPeriod": _PERIOD, "CpuQuota": max(1000, int(cpus * _PERIOD))}
    shares = int(fields.quantity(requests.get("cpu")) * 1024)
    result["CpuShares"] = max(_SHARES_MIN, shares)
    return result


def setting(pod: Object, one: Object, name: str) -> Any:
    """A field of the container's securityContext, or else of the pod's."""
    own = fields.get(one, "securityContext", name)
    return own if own is not None else fields.get(pod, "spec", "securityContext", name)


def user(pod: Object, one: Object, image_user: str) -> str:
    """User and group of a container as the Engine wants it; empty for the image's own."""
    uid, gid = setting(pod, one, "runAsUser"), setting(pod, one, "runAsGroup")
    if gid is None:
        return "" if uid is None else str(uid)
    named = image_user.partition(":")[0] or "0"
    return f"{named if uid is None else uid}:{gid}"


def check_user(pod: Object, one: Object, image_user: str) -> None:
    """Refuse to run as root what must not.

    Raises:
        environment.ConfigError: `runAsNonRoot`, and the user is root or can't be told.
    """
    if not setting(pod, one, "runAsNonRoot"):
        return
    where = f'(pod: "{fields.name(pod)}_{fields.namespace(pod)}({fields.uid(pod)})"'
    where += f", container: {one['name']})"
    uid = setting(pod, one, "runAsUser")
    if uid is not None:
        if int(uid) == 0:
            message = f"container's runAsUser breaks non-root policy {where}"
            raise environment.ConfigError(message)
        return
    named = image_user.partition(":")[0]
    if named in {"", "0", "root"}:
        raise environment.ConfigError(
            f"container has runAsNonRoot and image will run as root {where}"
        )
    if not named.isdigit():
        raise environment.ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({named}), "
            f"cannot verify user is non-root {where}"
        )


def _security(pod: Object, one: Object) -> dict[str, Any]:
    own: Object = fields.get(one, "securityContext", default={})
    result: dict[str, Any] = {"Privileged": bool(own.get("privileged"))}
    if own.get("readOnlyRootFilesystem"):
        result["ReadonlyRootfs"] = True
    capabilities: Object = own.get("capabilities") or {}
    if capabilities.get("add"):
        result["CapAdd"] = list(capabilities["add"])
    if capabilities.get("drop"):
        result["CapDrop"] = list(capabilities["drop"])
    options: list[str] = []
    if own.get("allowPrivilegeEscalation") is False and not own.get("privileged"):
        options.append("no-new-privileges")
    seccomp: Object = setting(pod, one, "seccompProfile") or {}
    if seccomp.get("type", "Unconfined") == "Unconfined":
        # As kubelets do (seccompDefault is off): what runs there must run here, io_uring for
        # example.  It also spares each start the making of a filter.
        options.append("seccomp=unconfined")
    if options:
        result["SecurityOpt"] = options
    groups = [
        str(group)
        for group in (
            *fields.get(pod, "spec", "securityContext", "supplementalGroups", default=()),
            fields.get(pod, "spec", "securityContext", "fsGroup"),
        )
        if group is not None
    ]
    if groups:
        result["GroupAdd"] = groups
    return result
