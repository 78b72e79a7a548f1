"""`tilt-client keys [NODE]`: the digests that decide whether work is due, and what goes in."""

from collections.abc import Sequence

from tilt_client import arguments, plans, questions

_SUMMARY = """\
Print the key of every node; of NODE, also all that goes into it.

Equal keys mean no work. NODE is an image, an object (Deployment/web), a resource for all that it is
made of, or an id as in the list. Reads files only; asks neither cluster nor engine nor registry."""


def run(argv: Sequence[str]) -> int:
    """Print keys; the exit code."""
    parser = arguments.Parser("keys", _SUMMARY)
    parser.add_argument("node", nargs="?", metavar="NODE", help="this one alone, with its parts")
    arguments.add(parser, plans.output("text", "json"), *questions.FLAGS)
    found = plans.named(parser, argv)
    answer = plans.ask(found, offline=True)
    from tilt_client.render import keys  # noqa: PLC0415 - see `connect`

    nodes = plans.matching(answer, found.node) if found.node else list(answer.nodes)
    if found.output == "json":
        plans.write_json(keys.data(nodes))
    else:
        plans.write(keys.explained(nodes) if found.node else keys.table(nodes), found)
    return 0
