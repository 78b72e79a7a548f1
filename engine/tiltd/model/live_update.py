"""What a live update is about: files of a build, and the containers that they go into.

`Files` are a build's files by absolute path, each with what it is: its kind (`f`, `d` or `l`), its
mode and its content in short.  Where one set of files is compared with another, an empty text says
that the file is gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tiltd.model.desired import LiveUpdateStep
from tiltd.model.names import ImageName

Files = Mapping[str, str]

GONE = ""
UNKNOWN = "?"
"""What a container holds at a path after an update of it broke off."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running container.

    Args:
        id: of this life of it, as its runtime says (`containerd://…`).
        name: of the container; for Docker Compose as the Docker Engine has it.
        pod: the pod; empty for Docker Compose.
        namespace: of the pod.
    """

    id: str
    name: str
    pod: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        """`web-6d5f-x2x/main`, or `shop-web-1`."""
        return f"{self.pod}/{self.name}" if self.pod else self.name


@dataclass(frozen=True, slots=True)
class Update:
    """What to do with one container, in this order.

    Args:
        image: the image that it runs.
        removals: paths in it that go.
        copies: local files, each with its path in the container.
        runs: steps to run in it.
        restart: restart it in the end.
        held: where its files differ from its image's, once this is done.
        doubt: the same while it goes on, or after it broke off.
    """

    target: Target
    image: ImageName
    removals: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    runs: tuple[LiveUpdateStep, ...] = ()
    restart: bool = False
    held: Files = field(default_factory=dict[str, str], repr=False)
    doubt: Files = field(default_factory=dict[str, str], repr=False)
