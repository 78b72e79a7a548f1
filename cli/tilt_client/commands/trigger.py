"""`tilt-client trigger`: update a resource now."""

import sys
from collections.abc import Sequence

from tilt_client import arguments, asking
from tilt_client.complaint import Complaint

_SUMMARY = """\
Update a resource of the running session now, also one that does not start by itself."""


def run(argv: Sequence[str]) -> int:
    """Trigger resources; the exit code."""
    parser = arguments.Parser("trigger", _SUMMARY)
    parser.add_argument("names", nargs="+", metavar="[TYPE/]NAME", help="resources")
    arguments.add(parser, arguments.FILE)
    found = parser.parse_intermixed_args(argv)
    with asking.daemon(found.file) as link:
        known = asking.known(link)
        resources = asking.chosen(known, asking.names(found.names))
        if known.ended:
            raise Complaint("the session is over", "start one: tilt-client up")
        for resource in resources:
            link.client.trigger(resource.name)
            sys.stdout.write(f"{resource.name} triggered\n")
    return 0
