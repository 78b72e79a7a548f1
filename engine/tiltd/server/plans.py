"""A plan in the API's words."""

import json
from collections.abc import Callable
from typing import Any

from tilt_api.v1 import tilt_pb2 as pb
from tiltd.core import graph as graphs
from tiltd.core.parts import Part
from tiltd.core.plan import Planned, Step, of_up
from tiltd.core.scrub import Scrubber, printable
from tiltd.model import graph
from tiltd.model.desired import Project
from tiltd.model.names import NodeName
from tiltd.model.problems import Problem
from tiltd.model.state import State
from tiltd.runtime.planning import Drawn

_STEPS = {
    Step.NOTHING: pb.PLANNED_STEP_NOTHING,
    Step.BUILD: pb.PLANNED_STEP_BUILD,
    Step.PUSH: pb.PLANNED_STEP_PUSH,
    Step.CREATE: pb.PLANNED_STEP_CREATE,
    Step.CHANGE: pb.PLANNED_STEP_CHANGE,
    Step.RECREATE: pb.PLANNED_STEP_RECREATE,
    Step.DELETE: pb.PLANNED_STEP_DELETE,
    Step.RUN: pb.PLANNED_STEP_RUN,
    Step.REFUSED: pb.PLANNED_STEP_REFUSED,
    Step.UNKNOWN: pb.PLANNED_STEP_UNKNOWN,
}


class Lines:
    """Collects what is printed while the plan is made: `ports.Log`."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._text = ""
        self._found: list[pb.LogLine] = []

    def write(self, text: str, *, level: str = "info") -> None:
        """Append text; whole lines are kept."""
        *whole, self._text = f"{self._text}{text}".split("\n")
        named = pb.LogLevel.Value(f"LOG_LEVEL_{level.upper()}")
        self._found += [
            pb.LogLine(time=self._now(), level=named, text=printable(line)) for line in whole
        ]

    def lines(self, scrubber: Scrubber) -> list[pb.LogLine]:
        """All lines, without secrets."""
        if self._text:
            self.write("\n")
        for number, line in enumerate(self._found, start=1):
            line.sequence, line.text = number, scrubber.scrub(line.text)
        return self._found


def message(
    drawn: Drawn,
    lines: Lines,
    scrubber: Scrubber,
    problem: Callable[[Problem], pb.Problem],
) -> pb.PlanResponse:
    """The answer to a `PlanRequest`."""
    s = drawn.state
    return pb.PlanResponse(
        nodes=[_node(planned, s, scrubber, problem) for planned in drawn.nodes],
        context=s.kube_context.name,
        namespace=s.kube_context.namespace,
        log=lines.lines(scrubber),
        warnings=warnings(s.project, scrubber) if s.project else (),
    )


def warnings(project: Project, scrubber: Scrubber) -> list[pb.Problem]:
    """What the Tiltfile warns of."""
    found: list[pb.Problem] = []
    for place, words in project.warnings:
        warning = pb.Problem(code="warning", message=scrubber.scrub(words))
        if place is not None:
            warning.file, warning.line, warning.column = place.file, place.line, place.column
        found.append(warning)
    return found


def _node(
    planned: Planned, s: State, scrubber: Scrubber, problem: Callable[[Problem], pb.Problem]
) -> pb.PlannedNode:
    scrub = scrubber.scrub
    answer = pb.PlannedNode(
        id=planned.node,
        name=_name(planned.node, s),
        resource=next(iter(_resources(planned.node, s)), ""),
        step=_STEPS[planned.step],
        reason=scrub(planned.reason),
        key=planned.key,
        last_key=planned.last,
        parts=[_part(part, scrub) for part in planned.parts],
        notes=[scrub(note) for note in planned.notes],
        after=[
            n for n in s.graph.dependencies.get(planned.node, ()) if not of_up(s.graph.nodes[n])
        ],
        wanted=planned.node in s.wanted or planned.step is Step.DELETE,
    )
    for change in planned.changes:
        field = answer.changes.add(path=change.path)
        if change.old is not None:
            field.old = scrub(_json(change.old))
        if change.new is not None:
            field.new = scrub(_json(change.new))
    if planned.problem is not None:
        answer.problem.CopyFrom(problem(planned.problem))
    return answer


def _part(part: Part, scrub: Callable[[str], str]) -> pb.KeyPart:
    answer = pb.KeyPart(
        name=part.name, value=scrub(part.value), changed=part.changed, detail=scrub(part.detail)
    )
    if part.before is not None:
        answer.before = scrub(part.before)
    return answer


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _name(name: NodeName, s: State) -> str:
    if name not in s.graph.nodes:  # it is gone from the Tiltfile
        _, _, kind, namespace, own = name.split("/", 4)
        return f"{kind}/{own}" + (f" ({namespace})" if namespace else "")
    match s.graph.nodes[name]:
        case graph.ImageNode(image=image):
            return image.name
        case graph.ObjectNode(manifest=manifest):
            return str(manifest.id)
        case (
            graph.ResourceNode(resource=resource)
            | graph.DeployNode(resource=resource)
            | graph.ServiceNode(resource=resource)
            | graph.LiveNode(resource=resource)
            | graph.CommandNode(resource=resource)
            | graph.ServeNode(resource=resource)
        ):
            return resource.name


def _resources(name: NodeName, s: State) -> list[str]:
    """The resources that a node works for, in the Tiltfile's order."""
    users = graphs.works_for(s.graph, name)
    own = name.removeprefix("resource/")
    return [r for r in s.graph.resources if r in users or (own != name and r == own)]
