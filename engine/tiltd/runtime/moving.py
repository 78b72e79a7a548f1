"""Files that change while an image is built of them.

The key was made before the build, so what was built then is not what its tag says: it would be
found under that tag by every later run.  It is thrown away and built anew under the key of what is
there now.  Some contexts never come to rest (a server writes its log into one): after some builds
in a row the newest is taken, and the log says so.

What the command of a `custom_build` finds changed it has mostly written itself; a second run would
do the same, so it is told how that is left out.
"""

from typing import assert_never

from tiltd.model.desired import CustomBuild, DockerBuild, Image
from tiltd.ports import Log

MOST = 2
"""Builds in a row that are for nothing."""


class MovedError(Exception):
    """What was built is not what the key says.

    Args:
        digest: of the files as they are now.
    """

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


def useless(image: Image, moves: int, log: Log) -> bool:
    """Whether a build whose files have changed meanwhile must be done again; it says why.

    Args:
        image: what was built.
        moves: how many builds before it were for nothing.
        log: of the image.
    """
    changed = f"files of {image.name} changed while it was being built"
    match image.build:
        case CustomBuild():
            text = f"{changed}: name in ignore= what the command itself writes"
            again = False
        case DockerBuild() if moves < MOST:
            text, again = f"{changed}: building it again", True
        case DockerBuild():
            text = f"{changed}, again: it may hold both; leave out with .dockerignore or ignore="
            again = False
            text += " what other programs write"
        case _:
            assert_never(image.build)
    log.write(f"{text}\n", level="warn")
    return again
