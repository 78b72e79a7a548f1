"""Runs a session for `ci` and `up`: signals, daemon, session, in this order.

What takes long to import (grpc and everything on top of it) is imported while the daemon starts;
so this module, and all that it imports, must not.
"""

import contextlib
import importlib
import os
import signal
from collections.abc import Callable, Generator
from types import FrameType

from tilt_client import connect, terminal
from tilt_client.commands.options import Options
from tilt_client.complaint import Complaint, Exit, Interrupted
from tilt_client.spawn import Spawned, Start

_ATTEMPTS = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """The first interrupt stops cleanly; the second ends the process at once."""

    def __init__(self) -> None:
        self._count = 0
        self._tell: Callable[[], None] | None = None
        self._own: Spawned | None = None

    def session(self, tell: Callable[[], None], own: Spawned | None) -> None:
        """From now on there is something to stop: tell it, instead of raising.

        Args:
            tell: called from the signal handler.
            own: the daemon to take along when the process ends at once.
        """
        self._tell, self._own = tell, own

    def starting(self) -> None:
        """There is no session (any more): an interrupt raises."""
        self._tell = None

    @contextlib.contextmanager
    def installed(self) -> Generator[None]:
        """Handle signals from here on, and as before afterwards.

        Those that our parent has us ignore (nohup, a shell's background job) stay ignored.
        """
        ours = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._handle) for number in ours}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 1:
            if self._own is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._own.pid, signal.SIGTERM)
            os._exit(Exit.INTERRUPTED)
        if self._tell is None:
            raise Interrupted
        self._tell()


def run(options: Options, start: Start) -> int:
    """The exit code of a session."""
    screen = terminal.standard(no_color=options.no_color)
    signals = Signals()
    with signals.installed():
        try:
            return _attempts(options, start, screen, signals)
        except Interrupted:
            message = "interrupted before there was a session"
            record(options, screen, Complaint(message, code=Exit.INTERRUPTED))
            return Exit.INTERRUPTED
        except Complaint as complaint:
            record(options, screen, complaint)
            raise


def record(options: Options, screen: terminal.Terminal, complaint: Complaint) -> None:
    """Leave reports although there was no session: who looks for them finds out why."""
    if not complaint.recorded:
        from tilt_client.outputs.recorder import Recorder  # noqa: PLC0415 - see the module

        title = os.path.basename(os.path.dirname(options.tiltfile))  # noqa: PTH119, PTH120
        Recorder(options.outputs, title, screen, os.environ).broken(complaint)


def _attempts(options: Options, start: Start, screen: terminal.Terminal, signals: Signals) -> int:
    for _ in range(_ATTEMPTS):
        code = _attempt(options, start, screen, signals)
        if code is not None:
            return code
    raise Complaint("tiltd ended just when it was needed, several times", "tilt-client daemon logs")


def _attempt(
    options: Options, start: Start, screen: terminal.Terminal, signals: Signals
) -> int | None:
    """The exit code; `None`: the daemon was just ending, and another one has to be found."""

    def say(text: str) -> None:
        screen.print([] if options.outputs.quiet else [text])

    with connect.ensured(options.tiltfile, start, _session, say) as link:
        from tilt_client import beginning  # noqa: PLC0415 - see the module

        try:
            begun = beginning.begin(link, options, start.by, signals)
            if begun is None:
                return None
            with contextlib.closing(begun):
                from tilt_client import session  # noqa: PLC0415 - the daemon is at work already

                return session.run(begun, options, start.by, screen, signals)
        finally:
            signals.starting()


def _session() -> None:
    importlib.import_module("tilt_client.session")
