"""All that is known, at one revision.

One frozen value.  Each node's part is a frozen value of its own in a mapping by name, so that
"did this node change?" is a comparison of identities, and an update copies one small mapping.
All times are seconds since the epoch by our clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tiltd.model.actions import ImageRefs
from tiltd.model.desired import JSON, Project
from tiltd.model.graph import Graph
from tiltd.model.health import Assessment, Memory
from tiltd.model.live_update import Files
from tiltd.model.names import ImageName, NodeName, ObjectId, ResourceName, SessionId
from tiltd.model.observed import (
    ClusterInfo,
    Forward,
    ForwardStatus,
    Grounds,
    KubeContext,
    Live,
    Scope,
    ServeStatus,
    ServiceContainer,
    Uid,
)
from tiltd.model.problems import Problem
from tiltd.model.stock import Stock


class Mode(Enum):
    """`ci` ends with a verdict; `up` goes on; `down` removes what this project applied."""

    CI = "ci"
    UP = "up"
    DOWN = "down"


class Outcome(Enum):
    """How a session ended."""

    HEALTHY = "healthy"
    FAILED = "failed"
    TILTFILE = "tiltfile"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class Cache(Enum):
    """Whether images of others are used, and ours left for others (`core.reuse`)."""

    WRITE = "write"
    READ = "read"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class LimitOverrides:
    """What the client gave; `None` leaves it to the Tiltfile and the defaults. Seconds."""

    timeout: float | None = None
    readiness: float | None = None
    stable_for: float | None = None
    crash_budget: int | None = None
    grace: float | None = None


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What a client asked for.

    Args:
        tiltfile: path of the Tiltfile, absolute.
        args: what follows `--`.
        context: kubeconfig context; empty is the current one.
        namespace: default namespace; empty is the context's.
        env: the client's environment: the Tiltfile and its commands run with it.
        cwd: the client's working folder.
        bound_to_client: the session ends when its client is gone.
        keep_going: `ci`: a failure ends only what depends on it.
        delete_namespaces: `down`: Namespaces too.
        no_prune: objects that are no longer in the Tiltfile stay.
        no_drift: an object that somebody else has changed is a failure, and stays as it is.
        no_heal: what somebody else has changed is told, and stays as it is.
        cache: whether images are shared with other runs.
        rebuild: images (or resources: all of theirs) to build again, whatever is there.
    """

    id: SessionId
    mode: Mode
    tiltfile: str
    args: tuple[str, ...] = ()
    context: str = ""
    namespace: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str = ""
    limits: LimitOverrides = LimitOverrides()
    bound_to_client: bool = False
    keep_going: bool = False
    delete_namespaces: bool = False
    no_prune: bool = False
    no_drift: bool = False
    no_heal: bool = False
    cache: Cache = Cache.WRITE
    rebuild: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How and why a session ended; `problems` name each cause once."""

    outcome: Outcome
    at: float
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a project, from a client's request to its end.

    `settled`: it has ended, its work has stopped and its log is complete.
    """

    spec: SessionSpec
    started_at: float
    ended: Ended | None = None
    settled: bool = False


class AttemptOutcome(Enum):
    """How one try at an action ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one action.

    Args:
        number: counts the node's tries in this session, from 1.
        work: the kind of work (`actions.Work` value).
        wanted: what it is for; when the state asks for another, the try is cancelled.
        phases: seconds by phase (`build`, `push`, `apply` …), once it has ended.
    """

    number: int
    work: str
    wanted: str
    started_at: float
    ended_at: float | None = None
    outcome: AttemptOutcome | None = None
    problem: Problem | None = None
    phases: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Failure:
    """The last try failed.

    Args:
        wanted: what was tried; a change of it forgets the failure.
        tries: how often in a row.
        retry_at: when to try again; `None`: only a change helps.
        since: when the first try of this row failed.
    """

    wanted: str
    problem: Problem
    tries: int
    retry_at: float | None
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """A node's tries: the running one, the newest that ended, and the failure that stands.

    Args:
        spent: seconds by phase (by kind of work, where it has no phases) of all tries at what was
            last wanted, without the pauses between them.
    """

    running: Attempt | None = None
    last: Attempt | None = None
    failure: Failure | None = None
    spent: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class ImageReady:
    """The image of a key is where the cluster will find it.

    Args:
        reused: `engine` or `registry` if it was found there; empty if it was built.
    """

    key: str
    refs: ImageRefs
    digest: str = ""
    reused: str = ""


@dataclass(frozen=True, slots=True)
class Built:
    """What an image was built of: all that its key covers beside its definition and its bases.

    Args:
        files: empty where that is not known.
        reason: why it was built although it was updated in its containers.
    """

    inputs: str
    grounds: Grounds
    files: Files = field(default_factory=dict[str, str], repr=False)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ImageState:
    """An image between the wish and the thing.

    Args:
        generation: counts changes to its files.
        inputs: digest of its files at `inputs_generation`.
        grounds: what else its key covers, as it was then.
        due: its files have changed, but only a trigger updates those who need it.
        moves: how many builds in a row were for nothing, because its files changed meanwhile.
        files: its files, where it is updated in its containers (`core.live_targets`).
        built: what `ready` was built of.
        changes: where `files` differ from that.
        stopped: why it has to be built before its containers are updated again.
    """

    generation: int = 1
    inputs: str = ""
    grounds: Grounds = field(default_factory=Grounds)
    inputs_generation: int = 0
    due: bool = False
    moves: int = 0
    ready: ImageReady | None = None
    files: Files = field(default_factory=dict[str, str], repr=False)
    built: Built | None = None
    changes: Files = field(default_factory=dict[str, str], repr=False)
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """A live object is what its manifest says.

    Args:
        key: the manifest's key at that time.
        uid: of the live object.
        at: when; for an object that needed nothing, when that was seen.
        changed: whether an apply was sent.
        body: the live object as it was then.
        healed: how often in a row what somebody else changed was put right.
    """

    key: str
    uid: Uid
    at: float
    changed: bool
    body: JSON = field(repr=False)
    healed: int = 0


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a resource's own command deployed.

    Args:
        key: of the command and all that it depended on.
        at: when.
        objects: by uid, as they were then.
    """

    key: str
    at: float
    objects: Mapping[Uid, JSON] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServiceUp:
    """A Docker Compose service that was brought up, and its containers as last seen.

    Args:
        key: of the service and all that it depends on.
        generation: of the resource at that time.
        at: when it was brought up.
        made: how many containers it had then.
        seen: a look has shown `containers`; until then nothing is known of them, and the logs of
            those that have ended by now are not being read yet.
        containers: in the order of their names.
        baselines: by container, the restarts that are older than this session.
        unhealthy_since: by container, when its healthcheck was first seen to have failed.
    """

    key: str
    generation: int
    at: float
    made: int = 0
    seen: bool = False
    containers: tuple[ServiceContainer, ...] = ()
    baselines: Mapping[str, int] = field(default_factory=dict[str, int])
    unhealthy_since: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class ResourceState:
    """A resource between the wish and the thing.

    Args:
        generation: counts changes to the files in its `deps`, and triggers.
        command_done: `wanted` of the command that last succeeded.
        command_parts: what it depended on then; empty once it was begun again, or triggered.
        serve: the served process.
        undeployed: `down`: its own command, or Docker Compose, has removed it.
        absent: `down`: there was nothing of it to remove.
        health: the verdict; `None` until first judged.
        judged: whether `health` knows all that has been seen; only then does it count.
        blamed: the verdict that it has failed, where the session went on nevertheless.
        ready_once: has been ready in this session (what `resource_deps` wait for).
        ready_at: when that was first so.
        started_at: when its first object was applied or found to be as wanted.
        changed_at: when an apply of this session last changed one of its objects.
        memory: what is remembered of its pods between two looks.
        triggered: a client asked for it although it does not start by itself.
        due: something of it has changed, but only a trigger updates it (`TRIGGER_MODE_MANUAL`).
    """

    generation: int = 1
    command_done: str = ""
    command_parts: Mapping[str, str] = field(default_factory=dict[str, str])
    serve: ServeStatus | None = None
    undeployed: bool = False
    absent: bool = False
    health: Assessment | None = None
    judged: bool = False
    blamed: Assessment | None = None
    ready_once: bool = False
    ready_at: float | None = None
    started_at: float | None = None
    changed_at: float | None = None
    triggered: bool = False
    due: bool = False
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True, slots=True)
class State:
    """See the module.

    Args:
        revision: counts the events.
        label: value of the label by which this project finds its objects again.
        tiltfile_generation: how often a reading of the Tiltfile was asked for.
        loaded_generation: the one that gave `project`.
        mending: files whose change may mend a Tiltfile that could not be read.
        active: the resources that take part: enabled, and starting by themselves or asked for.
        wanted: the nodes that these need.
        looked: the scopes whose objects of earlier runs are in `found`.
        found: what this project applied in earlier runs, `managedFields` included.
        deployed: what the commands of resources deployed (`k8s_custom_deploy`).
        services: the Docker Compose services that were brought up.
        removed: `down`: what was deleted.
        synced: by container, where its files differ from its image's (`live_update`).
        blind: what can't be seen at present, because the cluster is away.
        unreadable: what the cluster does not let us read, with its words.
        stock: the account of what this project has applied.
        forwards: how the ports of this machine that lead to pods do; closed ones are absent.
    """

    revision: int = 0
    session: Session | None = None
    label: str = ""
    tiltfile_generation: int = 1
    loaded_generation: int = 0
    mending: tuple[str, ...] = ()
    kube_context: KubeContext = field(default_factory=KubeContext)
    project: Project | None = None
    graph: Graph = field(default_factory=Graph)
    active: frozenset[ResourceName] = frozenset()
    wanted: frozenset[NodeName] = frozenset()
    cluster: ClusterInfo | None = None
    looked: frozenset[Scope] = frozenset()
    found: Mapping[ObjectId, JSON] = field(default_factory=dict[ObjectId, JSON])
    removed: frozenset[ObjectId] = frozenset()
    blind: frozenset[Scope] = frozenset()
    unreadable: Mapping[Scope, str] = field(default_factory=dict[Scope, str])
    live: Live = field(default_factory=Live)
    stock: Stock = field(default_factory=Stock)
    forwards: Mapping[Forward, ForwardStatus] = field(default_factory=dict[Forward, ForwardStatus])
    progress: Mapping[NodeName, Progress] = field(default_factory=dict[NodeName, Progress])
    images: Mapping[ImageName, ImageState] = field(default_factory=dict[ImageName, ImageState])
    applied: Mapping[ObjectId, Applied] = field(default_factory=dict[ObjectId, Applied])
    deployed: Mapping[ResourceName, Deployed] = field(default_factory=dict[ResourceName, Deployed])
    services: Mapping[ResourceName, ServiceUp] = field(
        default_factory=dict[ResourceName, ServiceUp]
    )
    resources: Mapping[ResourceName, ResourceState] = field(
        default_factory=dict[ResourceName, ResourceState]
    )
    synced: Mapping[str, Files] = field(default_factory=dict[str, Files])
