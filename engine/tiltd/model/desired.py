"""What the Tiltfile asks for: a `Project`, the result of reading it once.

Paths are absolute.  Mappings and sequences are never changed after they were put in here; a
Kubernetes object is the plain mapping that its YAML gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tiltd.model.names import ImageName, ObjectId, ResourceName
from tiltd.model.problems import Place

JSON = Mapping[str, Any]


class TriggerMode(Enum):
    """Whether a changed file starts an update by itself."""

    AUTO = "auto"
    MANUAL = "manual"


class PodReadiness(Enum):
    """What `k8s_resource(pod_readiness=)` waits for."""

    WAIT = "wait"
    IGNORE = "ignore"
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: never through a shell unless `argv` names one.

    Args:
        argv: program and arguments (a shell string is already `sh -c …` here).
        dir: the folder to run in, absolute.
        env: what is added to the session's environment.
    """

    argv: tuple[str, ...]
    dir: str
    env: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Ignore:
    """Paths that don't count: `.dockerignore` patterns, relative to `base` (absolute).

    No patterns means that the whole of `base` is ignored.
    """

    base: str
    patterns: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class LiveUpdateStep:
    """One step of `live_update`, checked when the Tiltfile was read.

    `kind` is `fall_back_on`, `sync`, `run` or `restart_container`.
    """

    kind: str
    paths: tuple[str, ...] = ()
    remote: str = ""
    argv: tuple[str, ...] = ()
    echo_off: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class DockerBuild:
    """`docker_build()`: build a context folder with a Dockerfile.

    Args:
        context: the folder, absolute.
        dockerfile: path of the Dockerfile, absolute; used for its `X.dockerignore` neighbour too.
        contents: the Dockerfile's text: read at load, or given as `dockerfile_contents`.
        inline: whether `contents` came from `dockerfile_contents` (then `dockerfile` is empty).
        build_args: `None` as value means "from the environment of the session".
        only: paths that the context is limited to, as given (relative to `context`).
        ignore: `.dockerignore` patterns on top of the files'.
        secret: as `docker build --secret` takes them. Never their values.
        ssh: as `docker build --ssh` takes them.
    """

    context: str
    dockerfile: str
    contents: str
    inline: bool = False
    build_args: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    target: str = ""
    platform: str = ""
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extra_tags: tuple[str, ...] = ()
    network: str = ""
    secret: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    pull: bool = False


@dataclass(frozen=True, slots=True)
class CustomBuild:
    """`custom_build()`: a command of the user's makes the image."""

    command: Command
    deps: tuple[str, ...]
    ignore: tuple[str, ...] = ()
    tag: str = ""
    disable_push: bool = False
    skips_local_docker: bool = False
    outputs_image_ref_to: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image to build; compared by identity, as a `Manifest` is.

    Args:
        name: the declared reference in familiar form.
        build: how it is built.
        bases: images of this project that its build uses (`FROM`, `COPY --from`, `image_deps`).
        entrypoint: replaces the container's command wherever the image is injected.
        container_args: replaces the container's args likewise.
        of_deploy: nobody builds it: it stands for the `deps` of a `k8s_custom_deploy`, which are
            what its `live_update` watches.
    """

    name: ImageName
    build: DockerBuild | CustomBuild
    bases: tuple[ImageName, ...] = ()
    match_in_env_vars: bool = False
    entrypoint: tuple[str, ...] | None = None
    container_args: tuple[str, ...] | None = None
    live_update: tuple[LiveUpdateStep, ...] = ()
    of_deploy: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class ImagePath:
    """Where an object of a kind holds an image, by `k8s_kind` or `k8s_image_json_path`.

    Args:
        path: the JSONPath to a string, or to an object if `repo_field` is given.
        repo_field: for an object: the field with the repository.
        tag_field: for an object: the field with the tag.
    """

    path: str
    repo_field: str = ""
    tag_field: str = ""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Manifest:
    """A Kubernetes object as the Tiltfile gives it, before its images are injected.

    Compared by identity: its body is a mapping, and what is computed from it is remembered by it.

    Args:
        id: its name in the project.
        api_version: as in the YAML.
        body: the whole object.
        images: the project's images that it uses.
        image_paths: further places of images in it.
        source: the file or expression that it came from, for messages.
    """

    id: ObjectId
    api_version: str
    body: JSON
    images: tuple[ImageName, ...] = ()
    image_paths: tuple[ImagePath, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class PortForward:
    """`port_forward()`: a local port to a container's."""

    local_port: int
    container_port: int = 0
    host: str = "localhost"
    name: str = ""
    link_path: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A page that belongs to a resource."""

    url: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class HttpGet:
    """A probe by HTTP: 200 to 399 is a pass."""

    port: int
    host: str = "localhost"
    scheme: str = "http"
    path: str = "/"


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """A probe by TCP: a connection is a pass."""

    port: int
    host: str = "localhost"


@dataclass(frozen=True, slots=True)
class Exec:
    """A probe by command: exit code 0 is a pass."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """A readiness probe of a served process, with Kubernetes' defaults (times in seconds)."""

    check: HttpGet | TcpSocket | Exec
    initial_delay: float = 0
    timeout: float = 1
    period: float = 10
    success_threshold: int = 1
    failure_threshold: int = 3


@dataclass(frozen=True, slots=True)
class CustomDeploy:
    """`k8s_custom_deploy()`: a command of the user's applies the objects, and prints them as YAML.

    Args:
        apply: it gets the references of the images as `TILT_IMAGE_0`, `TILT_IMAGE_1` ….
        delete: it removes what `apply` made.
        deps: files and folders whose change runs `apply` again.
        ignore: what in them does not.
        images: the images that `apply` needs, in the order of their numbers.
        image_selector: the image of the containers that `live_update` is for; or
        container_selector: their name.
    """

    apply: Command
    delete: Command
    deps: tuple[str, ...] = ()
    ignore: tuple[Ignore, ...] = ()
    images: tuple[ImageName, ...] = ()
    image_selector: str = ""
    container_selector: str = ""
    live_update: tuple[LiveUpdateStep, ...] = ()


SELECTORS_ONLY = "selectors-only"
"""The discovery strategy by which only `extra_pod_selectors` say which pods are a resource's."""


@dataclass(frozen=True, slots=True)
class KubernetesTarget:
    """What a Kubernetes resource deploys.

    Args:
        manifests: its objects, in Tilt's order.
        pod_readiness: what to wait for.
        extra_pod_selectors: pods that count although nothing here owns them.
        discovery_strategy: `default` or `selectors-only`.
        custom: how its objects come into being, where no manifest says it.
    """

    manifests: tuple[Manifest, ...]
    pod_readiness: PodReadiness = PodReadiness.WAIT
    port_forwards: tuple[PortForward, ...] = ()
    extra_pod_selectors: tuple[Mapping[str, str], ...] = ()
    discovery_strategy: str = "default"
    custom: CustomDeploy | None = None


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A command that runs to its end, a process that serves, or first the one, then the other.

    Args:
        may_end: a served process may end, in whatever way, and nothing is wrong (`v1alpha1.cmd`).
    """

    cmd: Command | None = None
    serve: Command | None = None
    deps: tuple[str, ...] = ()
    ignore: tuple[Ignore, ...] = ()
    readiness_probe: Probe | None = None
    allow_parallel: bool = False
    may_end: bool = False


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """What `docker_compose()` makes of its files.

    Args:
        name: of the Docker Compose project.
        dir: its folder, absolute: where Docker Compose looks for what the files name.
        files: the compose files; text given in the Tiltfile has a name in angle brackets.
        body: all files together, as `docker compose config` resolves them, every profile included.
        env_file: for `${…}` in the files; empty is `.env`.
        profiles: those that are switched on.
        wait: as `docker compose up --wait` has it, every service must keep running.
        env: what is added to the session's environment.
    """

    name: str
    dir: str
    files: tuple[str, ...]
    body: JSON = field(repr=False)
    env_file: str = ""
    profiles: tuple[str, ...] = ()
    wait: bool = False
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class ComposeBuild:
    """The `build` section of a service: Docker Compose itself builds the image.

    Args:
        context: the folder, absolute; empty for one that is no folder of this machine.
        dockerfile: its absolute path; empty likewise, and for an inline one.
        ignore: what in the context starts no build: bind-mounted folders.
    """

    image: str
    context: str
    dockerfile: str
    ignore: tuple[Ignore, ...] = ()


@dataclass(frozen=True, slots=True)
class ComposeTarget:
    """One service of a Docker Compose project.

    Args:
        service: its name in the project.
        image: the image of this project's that it runs, if it runs one.
        build: how Docker Compose builds its image, if it does.
        ports: the ports of this machine that it publishes.
        ends: it is there to end: others wait for its `service_completed_successfully`.
        infer_links: show a link for each published port.
    """

    project: ComposeProject
    service: str
    image: ImageName | None = None
    build: ComposeBuild | None = None
    ports: tuple[int, ...] = ()
    ends: bool = False
    infer_links: bool = True


@dataclass(frozen=True, slots=True)
class Resource:
    """What people see, wait for, and depend on.

    Args:
        auto_init: whether it starts without being asked.
        resource_deps: resources that must have been ready once before this one starts.
    """

    name: ResourceName
    target: KubernetesTarget | ComposeTarget | LocalTarget
    resource_deps: tuple[ResourceName, ...] = ()
    trigger_mode: TriggerMode = TriggerMode.AUTO
    auto_init: bool = True
    labels: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Registry:
    """`default_registry()`: where images are pushed, and where the cluster pulls them."""

    host: str
    host_from_cluster: str = ""
    single_name: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `update_settings`, `ci_settings` and the like set; `None` is "not set". Seconds."""

    max_parallel_updates: int = 3
    apply_timeout: float = 30
    suppress_unused_image_warnings: tuple[str, ...] = ()
    ci_timeout: float | None = None
    ci_readiness_timeout: float | None = None
    k8s_grace_period: float | None = None
    default_registry: Registry | None = None
    scrub_secrets: bool = True


@dataclass(frozen=True, slots=True)
class ApiObject:
    """An object of Tilt's own API that the Tiltfile declares by `v1alpha1.*`.

    Args:
        kind: `UIButton`, `Cmd`, `FileWatch`, `ConfigMap`, `Extension`, `ExtensionRepo`.
        spec: its content as Tilt's API writes it; what is empty is left out.
    """

    kind: str
    name: str
    spec: JSON
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """All that one reading of the Tiltfile gives.

    Args:
        images: those that a resource needs, directly or as a base.
        resources: all of them, in Tilt's order (Kubernetes, compose, local, `uncategorized`).
        enabled: the names of those that take part in this session.
        watched: every file and folder that was read; a change to one reloads the Tiltfile.
        warnings: sentences to show, with their places.
        api_objects: what `v1alpha1.*` declared, in order.
    """

    tiltfile: str
    images: tuple[Image, ...] = ()
    resources: tuple[Resource, ...] = ()
    enabled: frozenset[ResourceName] = frozenset()
    settings: Settings = Settings()
    watched: tuple[str, ...] = ()
    watch_ignores: tuple[Ignore, ...] = ()
    warnings: tuple[tuple[Place | None, str], ...] = ()
    api_objects: tuple[ApiObject, ...] = ()
