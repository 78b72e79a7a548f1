"""`tilt-client version`."""

import sys
from collections.abc import Sequence

from tilt_api.version import VERSION
from tilt_client.arguments import Parser


def run(argv: Sequence[str]) -> int:
    """Print the client's version, which asks nobody."""
    Parser("version", "Print the version of this program.").parse_args(argv)
    sys.stdout.write(f"tilt-client {VERSION}\n")
    return 0
