"""`tilt-client status`: how the session of a running daemon stands."""

import time
from collections.abc import Sequence

from tilt_client import arguments, asking, terminal

_SUMMARY = """\
Tell how the session of this project's daemon stands: a line for each resource.

With -o json or yaml: the report of the session as far as it is, by docs/schema/report-v1.json.
Exit code 0, however it stands; 1: no tiltd runs."""


def run(argv: Sequence[str]) -> int:
    """Print the status; the exit code."""
    parser = arguments.Parser("status", _SUMMARY)
    arguments.add(parser, asking.output("wide", "json", "yaml"), arguments.FILE, arguments.NO_COLOR)
    found = parser.parse_args(argv)
    with asking.daemon(found.file) as link:
        known = asking.known(link)
        from tilt_client.outputs import document  # noqa: PLC0415 - see `asking`
        from tilt_client.render import listing  # noqa: PLC0415
        from tilt_client.render.style import Style  # noqa: PLC0415
        from tilt_client.render.tails import Tails  # noqa: PLC0415

        if found.output in {"json", "yaml"}:
            asking.write_data(document.of(known, Tails()), found.output)
        else:
            screen = terminal.standard(no_color=found.no_color)
            look, wide, now = Style(screen.color), found.output == "wide", time.time()
            screen.print(listing.head(known, now, look))
            screen.print(listing.table(known.all, known, now, look, wide=wide))
    return 0
