"""A loaded project in the form of the conformance data, and that data without what is not ours.

The data are what `tilt alpha tiltfile-result` gives, normalised; paths are relative to the
project's folder.  `comparable` takes out of them what a `Project` doesn't say; each key stands with
its reason.
"""

import posixpath
import re
from pathlib import Path
from typing import Any, cast

from tiltd.core import dockerignore
from tiltd.model.desired import (
    Command,
    ComposeBuild,
    ComposeTarget,
    CustomBuild,
    DockerBuild,
    Exec,
    HttpGet,
    Ignore,
    Image,
    KubernetesTarget,
    LiveUpdateStep,
    LocalTarget,
    Manifest,
    PortForward,
    Probe,
    Project,
    Resource,
    TcpSocket,
    TriggerMode,
)
from tiltd.model.names import ImageName
from tiltd.ports import Loaded
from tiltd.tiltfile import images

SETTINGS_NOT_HERE = {
    "docker_prune": "no image is ever removed",
    "version": "there is no check for updates",
    "analytics_opt": "no use is reported",
    "team": "there are no teams",
    "features": "no features can be switched",
    "telemetry": "there are no traces",
    "secret_values": "counted by key there; here every spelling of a value, and no short ones",
}
RESOURCE_NOT_HERE = {
    "image_maps": "names of Tilt's API objects; compared as `images` of the manifests",
    "server_side_apply": "objects are always applied by the server",
    "image_locators": "patterns there; here each manifest has its own paths",
}
IMAGE_NOT_HERE = {
    "dockerfile_sha256": "compared as text by the builders' own tests",
    "match_exact": "follows from the reference",
    "output_mode": "two flags here",
}
CASE_NOT_HERE = {
    "schema": "the data's own",
}


def comparable(expected: dict[str, Any]) -> dict[str, Any]:
    """The expected result without what is not ours."""
    settings = {k: v for k, v in expected["settings"].items() if k not in SETTINGS_NOT_HERE}
    return {
        "resources": [_comparable_resource(r) for r in expected["resources"]],
        "enabled": expected["enabled"],
        "settings": settings,
        "config_files": expected["config_files"],
        "api_objects": {k: v for k, v in expected["api_objects"].items() if v},
    }


def _comparable_resource(resource: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in resource.items() if k not in RESOURCE_NOT_HERE}
    if "images" in kept:
        kept["images"] = [_comparable_image(image) for image in kept["images"]]
    return kept


def _comparable_image(image: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in image.items() if k not in IMAGE_NOT_HERE}
    # The Tiltfile and .git are ignored as patterns of the context, where they are in it.
    kept["ignores"] = [i for i in image.get("ignores", []) if "patterns" in i]
    return kept


def normalise(loaded: Loaded, root: str) -> dict[str, Any]:
    """A loaded project in the form of the data."""
    return _Normaliser(loaded.project, root).whole()


_DATA_FOLDER = "proj"
"""What the folder of a case was called; a project without a name takes its folder's."""
_PLURALS = {"FileWatch": "filewatches"}
_EXTENSION = re.compile(r"/(\w+/Tiltfile)$")


def _without_empty(value: Any) -> Any:
    match value:
        case dict():
            content = cast("dict[str, Any]", value)
            kept = {k: _without_empty(v) for k, v in content.items()}
            return {k: v for k, v in kept.items() if v not in ({}, [])}
        case list():
            items = cast("list[object]", value)
            return [_without_empty(v) for v in items]
        case _:
            return value


class _Normaliser:
    def __init__(self, project: Project, root: str) -> None:
        self.project = project
        self.root = root
        self.images = {image.name: image for image in project.images}

    def whole(self) -> dict[str, Any]:
        project = self.project
        return {
            "resources": [self.resource(r) for r in project.resources],
            "enabled": [r.name for r in project.resources if r.name in project.enabled],
            "settings": self.settings(),
            "config_files": sorted(dict.fromkeys(self.path(p) for p in project.watched)),
            "api_objects": self.api_objects(),
        }

    def api_objects(self) -> dict[str, Any]:
        """By kind in the plural, then by name; a ConfigMap's data has no `spec` around it."""
        found: dict[str, dict[str, Any]] = {}
        for made in self.project.api_objects:
            spec = _without_empty(self.rooted(made.spec))
            content = spec if made.kind == "ConfigMap" else {"spec": spec}
            annotations = {"annotations": dict(made.annotations), "labels": dict(made.labels)}
            plural = _PLURALS.get(made.kind, f"{made.kind.lower()}s")
            found.setdefault(plural, {})[made.name] = _filled(annotations) | content
        return found

    def rooted(self, value: Any) -> Any:
        """Absolute paths below the project as the data write them."""
        match value:
            case str() if value == self.root or value.startswith(self.root + "/"):
                return "$ROOT" + value.removeprefix(self.root)
            case dict():
                return {k: self.rooted(v) for k, v in cast("dict[str, Any]", value).items()}
            case list():
                items = cast("list[object]", value)
                return [self.rooted(v) for v in items]
            case _:
                return value

    def path(self, path: str) -> str:
        inside = path == self.root or path.startswith(self.root + "/")
        extension = None if inside else _EXTENSION.search(path)
        if extension:
            return f"$TILT_MODULES/github.com/tilt-dev/tilt-extensions/{extension[1]}"
        return posixpath.relpath(path, self.root) if inside else path

    def resource(self, resource: Resource) -> dict[str, Any]:
        target = resource.target
        found: dict[str, Any] = {
            "name": resource.name,
            "labels": list(resource.labels),
            "resource_deps": list(resource.resource_deps),
            "trigger_mode": "manual" if resource.trigger_mode is TriggerMode.MANUAL else "auto",
            "auto_init": "yes" if resource.auto_init else "no",
            "links": [_filled({"url": link.url, "name": link.name}) for link in resource.links],
        }
        match target:
            case KubernetesTarget():
                found |= self.kubernetes(target)
            case ComposeTarget():
                found |= self.compose(target)
            case LocalTarget():
                found |= self.local(target)
        return _filled(found)

    def kubernetes(self, target: KubernetesTarget) -> dict[str, Any]:
        custom = target.custom
        direct = [*_direct(target.manifests), *(custom.images if custom else ())]
        needed = images.closure(direct, self.images)
        strategy = target.discovery_strategy
        return {
            "apply_cmd": self.command(custom.apply) if custom else {},
            "delete_cmd": self.command(custom.delete) if custom else {},
            "kind": "k8s",
            "images": [self.image(self.images[name]) for name in needed],
            "pod_readiness": target.pod_readiness.value,
            "apply_timeout": _duration(self.project.settings.apply_timeout),
            "objects": [f"{m.id.kind}/{m.id.name}/{m.id.namespace}" for m in target.manifests],
            "port_forwards": [_forward(forward) for forward in target.port_forwards],
            "extra_pod_selectors": [dict(labels) for labels in target.extra_pod_selectors],
            "discovery_strategy": "" if strategy == "default" else strategy,
        }

    def compose(self, target: ComposeTarget) -> dict[str, Any]:
        project, folder = target.project, posixpath.basename(self.root)
        needed = images.closure([target.image] if target.image else [], self.images)
        built = [self.compose_build(target, target.build)] if target.build else []
        return {
            "kind": "compose",
            "images": [*(self.image(self.images[name]) for name in needed), *built],
            "service": target.service,
            "project": _filled(
                {
                    "name": _DATA_FOLDER if project.name == folder else project.name,
                    "config_paths": [self.compose_file(path) for path in project.files],
                    "project_path": self.path(project.dir),
                    "env_file": project.env_file and self.path(project.env_file),
                    "profiles": list(project.profiles),
                    "wait": project.wait,
                }
            ),
        }

    def compose_file(self, path: str) -> str:
        text = path.startswith("<")
        return f"$TILT_SCRATCH/{path.strip('<>')}" if text else self.path(path)

    def compose_build(self, target: ComposeTarget, build: ComposeBuild) -> dict[str, Any]:
        return {
            "ref": build.image,
            "builder": "compose",
            "service": target.service,
            "context": self.path(build.context),
            "ignores": [self.ignore(ignore) for ignore in build.ignore if ignore.patterns],
        }

    def image(self, image: Image) -> dict[str, Any]:
        found: dict[str, Any] = {
            "ref": image.name,
            "match_in_env_vars": image.match_in_env_vars,
            "entrypoint": list(image.entrypoint or ()),
            "container_args": list(image.container_args or ()),
            "image_deps": list(image.bases),
            "live_update": self.live_update(image.live_update),
        }
        match image.build:
            case DockerBuild() as build:
                found |= self.docker_build(build)
            case CustomBuild() as build:
                found |= self.custom_build(build)
        kept = _filled(found)
        kept["ignores"] = found["ignores"]
        return kept

    def docker_build(self, build: DockerBuild) -> dict[str, Any]:
        dockerfile = build.dockerfile or f"{build.context}/Dockerfile"
        base = self.path(build.context)
        patterns = [list(p) for p in (_given(build.ignore), _only(build.only)) if p]
        patterns += self.dockerignore(build)
        return {
            "builder": "docker",
            "context": base,
            "dockerfile": self.path(dockerfile),
            "build_args": [k if v is None else f"{k}={v}" for k, v in build.build_args.items()],
            "target": build.target,
            "platform": build.platform,
            "network": build.network,
            "ssh": list(build.ssh),
            "secret": list(build.secret),
            "cache_from": list(build.cache_from),
            "extra_tags": list(build.extra_tags),
            "extra_hosts": list(build.extra_hosts),
            "pull": build.pull,
            "ignores": [{"base": base, "patterns": p} for p in patterns],
        }

    def dockerignore(self, build: DockerBuild) -> list[list[str]]:
        for name in dockerignore.file_names(build.context, build.dockerfile or None):
            if Path(name).exists():
                lines = [line.strip() for line in Path(name).read_text("utf-8").splitlines()]
                return [[line for line in lines if line and not line.startswith("#")]]
        return []

    def custom_build(self, build: CustomBuild) -> dict[str, Any]:
        ignore = _given(build.ignore)
        deps = [self.path(dep) for dep in build.deps]
        return {
            "builder": "custom",
            "command": list(build.command.argv),
            "dir": self.path(build.command.dir),
            "env": _env(build.command),
            "deps": deps,
            "tag": build.tag,
            "outputs_image_ref_to": build.outputs_image_ref_to
            and self.path(build.outputs_image_ref_to),
            "ignores": [{"base": dep, "patterns": ignore} for dep in deps if ignore],
        }

    def live_update(self, steps: tuple[LiveUpdateStep, ...]) -> dict[str, Any]:
        if not steps:
            return {}
        restart = any(step.kind == "restart_container" for step in steps)
        runs = [step for step in steps if step.kind == "run"]
        found = {
            "base": ".",
            "restart_container": "always" if restart else "",
            "fall_back_on": [
                self.path(p) for s in steps if s.kind == "fall_back_on" for p in s.paths
            ],
            "sync": [[self.path(s.paths[0]), s.remote] for s in steps if s.kind == "sync"],
            "run": [
                _filled(
                    {
                        "args": list(s.argv),
                        "trigger": [self.path(p) for p in s.paths],
                        "echo_off": s.echo_off,
                    }
                )
                for s in runs
            ],
        }
        return _filled(found)

    def local(self, target: LocalTarget) -> dict[str, Any]:
        return {
            "kind": "local",
            "cmd": self.command(target.cmd),
            "serve_cmd": self.command(target.serve),
            "deps": [self.path(dep) for dep in target.deps],
            "allow_parallel": target.allow_parallel,
            "readiness_probe": _probe(target.readiness_probe) if target.readiness_probe else {},
            "ignores": [self.ignore(ignore) for ignore in target.ignore],
        }

    def command(self, command: Command | None) -> dict[str, Any]:
        if command is None:
            return {}
        return _filled(
            {"argv": list(command.argv), "dir": self.path(command.dir), "env": _env(command)}
        )

    def ignore(self, ignore: Ignore) -> dict[str, Any]:
        return _filled({"base": self.path(ignore.base), "patterns": list(ignore.patterns)})

    def settings(self) -> dict[str, Any]:
        settings = self.project.settings
        registry = settings.default_registry
        kubernetes = any(isinstance(r.target, KubernetesTarget) for r in self.project.resources)
        watch = [i for i in self.project.watch_ignores if i.source == "watch_settings()"]
        from_file = [i for i in self.project.watch_ignores if i.source != "watch_settings()"]
        return {
            "ci": {
                "timeout": _duration(settings.ci_timeout or 30 * 60),
                "readiness_timeout": _duration(settings.ci_readiness_timeout or 5 * 60),
                "k8s_grace_period": settings.k8s_grace_period
                and _duration(settings.k8s_grace_period),
            },
            "update": {
                "k8s_upsert_timeout": [_duration(settings.apply_timeout)] if kubernetes else [],
                "suppress_unused_image_warnings": list(settings.suppress_unused_image_warnings),
            },
            "default_registry": registry
            and _filled(
                {
                    "host": registry.host,
                    "host_from_cluster": registry.host_from_cluster,
                    "single_name": registry.single_name,
                }
            ),
            "watch_ignores": [self.ignore(i) | {"source": i.source} for i in watch],
            "tiltignore": [pattern for i in from_file for pattern in i.patterns],
        }


def _direct(manifests: tuple[Manifest, ...]) -> list[ImageName]:
    return [name for manifest in manifests for name in manifest.images]


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v not in ("", False, None) and v not in ([], {})}


def _given(ignore: tuple[str, ...]) -> list[str]:
    return [pattern for pattern in ignore if pattern not in {"Tiltfile", ".git"}]


def _only(paths: tuple[str, ...]) -> list[str]:
    return ["**", *(f"!{path}" for path in paths)] if paths else []


def _env(command: Command) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(command.env.items())]


def _forward(forward: PortForward) -> dict[str, Any]:
    return _filled(
        {
            "local": forward.local_port,
            "container": forward.container_port or None,
            "host": forward.host,
            "name": forward.name,
            "path": forward.link_path,
        }
    )


def _probe(probe: Probe) -> dict[str, Any]:
    match probe.check:
        case HttpGet() as check:
            path = "" if check.path == "/" else check.path
            action: dict[str, Any] = {
                "httpGet": _filled(
                    {
                        "path": path,
                        "port": check.port,
                        "host": check.host,
                        "scheme": check.scheme.upper(),
                    }
                )
            }
        case TcpSocket() as check:
            action = {"tcpSocket": {"port": check.port, "host": check.host}}
        case Exec() as check:
            action = {"exec": {"command": list(check.argv)}}
    default = Probe(probe.check)
    numbers = {
        "initialDelaySeconds": (probe.initial_delay, default.initial_delay),
        "timeoutSeconds": (probe.timeout, default.timeout),
        "periodSeconds": (probe.period, default.period),
        "successThreshold": (probe.success_threshold, default.success_threshold),
        "failureThreshold": (probe.failure_threshold, default.failure_threshold),
    }
    return action | {name: value for name, (value, usual) in numbers.items() if value != usual}


def _duration(seconds: float) -> str:
    """As Go prints it, for whole seconds."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    text = f"{left}s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
