"""The images that a build takes from others: which they are, and what is remembered of them.

`FROM x:1`, `COPY --from=x:1`, `RUN --mount=from=x:1` and `# syntax=x:1` name what somebody may push
anew at any time, so a key has to say more of them than the name.  What a reference pins by a digest
says all there is.  Only what the target uses counts, as `core.dockerfile` finds it.
"""

from collections.abc import Iterator, Mapping

from tiltd.core import dockerfile, reference
from tiltd.model.desired import DockerBuild, Image
from tiltd.model.observed import Grounds

BASE = "base "
PLATFORM = "platform"
UNKNOWN = " (nobody can tell its digest)"
_LOCAL = "local "


def references(image: Image, platform: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """The references of images that are not this project's, each once; pinned ones left out.

    Args:
        image: whose `bases` are this project's.
        platform: what is built for, where the Tiltfile names nothing.
        env: the session's environment, for build args without a value.
    """
    build = image.build
    if not isinstance(build, DockerBuild):
        return ()
    own = [reference.parse(name) for name in image.bases]
    found = dict.fromkeys(_named(build, build.platform or platform, env))
    return tuple(name for name in found if _counts(name, own))


def local(identifier: str) -> str:
    """What a key says of an image that is in no registry: its id, which other engines lack."""
    return f"{_LOCAL}{identifier}"


def remembered(image: Image, parts: Mapping[str, str], env: Mapping[str, str]) -> Grounds:
    """What stood in the parts of a key, for who can ask nobody."""
    platform = parts.get(PLATFORM, "")
    bases = {
        name: known if known and not known.endswith(UNKNOWN) else None
        for name in references(image, platform, env)
        for known in (parts.get(f"{BASE}{name}", ""),)
    }
    return Grounds(bases, platform)


def _named(build: DockerBuild, platform: str, env: Mapping[str, str]) -> Iterator[str]:
    args = {
        name: value
        for name, given in build.build_args.items()
        if (value := env.get(name) if given is None else given) is not None
    }
    try:
        if frontend := dockerfile.frontend(build.contents):
            yield frontend
        for each in platform.split(","):
            for base in dockerfile.base_images(build.contents, args, build.target, each):
                yield base.reference
    except dockerfile.DockerfileError:
        return  # the builder says so, with the line


def _counts(name: str, own: list[reference.Reference]) -> bool:
    try:
        image = reference.parse(name)
    except reference.InvalidReferenceError:
        return False  # the builder says so
    return not image.digest and not any(reference.matches(one, image) for one in own)
