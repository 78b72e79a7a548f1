"""`tilt-client up`: keep the app as the files say, until Ctrl-C."""

from collections.abc import Sequence

from tilt_client import arguments, reuse, running
from tilt_client.commands import options
from tilt_client.spawn import Start

_SUMMARY = """\
Build and deploy, and again whenever a file changes, until Ctrl-C.

Starts tiltd if none runs for this project; it stays for the next time, and ends by itself when
nobody has used it for a while."""
_CODES = """\
exit codes: 0 after Ctrl-C; 1 if the session could not start or broke off; 2 error in the command
line. What is deployed stays."""


def run(argv: Sequence[str]) -> int:
    """Run a session until it is stopped; the exit code."""
    parser = arguments.Parser("up", _SUMMARY, epilog=_CODES)
    arguments.add(parser, *reuse.FLAGS, reuse.NO_HEAL, *arguments.OUTPUTS, *arguments.SESSION)
    found = options.read(arguments.parse(parser, argv))
    return running.run(found, Start("up"))
