"""`tilt-client plan`: what would `ci` do, and why?"""

from collections.abc import Sequence

from tilt_client import arguments, plans, questions, terminal
from tilt_client.complaint import Complaint, Exit

_SUMMARY = """\
Tell what `ci` would do, and why, and do nothing.

Builds nothing, pushes nothing, applies nothing: the Tiltfile is read, files are digested, the
engine and the registry are asked for images, and the cluster for its objects and for a dry run of
each that would be applied. Values of Secrets are masked."""
_CODES = """\
exit codes: 0; with --exit-code 2 if something is to be done. 1 error, or the cluster would refuse
an object; 2 error in the Tiltfile or the command line (1 with --exit-code)."""
OUT: arguments.Flag = (
    ("--out",),
    {"metavar": "FILE", "default": "", "help": "write the plan to a file, for ci --plan FILE"},
)
EXIT_CODE: arguments.Flag = (
    ("--exit-code",),
    {"action": "store_true", "help": "exit with 2 if there is something to do, 1 for any error"},
)


def run(argv: Sequence[str]) -> int:
    """Print the plan; the exit code."""
    return show("plan", _SUMMARY, argv)


def show(verb: str, summary: str, argv: Sequence[str]) -> int:
    """Print a plan as the verb does; the exit code."""
    parser = arguments.Parser(verb, summary, epilog=_CODES)
    own = (plans.output("text", "json"), EXIT_CODE, OUT, plans.OFFLINE)
    arguments.add(parser, *own, *questions.FLAGS)
    found = arguments.parse(parser, argv)
    if found.out and found.offline:
        hint = "without --offline"
        raise Complaint("a plan to be kept needs a look at the cluster", hint, code=Exit.USAGE)
    try:
        answer = plans.ask(found, offline=found.offline)
    except Complaint as complaint:
        complaint.code = Exit.FAILED if found.exit_code else complaint.code
        raise
    if found.out:
        plans.save(answer, found.out)
    from tilt_client.render import plan  # noqa: PLC0415 - see `connect`
    from tilt_client.render.style import Style  # noqa: PLC0415

    if found.output == "json":
        plans.write_json(plan.data(answer))
    else:
        paint = Style(terminal.standard(no_color=found.no_color).color)
        render = plan.fields if verb == "diff" else plan.lines
        plans.write(render(answer, paint), found)
    if plan.refused(answer):
        return Exit.FAILED
    return 2 if found.exit_code and plan.changes(answer) else 0
