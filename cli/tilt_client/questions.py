"""Questions about a Tiltfile that need no session.

A daemon that runs is asked, also beside its session; else one is started for this question alone.
"""

import argparse
import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tilt_client import arguments, connect
from tilt_client.commands import options
from tilt_client.complaint import Complaint, Exit
from tilt_client.spawn import Start

if TYPE_CHECKING:
    from tilt_api.client import Client
    from tilt_api.v1 import tilt_pb2 as pb

PATIENCE = 900.0
"""Seconds; a Tiltfile may run programs that take long."""
_SHARED = {"--namespace", "--no-color"}
FLAGS: tuple[arguments.Flag, ...] = (
    arguments.FILE,
    arguments.CONTEXT,
    *(flag for flag in arguments.SESSION if _SHARED & set(flag[0])),
)
_Answer = TypeVar("_Answer")


class RefusedError(Exception):
    """The daemon can't answer, for a reason of the user's.

    Attributes:
        problem: why, and where.
    """

    def __init__(self, problem: "pb.Problem") -> None:
        super().__init__(problem.message)
        self.problem = problem


def ask(found: argparse.Namespace, put: Callable[["Client", dict[str, Any]], _Answer]) -> _Answer:
    """The daemon's answer.

    Args:
        found: the command line, with `FLAGS`.
        put: asks, given the client and the fields that every such request has.

    Raises:
        RefusedError: a problem of the Tiltfile, the cluster …
        Complaint: there is no answer, for another reason.
    """
    tiltfile = options.tiltfile(found.file)
    with connect.ensured(tiltfile, Start("plan", passing=True), _import, _quiet) as link:
        from tilt_api.client import CallError  # noqa: PLC0415 - see `connect`
        from tilt_client import beginning  # noqa: PLC0415

        fields: dict[str, Any] = {
            "tiltfile_path": tiltfile,
            "args": found.args,
            "context": found.context,
            "namespace": found.namespace,
            "env": beginning.environment(),
            "working_dir": os.getcwd(),  # noqa: PTH109 - pathlib costs 5 ms of start-up
        }
        try:
            return put(link.client, fields)
        except CallError as error:
            if error.lost:
                raise connect.gone(link.home, link.own) from error
            if error.problem.message:
                raise RefusedError(error.problem) from error
            raise Complaint(str(error)) from error


def complaint(problem: "pb.Problem") -> Complaint:
    """A problem as every verb tells it; a wrong Tiltfile is exit code 2."""
    code = Exit.USAGE if problem.code == "tiltfile" else Exit.FAILED
    return Complaint(placed(problem), problem.hint, problem.detail, code)


def placed(problem: "pb.Problem") -> str:
    """`Tiltfile:3:1: what is wrong`."""
    place = ":".join([problem.file, *(str(n) for n in (problem.line, problem.column) if n)])
    return f"{place}: {problem.message}" if problem.file else problem.message


def _import() -> None:
    importlib.import_module("tilt_client.beginning")


def _quiet(_text: str) -> None:
    """Standard output is the answer's alone."""
