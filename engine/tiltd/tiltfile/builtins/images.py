"""Images: `docker_build`, `custom_build`, `default_registry`, and the steps of `live_update`.

Source of names, defaults and checks: the Tiltfile API reference (tilt-dev/tilt.build).
"""

import posixpath
from collections.abc import Iterable, Iterator

from tiltd.core import reference, registry
from tiltd.model.desired import (
    CustomBuild,
    DockerBuild,
    Image,
    LiveUpdateStep,
    Registry,
)
from tiltd.model.names import ImageName
from tiltd.starlark.values import Value
from tiltd.tiltfile import live_update, paths
from tiltd.tiltfile.arguments import Arguments, shown
from tiltd.tiltfile.host_values import Wrapped
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading, UnusedStep
from tiltd.tiltfile.registry import Table

BUILTINS = Table()
_STEP_KIND = "live_update_{}_step"
_REPOSITORY = ".git"
_PLATFORM_VARIABLE = "DOCKER_DEFAULT_PLATFORM"
_GLOB_SPECIAL = str.maketrans({c: f"\\{c}" for c in "*?[]\\"})


@BUILTINS.add(
    "docker_build",
    "ref context build_args? dockerfile dockerfile_contents cache live_update match_in_env_vars "
    "ignore only entrypoint container_args target ssh secret network extra_tag cache_from pull "
    "platform extra_hosts",
)
def docker_build(reading: Reading, args: Arguments) -> Value:
    """Build an image from a context folder and a Dockerfile (reference: `docker_build`)."""
    name = _image_name(args)
    context = args.path("context")
    dockerfile, contents = _dockerfile(reading, args, context)
    _warn_of_cache(reading, args)
    for tag in args.texts("extra_tag"):
        args.checked("extra_tag", check_image, tag)
    build = DockerBuild(
        context=context,
        dockerfile=dockerfile,
        contents=contents,
        inline=not dockerfile,
        build_args={k: v or None for k, v in sorted(args.string_map("build_args").items())},
        target=args.text("target"),
        platform=args.stringable("platform") or reading.env.get(_PLATFORM_VARIABLE, ""),
        only=_only(args),
        ignore=(*_always_ignored(reading, [context]), *args.patterns("ignore")),
        extra_tags=args.texts("extra_tag"),
        network=args.stringable("network"),
        secret=args.texts("secret"),
        ssh=args.texts("ssh"),
        cache_from=args.texts("cache_from"),
        extra_hosts=args.texts("extra_hosts"),
        pull=args.flag("pull"),
    )
    reading.images.add(_image(reading, args, name, build))
    return None


@BUILTINS.add(
    "custom_build",
    "ref command deps tag? disable_push skips_local_docker live_update match_in_env_vars ignore "
    "entrypoint container_args command_bat_val outputs_image_ref_to command_bat image_deps env dir",
)
def custom_build(reading: Reading, args: Arguments) -> Value:
    """Build an image with a command of the user's (reference: `custom_build`)."""
    name = _image_name(args)
    command = args.command("command", dir="dir", env="env")
    if command is None:
        raise Mistake("custom_build: command= is empty", hint="give the command that builds")
    for windows in ("command_bat", "command_bat_val"):
        args.command(windows)  # for Windows; checked here, and not used
    outputs = args.path("outputs_image_ref_to") if args.has("outputs_image_ref_to") else ""
    if args.text("tag") and outputs:
        raise Mistake("custom_build: give either tag= or outputs_image_ref_to=, not both")
    image_deps = args.text_list("image_deps")
    for dep in image_deps:
        args.checked("image_deps", check_image, dep)
    deps = args.paths("deps")
    build = CustomBuild(
        command=command,
        deps=deps,
        ignore=(*_always_ignored(reading, deps), *args.patterns("ignore")),
        tag=args.text("tag"),
        disable_push=args.flag("disable_push"),
        skips_local_docker=args.flag("skips_local_docker"),
        outputs_image_ref_to=outputs,
    )
    reading.images.add(_image(reading, args, name, build), image_deps)
    return Wrapped("custom_build", name)


@BUILTINS.add("default_registry", "host host_from_cluster? single_name?")
def default_registry(reading: Reading, args: Arguments) -> Value:
    """Rename all images for one registry (reference: `default_registry`)."""
    if reading.settings.default_registry is not None:
        raise Mistake("default_registry: it is set already", hint="call default_registry only once")
    host, cluster, single = (
        args.text(part) for part in ("host", "host_from_cluster", "single_name")
    )
    try:
        registry.Registry(host, cluster, single)
    except registry.InvalidRegistryError as error:
        raise Mistake(f"default_registry: {error.reason}", hint=error.hint) from error
    chosen = Registry(host, cluster, single) if host else None
    reading.set(default_registry=chosen)
    return None


@BUILTINS.add("initial_sync")
def initial_sync(reading: Reading, args: Arguments) -> Value:
    """Step: copy all synced files when the container starts (reference: `initial_sync`)."""
    return _step(reading, args, LiveUpdateStep("initial_sync", place=reading.place()))


@BUILTINS.add("fall_back_on", "paths|files")
def fall_back_on(reading: Reading, args: Arguments) -> Value:
    """Step: a change to these files builds the image anew (reference: `fall_back_on`)."""
    step = LiveUpdateStep("fall_back_on", paths=args.paths("paths"), place=reading.place())
    return _step(reading, args, step)


@BUILTINS.add("sync", "local_path remote_path")
def sync(reading: Reading, args: Arguments) -> Value:
    """Step: copy changed files into the container (reference: `sync`)."""
    local = args.checked("local_path", reading.files.absolute, args.text("local_path"))
    remote = args.text("remote_path")
    return _step(
        reading, args, LiveUpdateStep("sync", (local,), remote=remote, place=reading.place())
    )


@BUILTINS.add("run", "cmd trigger? echo_off?")
def run(reading: Reading, args: Arguments) -> Value:
    """Step: run a command in the container (reference: `run`)."""
    argv = args.argv("cmd")
    if not argv:
        raise Mistake("run: cmd= is empty", hint="give the command to run in the container")
    triggers = tuple(
        args.checked("trigger", reading.files.absolute, path) for path in args.texts("trigger")
    )
    step = LiveUpdateStep(
        "run", triggers, argv=argv, echo_off=args.flag("echo_off"), place=reading.place()
    )
    return _step(reading, args, step)


@BUILTINS.add("restart_container")
def restart_container(reading: Reading, args: Arguments) -> Value:
    """Step: restart the container; for Docker Compose only (reference: `restart_container`)."""
    return _step(reading, args, LiveUpdateStep("restart_container", place=reading.place()))


def _image_name(args: Arguments) -> ImageName:
    return ImageName(args.checked("ref", check_image, args.text("ref")).familiar())


def check_image(text: str) -> reference.Reference:
    """A reference, or the mistake of writing none."""
    try:
        return reference.parse(text)
    except reference.InvalidReferenceError as error:
        raise Mistake(f"{text!r} is no image: {error.reason}", hint=error.hint) from error


def _image(
    reading: Reading, args: Arguments, name: ImageName, build: DockerBuild | CustomBuild
) -> Image:
    container_args = args.value("container_args")
    return Image(
        name=name,
        build=build,
        match_in_env_vars=args.flag("match_in_env_vars"),
        entrypoint=args.argv("entrypoint"),
        container_args=None if container_args is None else args.text_list("container_args"),
        live_update=steps_of(reading, args),
        place=reading.place(),
    )


def _dockerfile(reading: Reading, args: Arguments, context: str) -> tuple[str, str]:
    """The Dockerfile's path (empty for an inline one) and text."""
    if args.has("dockerfile_contents"):
        if args.has("dockerfile"):
            raise Mistake("docker_build: give either dockerfile= or dockerfile_contents=, not both")
        return "", args.stringable("dockerfile_contents")
    path = args.path("dockerfile") if args.has("dockerfile") else _join(context, "Dockerfile")
    try:
        return path, reading.files.read(path, "Dockerfile")
    except FileNotFoundError as error:
        mistake = reading.files.unreadable(path, "Dockerfile", error)
        if not paths.is_folder(context):
            mistake.hint = f"there is no folder {reading.files.shown(context)}"
        raise mistake from error


def _join(folder: str, name: str) -> str:
    return posixpath.join(folder, name)


def _only(args: Arguments) -> tuple[str, ...]:
    paths = args.patterns("only")
    for path in paths:
        if "*" in path:
            raise Mistake(
                f"docker_build: only= takes paths as they are called, not the pattern {path!r}",
                hint="use ignore= for patterns",
            )
    return paths


def _always_ignored(reading: Reading, folders: Iterable[str]) -> Iterator[str]:
    """The Tiltfile itself and `.git`, as patterns: a change to them is no change to the image."""
    tiltfile = reading.files.current
    ignored: dict[str, None] = {}
    for folder in folders:
        if live_update.inside(tiltfile, folder) and tiltfile != folder:
            ignored[posixpath.relpath(tiltfile, folder).translate(_GLOB_SPECIAL)] = None
        if paths.is_folder(_join(folder, _REPOSITORY)):
            ignored[_REPOSITORY] = None
    return iter(ignored)


def _warn_of_cache(reading: Reading, args: Arguments) -> None:
    if args.has("cache"):
        reading.warn("docker_build: cache= does nothing any more (use RUN --mount=type=cache)")


def _step(reading: Reading, args: Arguments, step: LiveUpdateStep) -> Value:
    kind = _STEP_KIND.format(step.kind)
    value = Wrapped(kind, step)
    reading.unused_steps[str(step.place)] = UnusedStep(step, f"{args.call}()")
    return value


def steps_of(reading: Reading, args: Arguments) -> tuple[LiveUpdateStep, ...]:
    """The argument `live_update`, in the right order."""
    steps: list[LiveUpdateStep] = []
    for item in args.items("live_update"):
        if not isinstance(item, Wrapped) or not isinstance(item.value, LiveUpdateStep):
            raise Mistake(
                f"{args.call}: live_update= must be a list of steps, but it contains {shown(item)}",
                hint="steps are made by sync(), run(), fall_back_on() and their kin",
            )
        steps.append(item.value)
        reading.unused_steps.pop(str(item.value.place), None)
    live_update.check_order(steps)
    return tuple(steps)
