"""Asks a daemon for a plan: what `plan`, `diff`, `keys`, `why` and `graph` show, each in its way.

The asking itself is in `questions`.
"""

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from tilt_client import questions, terminal
from tilt_client.arguments import Flag
from tilt_client.complaint import Complaint, Exit

if TYPE_CHECKING:
    from tilt_api.client import Client
    from tilt_api.v1 import tilt_pb2 as pb

_FORMAT = "tiltd-plan-1"
OFFLINE: Flag = (
    ("--offline",),
    {
        "action": "store_true",
        "help": "ask neither cluster nor engine nor registry: compare with the last run from here",
    },
)


def output(*formats: str) -> Flag:
    """`-o`, with the first format as its default."""
    how = {"metavar": "FORMAT", "choices": formats, "default": formats[0]}
    return ("-o", "--output"), {**how, "help": f"{', '.join(formats)} (default: {formats[0]})"}


def ask(found: argparse.Namespace, *, offline: bool) -> "pb.PlanResponse":
    """The plan; what the Tiltfile prints goes to standard error.

    Raises:
        Complaint: there is none, for the reason that it tells.
    """

    def plan(client: "Client", fields: dict[str, Any]) -> "pb.PlanResponse":
        from tilt_api.v1 import tilt_pb2 as pb  # noqa: PLC0415 - see `connect`

        return client.plan(pb.PlanRequest(**fields, offline=offline), questions.PATIENCE)

    try:
        answer = questions.ask(found, plan)
    except questions.RefusedError as error:
        raise questions.complaint(error.problem) from error
    for line in answer.log:
        sys.stderr.write(f"{line.text}\n")
    for warning in answer.warnings:
        sys.stderr.write(f"warning: {questions.placed(warning)}\n")
    return answer


def save(answer: "pb.PlanResponse", path: str) -> None:
    """Write what a plan promises.

    Raises:
        Complaint: the file can't be written.
    """
    from tilt_client.render import plan  # noqa: PLC0415 - see `connect`

    kept = {"format": _FORMAT, "context": answer.context, "namespace": answer.namespace}
    text = json.dumps({**kept, "nodes": plan.essence(answer)}, indent=2, ensure_ascii=False)
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - as elsewhere
            file.write(f"{text}\n")
    except OSError as error:
        raise Complaint(f"can't write {path}: {error.strerror}") from error


def verify(found: argparse.Namespace, path: str) -> None:
    """Look again, and make sure that what would be done is what was planned.

    Raises:
        Complaint: something has moved, or the file holds no plan.
    """
    kept = _kept(path)
    answer = ask(found, offline=False)
    from tilt_client.render import plan  # noqa: PLC0415 - see `connect`

    where = {"context": answer.context, "namespace": answer.namespace}
    elsewhere = [f"{name} is {now}" for name, now in where.items() if kept.get(name) != now]
    moved = elsewhere or plan.moved(kept["nodes"], plan.essence(answer))
    if moved:
        hint = "look at what is to be done now: tilt-client plan"
        raise Complaint(f"something has moved since {path} was made", hint, "\n".join(moved))


def _kept(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as elsewhere
            kept = json.load(file)
    except OSError as error:
        raise Complaint(f"can't read {path}: {error.strerror}", code=Exit.USAGE) from error
    except ValueError:
        kept = None
    found = cast("dict[str, Any]", kept) if isinstance(kept, dict) else {}
    if found.get("format") != _FORMAT:
        hint = "make one: tilt-client plan --out FILE"
        raise Complaint(f"{path} holds no plan", hint, code=Exit.USAGE)
    return found


def matching(answer: "pb.PlanResponse", text: str) -> "list[pb.PlannedNode]":
    """The nodes that a user means: by id, by name, or all of a resource.

    Raises:
        Complaint: there is none; similar ones are named.
    """
    for found in (
        [n for n in answer.nodes if text in {n.id, n.name} and not n.id.startswith("resource/")],
        [n for n in answer.nodes if n.name.startswith(f"{text} (")],
        [n for n in answer.nodes if n.resource == text and not n.id.startswith("resource/")],
    ):
        if found:
            return found
    names = [n.name if n.id.startswith("object/") else n.id for n in answer.nodes]
    near = difflib.get_close_matches(text, names, 3, 0.5) or names[:5]
    raise Complaint(f"there is no node {text!r}", f"there are: {', '.join(near)}", code=Exit.USAGE)


def named(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Flags and a node; what follows `--` is the Tiltfile's."""
    before, after = list(argv), list[str]()
    if "--" in before:
        at = before.index("--")
        before, after = before[:at], before[at + 1 :]
    found = parser.parse_intermixed_args(before)
    found.args = after
    return found


def write(lines: Sequence[str], found: argparse.Namespace) -> None:
    """Print lines."""
    terminal.standard(no_color=found.no_color).print(lines)


def write_json(value: Any) -> None:
    """Print data."""
    sys.stdout.write(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n")
