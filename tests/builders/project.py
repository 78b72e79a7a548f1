"""Projects for tests of the engine: small, and only what a test is about is said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tiltd.model.desired import (
    JSON,
    Command,
    ComposeBuild,
    ComposeProject,
    ComposeTarget,
    DockerBuild,
    Image,
    KubernetesTarget,
    LiveUpdateStep,
    LocalTarget,
    Manifest,
    PodReadiness,
    Probe,
    Project,
    Resource,
    Settings,
    TriggerMode,
)
from tiltd.model.names import ImageName, ObjectId, ResourceName


def image(name: str, *bases: str, contents: str = "FROM scratch") -> Image:
    """An image built from its own folder."""
    build = DockerBuild(
        context=f"/src/{name}", dockerfile=f"/src/{name}/Dockerfile", contents=contents
    )
    return Image(ImageName(name), build, bases=tuple(ImageName(b) for b in bases))


def step(kind: str, *paths: str, remote: str = "", argv: Sequence[str] = ()) -> LiveUpdateStep:
    """A step of `live_update`."""
    return LiveUpdateStep(kind, tuple(paths), remote, tuple(argv))


def live(of: Image, *steps: LiveUpdateStep) -> Image:
    """An image that is updated in its containers."""
    return replace(of, live_update=steps)


def manifest(body: Mapping[str, Any], *images: str) -> Manifest:
    """A manifest from its object."""
    group, _, _ = body["apiVersion"].rpartition("/")
    metadata = body["metadata"]
    name = ObjectId(group, body["kind"], metadata.get("namespace", ""), metadata["name"])
    return Manifest(name, body["apiVersion"], body, tuple(ImageName(i) for i in images))


def config_map(name: str, **data: str) -> Manifest:
    """A ConfigMap."""
    meta = {"name": name}
    return manifest({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})


def deployment(name: str, *images: str, spec: JSON | None = None, replicas: int = 1) -> Manifest:
    """A Deployment with a container for each image."""
    labels = {"app": name}
    containers = [{"name": f"c{n}", "image": i} for n, i in enumerate(images or ("nginx",))]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers, **(spec or {})}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    return manifest(body, *images)


def kubernetes(
    name: str,
    *manifests: Manifest,
    deps: Sequence[str] = (),
    auto_init: bool = True,
    pod_readiness: PodReadiness = PodReadiness.WAIT,
    manual: bool = False,
) -> Resource:
    """A resource of these objects."""
    target = KubernetesTarget(tuple(manifests), pod_readiness)
    mode = TriggerMode.MANUAL if manual else TriggerMode.AUTO
    return Resource(
        ResourceName(name), target, _names(deps), auto_init=auto_init, trigger_mode=mode
    )


def local(
    name: str,
    cmd: str | None = None,
    *,
    serve: str | None = None,
    probe: Probe | None = None,
    deps: Sequence[str] = (),
    auto_init: bool = True,
    allow_parallel: bool = False,
    files: Sequence[str] = (),
    manual: bool = False,
) -> Resource:
    """A local resource; its commands run in a shell."""
    target = LocalTarget(
        cmd=_shell(cmd),
        serve=_shell(serve),
        deps=tuple(files),
        readiness_probe=probe,
        allow_parallel=allow_parallel,
    )
    mode = TriggerMode.MANUAL if manual else TriggerMode.AUTO
    return Resource(
        ResourceName(name), target, _names(deps), auto_init=auto_init, trigger_mode=mode
    )


def compose(
    name: str,
    body: JSON | None = None,
    *,
    of: ComposeProject | None = None,
    image: str = "",
    built: bool = False,
    ports: Sequence[int] = (),
    deps: Sequence[str] = (),
    auto_init: bool = True,
    ends: bool = False,
) -> Resource:
    """A Docker Compose service; without `of` it is alone in its project.

    `built`: Docker Compose builds it, from `/src/NAME`.
    """
    build = ComposeBuild(name, f"/src/{name}", f"/src/{name}/Dockerfile") if built else None
    target = ComposeTarget(
        of or compose_project({name: body or {"image": "redis"}}),
        name,
        image=ImageName(image) if image else None,
        build=build,
        ports=tuple(ports),
        ends=ends,
    )
    return Resource(ResourceName(name), target, _names(deps), auto_init=auto_init)


def compose_project(services: Mapping[str, JSON], *, wait: bool = False) -> ComposeProject:
    """A Docker Compose project called `shop`."""
    body = {"name": "shop", "services": services}
    return ComposeProject("shop", "/src", ("/src/compose.yml",), body, wait=wait)


def project(
    *resources: Resource,
    images: Iterable[Image] = (),
    settings: Settings | None = None,
    enabled: Iterable[str] | None = None,
) -> Project:
    """A project in which all resources take part, unless `enabled` says otherwise."""
    names = [r.name for r in resources] if enabled is None else [ResourceName(n) for n in enabled]
    return Project(
        tiltfile="/src/shop/Tiltfile",
        images=tuple(images),
        resources=resources,
        enabled=frozenset(names),
        settings=settings or Settings(),
        watched=("/src/shop/Tiltfile",),
    )


def _shell(text: str | None) -> Command | None:
    return None if text is None else Command(("sh", "-c", text), "/src")


def _names(names: Sequence[str]) -> tuple[ResourceName, ...]:
    return tuple(ResourceName(n) for n in names)
