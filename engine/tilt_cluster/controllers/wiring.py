"""Which controller looks again at what, when an object has changed.

A controller is a `sync` function, the resource whose names are its keys, and for each other
resource that it reads a function from a changed object to keys.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tilt_cluster import fields
from tilt_cluster.controllers import (
    budgets,
    claims,
    cronjob,
    daemonset,
    deployment,
    endpoints,
    job,
    namespaces,
    quotas,
    replicaset,
    scheduler,
    statefulset,
)
from tilt_cluster.controllers.plan import Key, Steps, View
from tilt_cluster.objects import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    JOBS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    Object,
    Resource,
)

Keys = Callable[[View, Object], Iterable[Key]]


@dataclass(frozen=True, slots=True)
class Controller:
    """One loop's rule.

    Args:
        name: the component in its events.
        sync: what it does for a key.
        watches: resources, and the keys that a change of one of their objects concerns.
    """

    name: str
    sync: Callable[[View, Key, float], Steps]
    watches: Mapping[Resource, Keys] = field(default_factory=dict[Resource, Keys])


def _itself(_view: View, obj: Object) -> Iterable[Key]:
    return (Key(fields.namespace(obj), fields.name(obj)),)


def _owner(kind: str, resource: Resource) -> Keys:
    """The controller of that kind; for an orphan, whoever might adopt it."""

    def keys(view: View, obj: Object) -> Iterable[Key]:
        reference = fields.controller(obj)
        if reference is not None:
            if reference.get("kind") == kind:
                yield Key(fields.namespace(obj), str(reference["name"]))
            return
        for owner in view.list(resource, fields.namespace(obj)):
            selector = fields.get(owner, "spec", "selector")
            if resource == REPLICATION_CONTROLLERS:
                selector = {"matchLabels": selector}
            if fields.selects(selector, fields.labels(obj)):
                yield Key(fields.namespace(obj), fields.name(owner))

    return keys


def _all(resource: Resource) -> Keys:
    def keys(view: View, _obj: Object) -> Iterable[Key]:
        return [Key(fields.namespace(one), fields.name(one)) for one in view.list(resource)]

    return keys


def _waiting_pods(view: View, _obj: Object) -> Iterable[Key]:
    return [
        Key(fields.namespace(pod), fields.name(pod))
        for pod in view.list(PODS)
        if not fields.get(pod, "spec", "nodeName")
    ]


def _pod_to_schedule(view: View, pod: Object) -> Iterable[Key]:
    """The pod itself; the others that wait, when one has left room."""
    if not fields.get(pod, "spec", "nodeName"):
        return _itself(view, pod)
    gone = view.find(PODS, fields.name(pod), fields.namespace(pod)) is None
    ended = fields.get(pod, "status", "phase") in {"Succeeded", "Failed"}
    return _waiting_pods(view, pod) if gone or ended else ()


def _services_of(view: View, pod: Object) -> Iterable[Key]:
    for service in view.list(SERVICES, fields.namespace(pod)):
        selector: Mapping[str, str] = fields.get(service, "spec", "selector", default={})
        if selector and selector.items() <= fields.labels(pod).items():
            yield Key(fields.namespace(pod), fields.name(service))


def _service_of_slice(_view: View, obj: Object) -> Iterable[Key]:
    name = fields.labels(obj).get("kubernetes.io/service-name")
    return (Key(fields.namespace(obj), name),) if name else ()


def _budgets_of(view: View, pod: Object) -> Iterable[Key]:
    for budget in view.list(POD_DISRUPTION_BUDGETS, fields.namespace(pod)):
        if fields.selects(fields.get(budget, "spec", "selector"), fields.labels(pod)):
            yield Key(fields.namespace(pod), fields.name(budget))


def _claims_of(_view: View, pod: Object) -> Iterable[Key]:
    return [Key(fields.namespace(pod), name) for name in scheduler.claims(pod)]


def _claim_of(_view: View, volume: Object) -> Iterable[Key]:
    reference = fields.get(volume, "spec", "claimRef")
    return (Key(str(reference["namespace"]), str(reference["name"])),) if reference else ()


def _volume_of(_view: View, claim: Object) -> Iterable[Key]:
    name = fields.get(claim, "spec", "volumeName")
    return (Key("", str(name)),) if name else ()


def _quotas_of(view: View, obj: Object) -> Iterable[Key]:
    namespace = fields.namespace(obj)
    if not namespace:
        return ()
    return [Key(namespace, fields.name(one)) for one in view.list(RESOURCE_QUOTAS, namespace)]


def _namespace_of(_view: View, obj: Object) -> Iterable[Key]:
    return (Key("", fields.namespace(obj)),)


CONTROLLERS = (
    Controller(
        "deployment-controller",
        deployment.sync,
        {
            DEPLOYMENTS: _itself,
            REPLICA_SETS: _owner("Deployment", DEPLOYMENTS),
        },
    ),
    Controller(
        "replicaset-controller",
        replicaset.sync,
        {REPLICA_SETS: _itself, PODS: _owner("ReplicaSet", REPLICA_SETS)},
    ),
    Controller(
        "replication-controller",
        replicaset.sync_controller,
        {
            REPLICATION_CONTROLLERS: _itself,
            PODS: _owner("ReplicationController", REPLICATION_CONTROLLERS),
        },
    ),
    Controller(
        "statefulset-controller",
        statefulset.sync,
        {
            STATEFUL_SETS: _itself,
            PODS: _owner("StatefulSet", STATEFUL_SETS),
            CONTROLLER_REVISIONS: _owner("StatefulSet", STATEFUL_SETS),
        },
    ),
    Controller(
        "daemonset-controller",
        daemonset.sync,
        {
            DAEMON_SETS: _itself,
            PODS: _owner("DaemonSet", DAEMON_SETS),
            CONTROLLER_REVISIONS: _owner("DaemonSet", DAEMON_SETS),
        },
    ),
    Controller("job-controller", job.sync, {JOBS: _itself, PODS: _owner("Job", JOBS)}),
    Controller(
        "cronjob-controller",
        cronjob.sync,
        {CRON_JOBS: _itself, JOBS: _owner("CronJob", CRON_JOBS)},
    ),
    Controller(
        "default-scheduler",
        scheduler.sync,
        {
            PODS: _pod_to_schedule,
            PERSISTENT_VOLUME_CLAIMS: _waiting_pods,
        },
    ),
    Controller(
        "endpoint-slice-controller",
        endpoints.sync,
        {
            SERVICES: _itself,
            PODS: _services_of,
            ENDPOINT_SLICES: _service_of_slice,
            ENDPOINTS: _itself,
        },
    ),
    Controller(
        "serviceaccount-controller",
        namespaces.sync_contents,
        {NAMESPACES: _itself, SERVICE_ACCOUNTS: _namespace_of, CONFIG_MAPS: _namespace_of},
    ),
    Controller(
        "persistentvolume-controller",
        claims.sync,
        {
            PERSISTENT_VOLUME_CLAIMS: _itself,
            PERSISTENT_VOLUMES: _claim_of,
            PODS: _claims_of,
            STORAGE_CLASSES: _all(PERSISTENT_VOLUME_CLAIMS),
        },
    ),
    Controller(
        "persistentvolume-controller",
        claims.sync_volume,
        {PERSISTENT_VOLUMES: _itself, PERSISTENT_VOLUME_CLAIMS: _volume_of},
    ),
    Controller("ephemeral_volume", claims.sync_ephemeral, {PODS: _itself}),
    Controller(
        "disruption-controller",
        budgets.sync,
        {POD_DISRUPTION_BUDGETS: _itself, PODS: _budgets_of},
    ),
    Controller("resourcequota-controller", quotas.sync, {RESOURCE_QUOTAS: _itself}),
)
"""Every controller but the two of all resources: namespace deletion, garbage collection."""

ON_NODES: Mapping[str, Keys] = {
    "daemonset-controller": _all(DAEMON_SETS),
    "default-scheduler": _waiting_pods,
}
"""Who looks again when a node has come, gone, or changed in what pods may ask for."""

ON_ANYTHING: Mapping[str, Keys] = {"resourcequota-controller": _quotas_of}
"""Who looks again when an object of whatever kind has changed."""


def node_facts(node: Object) -> object:
    """What of a node decides who fits: everything but its heartbeats and images."""
    return (
        fields.get(node, "metadata", "labels"),
        fields.get(node, "spec"),
        fields.get(node, "status", "allocatable"),
        fields.uid(node),
    )
