"""The graph as text, for Graphviz, for Mermaid, and as data.

An edge leads from what must be ready to what waits for it.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import plan

_DIGITS = 12
_RESOURCE = "resource/"
_COLOURS = {
    "build": "#f5c542",
    "push": "#f5c542",
    "change": "#f5c542",
    "create": "#7bc67b",
    "recreate": "#e57373",
    "delete": "#e57373",
    "refused": "#e57373",
    "run": "#90caf9",
    "unknown": "#e0e0e0",
}


def below(nodes: Iterable[pb.PlannedNode], resource: str) -> list[pb.PlannedNode]:
    """The nodes of a resource and all that they wait for; of no resource: all."""
    every = list(nodes)
    if not resource:
        return every
    by_id = {node.id: node for node in every}
    seen: set[str] = set()
    todo = [f"{_RESOURCE}{resource}"]
    while todo:
        name = todo.pop()
        if name in by_id and name not in seen:
            seen.add(name)
            todo.extend(by_id[name].after)
    return [node for node in every if node.id in seen]


def text(nodes: Sequence[pb.PlannedNode]) -> list[str]:
    """A line a node in the order of work, below it what it waits for."""
    out: list[str] = []
    for node in nodes:
        key = f" {node.key[:_DIGITS]}" if node.key else ""
        word = plan.step(node)
        why = "" if node.id.startswith(_RESOURCE) else f"  {word}: {node.reason}"
        out.append(f"{node.id}{key}{why}")
        out += [f"  after {name}" for name in node.after]
    return out


def data(nodes: Sequence[pb.PlannedNode]) -> dict[str, Any]:
    """For machines: nodes as of `plan -o json`, and edges."""
    ids = {node.id for node in nodes}
    edges = [{"from": a, "to": n.id} for n in nodes for a in n.after if a in ids]
    return {"nodes": [plan.node_data(node) for node in nodes], "edges": edges}


def dot(nodes: Sequence[pb.PlannedNode]) -> str:
    """For Graphviz."""
    out = ["digraph tiltd {", "  rankdir=LR;", "  node [shape=box, style=filled];"]
    for node in nodes:
        colour = _COLOURS.get(plan.step(node), "#ffffff")
        label, tip = json.dumps(_label(node, "\n")), json.dumps(node.reason or node.id)
        shape = ", shape=ellipse" if node.id.startswith(_RESOURCE) else ""
        named = json.dumps(node.id)
        out.append(f'  {named} [label={label}, tooltip={tip}, fillcolor="{colour}"{shape}];')
    ids = {node.id for node in nodes}
    for node in nodes:
        edges = (a for a in node.after if a in ids)
        out += [f"  {json.dumps(a)} -> {json.dumps(node.id)};" for a in edges]
    return "\n".join([*out, "}", ""])


def mermaid(nodes: Sequence[pb.PlannedNode]) -> str:
    """For Mermaid."""
    numbers = {node.id: f"n{number}" for number, node in enumerate(nodes)}
    out = ["graph LR"]
    for node in nodes:
        label = _label(node, "<br>").replace('"', "#quot;")
        out.append(f'  {numbers[node.id]}["{label}"]')
    for node in nodes:
        edges = (a for a in node.after if a in numbers)
        out += [f"  {numbers[a]} --> {numbers[node.id]}" for a in edges]
    return "\n".join([*out, ""])


def _label(node: pb.PlannedNode, separator: str) -> str:
    kind = node.id.partition("/")[0]
    parts = [f"{kind} {node.name}"]
    if node.key:
        parts.append(node.key[:_DIGITS])
    if plan.step(node) != "nothing":
        parts.append(f"{plan.step(node)}: {node.reason}")
    return separator.join(parts)
