"""A plan as lines, and as plain data for machines (docs/plan.md).

The lines are a tree: the resources in the order in which they come up, below each its images and
objects, below each object the fields that change.  What is left alone is counted.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import style
from tilt_client.render.style import Style, Tone

_WORDS = {
    pb.PLANNED_STEP_BUILD: ("build", Tone.WARN),
    pb.PLANNED_STEP_PUSH: ("push", Tone.WARN),
    pb.PLANNED_STEP_CREATE: ("create", Tone.GOOD),
    pb.PLANNED_STEP_CHANGE: ("change", Tone.WARN),
    pb.PLANNED_STEP_RECREATE: ("recreate", Tone.BAD),
    pb.PLANNED_STEP_DELETE: ("delete", Tone.BAD),
    pb.PLANNED_STEP_RUN: ("run", Tone.QUIET),
    pb.PLANNED_STEP_REFUSED: ("refused", Tone.BAD),
    pb.PLANNED_STEP_UNKNOWN: ("unknown", Tone.WARN),
}
_LEFT_ALONE = (pb.PLANNED_STEP_NOTHING, pb.PLANNED_STEP_RUN)
_SHOWN = 100
_RESOURCE = "resource/"


def step(node: pb.PlannedNode) -> str:
    """`build`, `create` … `nothing`."""
    return _WORDS.get(node.step, ("nothing", Tone.PLAIN))[0]


def changes(answer: pb.PlanResponse) -> list[pb.PlannedNode]:
    """The nodes about which something is to be done; commands that always run don't count."""
    return [node for node in answer.nodes if node.step not in _LEFT_ALONE]


def refused(answer: pb.PlanResponse) -> bool:
    """Whether the cluster would refuse something."""
    return any(node.step == pb.PLANNED_STEP_REFUSED for node in answer.nodes)


def lines(answer: pb.PlanResponse, paint: Style) -> list[str]:
    """The plan for people."""
    where = f"{answer.context or 'no cluster'}, namespace {answer.namespace or 'default'}"
    out = [f"Plan for {where}"]
    busy = [n for n in answer.nodes if n.wanted and step(n) != "nothing"]
    wide = min(max((len(_title(node)) for node in busy), default=0), 40)
    for name in _resources(answer):
        own = [n for n in answer.nodes if n.resource == name and not n.id.startswith(_RESOURCE)]
        if any(n in busy for n in own):
            out.append(paint.paint(Tone.STRONG, name) + _after(own))
            for node in own:
                out.extend(_node(node, wide, paint) if node in busy else ())
    out.append(summary(answer))
    return out


def summary(answer: pb.PlanResponse) -> str:
    """`To do: 1 image to build, 2 objects to change; 14 unchanged.`"""
    found: list[str] = []
    for number, (word, _) in _WORDS.items():
        nodes = [n for n in answer.nodes if n.wanted and n.step == number]
        if nodes:
            noun = {"build": "image", "push": "image", "run": "command"}.get(word, "object")
            verb = f"to {word}" if word not in {"refused", "unknown"} else word
            found.append(f"{style.count(len(nodes), noun)} {verb}")
    alone = sum(
        n.wanted and step(n) == "nothing" and not n.id.startswith(_RESOURCE) for n in answer.nodes
    )
    head = f"To do: {', '.join(found)}" if changes(answer) else ", ".join(["Nothing to do", *found])
    return f"{head}; {alone} unchanged."


def fields(answer: pb.PlanResponse, paint: Style) -> list[str]:
    """Only the fields of objects that change, whole: `tilt-client diff`."""
    out: list[str] = []
    for node in answer.nodes:
        if node.id.startswith("object/") and step(node) != "nothing":
            out.append(f"{step(node)} {paint.paint(Tone.STRONG, node.name)}: {node.reason}")
            for change in node.changes:
                out.append(f"  {change.path}")
                if change.HasField("old"):
                    out.append(paint.paint(Tone.BAD, f"  - {change.old}"))
                if change.HasField("new"):
                    out.append(paint.paint(Tone.GOOD, f"  + {change.new}"))
            out.extend(f"  ! {text}" for text in _below(node))
    return out


def data(answer: pb.PlanResponse) -> dict[str, Any]:
    """The plan for machines."""
    counts: dict[str, int] = {}
    for node in answer.nodes:
        if node.wanted and not node.id.startswith(_RESOURCE):
            counts[step(node)] = counts.get(step(node), 0) + 1
    return {
        "context": answer.context,
        "namespace": answer.namespace,
        "changes": bool(changes(answer)),
        "summary": counts,
        "nodes": [node_data(node) for node in answer.nodes],
        "warnings": [warning.message for warning in answer.warnings],
    }


def essence(answer: pb.PlanResponse) -> dict[str, Any]:
    """What a plan promises: what is done, for which keys, to which fields."""
    return {
        node.id: {
            "step": step(node),
            "key": node.key,
            "changes": [_change_data(change) for change in node.changes],
        }
        for node in changes(answer)
    }


def moved(promised: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """How what would be done now differs from what was promised, by node."""
    told: list[str] = []
    for name in dict.fromkeys((*promised, *now)):
        before, after = promised.get(name), now.get(name)
        if before == after:
            continue
        if before is None or after is None or before["step"] != after["step"]:
            words = [each["step"] if each else "nothing" for each in (before, after)]
            told.append(f"{name}: {words[0]} was planned, now it would be {words[1]}")
        else:
            told.append(f"{name}: {after['step']}, but not as planned")
    return told


def node_data(node: pb.PlannedNode) -> dict[str, Any]:
    """One node for machines; what is not known is left out."""
    known: dict[str, Any] = {
        "id": node.id,
        "name": node.name,
        "resource": node.resource,
        "wanted": node.wanted,
        "step": step(node),
        "reason": node.reason,
        "key": node.key,
        "lastKey": node.last_key,
        "parts": [_part_data(part) for part in node.parts],
        "changes": [_change_data(change) for change in node.changes],
        "notes": list(node.notes),
        "after": list(node.after),
    }
    if node.HasField("problem"):
        known["problem"] = {"message": node.problem.message, "hint": node.problem.hint}
    return {k: v for k, v in known.items() if v not in ("", [])}


def _part_data(part: pb.KeyPart) -> dict[str, Any]:
    found: dict[str, Any] = {"name": part.name, "value": part.value, "changed": part.changed}
    if part.HasField("before"):
        found["before"] = part.before
    return {**found, "detail": part.detail} if part.detail else found


def _change_data(change: pb.FieldChange) -> dict[str, Any]:
    found: dict[str, Any] = {"path": change.path}
    if change.HasField("old"):
        found["old"] = json.loads(change.old)
    if change.HasField("new"):
        found["new"] = json.loads(change.new)
    return found


def _resources(answer: pb.PlanResponse) -> list[str]:
    """In the order in which they come up; what belongs to none comes first."""
    names = [n.name for n in answer.nodes if n.id.startswith(_RESOURCE)]
    return ["", *names] if any(not n.resource for n in answer.nodes) else names


def _after(own: Sequence[pb.PlannedNode]) -> str:
    waits = dict.fromkeys(
        a.removeprefix(_RESOURCE) for node in own for a in node.after if a.startswith(_RESOURCE)
    )
    return f" (after {style.some(waits, 4)})" if waits else ""


def _title(node: pb.PlannedNode) -> str:
    return f"image {node.name}" if node.id.startswith("image/") else node.name


def _node(node: pb.PlannedNode, wide: int, paint: Style) -> Iterator[str]:
    word, tone = _WORDS[node.step]
    yield f"  {paint.paint(tone, f'{word:<8}')}  {_title(node):<{wide}}  {node.reason}".rstrip()
    for change in node.changes:
        yield f"      {change.path}: {_side(change, 'old')} → {_side(change, 'new')}"
    for text in _below(node):
        yield f"      ! {text}"


def _below(node: pb.PlannedNode) -> Iterable[str]:
    yield from node.notes
    if node.HasField("problem"):
        yield node.problem.message
        if node.problem.hint:
            yield f"hint: {node.problem.hint}"


def _side(change: pb.FieldChange, side: str) -> str:
    if not change.HasField("old" if side == "old" else "new"):
        return "(none)"
    text: str = getattr(change, side)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
