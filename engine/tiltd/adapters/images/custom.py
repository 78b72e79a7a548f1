"""`custom_build`: a command of the user's makes the image.

The command learns what is expected of it from its environment, as Tilt's guide "Custom Build
Scripts" and the reference of `custom_build` describe: `EXPECTED_REF` (the whole reference),
`EXPECTED_IMAGE` (its path without the registry), `EXPECTED_TAG`, `EXPECTED_REGISTRY` (and, older,
`REGISTRY_HOST`), and `TILT_IMAGE_0` … for the images of `image_deps`.

There are three ways to say where the image is afterwards: under `EXPECTED_REF`; with `tag=`,
under the declared name (of no registry) and that tag; or under the reference that the command
writes to `outputs_image_ref_to`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from tiltd import ports
from tiltd.adapters.images import tail
from tiltd.core import reference
from tiltd.model.actions import EnsureImage, ImageRefs
from tiltd.model.desired import Command, CustomBuild
from tiltd.model.problems import Code, Place, Problem


def expected(action: EnsureImage, build: CustomBuild) -> str:
    """The reference under which the command must leave the image."""
    if not build.tag:
        return action.refs.local
    if "/" in build.tag or ":" in build.tag:  # a whole reference, as in the guide
        return build.tag
    return reference.parse(action.image.name).with_tag(build.tag).familiar()


def environment(action: EnsureImage, build: CustomBuild) -> dict[str, str]:
    """What the command gets in its environment on top of its own."""
    values: dict[str, str] = {}
    if not build.outputs_image_ref_to:
        ref = reference.parse(expected(action, build))
        values["EXPECTED_REF"] = ref.familiar()
        values["EXPECTED_IMAGE"] = ref.path
        values["EXPECTED_TAG"] = ref.tag or ""
    if host := _registry(action):
        values["EXPECTED_REGISTRY"] = values["REGISTRY_HOST"] = host
    for number, base in enumerate(action.image.bases):
        if ref_of_base := action.bases.get(base):
            values[f"TILT_IMAGE_{number}"] = ref_of_base
    return values


def _registry(action: EnsureImage) -> str:
    """The registry that the image's name was moved to, or has by itself."""
    local = reference.parse(action.refs.local)
    declared = reference.parse(action.image.name)
    if local.repository != declared.repository:
        return local.familiar_repository.rpartition("/")[0]
    return "" if local.domain == reference.HUB else local.domain


async def run(
    action: EnsureImage,
    build: CustomBuild,
    processes: ports.Processes,
    env: Mapping[str, str],
    log: ports.Log,
) -> ImageRefs:
    """Run the command; the names of what it made (whether it really did is not checked here).

    Raises:
        PermanentError: the command failed, or wrote no usable reference.
    """
    output = Path(build.outputs_image_ref_to) if build.outputs_image_ref_to else None
    if output is not None:
        output.unlink(missing_ok=True)  # that of the last run must not be taken for this one's
    added = environment(action, build)
    shown = _shown(build.command)
    log.write(f"{shown}\n" + "".join(f"  {name}={value}\n" for name, value in added.items()))
    kept = tail.Tail(log)
    command = dataclasses.replace(build.command, env={**build.command.env, **added})
    code = await processes.run(command, env, kept)
    if code:
        raise ports.PermanentError(
            Problem(
                Code.BUILD,
                f"building {action.image.name} failed: `{shown}` {_ended(code)}",
                place=action.image.place,
                detail=kept.text(),
            )
        )
    if output is not None:
        return _written(action, output)
    if build.tag and build.skips_local_docker:
        name = expected(action, build)
        return ImageRefs(name, name, action.refs.push)
    return action.refs


def _shown(command: Command) -> str:
    shell = 3
    if command.argv[:2] == ("sh", "-c") and len(command.argv) == shell:
        return command.argv[2].strip()
    return " ".join(command.argv)


def _ended(code: int) -> str:
    return f"exited with code {code}" if code > 0 else f"was ended by signal {-code}"


def _written(action: EnsureImage, output: Path) -> ImageRefs:
    place = Place(str(output))
    try:
        text = output.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise _no_reference(
            action, f"it did not leave its reference in outputs_image_ref_to: {reason}", place
        ) from error
    try:
        ref = reference.parse(text)
    except reference.InvalidReferenceError as error:
        raise _no_reference(action, f"what it wrote, {error}", place) from error
    if not ref.tag and not ref.digest:
        raise _no_reference(action, f"it wrote {text!r}, which has no tag", place)
    local = ref.familiar()
    return ImageRefs(local, _in_cluster(action.refs, local), action.refs.push)


def _no_reference(action: EnsureImage, reason: str, place: Place) -> ports.PermanentError:
    return ports.PermanentError(
        Problem(
            Code.BUILD,
            f"building {action.image.name} failed after its command succeeded: {reason}",
            place=place,
            hint="the command must write one reference with a tag, such as host/name:tag",
        )
    )


def _in_cluster(refs: ImageRefs, local: str) -> str:
    """`local` as the cluster names it: the hosts differ as those of `refs` do."""
    here, there = refs.local.split("/"), refs.in_cluster.split("/")
    while here and there and here[-1] == there[-1]:
        here, there = here[:-1], there[:-1]
    written = local.split("/")
    if not here or written[: len(here)] != here:
        return local
    return "/".join([*there, *written[len(here) :]])
