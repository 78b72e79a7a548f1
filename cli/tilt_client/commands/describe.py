"""`tilt-client describe`: all that is known about resources."""

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilt_client import arguments, asking, terminal

if TYPE_CHECKING:
    from tilt_api.v1 import tilt_pb2 as pb
    from tilt_client.connect import Link

_SUMMARY = """\
Tell all that is known about resources: their parts, pods, findings, events and last log lines."""
LINES: arguments.Flag = (
    ("-n", "--lines"),
    {"metavar": "N", "type": arguments.amount, "default": 20, "help": "log lines (default: 20)"},
)


def run(argv: Sequence[str]) -> int:
    """Print descriptions; the exit code."""
    parser = arguments.Parser("describe", _SUMMARY)
    parser.add_argument("names", nargs="*", metavar="[TYPE/]NAME", help="resources; none is all")
    arguments.add(parser, LINES, arguments.FILE, arguments.NO_COLOR)
    found = parser.parse_intermixed_args(argv)
    screen = terminal.standard(no_color=found.no_color)
    with asking.daemon(found.file) as link:
        known = asking.known(link)
        from tilt_client.render import describing  # noqa: PLC0415 - see `asking`
        from tilt_client.render.style import Style  # noqa: PLC0415

        look = Style(screen.color)
        resources = asking.chosen(known, asking.names(found.names))
        for number, resource in enumerate(resources):
            log = _log(link, resource.name, found.lines)
            screen.print([""] if number else [])
            screen.print(describing.lines(resource, known, log, time.time(), look))
    return 0


def _log(link: "Link", name: str, count: int) -> "list[pb.LogLine]":
    from tilt_api.v1 import tilt_pb2 as pb  # noqa: PLC0415 - see `asking`

    request = pb.StreamLogsRequest(resources=[name], follow=False)
    last = deque["pb.LogLine"](maxlen=count)
    for answer in link.client.logs(request, patience=0.0):
        last.extend(answer.lines)
    return list(last)
