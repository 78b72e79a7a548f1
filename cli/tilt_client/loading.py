"""Asks a daemon what a Tiltfile asks for: what `lint` and `alpha tiltfile-result` show.

A daemon that runs is asked, also beside its session; else one is started for this question alone.
Neither cluster nor engine is touched; what the Tiltfile itself runs (`local`), it runs.
"""

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING

from tilt_client import arguments, connect
from tilt_client.commands import options
from tilt_client.complaint import Complaint, Exit
from tilt_client.spawn import Start

if TYPE_CHECKING:
    from tilt_api.v1 import tilt_pb2 as pb

_PATIENCE = 900.0
"""Seconds; a Tiltfile may run programs that take long."""
_SHARED = {"--namespace", "--no-color"}
FLAGS: tuple[arguments.Flag, ...] = (
    arguments.FILE,
    arguments.CONTEXT,
    *(flag for flag in arguments.SESSION if _SHARED & set(flag[0])),
)


class WrongError(Exception):
    """The Tiltfile is wrong.

    Attributes:
        problem: why, and where.
    """

    def __init__(self, problem: "pb.Problem") -> None:
        super().__init__(problem.message)
        self.problem = problem


def ask(found: argparse.Namespace) -> "pb.LoadResponse":
    """What the Tiltfile asks for; what it prints goes to standard error.

    Raises:
        WrongError: the Tiltfile is wrong.
        Complaint: it can't be told, for another reason.
    """
    tiltfile = options.tiltfile(found.file)
    with connect.ensured(tiltfile, Start("plan", passing=True), _import, _quiet) as link:
        from tilt_api.client import CallError  # noqa: PLC0415 - see `connect`
        from tilt_api.v1 import tilt_pb2 as pb  # noqa: PLC0415
        from tilt_client import session  # noqa: PLC0415

        request = pb.LoadRequest(
            tiltfile_path=tiltfile,
            args=found.args,
            context=found.context,
            namespace=found.namespace,
            env=session.environment(),
            working_dir=os.getcwd(),  # noqa: PTH109 - pathlib costs 5 ms of start-up
        )
        try:
            answer = link.client.load(request, _PATIENCE)
        except CallError as error:
            if error.lost:
                raise connect.gone(link.home, link.own) from error
            if error.problem.message:
                raise WrongError(error.problem) from error
            raise Complaint(str(error)) from error
    for line in answer.log:
        if line.level > pb.LOG_LEVEL_DEBUG:
            sys.stderr.write(f"{line.text}\n")
    return answer


def complaint(problem: "pb.Problem") -> Complaint:
    """A wrong Tiltfile, as every verb tells it."""
    return Complaint(placed(problem), problem.hint, problem.detail, Exit.USAGE)


def placed(problem: "pb.Problem") -> str:
    """`Tiltfile:3:1: what is wrong`."""
    place = ":".join([problem.file, *(str(n) for n in (problem.line, problem.column) if n)])
    return f"{place}: {problem.message}" if problem.file else problem.message


def _import() -> None:
    importlib.import_module("tilt_client.session")


def _quiet(_text: str) -> None:
    """Standard output is the answer's alone."""
