"""The command line's grammar: flags before or after the verb, arguments of the Tiltfile last.

    tilt-client [flags] VERB [flags] [args] [-- args]

Each verb has a parser of its own, made only when it is asked for.  Flags in front of the verb are
moved behind it, so that a verb knows its flags and refuses others.  As with Tilt, what is no flag
is an argument of the Tiltfile, and behind `--` everything is.
"""

import argparse
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from tilt_client import durations, reuse
from tilt_client.complaint import Complaint, Exit
from tilt_client.outputs import wanted

_COLUMNS = 80
Flag = tuple[tuple[str, ...], dict[str, Any]]


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Knows the width itself: argparse would ask `shutil` for it, for each flag that is added.

    That takes 3 ms and half a MiB before anything happens: with it come all decompressors.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(1).columns or _COLUMNS
    except OSError:  # no terminal
        return _COLUMNS


class Parser(argparse.ArgumentParser):
    """Complains in one sentence, and takes no abbreviations (they break when flags are added)."""

    def __init__(self, verb: str, summary: str, **options: Any) -> None:
        super().__init__(
            prog=f"tilt-client {verb}".strip(),
            description=summary,
            allow_abbrev=False,
            formatter_class=_Formatter,
            **options,
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise Complaint(message, f"{self.prog} --help", code=Exit.USAGE)


def duration(text: str) -> float:
    """For `type=`: a duration in seconds."""
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def amount(text: str) -> int:
    """For `type=`: a number that is not negative."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)


EMBEDDED, KIND, CURRENT = "embedded", "kind", "current"


def cluster(text: str) -> str:
    """For `type=`: which cluster."""
    if text not in {EMBEDDED, KIND, CURRENT}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither {EMBEDDED}, {KIND} nor {CURRENT}")
    return text


FILE: Flag = (
    ("-f", "--file"),
    {"metavar": "FILE", "default": "Tiltfile", "help": "the Tiltfile (default: ./Tiltfile)"},
)
CONTEXT: Flag = (
    ("--context",),
    {"metavar": "NAME", "default": "", "help": "kubeconfig context to deploy to"},
)
NO_COLOR: Flag = (
    ("--no-color",),
    {"action": "store_true", "help": "no colours, also on a terminal (as NO_COLOR=1)"},
)
_NUMBERED = "30s, 5m, 1h30m, or seconds"
SESSION: tuple[Flag, ...] = (
    FILE,
    CONTEXT,
    (
        ("--namespace",),
        {"metavar": "NAME", "default": "", "help": "default namespace of the objects"},
    ),
    (
        ("--readiness-timeout",),
        {
            "metavar": "TIME",
            "type": duration,
            "help": "how long a resource may take from its apply to readiness (default: 5m)",
        },
    ),
    (
        ("--stable-for",),
        {
            "metavar": "TIME",
            "type": duration,
            "help": "how long each container has to run without a restart (default: 5s)",
        },
    ),
    (
        ("--crash-budget",),
        {"metavar": "N", "type": amount, "help": "restarts a container may need (default: 2)"},
    ),
    (
        ("--grace",),
        {
            "metavar": "TIME",
            "type": duration,
            "help": "how long scheduling, mounts, config and quota may be in the way "
            "(default: 30s)",
        },
    ),
    (
        ("--log-source",),
        {
            "choices": ("all", "build", "runtime"),
            "default": "all",
            "help": "show only logs of builds and commands, or only of what runs",
        },
    ),
    (
        ("--log-resource",),
        {
            "metavar": "NAME",
            "action": "append",
            "default": [],
            "help": "show only logs of this resource; several: repeat it, or separate by commas",
        },
    ),
    (
        ("--log-level",),
        {
            "choices": ("debug", "info", "warn", "error"),
            "default": "info",
            "help": "show only logs of this level and worse",
        },
    ),
    NO_COLOR,
)
TIMEOUT: Flag = (
    ("--timeout",),
    {
        "metavar": "TIME",
        "type": duration,
        "help": f"how long the whole run may take: {_NUMBERED} (default: 30m)",
    },
)
QUIET: Flag = (
    ("-q", "--quiet"),
    {"action": "store_true", "help": "print only failures and the summary"},
)
OUTPUTS: tuple[Flag, ...] = (
    QUIET,
    (
        ("--report",),
        {
            "metavar": "FORMAT=FILE",
            "type": wanted.report,
            "action": "append",
            "default": [],
            "help": "write a report at the end: junit=FILE (XML) or json=FILE; may be repeated",
        },
    ),
    (
        ("--events",),
        {
            "metavar": "FILE",
            "default": "",
            "help": "write what happens when it happens, one JSON object a line",
        },
    ),
    (
        ("--log-dir",),
        {
            "metavar": "DIR",
            "default": "",
            "help": "write the log of each resource to a file in this folder",
        },
    ),
    (
        ("--output-snapshot-on-exit",),
        {
            "metavar": "FILE",
            "dest": "snapshot",
            "default": "",
            "help": "write all that is known at the end, with the whole log, as JSON",
        },
    ),
)
KEEP_GOING: Flag = (
    ("--keep-going",),
    {
        "action": "store_true",
        "help": "after a failure go on with all that does not depend on it, then tell all failures",
    },
)
DOWN: Flag = (
    ("--down",),
    {"action": "store_true", "help": "after the verdict, delete what was applied (as `down` does)"},
)
DELETE_NAMESPACES: Flag = (
    ("--delete-namespaces",),
    {"action": "store_true", "help": "delete Namespaces of the Tiltfile too, with all in them"},
)
CLUSTER: Flag = (
    ("--cluster",),
    {
        "metavar": "WHICH",
        "type": cluster,
        "help": f"{EMBEDDED}, {KIND}: one of this run's own, removed afterwards with all in it; "
        f"{CURRENT}: the kubeconfig's (default, or {EMBEDDED} if there is no kubeconfig at all)",
    },
)
LINES: Flag = (
    ("-n", "--lines"),
    {"metavar": "N", "type": amount, "default": 100, "help": "how many lines (default: 100)"},
)

_VALUED = frozenset(
    name
    for names, options in (*SESSION, *OUTPUTS, *reuse.FLAGS, CLUSTER, TIMEOUT, LINES)
    if options.get("action") != "store_true"
    for name in names
)


def verb_first(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The verb, and everything else in its order; no verb: empty."""
    leading: list[str] = []
    rest = list(argv)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        flag = rest.pop(0)
        leading.append(flag)
        if flag in _VALUED and rest:
            leading.append(rest.pop(0))
    if not rest or rest[0] == "--":
        return "", leading
    return rest[0], leading + rest[1:]


def add(parser: argparse.ArgumentParser, *flags: Flag) -> None:
    """Teach a parser these flags."""
    for names, options in flags:
        parser.add_argument(*names, **options)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Flags and, in `args`, everything else; what follows `--` is taken as it is."""
    before, after = list(argv), list[str]()
    if "--" in before:
        at = before.index("--")
        before, after = before[:at], before[at + 1 :]
    parser.add_argument("args", nargs="*", metavar="ARG", help="arguments of the Tiltfile")
    found = parser.parse_intermixed_args(before)
    found.args = [*(found.args or ()), *after]
    return found
