"""`tilt-client wait`: until resources of a running daemon are as wanted, in kubectl's manner."""

import argparse
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tilt_client import arguments, asking, terminal
from tilt_client.complaint import Complaint, Exit

if TYPE_CHECKING:
    from tilt_api.client import Stream
    from tilt_api.v1 import tilt_pb2 as pb
    from tilt_client.connect import Link

_SUMMARY = """\
Wait until resources of this project's daemon are as wanted, all at one and the same moment.

  tilt-client wait --for=condition=Ready uiresource/web
  tilt-client wait --for=condition=Ready --timeout=5m --all

Ready is the verdict Healthy: it runs, and stays up. UpToDate: what was to be built, applied and
run has been."""
_CODES = """\
exit codes: 0 as wanted; 1 it can't become so any more (the session is over, there is no such
resource); 2 error in the command line; 3 timeout."""
_CONDITIONS = {"ready": "Ready", "uptodate": "UpToDate"}
_FOR_EVER = 7 * 86400.0
"""As kubectl takes a negative timeout: a week."""


class Wanted(NamedTuple):
    """A condition, and whether it has to be True or False."""

    condition: str
    value: bool = True


def run(argv: Sequence[str]) -> int:
    """Wait; the exit code."""
    found = _parse(argv)
    names = asking.names(found.names)
    if not names and not found.everything:
        message = "wait for which resources? Name them, or --all"
        raise Complaint(message, "tilt-client wait --help", code=Exit.USAGE)
    screen = terminal.standard()
    with asking.daemon(found.file) as link:
        met = _Waiting(link, names, found.wanted).run(found.timeout)
        screen.print(f"uiresource.tilt.dev/{name} condition met" for name in met)
    return 0


def _parse(argv: Sequence[str]) -> "_Found":
    parser = arguments.Parser("wait", _SUMMARY, epilog=_CODES)
    parser.add_argument("names", nargs="*", metavar="[TYPE/]NAME", help="resources")
    flags: tuple[arguments.Flag, ...] = (
        (
            ("--for",),
            {
                "dest": "wanted",
                "metavar": "condition=NAME[=VALUE]",
                "type": condition,
                "default": Wanted("Ready"),
                "help": "Ready (the default) or UpToDate; VALUE is True (the default) or False",
            },
        ),
        (("--all",), {"dest": "everything", "action": "store_true", "help": "all resources"}),
        (
            ("--timeout",),
            {
                "metavar": "TIME",
                "type": patience,
                "default": 30.0,
                "help": "give up after it (default: 30s); 0: look once; negative: wait a week",
            },
        ),
    )
    arguments.add(parser, *flags, arguments.FILE)
    return parser.parse_intermixed_args(argv, _Found())


class _Found(argparse.Namespace):
    """What the flags say."""

    names: list[str]
    wanted: Wanted
    everything: bool
    timeout: float
    file: str


def condition(text: str) -> Wanted:
    """For `type=`: `condition=Ready=False`.

    Raises:
        ArgumentTypeError: it is no condition that there is.
    """
    what, _, rest = text.partition("=")
    name, _, value = rest.partition("=")
    known = _CONDITIONS.get(name.lower())
    if what != "condition" or known is None or value.lower() not in {"", "true", "false"}:
        told = "condition=Ready or condition=UpToDate, with =True or =False"
        raise argparse.ArgumentTypeError(f"{text!r} can't be waited for: {told}")
    return Wanted(known, value.lower() != "false")


def patience(text: str) -> float:
    """For `type=`: a duration; a negative one is a week, as with kubectl."""
    if text.startswith("-"):
        arguments.duration(text[1:])
        return _FOR_EVER
    return arguments.duration(text)


class _Waiting:
    """See the module."""

    def __init__(self, link: "Link", names: Sequence[str], wanted: Wanted) -> None:
        from tilt_client.render.known import Known  # noqa: PLC0415 - see `asking`

        self._link, self._names, self._wanted = link, names, wanted
        self._known: Known = Known()

    def run(self, timeout: float) -> list[str]:
        """The names, once all are as wanted.

        Raises:
            Complaint: it is too late, or will never be.
        """
        deadline = time.monotonic() + timeout
        stream = self._link.client.watch()
        timer = threading.Timer(max(timeout, 0.0), stream.cancel)
        timer.daemon = True
        if timeout > 0:
            timer.start()
        try:
            return self._watch(stream, deadline)
        finally:
            timer.cancel()
            stream.cancel()

    def _watch(self, stream: "Stream[pb.WatchResponse]", deadline: float) -> list[str]:
        for answer in stream:
            self._known.learn(answer)
            names = self._loaded_names()
            if names is not None and not self._unmet(names):
                return names
            if self._known.ended:
                raise self._never(names or [])
            if time.monotonic() >= deadline:
                break
        names = self._loaded_names()
        left = self._unmet(names) if names is not None else list(self._names)
        if self._known.session.id == "":
            raise Complaint("tiltd has had no session yet", code=Exit.TIMEOUT)
        raise Complaint(
            f"timed out waiting for the condition {self._wanted.condition} on {', '.join(left)}",
            detail=self._why(left),
            code=Exit.TIMEOUT,
        )

    def _loaded_names(self) -> list[str] | None:
        """What is waited for; `None` while the Tiltfile, which tells what there is, is read.

        Raises:
            Complaint: there is no such resource.
        """
        if not self._known.all:
            return None
        if not self._names:
            return [resource.name for resource in self._known.counted]
        return [resource.name for resource in asking.chosen(self._known, self._names)]

    def _unmet(self, names: Sequence[str]) -> list[str]:
        from tilt_client.render import uiresource  # noqa: PLC0415 - see `asking`

        return [
            r.name
            for r in self._known.all
            if r.name in names
            and uiresource.condition(self._wanted.condition, r, self._known) != self._wanted.value
        ]

    def _never(self, names: Sequence[str]) -> Complaint:
        from tilt_client.render import report  # noqa: PLC0415 - see `asking`

        left = self._unmet(names) or list(self._names)
        message = f"the session is over, and {', '.join(left)} did not become "
        message += f"{'' if self._wanted.value else 'not '}{self._wanted.condition}"
        return Complaint(message, detail=f"{report.summary(self._known)}\n{self._why(left)}")

    def _why(self, names: Sequence[str]) -> str:
        from tilt_client.render import waiting  # noqa: PLC0415 - see `asking`

        told = (r for r in self._known.all if r.name in names)
        return "\n".join(f"{r.name}: {waiting.why(r)}" for r in told)
