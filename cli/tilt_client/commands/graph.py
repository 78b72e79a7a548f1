"""`tilt-client graph`: what waits for what, with keys and reasons."""

import sys
from collections.abc import Sequence

from tilt_client import arguments, plans, questions
from tilt_client.complaint import Complaint, Exit

_SUMMARY = """\
Print the graph: what is built, applied and run, what waits for what, each with its key, what would
be done about it, and why."""
_RESOURCE: arguments.Flag = (
    ("--resource",),
    {"metavar": "NAME", "default": "", "help": "only this resource, and what it waits for"},
)


def run(argv: Sequence[str]) -> int:
    """Print the graph; the exit code."""
    parser = arguments.Parser("graph", _SUMMARY)
    own = (plans.output("text", "dot", "json", "mermaid"), _RESOURCE, plans.OFFLINE)
    arguments.add(parser, *own, *questions.FLAGS)
    found = arguments.parse(parser, argv)
    answer = plans.ask(found, offline=found.offline)
    from tilt_client.render import graph  # noqa: PLC0415 - see `connect`

    nodes = graph.below(answer.nodes, found.resource)
    if not nodes and found.resource:
        names = ", ".join(n.name for n in answer.nodes if n.id.startswith("resource/"))
        raise Complaint(
            f"there is no resource {found.resource!r}", f"there are: {names}", code=Exit.USAGE
        )
    match found.output:
        case "json":
            plans.write_json(graph.data(nodes))
        case "dot":
            sys.stdout.write(graph.dot(nodes))
        case "mermaid":
            sys.stdout.write(graph.mermaid(nodes))
        case _:
            plans.write(graph.text(nodes), found)
    return 0
