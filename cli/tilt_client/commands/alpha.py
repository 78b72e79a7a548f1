"""`tilt-client alpha tiltfile-result`: the whole project, as JSON."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tilt_client import arguments, loading, questions
from tilt_client.complaint import Complaint, Exit

if TYPE_CHECKING:
    from tilt_api.v1 import tilt_pb2 as pb

_VERB = "tiltfile-result"
_SUMMARY = """\
Read the Tiltfile, and print all that it asks for as one JSON object: resources with their targets,
objects and dependencies, images, settings, and what is watched.

What the Tiltfile prints goes to standard error. Values of Secrets are masked."""
_CODES = """\
exit codes, as Tilt's: 0; 1 something else is wrong; 5 error in the Tiltfile: then `error` is all
that is in the object."""
_WRONG = 5


def run(argv: Sequence[str]) -> int:
    """Print the result; the exit code."""
    rest = list(argv)
    if _VERB not in rest:
        raise Complaint(
            "alpha takes one of: tiltfile-result", "tilt-client alpha tiltfile-result --help",
            code=Exit.USAGE,
        )  # fmt: skip
    rest.remove(_VERB)
    parser = arguments.Parser(f"alpha {_VERB}", _SUMMARY, epilog=_CODES)
    arguments.add(parser, *questions.FLAGS)
    found = arguments.parse(parser, rest)
    try:
        answer = loading.ask(found)
    except questions.RefusedError as error:
        _write({"error": _data(error.problem)})
        sys.stderr.write(f"{questions.complaint(error.problem)}\n")
        return _WRONG if error.problem.code != "usage" else Exit.FAILED
    except Complaint as complaint:
        complaint.code = Exit.FAILED
        raise
    _write(json.loads(answer.project))
    return 0


def _write(value: Any) -> None:
    sys.stdout.write(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n")


def _data(problem: "pb.Problem") -> dict[str, Any]:
    return {
        "code": problem.code,
        "message": problem.message,
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "hint": problem.hint,
        "detail": problem.detail,
    }
