"""Objects as the rows that `kubectl get` prints.

The columns of built-in kinds are recorded from a real server; the cells of those that people list
are computed here, others show name and age.  Custom kinds have the columns of their definition.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tilt_cluster import catalog, fields, rows
from tilt_cluster.objects import Object
from tilt_cluster.schema import is_list, is_map

_NAME = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "",
    "priority": 0,
}
_AGE = {
    "name": "Age",
    "type": "string",
    "format": "",
    "description": "",
    "priority": 0,
}

_STEP = re.compile(
    r"\[\?\(@\.(\w+)==[\"'](.*?)[\"']\)\]"
    r"|\[['\"]?([^\]'\"]+)['\"]?\]"
    r"|\.?([^.\[\]]+)"
)

Cells = Sequence[Any]


def columns(kind: catalog.Kind, version: str) -> Sequence[Mapping[str, Any]]:
    """The column definitions of a kind's table."""
    own = kind.versions[version].columns
    if kind.custom is not None:
        if own is None:
            return (_NAME, _AGE)
        return (
            _NAME,
            *(
                {
                    "name": one["name"],
                    "type": one["type"],
                    "format": one.get("format", ""),
                    "description": one.get("description", ""),
                    "priority": one.get("priority", 0),
                }
                for one in own
            ),
        )
    known = kind.resource.name in _CELLS
    return own if own is not None and known else (_NAME, _AGE)


def cells(kind: catalog.Kind, version: str, obj: Object) -> Cells:
    """The cells of an object's row."""
    if kind.custom is not None:
        own = kind.versions[version].columns
        if own is None:
            return _plain(obj)
        return [fields.name(obj), *(_custom(obj, one) for one in own)]
    found = _CELLS.get(kind.resource.name, _plain)(obj)
    wanted = len(columns(kind, version))
    return [*found, *("<none>" for _ in range(wanted - len(found)))][:wanted]


def table(kind: catalog.Kind, version: str, objects: Sequence[Object], include: str) -> Any:
    """A Table.

    Args:
        kind: what the objects are.
        version: the version of the client.
        objects: the rows, already in that version.
        include: `None`, `Metadata` or `Object`: what each row carries.
    """
    rows: list[Any] = []
    for obj in objects:
        row: dict[str, Any] = {"cells": cells(kind, version, obj)}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = partial(obj)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": columns(kind, version),
        "rows": rows,
    }


def partial(obj: Object) -> Mapping[str, Any]:
    """Only the metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def _plain(obj: Object) -> Cells:
    return [fields.name(obj), rows.age(obj)]


def _custom(obj: Object, column: Mapping[str, Any]) -> Any:
    value = _dig(obj, column["jsonPath"])
    match column["type"]:
        case "date":
            return rows.ago(value) if isinstance(value, str) else "<unknown>"
        case "string" if value is not None and not isinstance(value, str):
            return str(value).lower() if isinstance(value, bool) else str(value)
        case _:
            return value


def _dig(obj: Any, path: str) -> Any:
    """The simple JSONPaths that printer columns use: `.a.b[0]['c'].d[?(@.type=="x")].e`."""
    for part in _STEP.findall(path.replace("\\.", "\0")):
        key, wanted, index, name = (one.replace("\0", ".") for one in part)
        if key:
            obj = next((one for one in obj or () if one.get(key) == wanted), None)
        elif is_list(obj) and (index or name).isdigit():
            at = int(index or name)
            obj = obj[at] if at < len(obj) else None
        elif is_map(obj):
            obj = obj.get(index or name)
        else:
            return None
    return obj


def _number(obj: Object, *path: str) -> int:
    return int(fields.get(obj, *path, default=0))


def _pod(obj: Object) -> Cells:
    statuses: Sequence[Any] = fields.get(obj, "status", "containerStatuses", default=())
    sidecars = {
        one["name"]
        for one in fields.get(obj, "spec", "initContainers", default=())
        if one.get("restartPolicy") == "Always"
    }
    early: Sequence[Any] = fields.get(obj, "status", "initContainerStatuses", default=())
    counted = [*statuses, *(one for one in early if one["name"] in sidecars)]
    ready = sum(bool(one.get("ready")) for one in counted)
    total = len(fields.get(obj, "spec", "containers", default=())) + len(sidecars)
    restarts = sum(int(one.get("restartCount") or 0) for one in counted)
    ends = [
        at
        for one in counted
        if (at := fields.get(one, "lastState", "terminated", "finishedAt")) is not None
    ]
    shown = f"{restarts} ({rows.ago(max(ends))} ago)" if restarts and ends else str(restarts)
    gates: Sequence[Any] = fields.get(obj, "spec", "readinessGates", default=())
    passed = sum(fields.is_true(obj, one["conditionType"]) for one in gates)
    return [
        fields.name(obj),
        f"{ready}/{total}",
        pod_status(obj, sidecars),
        shown,
        rows.age(obj),
        fields.get(obj, "status", "podIP", default="<none>"),
        fields.get(obj, "spec", "nodeName", default="<none>"),
        fields.get(obj, "status", "nominatedNodeName", default="<none>"),
        f"{passed}/{len(gates)}" if gates else "<none>",
    ]


def pod_status(obj: Object, sidecars: set[str]) -> str:
    """The word in the STATUS column of a pod."""
    reason = str(fields.get(obj, "status", "reason") or fields.get(obj, "status", "phase") or "")
    early: Sequence[Any] = fields.get(obj, "status", "initContainerStatuses", default=())
    total = len(fields.get(obj, "spec", "initContainers", default=()))
    for at, one in enumerate(early):
        ended = fields.get(one, "state", "terminated")
        if (ended and ended.get("exitCode") == 0) or (
            one["name"] in sidecars and one.get("started")
        ):
            continue
        return f"Init:{_why(one, f'{at}/{total}')}"
    running = False
    for one in reversed(fields.get(obj, "status", "containerStatuses", default=())):
        word = _why(one, "")
        reason = word or reason
        running = running or (bool(one.get("ready")) and "running" in (one.get("state") or {}))
    if reason == "Completed" and running:
        reason = "Running" if fields.is_true(obj, "Ready") else "NotReady"
    if fields.deleting(obj):
        return "Unknown" if reason == "NodeLost" else "Terminating"
    return reason


def _why(status: Any, default: str) -> str:
    waiting = fields.get(status, "state", "waiting", "reason")
    if waiting and waiting != "PodInitializing":
        return str(waiting)
    ended = fields.get(status, "state", "terminated")
    if ended is None:
        return default
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _deployment(obj: Object) -> Cells:
    return [
        fields.name(obj),
        f"{_number(obj, 'status', 'readyReplicas')}/{_number(obj, 'spec', 'replicas')}",
        _number(obj, "status", "updatedReplicas"),
        _number(obj, "status", "availableReplicas"),
        rows.age(obj),
        *rows.images(fields.get(obj, "spec", "template", "spec")),
        rows.selector(fields.get(obj, "spec", "selector")),
    ]


def _replica_set(obj: Object) -> Cells:
    return [
        fields.name(obj),
        _number(obj, "spec", "replicas"),
        _number(obj, "status", "replicas"),
        _number(obj, "status", "readyReplicas"),
        rows.age(obj),
        *rows.images(fields.get(obj, "spec", "template", "spec")),
        rows.selector(fields.get(obj, "spec", "selector")),
    ]


def _stateful_set(obj: Object) -> Cells:
    return [
        fields.name(obj),
        f"{_number(obj, 'status', 'readyReplicas')}/{_number(obj, 'spec', 'replicas')}",
        rows.age(obj),
        *rows.images(fields.get(obj, "spec", "template", "spec")),
    ]


def _daemon_set(obj: Object) -> Cells:
    node = fields.get(obj, "spec", "template", "spec", "nodeSelector", default={})
    return [
        fields.name(obj),
        _number(obj, "status", "desiredNumberScheduled"),
        _number(obj, "status", "currentNumberScheduled"),
        _number(obj, "status", "numberReady"),
        _number(obj, "status", "updatedNumberScheduled"),
        _number(obj, "status", "numberAvailable"),
        rows.selector({"matchLabels": node}),
        rows.age(obj),
        *rows.images(fields.get(obj, "spec", "template", "spec")),
        rows.selector(fields.get(obj, "spec", "selector")),
    ]


def _job(obj: Object) -> Cells:
    done = _number(obj, "status", "succeeded")
    wanted = fields.get(obj, "spec", "completions")
    parallel = _number(obj, "spec", "parallelism")
    if wanted is not None:
        completions = f"{done}/{wanted}"
    else:
        completions = f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"
    status = "Running"
    for word in ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if fields.is_true(obj, word):
            status = word
            break
    if fields.deleting(obj):
        status = "Terminating"
    start = fields.get(obj, "status", "startTime")
    end = fields.get(obj, "status", "completionTime")
    lasted = ""
    if start:
        lasted = rows.duration((fields.parse(end) if end else time.time()) - fields.parse(start))
    return [
        fields.name(obj),
        status,
        completions,
        lasted,
        rows.age(obj),
        *rows.images(fields.get(obj, "spec", "template", "spec")),
        rows.selector(fields.get(obj, "spec", "selector")),
    ]


def _cron_job(obj: Object) -> Cells:
    last = fields.get(obj, "status", "lastScheduleTime")
    spec = fields.get(obj, "spec", "jobTemplate", "spec", "template", "spec")
    return [
        fields.name(obj),
        fields.get(obj, "spec", "schedule"),
        fields.get(obj, "spec", "timeZone", default="<none>"),
        str(bool(fields.get(obj, "spec", "suspend"))),
        len(fields.get(obj, "status", "active", default=())),
        rows.ago(last) if last else "<none>",
        rows.age(obj),
        *rows.images(spec),
        "<none>",
    ]


def _service(obj: Object) -> Cells:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    ports = [
        f"{one.get('port')}"
        + (f":{one['nodePort']}" if one.get("nodePort") else "")
        + f"/{one.get('protocol', 'TCP')}"
        for one in spec.get("ports") or ()
    ]
    external = spec.get("externalName") or ",".join(spec.get("externalIPs") or ()) or "<none>"
    if spec.get("type") == "LoadBalancer":
        given: Sequence[Any] = fields.get(obj, "status", "loadBalancer", "ingress", default=())
        external = ",".join(one.get("ip") or one.get("hostname", "") for one in given)
        external = external or "<pending>"
    return [
        fields.name(obj),
        spec.get("type"),
        spec.get("clusterIP") or "<none>",
        external,
        ",".join(ports) or "<none>",
        rows.age(obj),
        rows.selector({"matchLabels": spec.get("selector")}),
    ]


def _namespace(obj: Object) -> Cells:
    return [fields.name(obj), fields.get(obj, "status", "phase"), rows.age(obj)]


def _node(obj: Object) -> Cells:
    status = "Ready" if fields.is_true(obj, "Ready") else "NotReady"
    if fields.get(obj, "spec", "unschedulable"):
        status += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = sorted(key.removeprefix(prefix) for key in fields.labels(obj) if key.startswith(prefix))
    info: Mapping[str, Any] = fields.get(obj, "status", "nodeInfo", default={})
    addresses = {
        one["type"]: one["address"] for one in fields.get(obj, "status", "addresses", default=())
    }
    return [
        fields.name(obj),
        status,
        ",".join(roles) or "<none>",
        rows.age(obj),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        info.get("osImage", "<unknown>"),
        info.get("kernelVersion", "<unknown>"),
        info.get("containerRuntimeVersion", "<unknown>"),
    ]


def _config_map(obj: Object) -> Cells:
    count = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
    return [fields.name(obj), count, rows.age(obj)]


def _secret(obj: Object) -> Cells:
    return [fields.name(obj), obj.get("type"), len(obj.get("data") or {}), rows.age(obj)]


def _event(obj: Object) -> Cells:
    about: Mapping[str, Any] = obj.get("involvedObject") or obj.get("regarding") or {}
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or obj.get("eventTime")
    first = obj.get("firstTimestamp") or obj.get("eventTime") or last
    return [
        rows.ago(last),
        obj.get("type"),
        obj.get("reason"),
        f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        fields.get(obj, "source", "component", default=obj.get("reportingComponent", "")),
        (obj.get("message") or obj.get("note") or "").strip(),
        rows.ago(first),
        int(obj.get("count") or 1),
        fields.name(obj),
    ]


def _claim(obj: Object) -> Cells:
    modes = fields.get(obj, "status", "accessModes", default=())
    bound = fields.get(obj, "spec", "volumeName", default="")
    return [
        fields.name(obj),
        fields.get(obj, "status", "phase"),
        bound,
        fields.get(obj, "status", "capacity", "storage", default="") if bound else "",
        rows.modes(modes) if bound else "",
        fields.get(obj, "spec", "storageClassName", default=""),
        fields.get(obj, "spec", "volumeAttributesClassName", default="<unset>"),
        rows.age(obj),
        fields.get(obj, "spec", "volumeMode", default="<unset>"),
    ]


def _endpoints(obj: Object) -> Cells:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        for address in subset.get("addresses") or ():
            found += [f"{address['ip']}:{port['port']}" for port in subset.get("ports") or ()]
    shown = ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")  # noqa: PLR2004 - kubectl's
    return [fields.name(obj), shown or "<none>", rows.age(obj)]


def _ingress(obj: Object) -> Cells:
    hosts = [one.get("host") or "*" for one in fields.get(obj, "spec", "rules", default=())]
    given: Sequence[Any] = fields.get(obj, "status", "loadBalancer", "ingress", default=())
    ports = "80, 443" if fields.get(obj, "spec", "tls") else "80"
    return [
        fields.name(obj),
        fields.get(obj, "spec", "ingressClassName", default="<none>"),
        ",".join(hosts) or "*",
        ",".join(one.get("ip") or one.get("hostname", "") for one in given),
        ports,
        rows.age(obj),
    ]


def _definition(obj: Object) -> Cells:
    return [fields.name(obj), fields.get(obj, "metadata", "creationTimestamp")]


_CELLS: Mapping[str, Callable[[Object], Cells]] = {
    **rows.CELLS,
    "configmaps": _config_map,
    "cronjobs": _cron_job,
    "customresourcedefinitions": _definition,
    "daemonsets": _daemon_set,
    "deployments": _deployment,
    "endpoints": _endpoints,
    "events": _event,
    "ingresses": _ingress,
    "jobs": _job,
    "namespaces": _namespace,
    "nodes": _node,
    "persistentvolumeclaims": _claim,
    "pods": _pod,
    "replicasets": _replica_set,
    "secrets": _secret,
    "services": _service,
    "statefulsets": _stateful_set,
}
"""By resource name; no two of these groups share one."""
