"""`tilt-client ci`: does it all start, and stay up?"""

from collections.abc import Sequence

from tilt_client import arguments, reuse, running
from tilt_client.commands import options
from tilt_client.spawn import Start

_SUMMARY = """\
Build, deploy, wait until every resource is healthy, and say so.

Starts tiltd if none runs for this project, and ends it afterwards."""
_CODES = """\
exit codes: 0 healthy; 1 failed; 2 error in the Tiltfile or the command line; 3 timeout;
130 interrupted. An interrupt stops what runs; what is deployed stays, as it does after the verdict
unless --down is given."""


def run(argv: Sequence[str]) -> int:
    """Run a session that ends with a verdict; the exit code."""
    parser = arguments.Parser("ci", _SUMMARY, epilog=_CODES)
    removal = (arguments.KEEP_GOING, arguments.DOWN, arguments.DELETE_NAMESPACES)
    extra = (*removal, *reuse.FLAGS, reuse.NO_DRIFT)
    arguments.add(parser, arguments.TIMEOUT, *extra, *arguments.OUTPUTS, *arguments.SESSION)
    found = options.read(arguments.parse(parser, argv))
    return running.run(found, Start("ci", passing=True))
