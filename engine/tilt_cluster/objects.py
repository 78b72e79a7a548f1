"""The interface inside the cluster: what controllers and the node see of the API, and it of them.

Everything runs on one asyncio loop and every object is in memory, so reads and writes are plain
calls: they never wait, and nothing happens between two of them that doesn't await.  Objects are
plain JSON mappings in the version in which the API stores them (`Resource` names the resource, not
a version).  They are shared, never copied: **treat every object that you get as immutable** and
build a new one (`{**pod, "status": status}`) to write.

Writes pass the same gate as a client's: defaults, validation, resourceVersion, generation,
finalizers, ownerReferences.  What a client may not do (write `status` with `update`) has no effect
here either.

A subscription (`Cluster.watch`) begins with every object that is there, as `ADDED`, then says every
change.  It coalesces by uid: who is slow sees the newest state of each object once, and never makes
a queue longer than there are objects.  So a controller must look at state, not count events.

How the parts meet:

* `tilt_cluster.controllers.run(cluster: Cluster) -> None` (a coroutine that ends only when
  cancelled) is started by the API's owner after the API listens;
* `tilt_cluster.node.run(cluster: Cluster, register: Callable[[PodRuntime], None]) -> None`
  likewise; the node gives its `PodRuntime` to the API by calling `register`.
"""

import enum
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NewType, Protocol

Object = Mapping[str, Any]
"""A Kubernetes object as JSON; immutable by agreement."""

Uid = NewType("Uid", str)


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """One collection of the API, whatever version a client speaks.

    Args:
        group: the API group (empty for core).
        name: the plural name as in the URL.
    """

    group: str
    name: str

    def __str__(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name


CONFIG_MAPS = Resource("", "configmaps")
ENDPOINTS = Resource("", "endpoints")
EVENTS = Resource("", "events")
LIMIT_RANGES = Resource("", "limitranges")
NAMESPACES = Resource("", "namespaces")
NODES = Resource("", "nodes")
PERSISTENT_VOLUMES = Resource("", "persistentvolumes")
PERSISTENT_VOLUME_CLAIMS = Resource("", "persistentvolumeclaims")
PODS = Resource("", "pods")
REPLICATION_CONTROLLERS = Resource("", "replicationcontrollers")
RESOURCE_QUOTAS = Resource("", "resourcequotas")
SECRETS = Resource("", "secrets")
SERVICES = Resource("", "services")
SERVICE_ACCOUNTS = Resource("", "serviceaccounts")
CONTROLLER_REVISIONS = Resource("apps", "controllerrevisions")
DAEMON_SETS = Resource("apps", "daemonsets")
DEPLOYMENTS = Resource("apps", "deployments")
REPLICA_SETS = Resource("apps", "replicasets")
STATEFUL_SETS = Resource("apps", "statefulsets")
CRON_JOBS = Resource("batch", "cronjobs")
JOBS = Resource("batch", "jobs")
HORIZONTAL_POD_AUTOSCALERS = Resource("autoscaling", "horizontalpodautoscalers")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "endpointslices")
LEASES = Resource("coordination.k8s.io", "leases")
INGRESSES = Resource("networking.k8s.io", "ingresses")
POD_DISRUPTION_BUDGETS = Resource("policy", "poddisruptionbudgets")
STORAGE_CLASSES = Resource("storage.k8s.io", "storageclasses")
PRIORITY_CLASSES = Resource("scheduling.k8s.io", "priorityclasses")
CUSTOM_RESOURCE_DEFINITIONS = Resource("apiextensions.k8s.io", "customresourcedefinitions")


class ApiError(Exception):
    """A write or read that the API refuses.

    Args:
        code: the HTTP status.
        reason: Kubernetes' machine-readable reason (`NotFound`, `Conflict`, `Invalid` …).
        message: what kubectl prints.
        details: the `details` of the Status object (name, group, kind, causes …).
    """

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}


class NotFoundError(ApiError):
    """404: no such object."""


class ConflictError(ApiError):
    """409 Conflict: another write came first (read again, then write), or a precondition failed."""


class AlreadyExistsError(ApiError):
    """409 AlreadyExists: create of a name that is taken."""


class InvalidError(ApiError):
    """422: the object breaks a rule of its kind; `details.causes` says which."""


class Change(enum.StrEnum):
    """What happened to an object, in the words of a watch."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Event:
    """One change: the object as it is after it (for DELETED: as it was last)."""

    change: Change
    resource: Resource
    object: Object


class Subscription(Protocol):
    """A coalescing stream of events."""

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over all changes until cancelled; each event is given once."""
        ...

    async def batch(self) -> Sequence[Event]:
        """Wait until something changed, then take everything that is waiting (never empty)."""
        ...

    def take(self) -> Sequence[Event]:
        """Take everything that is waiting now (may be empty)."""
        ...


Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token of a service account; `expires` is Unix time in seconds."""

    text: str
    expires: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parts must know about the cluster.

    Args:
        name: the cluster's name; everything outside (containers, networks) carries it as a label.
        folder: where the cluster keeps its files; nothing is written elsewhere.
        server: the API's address on the host (`https://127.0.0.1:PORT`).
        port: the API's port on the host's loopback.
        ca: the CA certificate (PEM), for `kube-root-ca.crt` and token volumes.
        service_cidr: where `clusterIP`s come from (the API allocates them).
        dns_ip: the address in that range which the API keeps free for the cluster's DNS.
        node_ports: first and last NodePort (the API allocates them).
        labels: further labels for whatever is made outside.
    """

    name: str
    folder: Path
    server: str
    port: int
    ca: str
    service_cidr: str = "10.96.0.0/16"
    dns_ip: str = "10.96.0.10"
    node_ports: tuple[int, int] = (30000, 32767)
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


class Cluster(Protocol):
    """The objects of the cluster.

    `namespace` is empty for objects that have none.  Every method that writes returns the object
    as it is stored (or, for a deleted one, as it was last).

    Raises (every method): ApiError and its kinds, as the API would answer a client.
    """

    @property
    def facts(self) -> Facts:
        """Name, folder, addresses; constant."""
        ...

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """The object.

        Raises:
            NotFoundError: there is none.
        """
        ...

    def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """The object, or None."""
        ...

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: Object | None = None,
        owner: str | None = None,
    ) -> Sequence[Object]:
        """The objects, ordered by namespace and name.

        Args:
            resource: which collection.
            namespace: only this one; None for all.
            labels: a LabelSelector (`matchLabels`, `matchExpressions`); None matches all, as an
                empty selector does.
            owner: only objects whose controller (ownerReference with `controller: true`) has this
                uid; indexed, so cheap.
        """
        ...

    def create(self, resource: Resource, obj: Object, *, manager: str = "") -> Object:
        """Create; `metadata.namespace` says where, `generateName` is honoured.

        A `status` in `obj` is kept for these callers (they are the ones that own it).

        Args:
            resource: which collection.
            obj: the object; apiVersion and kind may be missing.
            manager: the field manager for managedFields; empty writes none.
        """
        ...

    def update(self, resource: Resource, obj: Object, *, manager: str = "") -> Object:
        """Replace everything but the status.

        If `obj` has a `metadata.resourceVersion`, it must be the current one (ConflictError); if
        it has a `metadata.uid`, likewise.  A write that changes nothing keeps the resourceVersion.
        An object that is being deleted and has lost its last finalizer is removed.
        """
        ...

    def update_status(self, resource: Resource, obj: Object) -> Object:
        """Replace only the status; the preconditions of `update` apply.

        Also the labels and annotations of `obj` are ignored.
        """
        ...

    def modify(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        change: Callable[[Object], Object],
        *,
        status: bool = False,
    ) -> Object:
        """Read, change, write in one step: can't conflict, since nothing runs between.

        Args:
            resource: which collection.
            name: the object's name.
            namespace: its namespace, or empty.
            change: gets the current object, returns the wanted one (the same: nothing is written).
            status: write the status rather than the rest.
        """
        ...

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation | None = None,
        grace_seconds: int | None = None,
    ) -> Object:
        """Delete as the API does: finalizers and a pod's grace period delay the removal.

        A pod that has a node is only marked (`deletionTimestamp`); the node calls this again with
        `grace_seconds=0` when the containers are gone, which removes it.  `propagation` puts
        `foregroundDeletion` or `orphan` among the finalizers, for the garbage collection to act on;
        None and `Background` just delete.

        Raises:
            ConflictError: `uid` or `resource_version` is another one.
        """
        ...

    def resources(self) -> Sequence[Resource]:
        """Every collection that can be deleted from: built in, then those of CRDs."""
        ...

    def resource_of(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an ownerReference's `apiVersion` and `kind`."""
        ...

    def kind_of(self, resource: Resource) -> tuple[str, str]:
        """`apiVersion` (as stored) and `kind` of a resource."""
        ...

    def namespaced(self, resource: Resource) -> bool:
        """Whether its objects live in namespaces."""
        ...

    def watch(self, *resources: Resource) -> AbstractAsyncContextManager[Subscription]:
        """Subscribe to some resources; to every one, also future CRDs', if none is named."""
        ...

    def issue_token(
        self,
        namespace: str,
        service_account: str,
        *,
        seconds: int = 3600,
        audiences: Sequence[str] = (),
        pod: Object | None = None,
    ) -> Token:
        """A token with which a pod can call the API (for `serviceAccountToken` volumes)."""
        ...


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What a client asks of a container's log.

    Args:
        container: its name; the API has filled in the default.
        follow: go on until the container ends or the reader leaves.
        previous: of the instance before.
        since: only lines written at or after this Unix time (seconds), if not None.
        tail: only that many last lines, if not None.
        timestamps: begin each line with its RFC 3339 time (nanoseconds) and a space.
        limit: end after that many bytes, if not None.
        stream: only that one; None for both.
    """

    container: str
    follow: bool = False
    previous: bool = False
    since: float | None = None
    tail: int | None = None
    timestamps: bool = False
    limit: int | None = None
    stream: Literal["Stdout", "Stderr"] | None = None


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """What a client asks to run (`command` is empty for attach)."""

    container: str
    command: Sequence[str] = ()
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class Terminal(Protocol):
    """The client's side of exec and attach; the API supplies it.

    Both readers may be awaited at the same time as `write`.  When the client vanishes, `read`
    returns b"" and `write` raises ConnectionError.
    """

    async def read(self) -> bytes:
        """The next piece of stdin; b"" when it has ended."""
        ...

    async def resize(self) -> tuple[int, int]:
        """The next size of the client's terminal: columns and rows; waits for ever if none."""
        ...

    async def write(self, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        """Give output to the client; waits while the client reads slower."""
        ...


class Connection(Protocol):
    """The client's side of one forwarded connection; the API supplies it."""

    async def read(self) -> bytes:
        """The next piece; b"" when the client has closed."""
        ...

    async def write(self, data: bytes) -> None:
        """Give data to the client.

        Raises:
            ConnectionError: it has gone.
        """
        ...


class PodRuntime(Protocol):
    """What the node does for the API; a pod that is not running is an ApiError (400 or 404).

    Errors that happen before the first byte are ApiErrors with Kubernetes' words, for example
    `container "app" in pod "web" is waiting to start: ContainerCreating` (400 BadRequest).
    """

    def logs(self, pod: Object, options: LogOptions) -> AsyncIterator[bytes]:
        """The log's bytes, in pieces; `aclose()` or cancellation ends it at once."""
        ...

    async def exec(self, pod: Object, options: ExecOptions, terminal: Terminal) -> int:
        """Run a command in a container; the exit code."""
        ...

    async def attach(self, pod: Object, options: ExecOptions, terminal: Terminal) -> None:
        """Join the main process's streams until it ends or the client leaves."""
        ...

    async def port_forward(self, pod: Object, port: int, connection: Connection) -> None:
        """Connect to `127.0.0.1:port` inside the pod and pump both ways until one side closes.

        Raises:
            ApiError: nothing listens there, or the pod has no network yet.
        """
        ...
