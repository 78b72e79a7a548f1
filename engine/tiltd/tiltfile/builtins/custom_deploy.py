"""`k8s_custom_deploy`: a resource whose objects a command of the user's applies.

Source of names, defaults and checks: the Tiltfile API reference (tilt-dev/tilt.build).
"""

from collections.abc import Sequence

from tiltd.model.desired import Command, CustomDeploy, Ignore, LiveUpdateStep
from tiltd.starlark import Value
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.builtins.images import check_image, steps_of
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import CustomResource, Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()


@BUILTINS.add(
    "k8s_custom_deploy",
    "name apply_cmd delete_cmd deps image_selector? live_update? apply_dir? apply_env? "
    "apply_cmd_bat? delete_dir? delete_env? delete_cmd_bat? container_selector? image_deps?",
)
def k8s_custom_deploy(reading: Reading, args: Arguments) -> Value:
    """Make a resource that is deployed by a command (reference: `k8s_custom_deploy`)."""
    name = args.name("name")
    if not name:
        raise Mistake("k8s_custom_deploy: name= is empty", hint="give the resource a name")
    for windows in ("apply_cmd_bat", "delete_cmd_bat"):
        args.command(windows)  # for Windows; checked here, and not used
    known = reading.kubernetes.custom.get(name)
    if known is not None:
        raise Mistake(
            f"k8s_custom_deploy: there is a resource {name!r} already",
            hint=f"it was declared at {known.place}; give one of them another name",
        )
    steps = steps_of(reading, args)
    _check_selectors(args, steps)
    for text in args.texts("image_deps"):
        args.checked("image_deps", check_image, text)
    deploy = CustomDeploy(
        apply=_command(args, "apply"),
        delete=_command(args, "delete"),
        deps=args.paths("deps"),
        ignore=tuple(_live_updated(reading, steps)),
        image_selector=args.text("image_selector"),
        container_selector=args.text("container_selector"),
        live_update=steps,
    )
    reading.kubernetes.custom[name] = CustomResource(
        name, deploy, args.texts("image_deps"), reading.place()
    )
    return None


def _command(args: Arguments, name: str) -> Command:
    command = args.command(f"{name}_cmd", dir=f"{name}_dir", env=f"{name}_env")
    if command is None:
        raise Mistake(f"{args.call}: {name}_cmd= is empty", hint="give the command to run")
    return command


def _check_selectors(args: Arguments, steps: Sequence[LiveUpdateStep]) -> None:
    names = [name for name in ("image_selector", "container_selector") if args.text(name)]
    if args.text("image_selector"):
        args.checked("image_selector", check_image, args.text("image_selector"))
    if steps and len(names) != 1:
        raise Mistake(
            f"{args.call}: live_update= needs exactly one of image_selector= and "
            f"container_selector=, and there {'are both' if names else 'is none'}",
            hint="say which containers are to be updated",
        )


def _live_updated(reading: Reading, steps: Sequence[LiveUpdateStep]) -> list[Ignore]:
    """What `live_update` copies needs no deploy, as in Tilt."""
    paths = [p for s in steps if s.kind in {"sync", "fall_back_on"} for p in s.paths]
    return [
        Ignore(reading.files.folder, (reading.files.relative(path),), "live_update")
        for path in dict.fromkeys(paths)
    ]
