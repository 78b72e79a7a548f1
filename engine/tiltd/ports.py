"""What the engine needs from the outside; `adapters` and `tiltfile` supply it.

Every method either returns, or raises `TransientError` (worth another try: shown, then retried
with backoff) or `PermanentError` (only a change by the user helps).  Anything else is a bug and
ends the daemon.  Every method ends soon after its task was cancelled, and leaves no process,
request or half-written file behind.  The `env` of a session stands for `os.environ`: adapters
read no other.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tiltd.model.actions import ComposeDown, ComposeUp, ComposeWatch, EnsureImage
from tiltd.model.desired import (
    JSON,
    Command,
    ComposeTarget,
    CustomBuild,
    DockerBuild,
    Image,
    LocalTarget,
    Probe,
    Project,
)
from tiltd.model.live_update import Target
from tiltd.model.observed import (
    ClusterInfo,
    ContainerRun,
    Forward,
    ForwardStatus,
    FoundObject,
    Grounds,
    KubeContext,
    PodPort,
    Scope,
    ServeStatus,
    ServiceContainer,
    Uid,
)
from tiltd.model.problems import Problem
from tiltd.model.state import ImageReady, SessionSpec
from tiltd.model.trial import Trial


class TransientError(Exception):
    """It may heal by itself: the cluster was busy, the network was away."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class PermanentError(Exception):
    """It will not heal without a change; `problem` says what, where and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class GoneError(PermanentError):
    """A container is not there, or not any more."""


class Log(Protocol):
    """Where a piece of work writes what it prints; safe to call from any thread.

    Text need not end at a line's end: the log puts lines together.
    """

    def write(self, text: str, *, level: str = "info") -> None:
        """Append text; `level` is `debug`, `info`, `warn` or `error`."""
        ...


Phase = Callable[[str], None]
"""Called with a phase's name (`build`, `push` …) when that phase of an action begins."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What reading a Tiltfile gives.

    Args:
        project: what is desired.
        secrets: values that must never be shown (of Secrets in the project).
    """

    project: Project
    kube_context: KubeContext
    secrets: tuple[str, ...]


class Tiltfiles(Protocol):
    """Reads Tiltfiles (the package `tiltfile`)."""

    async def load(self, spec: SessionSpec, context: KubeContext, log: Log) -> Loaded:
        """Run the Tiltfile; also after an error, `watched` names what was read until then.

        Raises:
            LoadError: the Tiltfile is wrong.
        """
        ...


class LoadError(PermanentError):
    """A Tiltfile could not be read; `watched` are the files whose change may mend it."""

    def __init__(self, problem: Problem, watched: tuple[str, ...]) -> None:
        super().__init__(problem)
        self.watched = watched


class Inputs(Protocol):
    """Reads the files that a build or a local command depends on."""

    async def digest(self, user: DockerBuild | CustomBuild | LocalTarget) -> str:
        """SHA-256 (hex) over every file's path, mode and content, after all ignores."""
        ...

    async def secrets(
        self, build: DockerBuild | CustomBuild, spec: SessionSpec
    ) -> Mapping[str, str | None]:
        """Digests of the contents of a build's secrets, by id; `None`: it can't be read."""
        ...

    def listing(self, digest: str) -> Mapping[str, str]:
        """The files behind a digest given lately: by path, what each is; empty if forgotten."""
        ...


Check = Callable[[], Awaitable[None]]
"""Awaited when an image has been built, before it goes anywhere; raises if it must not."""


class Images(Protocol):
    """Docker Engine, builders and registries."""

    async def ensure(
        self, action: EnsureImage, spec: SessionSpec, log: Log, phase: Phase, check: Check
    ) -> ImageReady:
        """Find the image in the engine, then in the registry; else build it, then push it.

        The phases are `find`, `build`, `push`.  Of what was built but does not pass `check`
        nothing is left under the key's tag.
        """
        ...

    async def grounds(self, image: Image, spec: SessionSpec, log: Log) -> Grounds:
        """What the image's key covers of engine and registries: bases of others, and platform.

        Within seconds; what nobody can tell now is no error, and is not in there.

        Raises:
            PermanentError: the Docker configuration can't be read.
        """
        ...

    async def find(self, action: EnsureImage, spec: SessionSpec, log: Log) -> ImageReady | None:
        """Where the image is already, as `ensure` would find it; changes nothing."""
        ...


class Contexts(Protocol):
    """Reads kubeconfig files, asks no server."""

    async def read(self, spec: SessionSpec) -> KubeContext:
        """The session's context.

        Raises:
            PermanentError: a kubeconfig is broken (file, line).
        """
        ...


@dataclass(frozen=True, slots=True)
class AppliedObject:
    """The API server's answer to an apply.

    Args:
        recreated: a change to an immutable field took a delete and a create.
        conflicts: fields that others managed and that were taken over.
    """

    body: JSON
    recreated: bool = False
    conflicts: tuple[str, ...] = ()


ClusterListener = Callable[[tuple[JSON, ...], tuple[Uid, ...], tuple[float, ...]], None]
"""Told on the event loop: objects seen (whole), uids gone, how long ago each was seen (seconds)."""


Unreadable = Callable[[Scope, str], None]
"""Told on the event loop: what the cluster does not let us read, and its words."""

Blind = Callable[[frozenset[Scope]], None]
"""Told on the event loop, at each change: the scopes whose changes can't be seen at present."""

Silence = Callable[[ContainerRun, bool], None]
"""Told on the event loop: a life's log has ended though its pod says that it runs; or goes on."""

ForwardListener = Callable[[Forward, ForwardStatus | None], None]
"""Told on the event loop, at each change: how a forward is doing; `None` once it is closed."""

LOG_KIND = "Pod/log"
"""The kind in the scope of logs that may not be read."""


class Cluster(Protocol):
    """One Kubernetes cluster, once `connect` has found it."""

    async def connect(self, spec: SessionSpec, context: KubeContext) -> ClusterInfo:
        """Find the cluster: credentials, version, clock, registry."""
        ...

    def tell_unreadable(self, listener: Unreadable) -> None:
        """From now on tell what may not be listed, watched or read; repeatedly, perhaps."""
        ...

    def tell_blind(self, listener: Blind) -> None:
        """From now on tell which watches are broken off, and when they are there again."""
        ...

    def tell_silence(self, listener: Silence) -> None:
        """From now on tell which of the lives whose logs are followed seem to be over."""
        ...

    async def look(self, scopes: frozenset[Scope]) -> tuple[FoundObject, ...]:
        """List the objects of these scopes, one request (or chunked ones) a scope.

        A kind that the cluster does not know (yet), or must not be listed, gives nothing.
        """
        ...

    async def apply(self, body: JSON, seconds: float) -> AppliedObject:
        """Server-side apply, strict validation, conflicts forced and reported."""
        ...

    async def trial(self, body: JSON, seconds: float, *, known: bool) -> Trial:
        """What `apply` would do: a dry run on the server.

        Of an object that has not been `known` to be there, and is, it is told what it is now.
        """
        ...

    async def stock(self) -> Mapping[str, str]:
        """The lists of what projects of this label have applied, by name (`core.stock`)."""
        ...

    async def stocks_elsewhere(self) -> Sequence[tuple[str, Mapping[str, str]]]:
        """All other such accounts in the cluster, each with the namespace that it is in."""
        ...

    async def note_stock(self, name: str, text: str | None) -> None:
        """Write one of them, or remove it."""
        ...

    async def delete(self, bodies: Sequence[JSON], seconds: float) -> None:
        """Delete and wait until gone, with the pods of workloads; what is not there is no error.

        A body with a uid means that object: another one of its name stays.
        """
        ...

    async def execute(
        self, target: Target, argv: Sequence[str], log: Log, stdin: bytes | None = None
    ) -> int:
        """Run a program in a container of a pod, to its end; its exit code.

        A program that is not there ends with 127, as in a shell.  What is cancelled may go on in
        the container: nobody can stop it from here.

        Raises:
            GoneError: there is no such container.
            TransientError: the connection was not made, or broke off.
            PermanentError: the cluster does not let us.
        """
        ...

    def follow(self, scopes: frozenset[Scope], listener: ClusterListener) -> None:
        """Watch exactly these scopes from now on: list, then watch, resumed for ever."""
        ...

    def follow_logs(
        self, runs: frozenset[ContainerRun], log: Callable[[ContainerRun], Log]
    ) -> None:
        """Follow exactly these containers' logs from now on, each from its first line."""
        ...

    async def drain(self, runs: frozenset[ContainerRun], seconds: float) -> None:
        """Wait until the logs of these lives, which are over, have been read to their end."""
        ...

    def forward(self, wanted: Mapping[Forward, PodPort | None], listener: ForwardListener) -> None:
        """Have exactly these ports of this machine lead to these pods from now on.

        A connection goes to the pod that its forward has then, and comes to nothing without one.
        What can't be listened on is told, and tried again until it can.
        """
        ...

    async def run(self) -> None:
        """Owns the tasks that follow; runs beside everything else until `close`."""
        ...

    async def close(self) -> None:
        """End every watch, log, forward and connection."""
        ...


@dataclass(frozen=True, slots=True)
class Printed:
    """What a deploying command printed.

    Args:
        objects: the Kubernetes objects, each with the uid that the cluster gave it, if it tells.
        secrets: values in them that must never be shown.
    """

    objects: tuple[JSON, ...]
    secrets: tuple[str, ...] = ()


Reader = Callable[[str], Printed]
"""Reads what a deploying command printed; `PermanentError` if it is no YAML of objects."""


class Processes(Protocol):
    """Local commands, each in a process group of its own."""

    async def run(self, command: Command, env: Mapping[str, str], log: Log) -> int:
        """Run to the end; the exit code (negative: by that signal).

        Cancelling ends the whole group (SIGTERM, then SIGKILL after 1 s).

        Raises:
            PermanentError: it can't be started (no such program or folder).
        """
        ...

    async def capture(self, command: Command, env: Mapping[str, str], log: Log) -> tuple[int, str]:
        """As `run`, but what it prints on its standard output is the result, not a log."""
        ...

    async def serve(
        self,
        command: Command,
        env: Mapping[str, str],
        probe: Probe | None,
        log: Log,
        changed: Callable[[ServeStatus], None],
        key: str,
    ) -> None:
        """Run until cancelled or ended; tell each change of the status.

        Returns once the process has ended by itself (its last status has the exit code).
        """
        ...


class Composes(Protocol):
    """Docker Compose, and the containers of its services."""

    async def up(
        self, action: ComposeUp, spec: SessionSpec, log: Log, phase: Phase
    ) -> tuple[ServiceContainer, ...]:
        """Build the service if that is Docker Compose's part, bring it up; its containers.

        The phases are `build`, `apply`.
        """
        ...

    async def watch(
        self,
        action: ComposeWatch,
        spec: SessionSpec,
        since: float,
        log: Callable[[ServiceContainer], Log],
        changed: Callable[[tuple[ServiceContainer, ...]], None],
    ) -> None:
        """Tell the service's containers at once, then after each change, until cancelled.

        Their logs are followed too: `log` gives one for a container.  Of a container that
        ran before `since` (seconds since the epoch) only what it prints from then on is told.
        """
        ...

    async def unpack(
        self, target: Target, packed: bytes, service: ComposeTarget, spec: SessionSpec
    ) -> None:
        """Unpack a tar archive at the root of a service's container. Raises as `execute`."""
        ...

    async def execute(
        self,
        target: Target,
        argv: Sequence[str],
        service: ComposeTarget,
        spec: SessionSpec,
        log: Log,
    ) -> int:
        """Run a program in a service's container; see `Cluster.execute`."""
        ...

    async def restart(self, target: Target, service: ComposeTarget, spec: SessionSpec) -> None:
        """Restart a service's container; its files stay as they are. Raises as `execute`."""
        ...

    async def down(self, action: ComposeDown, spec: SessionSpec, log: Log) -> frozenset[str]:
        """Remove the project's services and networks; which services there were."""
        ...


class Files(Protocol):
    """Watches the file system (watchdog)."""

    def follow(self, paths: frozenset[str], listener: Callable[[tuple[str, ...]], None]) -> None:
        """Watch exactly these files and folders (with all below) from now on.

        Changes are told on the event loop, gathered over a short while.
        """
        ...

    async def close(self) -> None:
        """Stop watching."""
        ...
