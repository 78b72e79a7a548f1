"""What has happened. Every event is a fact with its time; `core.reduce` folds it into the state."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tiltd.model.desired import JSON, Project
from tiltd.model.graph import Graph
from tiltd.model.health import Assessment
from tiltd.model.live_update import Files
from tiltd.model.names import ImageName, NodeName, ObjectId, ResourceName
from tiltd.model.observed import (
    ClusterInfo,
    ContainerRun,
    Forward,
    ForwardStatus,
    Grounds,
    KubeContext,
    Scope,
    ServeStatus,
    ServiceContainer,
    Uid,
)
from tiltd.model.problems import Problem
from tiltd.model.state import AttemptOutcome, ImageReady, Outcome, SessionSpec
from tiltd.model.stock import Entry


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A client started a session; what an earlier one knew is forgotten, except reusable facts."""

    spec: SessionSpec
    at: float


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session has its verdict, or was stopped."""

    outcome: Outcome
    at: float
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionSettled:
    """All work of the ended session has stopped, and its log is complete."""


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A worker began an action."""

    node: NodeName
    work: str
    wanted: str
    at: float


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """A worker is done with an action.

    Args:
        problem: for a failure: what went wrong.
        transient: the failure may heal by itself: try again after a while.
    """

    node: NodeName
    outcome: AttemptOutcome
    at: float
    problem: Problem | None = None
    transient: bool = False
    phases: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class TiltfileLoaded:
    """The Tiltfile was read without error."""

    project: Project
    graph: Graph
    kube_context: KubeContext
    generation: int
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class TiltfileBroken:
    """The Tiltfile could not be read; a change to one of these files may mend it."""

    watched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connected:
    """The cluster answered."""

    info: ClusterInfo


@dataclass(frozen=True, slots=True)
class Looked:
    """What this project applied earlier in these scopes."""

    scopes: frozenset[Scope]
    found: Mapping[ObjectId, JSON]


@dataclass(frozen=True, slots=True)
class InputsRead:
    """The files of an image's build were digested.

    Args:
        grounds: what else its key covers; `None`: as before.
        moved: they changed while the image was being built, so what was built is of no use.
        files: which they are, if that was asked for.
    """

    image: ImageName
    generation: int
    digest: str
    moved: bool = False
    grounds: Grounds | None = None
    files: Files = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class ImageBuilt:
    """The image is there: found, or built and pushed.

    Args:
        inputs: digest of the files that its key is made of.
    """

    image: ImageName
    ready: ImageReady
    inputs: str = ""


@dataclass(frozen=True, slots=True)
class ContainerUpdated:
    """A container was updated in place, to the end or not.

    Args:
        container: the id of its life.
        held: where its files differ from its image's now.
    """

    resource: ResourceName
    container: str
    held: Files = field(repr=False)


@dataclass(frozen=True, slots=True)
class LiveUpdateStopped:
    """Images that have to be built before their containers are updated again, and why."""

    reasons: Mapping[ImageName, str]


@dataclass(frozen=True, slots=True)
class ObjectApplied:
    """A live object is as wanted: `changed` tells whether that took an apply."""

    id: ObjectId
    key: str
    body: JSON
    at: float
    changed: bool


@dataclass(frozen=True, slots=True)
class ObjectRemoved:
    """An object of this project was deleted, and is gone."""

    id: ObjectId


@dataclass(frozen=True, slots=True)
class StockTaken:
    """The account of what was applied has been read (`key`), and perhaps seen to.

    Args:
        gone: what is no longer in the Tiltfile.
        pruned: nothing is left to be done about that.
    """

    key: str
    gone: tuple[Entry, ...]
    pruned: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The cluster does not let us read something; `words` are its own.

    A log has the scope of the kind `Pod/log` in its namespace.
    """

    scope: Scope
    words: str


@dataclass(frozen=True, slots=True)
class SightChanged:
    """What of the cluster can't be seen at present: its watches have broken off."""

    blind: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class LogEnded:
    """A container's log has come to its end, though its pod says that it runs.

    Args:
        at: when; `None`: it goes on after all.
    """

    run: ContainerRun
    at: float | None


@dataclass(frozen=True, slots=True)
class ResourceDeployed:
    """A command deployed a resource; `objects` are what it says it applied, as the cluster has it.

    Args:
        key: of the command and all that it depends on.
    """

    resource: ResourceName
    key: str
    objects: tuple[JSON, ...]
    at: float


@dataclass(frozen=True, slots=True)
class ResourceUndeployed:
    """The command that removes a resource ended well."""

    resource: ResourceName


@dataclass(frozen=True, slots=True)
class ServiceStarted:
    """Docker Compose brought a service up, or found it so.

    Args:
        key: of the service and all that it depends on.
        generation: of the resource, at the time of the decision.
        began: when the work on it began.
    """

    resource: ResourceName
    key: str
    generation: int
    containers: tuple[ServiceContainer, ...]
    began: float
    at: float


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """The containers of a service are different now; none is left if somebody removed them."""

    resource: ResourceName
    containers: tuple[ServiceContainer, ...]
    at: float


@dataclass(frozen=True, slots=True)
class ServicesRemoved:
    """`down`: Docker Compose removed the services of a project; `absent` had no container."""

    resources: tuple[ResourceName, ...]
    absent: frozenset[ResourceName] = frozenset()


@dataclass(frozen=True, slots=True)
class CommandDone:
    """A local command ended with exit code 0, or had done so with all that it depends on the same.

    Args:
        parts: what it depended on when it began (`core.parts`).
    """

    resource: ResourceName
    wanted: str
    parts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ServeChanged:
    """A served process started, became ready or not, or ended."""

    resource: ResourceName
    status: ServeStatus | None


@dataclass(frozen=True, slots=True)
class ClusterChanged:
    """The watch saw objects (added or modified: the whole object) and missed others (deleted).

    Args:
        at: when that is told (host time).
        seen: the objects.
        gone: uids of the others.
        ages: how long before each object was seen (seconds); by default not at all.
    """

    at: float
    seen: tuple[JSON, ...] = ()
    gone: tuple[Uid, ...] = ()
    ages: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ForwardChanged:
    """A port of this machine that leads to a pod does otherwise now; `None`: it is closed."""

    forward: Forward
    status: ForwardStatus | None


@dataclass(frozen=True, slots=True)
class FilesChanged:
    """Files were written, made or removed (absolute paths)."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HealthJudged:
    """A resource's verdict over all that has been seen."""

    resource: ResourceName
    health: Assessment
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Triggered:
    """A client asked to update a resource now."""

    resource: ResourceName


Event = (
    SessionStarted
    | SessionEnded
    | SessionSettled
    | AttemptStarted
    | AttemptEnded
    | TiltfileLoaded
    | TiltfileBroken
    | Connected
    | Looked
    | InputsRead
    | ImageBuilt
    | ContainerUpdated
    | LiveUpdateStopped
    | ObjectApplied
    | ObjectRemoved
    | ResourceDeployed
    | ResourceUndeployed
    | StockTaken
    | Unreadable
    | SightChanged
    | LogEnded
    | CommandDone
    | ServeChanged
    | ClusterChanged
    | ForwardChanged
    | FilesChanged
    | HealthJudged
    | Triggered
    | ServiceStarted
    | ServiceSeen
    | ServicesRemoved
)
