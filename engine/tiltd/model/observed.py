"""What the world shows: the cluster, its objects, processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, NewType

from tiltd.model.desired import JSON
from tiltd.model.names import ObjectId, ResourceName

Uid = NewType("Uid", str)


@dataclass(frozen=True, slots=True)
class KubeContext:
    """What the kubeconfig says without asking any server.

    Args:
        name: the context's name; empty where there is no kubeconfig or no such context.
        cluster: the name of its cluster entry.
        namespace: the context's default namespace, or the one that the user gave.
        server: the API server's URL.
        is_local: a development cluster (kind, k3d, minikube …) by the names of both.
    """

    name: str = ""
    cluster: str = ""
    namespace: str = "default"
    server: str = ""
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a build depends on that is no part of its project, as it was found.

    Args:
        bases: the digests of images that others make, by reference; `None`: nobody could tell.
        platform: what the builder builds for where the Tiltfile names nothing.
        secrets: digests of the contents of secrets, by id; `None`: it can't be read.
    """

    bases: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    platform: str = ""
    secrets: Mapping[str, str | None] = field(default_factory=dict[str, str | None], repr=False)


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """A cluster that answers.

    Args:
        skew: the cluster's clock minus ours, in seconds.
        registry: the registry that the cluster itself announces (KEP-1755): host as we push,
            host as the cluster pulls; empty where there is none.
        shares_engine: the cluster runs the images of our Docker Engine: nothing is pushed.
    """

    context: KubeContext
    version: str
    skew: float = 0.0
    registry_host: str = ""
    registry_host_from_cluster: str = ""
    shares_engine: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind as the API server serves it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool


class Scope(NamedTuple):
    """What one watch covers: a kind in a namespace ("" is every namespace, or cluster-scoped).

    `ours` limits it to the objects that carry this project's label.
    """

    group: str
    version: str
    kind: str
    namespace: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Live:
    """The cluster's objects that matter here, as last seen.

    Args:
        objects: by uid, without `managedFields`.
        owner: by uid, the resource that an object belongs to, through its owners; objects of
            nobody here (yet) are absent.
        by_resource: the uids of each resource's objects, pods and events.
        orphans: objects whose owner has not been seen (yet), by the owner's uid.
    """

    objects: Mapping[Uid, JSON] = field(default_factory=dict[Uid, JSON])
    owner: Mapping[Uid, ResourceName] = field(default_factory=dict[Uid, ResourceName])
    by_resource: Mapping[ResourceName, frozenset[Uid]] = field(
        default_factory=dict[ResourceName, frozenset[Uid]]
    )
    orphans: Mapping[Uid, frozenset[Uid]] = field(default_factory=dict[Uid, frozenset[Uid]])


@dataclass(frozen=True, slots=True, order=True)
class ContainerRun:
    """One life of one container, whose log is followed from its first line.

    Args:
        restart: `restartCount` in this life: 0 is the first.
        previous: that life is over and the next has begun.
        since: only lines after this time (seconds since the epoch); 0 is "all".
    """

    resource: ResourceName
    namespace: str
    pod: str
    uid: Uid
    container: str
    restart: int
    previous: bool = False
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class ServeStatus:
    """A served process: running or ended, and what its readiness probe last said.

    Args:
        ready: `None` while the probe has not decided; a process without a probe is ready.
        exit_code: set once it has ended (negative: by that signal).
    """

    key: str
    started_at: float
    pid: int = 0
    ready: bool | None = None
    probe_message: str = ""
    exit_code: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class ServiceContainer:
    """A container of a Docker Compose service, as the Docker Engine tells it. Times in seconds.

    Args:
        status: the Engine's word: `created`, `running`, `paused`, `restarting`, `exited`, `dead` ….
        started_at: when its present or last life began; 0 if it never began.
        finished_at: when its last life ended; 0 if none has.
        error: why it could not be started, in the Engine's words.
        oom_killed: it used more memory than it may.
        restarts: how often the Engine has started it again (`RestartCount`).
        policy: `no`, `always`, `unless-stopped` or `on-failure`.
        health: `starting`, `healthy` or `unhealthy`; empty if it has no healthcheck.
        health_said: what the healthcheck printed last.
    """

    id: str
    name: str
    status: str
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    restarts: int = 0
    policy: str = "no"
    health: str = ""
    health_said: str = ""


@dataclass(frozen=True, slots=True)
class FoundObject:
    """A live object that this project applied earlier, met while looking.

    Args:
        body: the whole object, `managedFields` included (drift is told by them).
    """

    id: ObjectId
    body: JSON


@dataclass(frozen=True, slots=True, order=True)
class Forward:
    """A port of this machine that leads into a resource, as the Tiltfile has it.

    Args:
        host: the address or name to listen on.
        local_port: 0 leaves the choice to this machine.
        container_port: 0 leaves it to the pod (`core.forwards`).
    """

    resource: ResourceName
    host: str
    local_port: int
    container_port: int


@dataclass(frozen=True, slots=True)
class PodPort:
    """Where a forward leads to."""

    namespace: str
    pod: str
    port: int


@dataclass(frozen=True, slots=True)
class ForwardStatus:
    """How a forward is doing.

    Args:
        local_port: where it listens; 0 while it does not.
        problem: why it does not, or why its last connection came to nothing.
    """

    local_port: int = 0
    problem: str = ""
