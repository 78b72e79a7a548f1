"""`tilt-client lint`: is the Tiltfile right?"""

import sys
from collections.abc import Sequence

from tilt_client import arguments, loading, questions
from tilt_client.complaint import Exit

_SUMMARY = """\
Read the Tiltfile, and tell its errors and warnings.

Neither cluster nor engine is touched, and nothing is built or deployed. Images that nothing uses
are among the warnings. What the Tiltfile itself runs (local, helm, kustomize) is run."""
_CODES = """\
exit codes: 0; with --strict 1 if there are warnings; 2 error in the Tiltfile or on the command
line."""
_STRICT: arguments.Flag = (
    ("--strict",),
    {"action": "store_true", "help": "exit with 1 if there are warnings"},
)


def run(argv: Sequence[str]) -> int:
    """Print errors and warnings; the exit code."""
    parser = arguments.Parser("lint", _SUMMARY, epilog=_CODES)
    arguments.add(parser, _STRICT, *questions.FLAGS)
    found = arguments.parse(parser, argv)
    try:
        answer = loading.ask(found)
    except questions.RefusedError as error:
        raise questions.complaint(error.problem) from error
    for warning in answer.warnings:
        sys.stdout.write(f"warning: {questions.placed(warning)}\n")
    sys.stdout.write(f"{_summary(answer.resources, answer.images, len(answer.warnings))}\n")
    return Exit.FAILED if found.strict and answer.warnings else 0


def _summary(resources: int, images: int, warnings: int) -> str:
    return (
        f"No errors, {_counted(warnings, 'warning')}: "
        f"{_counted(resources, 'resource')}, {_counted(images, 'image')}"
    )


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
