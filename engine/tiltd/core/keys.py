"""Keys: one digest over everything that a piece of work depends on.

Equal keys mean no work.  A key never holds a timestamp or a path of this machine, so that two
machines with the same files agree.
"""

import hashlib
import json
import posixpath
from collections.abc import Mapping

from tiltd.model.desired import Command, CustomBuild, DockerBuild, Image
from tiltd.model.names import ImageName

TAG_DIGITS = 16


def image_key(
    image: Image, inputs: str, bases: Mapping[ImageName, str], env: Mapping[str, str]
) -> str:
    """The key of an image: the digest of its parts, see `image_parts`."""
    parts = image_parts(image, inputs, bases, env)
    options = {k: v for k, v in parts.items() if k not in {"inputs", "bases"}}
    return digest({"options": options, "inputs": parts["inputs"], "bases": parts["bases"]})


def image_parts(
    image: Image, inputs: str, bases: Mapping[ImageName, str], env: Mapping[str, str]
) -> dict[str, object]:
    """All that the key of an image covers, by name.

    Args:
        image: how it is built.
        inputs: digest of the files that the build reads, after all ignores; the text of the
            Dockerfile is keyed beside it, since the builder gets it as the Tiltfile read it.
        bases: the keys of the project's images that it is built on.
        env: the session's environment, for build args without a value.
    """
    match image.build:
        case DockerBuild() as build:
            options: dict[str, object] = {
                "builder": "docker",
                "contents": build.contents,
                "args": {k: env.get(k) if v is None else v for k, v in build.build_args.items()},
                "target": build.target,
                "platform": build.platform,
                "network": build.network,
                "secret": sorted(map(_secret_id, build.secret)),
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


def _secret_id(secret: str) -> str:
    """`id=token,src=/home/me/token` is known by its id alone: a path differs between machines.

    Without an id, the name of the file or variable is the id (`docker build --secret`).
    """
    parts = (f.partition("=") for f in secret.split(","))
    fields = {name: value for name, _, value in parts}
    given = fields.get("id")
    source = next((fields[k] for k in ("src", "source", "env") if k in fields), secret)
    return given or posixpath.basename(source)


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
