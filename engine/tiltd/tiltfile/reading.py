"""What one reading of a Tiltfile collects, builtin by builtin, until `assembly` makes a project.

It belongs to one thread, from the first line of the Tiltfile to the last; nothing of it outlives
the reading.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tiltd import starlark
from tiltd.model.desired import (
    JSON,
    ApiObject,
    ComposeProject,
    CustomDeploy,
    Ignore,
    ImagePath,
    Link,
    LiveUpdateStep,
    LocalTarget,
    PodReadiness,
    PortForward,
    Settings,
    TriggerMode,
)
from tiltd.model.names import ResourceName
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Place
from tiltd.model.state import SessionSpec
from tiltd.ports import Log
from tiltd.starlark import Value
from tiltd.tiltfile.commands import Stop
from tiltd.tiltfile.config_flags import Definition
from tiltd.tiltfile.files import Files
from tiltd.tiltfile.images import ImageIndex
from tiltd.tiltfile.object_selectors import Pattern
from tiltd.tiltfile.objects import Entity


@dataclasses.dataclass(frozen=True, slots=True)
class KindInfo:
    """What `k8s_kind` and `k8s_image_json_path` say of the objects that a pattern matches."""

    image_paths: tuple[ImagePath, ...] = ()
    pod_readiness: PodReadiness | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ResourceOptions:
    """One call of `k8s_resource`; `None` is "not given".

    Args:
        workload: the resource that it speaks of.
        grouped: it makes a new resource out of `objects`.
    """

    workload: str
    new_name: str
    grouped: bool
    place: Place | None
    port_forwards: tuple[PortForward, ...] = ()
    extra_pod_selectors: tuple[Mapping[str, str], ...] = ()
    trigger_mode: TriggerMode | None = None
    resource_deps: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    auto_init: bool | None = None
    pod_readiness: PodReadiness | None = None
    links: tuple[Link, ...] = ()
    labels: tuple[str, ...] = ()
    discovery_strategy: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class LocalResource:
    """One call of `local_resource`."""

    name: ResourceName
    target: LocalTarget
    place: Place | None
    resource_deps: tuple[str, ...] = ()
    trigger_mode: TriggerMode | None = None
    auto_init: bool = True
    links: tuple[Link, ...] = ()
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class CustomResource:
    """One call of `k8s_custom_deploy`; `image_deps` as they were written."""

    name: str
    deploy: CustomDeploy
    image_deps: tuple[str, ...]
    place: Place | None


@dataclasses.dataclass(slots=True)
class ComposeService:
    """A service that `docker_compose` found, and what `dc_resource` says of it.

    Args:
        service: its name in the compose files.
        name: of its resource.
        project: the name of its project.
        depends_on: the services of its project that it waits for.
        body: as Docker Compose resolves it.
        image: the one that `dc_resource` names; empty if none.
    """

    service: str
    name: str
    project: str
    depends_on: tuple[str, ...]
    body: JSON
    place: Place | None
    image: str = ""
    trigger_mode: TriggerMode | None = None
    resource_deps: dict[str, None] = dataclasses.field(default_factory=dict[str, None])
    infer_links: bool = True
    links: list[Link] = dataclasses.field(default_factory=list[Link])
    labels: set[str] = dataclasses.field(default_factory=set[str])
    auto_init: bool = True


@dataclasses.dataclass(slots=True)
class ComposePart:
    """What `docker_compose` and `dc_resource` collect, by project and by service.

    Args:
        texts: what was given as text instead of a file, by project and by the name it got.
        secrets: values of the projects' secrets.
    """

    projects: dict[str, ComposeProject] = dataclasses.field(
        default_factory=dict[str, ComposeProject]
    )
    texts: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict[str, dict[str, str]])
    services: dict[tuple[str, str], ComposeService] = dataclasses.field(
        default_factory=dict[tuple[str, str], ComposeService]
    )
    secrets: dict[str, None] = dataclasses.field(default_factory=dict[str, None])


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """An object given to `k8s_yaml`, and where."""

    entity: Entity
    place: Place | None


Address = tuple[str, str, str, str]
"""apiVersion, kind, namespace and name: what may be given only once."""
NameFunction = Callable[[Entity], str]
"""The function of `workload_to_resource_function`, made to take an object."""

_INITIAL_KINDS = {
    Pattern(api_version="batch/v1", kind="^Job$"): KindInfo(pod_readiness=PodReadiness.SUCCEEDED),
    Pattern(api_version="batch/v1", kind="^CronJob$"): KindInfo(pod_readiness=PodReadiness.IGNORE),
}


@dataclasses.dataclass(slots=True)
class KubernetesPart:
    """What the Kubernetes builtins collect."""

    objects: list[Registered] = dataclasses.field(default_factory=list[Registered])
    by_address: dict[Address, Registered] = dataclasses.field(
        default_factory=dict[Address, Registered]
    )
    kinds: dict[Pattern, KindInfo] = dataclasses.field(default_factory=_INITIAL_KINDS.copy)
    custom: dict[str, CustomResource] = dataclasses.field(default_factory=dict[str, CustomResource])
    options: list[ResourceOptions] = dataclasses.field(default_factory=list[ResourceOptions])
    name_function: NameFunction | None = None
    allowed_contexts: set[str] = dataclasses.field(default_factory=set[str])


@dataclasses.dataclass(slots=True)
class ConfigPart:
    """What `config.*` collects; `enabled` is `None` until a builtin chooses."""

    definitions: dict[str, Definition] = dataclasses.field(default_factory=dict[str, Definition])
    parsed_in: str = ""
    enabled: tuple[str, ...] | None = None
    chosen_at: Place | None = None
    all_disabled: bool = False


@dataclasses.dataclass(slots=True)
class UnusedStep:
    """A live-update step that no `live_update` has taken yet."""

    step: LiveUpdateStep
    text: str


@dataclasses.dataclass(slots=True)
class Reading:
    """All of it.

    Args:
        env: the environment of every command.
        environ: the same as `os.environ`; a change to it is a change to `env`.
        thread: what runs the Tiltfile.
        api_objects: what `v1alpha1.*` declared, by kind and name.
    """

    spec: SessionSpec
    context: KubeContext
    log: Log
    stop: Stop
    files: Files
    env: dict[str, str]
    environ: starlark.Dict
    thread: starlark.Thread
    images: ImageIndex = dataclasses.field(default_factory=ImageIndex)
    kubernetes: KubernetesPart = dataclasses.field(default_factory=KubernetesPart)
    compose: ComposePart = dataclasses.field(default_factory=ComposePart)
    config: ConfigPart = dataclasses.field(default_factory=ConfigPart)
    locals: dict[str, LocalResource] = dataclasses.field(default_factory=dict[str, LocalResource])
    settings: Settings = dataclasses.field(default_factory=Settings)
    trigger_mode: TriggerMode = TriggerMode.AUTO
    trigger_mode_place: Place | None = None
    watch_ignores: list[Ignore] = dataclasses.field(default_factory=list[Ignore])
    warnings: list[tuple[Place | None, str]] = dataclasses.field(
        default_factory=list[tuple[Place | None, str]]
    )
    unused_steps: dict[str, UnusedStep] = dataclasses.field(default_factory=dict[str, UnusedStep])
    team: str = ""
    api_objects: dict[tuple[str, str], ApiObject] = dataclasses.field(
        default_factory=dict[tuple[str, str], ApiObject]
    )

    def place(self) -> Place | None:
        """Where the Tiltfile is now, for what is declared there."""
        stack = starlark.call_stack()
        if not stack:
            return None
        at = stack[-1].position
        return Place(self.files.shown(at.file), at.line, at.column)

    def call(self, function: Value, *args: Value) -> Value:
        """Call a function of the Tiltfile."""
        return self.thread.call(function, *args)

    def set(self, **changes: Any) -> None:
        """Change some of the settings."""
        self.settings = dataclasses.replace(self.settings, **changes)

    def warn(self, text: str) -> None:
        """Show a warning, and keep it."""
        self.warnings.append((self.place(), text))

    def note(self, text: str) -> None:
        """Say something that only a reader of debug output wants to know."""
        self.log.write(f"{text}\n", level="debug")

    @property
    def context_is_allowed(self) -> bool:
        """Whether anything may be done in this cluster.

        A context that is missing is allowed: the cluster says so later, and nothing is in danger.
        """
        name = self.context.name
        return not name or self.context.is_local or name in self.kubernetes.allowed_contexts
