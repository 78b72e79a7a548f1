"""What a session takes over from earlier ones, and what it does to what they left."""

import argparse
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tilt_api.v1 import tilt_pb2 as pb
    from tilt_client.arguments import Flag

NO_DRIFT: "Flag" = (
    ("--no-drift",),
    {
        "action": "store_true",
        "help": "fail where somebody else has changed an object, instead of putting it right",
    },
)
NO_HEAL: "Flag" = (
    ("--no-heal",),
    {
        "action": "store_true",
        "help": "only tell what somebody else has changed in the cluster, and leave it so",
    },
)
FLAGS: "tuple[Flag, ...]" = (
    (
        ("--cache",),
        {
            "choices": ("write", "read", "off"),
            "default": "write",
            "help": "images: use what is there and leave ours for others (write, the default), "
            "only use (read), neither (off)",
        },
    ),
    (
        ("--rebuild",),
        {
            "metavar": "NAME",
            "action": "append",
            "default": [],
            "help": "build this image again, whatever is there, and all that is built on it; of a "
            "resource: all its images; several: repeat it, or separate by commas",
        },
    ),
    (
        ("--no-prune",),
        {"action": "store_true", "help": "leave objects that are no longer in the Tiltfile"},
    ),
)


class Reuse(NamedTuple):
    """As the user wants it; see the flags."""

    cache: str = "write"
    rebuild: tuple[str, ...] = ()
    no_prune: bool = False
    no_drift: bool = False
    no_heal: bool = False


def read(found: argparse.Namespace) -> Reuse:
    """Out of parsed arguments; a verb without these flags has the defaults."""
    if "rebuild" not in found:
        return Reuse()
    names = (name.strip() for given in found.rebuild for name in given.split(","))
    rebuild = tuple(name for name in names if name)
    only_ci, only_up = getattr(found, "no_drift", False), getattr(found, "no_heal", False)
    return Reuse(found.cache, rebuild, found.no_prune, only_ci, only_up)


def ask(request: "pb.StartSessionRequest", wanted: Reuse) -> "pb.StartSessionRequest":
    """Put it into a request."""
    from tilt_api.v1 import tilt_pb2 as pb  # noqa: PLC0415 - see `connect`

    request.cache = pb.Cache.Value(f"CACHE_{wanted.cache.upper()}")
    request.rebuild.extend(wanted.rebuild)
    request.no_prune, request.no_drift = wanted.no_prune, wanted.no_drift
    request.no_heal = wanted.no_heal
    return request
