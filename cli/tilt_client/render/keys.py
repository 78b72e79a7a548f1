"""Keys, their parts, and why a node is due."""

from collections.abc import Iterator, Sequence
from typing import Any

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import plan, style

_DIGITS = 16


def table(nodes: Sequence[pb.PlannedNode]) -> list[str]:
    """A line a node that has a key."""
    rows = [(node.id, node.key[:_DIGITS]) for node in nodes if node.key]
    return style.columns(rows) if rows else ["no node has a key"]


def explained(nodes: Sequence[pb.PlannedNode]) -> list[str]:
    """Each node with the parts of its key."""
    return [line for node in nodes for line in _explained(node)]


def reasons(nodes: Sequence[pb.PlannedNode]) -> list[str]:
    """Each node with what is to be done, and what has changed."""
    return [line for node in nodes for line in _reasons(node)]


def data(nodes: Sequence[pb.PlannedNode]) -> list[dict[str, Any]]:
    """For machines: as the nodes of `plan -o json`."""
    return [plan.node_data(node) for node in nodes]


def _explained(node: pb.PlannedNode) -> Iterator[str]:
    yield f"{node.id}: {f'key {node.key}' if node.key else 'has no key: it always runs'}"
    if node.id.startswith("image/"):
        yield f"  tag: tilt-{node.key[:_DIGITS]}"
    rows = [(f"  {part.name}", part.value) for part in node.parts if part.value]
    yield from style.columns(rows) if rows else ()


def _reasons(node: pb.PlannedNode) -> Iterator[str]:
    yield f"{node.id}: {plan.step(node)}: {node.reason}"
    for part in node.parts:
        if part.changed:
            before = part.before if part.HasField("before") and part.before else "(none)"
            detail = f"  {part.detail}" if part.detail and "→" not in part.detail else ""
            yield f"  {part.name}: {before} → {part.value or '(none)'}{detail}"
    for change in node.changes:
        old = change.old if change.HasField("old") else "(none)"
        new = change.new if change.HasField("new") else "(none)"
        yield f"  {change.path}: {old} → {new}"
    yield from (f"  ! {note}" for note in node.notes)
    if node.HasField("problem"):
        yield f"  ! {node.problem.message}"
