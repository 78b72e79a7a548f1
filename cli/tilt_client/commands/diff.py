"""`tilt-client diff`: which fields of live objects would `ci` change?"""

from collections.abc import Sequence

from tilt_client.commands import plan

_SUMMARY = """\
Tell which fields of the cluster's objects `ci` would change: as they are, and as they would be.

As `plan`, but of objects only, and each value whole."""


def run(argv: Sequence[str]) -> int:
    """Print the differences; the exit code."""
    return plan.show("diff", _SUMMARY, argv)
