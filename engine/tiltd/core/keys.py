"""Keys: one digest over everything that a piece of work depends on.

Equal keys mean no work.  A key never holds a timestamp or a path of this machine, so that two
machines with the same files agree.
"""

import hashlib
import json
from collections.abc import Mapping

from tiltd.core import secret
from tiltd.model.desired import Command, CustomBuild, DockerBuild, Image
from tiltd.model.names import ImageName
from tiltd.model.observed import Grounds

TAG_DIGITS = 16
MISSING = "missing"
"""Stands in a key for the content of a secret that can't be read."""


def image_key(
    image: Image,
    inputs: str,
    bases: Mapping[ImageName, str],
    env: Mapping[str, str],
    grounds: Grounds,
) -> str:
    """The key of an image: the digest of its parts, see `image_parts`."""
    parts = image_parts(image, inputs, bases, env, grounds)
    options = {k: v for k, v in parts.items() if k not in {"inputs", "bases"}}
    return digest({"options": options, "inputs": parts["inputs"], "bases": parts["bases"]})


def image_parts(
    image: Image,
    inputs: str,
    bases: Mapping[ImageName, str],
    env: Mapping[str, str],
    grounds: Grounds,
) -> dict[str, object]:
    """All that the key of an image covers, by name.

    Args:
        image: how it is built.
        inputs: digest of the files that the build reads, after all ignores; the text of the
            Dockerfile is keyed beside it, since the builder gets it as the Tiltfile read it.
        bases: the keys of the project's images that it is built on.
        env: the session's environment, for build args without a value.
        grounds: what was found outside of the project. An image whose digest nobody could tell
            counts by its reference alone, a secret that can't be read by its id.
    """
    match image.build:
        case DockerBuild() as build:
            options: dict[str, object] = {
                "builder": "docker",
                "contents": build.contents,
                "args": {k: env.get(k) if v is None else v for k, v in build.build_args.items()},
                "target": build.target,
                "platform": build.platform or grounds.platform,
                "foreign": {ref: found or ref for ref, found in grounds.bases.items()},
                "network": build.network,
                "secret": {
                    one.id: grounds.secrets.get(one.id) or MISSING
                    for one in map(secret.parse, build.secret)
                },
                "ssh": sorted(s.partition("=")[0] for s in build.ssh),
                "hosts": sorted(build.extra_hosts),
            }
        case CustomBuild() as build:
            options = {
                "builder": "custom",
                "argv": build.command.argv,
                "env": dict(build.command.env),
                "tag": build.tag,
            }
    return {**options, "inputs": inputs, "bases": {str(k): v for k, v in bases.items()}}


def tag(key: str) -> str:
    """The image tag that carries a key."""
    return f"tilt-{key[:TAG_DIGITS]}"


def command_key(command: Command, generation: int) -> str:
    """The key of a local command: what is run, and the how-manieth wish for it this is."""
    return digest([command.argv, command.dir, dict(command.env), generation])


def digest(value: object) -> str:
    """SHA-256 (hex) over the canonical JSON of `value`."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
