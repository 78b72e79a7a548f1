"""`tilt-client down`: delete what this project applied."""

from collections.abc import Sequence

from tilt_client import arguments, running
from tilt_client.commands import options
from tilt_client.spawn import Start

_SUMMARY = """\
Delete what this project applied, in reverse order, and wait until it is gone.

Deleted is what the Tiltfile names and this project applied, nothing else. Objects with the
annotation tilt.dev/down-policy: keep stay, and Namespaces unless --delete-namespaces is given."""
_CODES = """\
exit codes: 0 gone; 1 something could not be deleted; 2 error in the Tiltfile or the command line;
3 timeout; 130 interrupted."""


def run(argv: Sequence[str]) -> int:
    """Run a session that removes; the exit code."""
    parser = arguments.Parser("down", _SUMMARY, epilog=_CODES)
    extra = (arguments.DELETE_NAMESPACES, arguments.QUIET)
    arguments.add(parser, arguments.TIMEOUT, *extra, *arguments.SESSION)
    found = options.read(arguments.parse(parser, argv))
    return running.run(found, Start("down", passing=True))
