"""`tilt-client why NODE`: is it due, and what has changed?"""

from collections.abc import Sequence

from tilt_client import arguments, plans, questions

_SUMMARY = """\
Tell why a node is due, or why not: which of its inputs changed, from what to what.

NODE is an image, an object (Deployment/web), a resource for all that it is made of, or an id as
`tilt-client keys` lists them."""


def run(argv: Sequence[str]) -> int:
    """Print the reasons; the exit code."""
    parser = arguments.Parser("why", _SUMMARY)
    parser.add_argument("node", metavar="NODE", help="an image, object or resource")
    own = (plans.output("text", "json"), plans.OFFLINE)
    arguments.add(parser, *own, *questions.FLAGS)
    found = plans.named(parser, argv)
    answer = plans.ask(found, offline=found.offline)
    from tilt_client.render import keys  # noqa: PLC0415 - see `connect`

    nodes = plans.matching(answer, found.node)
    if found.output == "json":
        plans.write_json(keys.data(nodes))
    else:
        plans.write(keys.reasons(nodes), found)
    return 0
