"""What differs between a live object and the desired one: the one home of deepdiff.

It explains differences; whether there is one at all is told by keys, at a hundredth of the cost.
deepdiff takes a fifth of a second to import, so that happens at the first difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from tiltd.core import normalise

# kubectl keeps a copy of the whole object there.
_COPY = "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration"
_SHOWN = 60
_CHANGED = "(secret, changed)"
_OWN = ("metadata.annotations.tilt.dev/key", "metadata.labels.tilt.dev/project")


@dataclass(frozen=True, slots=True)
class Change:
    """One field; `None` as a side is "absent". Values of Secrets are never in here."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """`spec.replicas 1 → 2`."""
        return f"{self.path} {_shown(self.old)} → {_shown(self.new)}"


def between(live: Mapping[str, Any], desired: Mapping[str, Any]) -> tuple[Change, ...]:
    """The fields of `desired` that `live` has otherwise, by path."""
    left, right = normalise.pair(live, desired)
    if left == right:
        return ()
    from deepdiff import DeepDiff  # noqa: PLC0415 - see the module

    found = DeepDiff(left, right, view="tree", ignore_numeric_type_changes=True)
    secret = desired.get("kind") == "Secret"
    groups = cast("dict[str, list[Any]]", found)
    changes = [_change(item, secret=secret) for items in groups.values() for item in items]
    return tuple(sorted((c for c in changes if c.path not in _OWN), key=lambda c: c.path))


def exact(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """The fields in which two states of a live object differ, those that go included."""
    there, gone = between(before, after), between(after, before)
    known = {change.path for change in there}
    removed = [Change(c.path, c.new, None) for c in gone if c.old is None and c.path not in known]
    secret = [replace(c, old="(secret)") if c.old == _CHANGED else c for c in removed]
    return tuple(sorted((*there, *secret), key=lambda c: c.path))


def _change(item: Any, *, secret: bool) -> Change:
    path = ".".join(str(step) for step in item.path(output_format="list"))
    old, new = _side(item.t1), _side(item.t2)
    if secret and (path.startswith(_COPY) or path.split(".")[0] in {"data", "stringData"}):
        old = old if old is None else "(secret)"
        new = new if new is None else _CHANGED
    return Change(path, old, new)


def _side(value: Any) -> Any:
    return None if type(value).__name__ == "NotPresent" else value


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
