"""`tilt-client ci`: does it all start, and stay up?"""

import argparse
import contextlib
import os
from collections.abc import Sequence

from tilt_client import arguments, embedded, reuse, running, terminal
from tilt_client.commands import options
from tilt_client.complaint import Complaint, Exit
from tilt_client.spawn import Start

_SUMMARY = """\
Build, deploy, wait until every resource is healthy, and say so.

Starts tiltd if none runs for this project, and ends it afterwards."""
_CODES = """\
exit codes: 0 healthy; 1 failed; 2 error in the Tiltfile or the command line; 3 timeout;
130 interrupted. An interrupt stops what runs; what is deployed stays, as it does after the verdict
unless --down is given."""

_PLAN: arguments.Flag = (
    ("--plan",),
    {
        "metavar": "FILE",
        "default": "",
        "help": "do what plan --out FILE has promised, or nothing if something has moved since",
    },
)


def run(argv: Sequence[str]) -> int:
    """Run a session that ends with a verdict; the exit code."""
    parser = arguments.Parser("ci", _SUMMARY, epilog=_CODES)
    removal = (arguments.KEEP_GOING, arguments.DOWN, arguments.DELETE_NAMESPACES)
    extra = (*removal, *reuse.FLAGS, reuse.NO_DRIFT, _PLAN, arguments.CLUSTER)
    arguments.add(parser, arguments.TIMEOUT, *extra, *arguments.OUTPUTS, *arguments.SESSION)
    given = arguments.parse(parser, argv)
    found = options.read(given)
    with contextlib.ExitStack() as stack:
        _enter(stack, given, found)
        if given.plan:
            _verify(given, found)
        return running.run(found, Start("ci", passing=True))


def _enter(stack: contextlib.ExitStack, given: argparse.Namespace, found: options.Options) -> None:
    """Make a cluster for this run, if there has to be one; `stack` removes it."""
    own = given.cluster in {arguments.EMBEDDED, arguments.KIND}
    if own and given.context:
        message = f"--cluster {given.cluster} has a context of its own, not {given.context!r}"
        raise Complaint(message, "leave out one of the two", code=Exit.USAGE)
    silent = not given.cluster and not given.context and embedded.is_missing_kubeconfig(os.environ)
    if not own and not silent:
        return
    screen = terminal.standard(no_color=found.no_color)

    def say(text: str) -> None:
        screen.print([] if found.outputs.quiet else [text])

    try:
        if given.cluster == arguments.KIND:
            from tilt_client import kind  # noqa: PLC0415 - few runs need it

            stack.enter_context(kind.passing(say))
        else:
            stack.enter_context(embedded.passing(say, "there is no kubeconfig" if silent else ""))
    except Complaint as complaint:
        running.record(found, screen, complaint)
        raise


def _verify(given: argparse.Namespace, found: options.Options) -> None:
    """Make sure that this run will do what was planned."""
    from tilt_client import plans  # noqa: PLC0415 - few runs need it

    wanted = found.reuse
    if wanted.rebuild or wanted.no_prune or wanted.cache != "write":
        message = "a plan knows nothing of --rebuild, --cache and --no-prune"
        raise Complaint(message, "leave them out, or --plan", code=Exit.USAGE)
    plans.verify(given, given.plan)
