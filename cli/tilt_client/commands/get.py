"""`tilt-client get`: the resources of a running daemon, as kubectl lists objects."""

import sys
import time
from collections.abc import Sequence

from tilt_client import arguments, asking, terminal

_SUMMARY = """\
List resources of the daemon that runs for this project.

  tilt-client get                       all of them
  tilt-client get web api               these
  tilt-client get uiresource/web -o json   one object, as Tilt's API has it"""


def run(argv: Sequence[str]) -> int:
    """Print resources; the exit code."""
    parser = arguments.Parser("get", _SUMMARY)
    parser.add_argument("names", nargs="*", metavar="[TYPE/]NAME", help="resources; none is all")
    flags = (asking.output("name", "wide", "json", "yaml"), arguments.FILE, arguments.NO_COLOR)
    arguments.add(parser, *flags)
    found = parser.parse_intermixed_args(argv)
    with asking.daemon(found.file) as link:
        known = asking.known(link)
        names = asking.names(found.names)
        resources = asking.chosen(known, names)
        from tilt_client.render import listing, uiresource  # noqa: PLC0415 - see `asking`
        from tilt_client.render.style import Style  # noqa: PLC0415

        if found.output in {"json", "yaml"}:
            objects = [uiresource.of(resource, known) for resource in resources]
            one = len(names) == 1
            asking.write_data(objects[0] if one else uiresource.listed(objects), found.output)
        elif found.output == "name":
            sys.stdout.write("".join(f"uiresource.tilt.dev/{r.name}\n" for r in resources))
        else:
            screen = terminal.standard(no_color=found.no_color)
            look, wide = Style(screen.color), found.output == "wide"
            screen.print(listing.table(resources, known, time.time(), look, wide=wide))
    return 0
