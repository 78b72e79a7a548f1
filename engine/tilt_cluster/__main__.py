"""`python -m tilt_cluster`: a cluster in the foreground, or with a verb clusters by their names."""

import sys
from collections.abc import Sequence

from tilt_cluster import verbs


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in verbs.VERBS:
        return verbs.main(words)
    from tilt_cluster import foreground  # noqa: PLC0415 - the verbs do without the whole API

    return foreground.main(words, tuple(verbs.VERBS))


if __name__ == "__main__":
    sys.exit(main())
