"""What to do about it: each action is one piece of work in the outside world.

`kind` bounds how many run at once; `wanted` is what the work is for: a running action whose
`wanted` is no longer what the state asks for is cancelled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tiltd.model.desired import Command, ComposeProject, ComposeTarget, Image, Manifest, Probe
from tiltd.model.live_update import Update
from tiltd.model.names import ImageName, ResourceName
from tiltd.model.observed import Grounds, Scope
from tiltd.model.stock import Entry


class Work(Enum):
    """The kinds of work, each with a bound of its own."""

    LOAD = "load"
    CONNECT = "connect"
    LOOK = "look"
    READ = "read"
    BUILD = "build"
    APPLY = "apply"
    DELETE = "delete"
    COMMAND = "command"
    LIVE_UPDATE = "live-update"
    SERVE = "serve"


@dataclass(frozen=True, slots=True)
class LoadTiltfile:
    """Read the Tiltfile of the session. `generation` counts the readings that were asked for."""

    generation: int


@dataclass(frozen=True, slots=True)
class Connect:
    """Find the cluster of the session's context."""

    context: str


@dataclass(frozen=True, slots=True)
class Look:
    """List what this project applied earlier, one list per scope."""

    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class ReadInputs:
    """Digest all files that an image's build reads. `generation` counts changes to them.

    Args:
        listed: it has to be known which they are, too.
        grounds: what else its key covers, where that is not to be asked for anew.
    """

    image: Image
    generation: int
    listed: bool = False
    grounds: Grounds | None = None


@dataclass(frozen=True, slots=True)
class ImageRefs:
    """The names of one image, tag included.

    Args:
        local: as it is tagged and pushed.
        in_cluster: as manifests name it.
        push: whether it has to be in a registry.
    """

    local: str
    in_cluster: str
    push: bool


@dataclass(frozen=True, slots=True)
class EnsureImage:
    """Have the image of this key: find it in the engine or registry, or build and push it.

    Args:
        bases: the references of this project's images that its Dockerfile names.
        inputs: digest of the files that the key is made of.
        rebuild: build it whatever is there, and take nothing from the builder's cache.
        reason: why it is built although it is updated in its containers.
    """

    image: Image
    key: str
    refs: ImageRefs
    bases: Mapping[ImageName, str]
    inputs: str = ""
    rebuild: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Apply:
    """Make a live object what its manifest says.

    Args:
        body: the object to send, images injected.
        key: digest of `body`; it is written on the live object.
        drifted: somebody else has changed the live object since this was applied.
    """

    manifest: Manifest
    body: Mapping[str, object]
    key: str
    timeout: float
    drifted: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a live object of this project, and wait until it and its pods are gone.

    Args:
        body: the live object.
        timeout: seconds; finalizers may hold it up.
    """

    manifest: Manifest
    body: Mapping[str, object]
    timeout: float


@dataclass(frozen=True, slots=True)
class Deploy:
    """Run the command that deploys a resource, and learn from its output what it applied.

    Args:
        command: with the references of its images in its environment.
        key: digest of all that it depends on.
        timeout: seconds that it may take.
        reason: why it is run again although containers are updated in place.
    """

    resource: ResourceName
    command: Command
    key: str
    timeout: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Undeploy:
    """Run the command that removes what `Deploy` made (`down`)."""

    resource: ResourceName
    command: Command
    timeout: float


@dataclass(frozen=True, slots=True)
class TakeStock:
    """Compare what the project has with the account of what it has applied.

    Args:
        key: digest of `entries`.
        entries: what the project has now.
        prune: delete what it no longer has.
        forget: give the account up (`down`).
    """

    key: str
    entries: tuple[Entry, ...]
    prune: bool = False
    forget: bool = False


@dataclass(frozen=True, slots=True)
class LiveUpdate:
    """Update running containers of a resource in place, one after the other."""

    resource: ResourceName
    updates: tuple[Update, ...] = ()


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run a local resource's `cmd` to its end. `key` digests what it depends on.

    Args:
        before: the parts of what it depended on when it last succeeded; if they are the same now,
            it is not run again. Empty: it is run in any case.
    """

    resource: ResourceName
    command: Command
    key: str
    before: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Serve:
    """Start a local resource's `serve_cmd` and keep it until it is no longer wanted."""

    resource: ResourceName
    command: Command
    probe: Probe | None
    key: str


@dataclass(frozen=True, slots=True)
class ComposeUp:
    """Bring a Docker Compose service up; it is built first, if that is Docker Compose's part.

    Args:
        body: the whole project, the images of this project's put in.
        key: digest of all that the service depends on.
        generation: of the resource.
        recreate: make its containers anew although nothing has changed.
    """

    resource: ResourceName
    target: ComposeTarget
    body: Mapping[str, object]
    key: str
    generation: int
    recreate: bool


@dataclass(frozen=True, slots=True)
class ComposeWatch:
    """Watch the containers of a service that is up, and follow their logs, until told to stop."""

    resource: ResourceName
    target: ComposeTarget
    key: str


@dataclass(frozen=True, slots=True)
class ComposeDown:
    """Remove all services of a Docker Compose project (`down`).

    Args:
        services: the resources, by service.
    """

    project: ComposeProject
    services: Mapping[str, ResourceName]


Action = (
    LoadTiltfile
    | Connect
    | Look
    | ReadInputs
    | EnsureImage
    | Apply
    | Delete
    | Deploy
    | Undeploy
    | TakeStock
    | LiveUpdate
    | RunCommand
    | Serve
    | ComposeUp
    | ComposeWatch
    | ComposeDown
)
