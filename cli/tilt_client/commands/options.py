"""What `ci` and `up` were asked for, out of their common flags."""

import argparse
import os
from typing import NamedTuple

from tilt_client.complaint import Complaint, Exit
from tilt_client.outputs import wanted
from tilt_client.outputs.wanted import Wanted
from tilt_client.reuse import Reuse
from tilt_client.reuse import read as reused


class Options(NamedTuple):
    """A session as the user wants it; `None` leaves a limit to the Tiltfile. Seconds.

    Args:
        down: remove afterwards what was applied.
        delete_namespaces: when removing, Namespaces too.
        reuse: what is taken over from earlier sessions.
        outputs: what to write besides.
    """

    tiltfile: str
    args: tuple[str, ...]
    context: str
    namespace: str
    timeout: float | None
    readiness_timeout: float | None
    stable_for: float | None
    crash_budget: int | None
    grace: float | None
    log_source: str
    log_resources: frozenset[str]
    log_level: str
    no_color: bool
    keep_going: bool = False
    down: bool = False
    delete_namespaces: bool = False
    reuse: Reuse = Reuse()
    outputs: Wanted = Wanted()


def read(found: argparse.Namespace) -> Options:
    """Options out of parsed arguments.

    Raises:
        Complaint: the Tiltfile isn't there, or a file can't be written.
    """
    names = (name.strip() for given in found.log_resource for name in given.split(","))
    return Options(
        tiltfile=tiltfile(found.file),
        args=tuple(found.args),
        context=found.context,
        namespace=found.namespace,
        timeout=getattr(found, "timeout", None),
        readiness_timeout=found.readiness_timeout,
        stable_for=found.stable_for,
        crash_budget=found.crash_budget,
        grace=found.grace,
        log_source=found.log_source,
        log_resources=frozenset(name for name in names if name),
        log_level=found.log_level,
        no_color=found.no_color,
        keep_going=getattr(found, "keep_going", False),
        down=getattr(found, "down", False),
        delete_namespaces=getattr(found, "delete_namespaces", False),
        reuse=reused(found),
        outputs=_outputs(found),
    )


def _outputs(found: argparse.Namespace) -> Wanted:
    if "report" in found:
        return wanted.read(found, os.environ)
    return Wanted(quiet=getattr(found, "quiet", False))


def tiltfile(given: str) -> str:
    """The absolute path of the Tiltfile.

    Raises:
        Complaint: there is none.
    """
    path = os.path.abspath(given)  # noqa: PTH100 - pathlib costs 5 ms of start-up
    if os.path.isfile(path):  # noqa: PTH113
        return path
    if os.path.isdir(path):  # noqa: PTH112
        raise Complaint(
            f"{path} is a folder, not a Tiltfile",
            f"-f {given.rstrip('/')}/Tiltfile",
            code=Exit.USAGE,
        )
    raise Complaint(
        f"there is no Tiltfile at {path}",
        "go to the project's folder, or name it with -f",
        code=Exit.USAGE,
    )
