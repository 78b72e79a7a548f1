"""Labels of resources: the names under which people group them, by Kubernetes' rule."""

import re

from tiltd.tiltfile.mistakes import Mistake

_LABEL = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LONGEST = 63


def check(label: str) -> str:
    """The label itself.

    Raises:
        Mistake: it can't be one.
    """
    if not _LABEL.fullmatch(label) or len(label) > _LONGEST:
        raise Mistake(
            f"{label!r} is no label",
            hint=f"use letters, digits, '-', '_' and '.', at most {_LONGEST}, "
            "with a letter or digit at both ends",
        )
    return label
