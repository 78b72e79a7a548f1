"""What a project has in its cluster, by the account that it keeps there."""

from dataclasses import dataclass
from typing import NamedTuple


class Entry(NamedTuple):
    """An object; `namespace` as its manifest gives it, empty for the default one or none."""

    group: str
    version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`Deployment/web`, with its namespace where the manifest gave one."""
        return f"{self.kind}/{self.name}" + (f" ({self.namespace})" if self.namespace else "")


@dataclass(frozen=True, slots=True)
class Stock:
    """How far the account is.

    Args:
        wanted: digest of what the project has now.
        taken: the digest for which the account was read last.
        gone: what the account has beyond that: it was applied, and is no longer in the Tiltfile.
        pruned: that has been seen to.
    """

    wanted: str = ""
    taken: str = ""
    gone: tuple[Entry, ...] = ()
    pruned: bool = False
