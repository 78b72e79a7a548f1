"""`tilt-client logs`: the log of a running daemon's session."""

import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tilt_client import arguments, asking, terminal

if TYPE_CHECKING:
    from tilt_api.v1 import tilt_pb2 as pb
    from tilt_client.connect import Link
    from tilt_client.render.screen import Filter

_SUMMARY = """\
Print the log of this project's daemon: of these resources, or of all.

-f is --follow, as with Tilt and kubectl; the Tiltfile is --file."""
_FLAGS: tuple[arguments.Flag, ...] = (
    (("-f", "--follow"), {"action": "store_true", "help": "go on with what comes"}),
    (
        ("--tail",),
        {
            "metavar": "N",
            "type": arguments.amount,
            "help": "only the last N lines that are there",
        },
    ),
    (
        ("--since",),
        {"metavar": "TIME", "type": arguments.duration, "help": "only lines of the last 5m …"},
    ),
    (
        ("--source",),
        {
            "choices": ("all", "build", "runtime"),
            "default": "all",
            "help": "only logs of builds and commands, or only of what runs",
        },
    ),
    (
        ("--level",),
        {
            "choices": ("debug", "info", "warn", "error"),
            "default": "info",
            "help": "only this level and worse",
        },
    ),
    (("--json",), {"action": "store_true", "help": "each line as a JSON object"}),
    (
        ("--file",),
        {"metavar": "FILE", "default": "Tiltfile", "help": "the Tiltfile (default: ./Tiltfile)"},
    ),
    arguments.NO_COLOR,
)


def run(argv: Sequence[str]) -> int:
    """Print log lines; the exit code."""
    parser = arguments.Parser("logs", _SUMMARY)
    parser.add_argument("names", nargs="*", metavar="[TYPE/]NAME", help="resources; none is all")
    arguments.add(parser, *_FLAGS)
    found = parser.parse_intermixed_args(argv)
    with asking.daemon(found.file) as link:
        known = asking.known(link)
        names = asking.names(found.names)
        if names:
            asking.chosen(known, names)
        _print(link, found, names, max(map(len, names or known.names), default=0))
    return 0


def _print(link: "Link", found: Namespace, names: Sequence[str], width: int) -> None:
    from tilt_api.v1 import tilt_pb2 as pb  # noqa: PLC0415 - see `asking`
    from tilt_client.outputs import document  # noqa: PLC0415
    from tilt_client.render.screen import Filter, Source, speaker  # noqa: PLC0415
    from tilt_client.render.style import Style  # noqa: PLC0415

    screen = terminal.standard(no_color=found.no_color)
    look = Style(screen.color)
    level = pb.LogLevel.Value(f"LOG_LEVEL_{found.level.upper()}")
    shown = Filter(Source(found.source), frozenset(names), level)

    def told(line: pb.LogLine) -> str:
        if found.json:
            return document.log_line(line)
        return look.prefix(speaker(line), width) + look.log_text(line.text)

    reading = _Reading(link, shown, found.since)
    before = reading.lines(follow=False)
    kept = before if found.tail is None else iter(deque(before, maxlen=found.tail))
    for line in kept:
        screen.print([told(line)])
    if found.follow:
        for line in reading.lines(follow=True):
            screen.print([told(line)])


class _Reading:
    """Reads the log from where it has read to."""

    def __init__(self, link: "Link", shown: "Filter", since: float | None) -> None:
        self._link, self._shown = link, shown
        self._begin = 0.0 if since is None else time.time() - since
        self._seen = 0

    def lines(self, *, follow: bool) -> "Iterator[pb.LogLine]":
        """The lines that pass the filter."""
        from tilt_api.v1 import tilt_pb2 as pb  # noqa: PLC0415 - see `asking`

        request = pb.StreamLogsRequest(
            since=self._seen,
            resources=sorted(self._shown.resources),
            min_level=self._shown.level,
            follow=follow,
        )
        for answer in self._link.client.logs(request, patience=0.0):
            for line in answer.lines:
                self._seen = line.sequence
                if self._shown.shows(line) and line.time >= self._begin:
                    yield line
