"""What the cluster says that an apply would do, without doing it."""

from dataclasses import dataclass

from tiltd.model.desired import JSON
from tiltd.model.problems import Problem


@dataclass(frozen=True, slots=True)
class Trial:
    """See the module.

    Args:
        after: the object as it would be; `None`: the cluster can't tell, or would not have it.
        before: the object as it is, where nobody knew that it was there.
        immutable: a field would change that can't be changed.
        conflicts: the fields that others manage, with their names.
        refused: why it would not be accepted.
        words: why the cluster can't tell.
    """

    after: JSON | None = None
    before: JSON | None = None
    immutable: bool = False
    conflicts: tuple[str, ...] = ()
    refused: Problem | None = None
    words: str = ""
