"""The JSONPaths of `k8s_kind` and `k8s_image_json_path`: where an object holds an image.

Kubernetes' template syntax, as far as it names places: `{.spec.image}`, `{.spec.list[0].image}`,
`{.spec.list[*].image}`, `{.spec['a.b']}`, braces optional.  Filters, ranges and recursive descent
are refused by name.  A place that an object doesn't have is no error: a kind may have several.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast


class JsonPathError(ValueError):
    """A text that is no path, or one that uses more than names, indices and `*`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.hint = "write a path such as {.spec.image} or {.spec.containers[*].image}"


Step = str | int | None
"""A field, an index, or `None` for every one."""

_STEP = re.compile(
    r"""\.(?P<field>[\w$-]+|\*) | \[(?P<index>-?\d+|\*)\]
      | \[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]""",
    re.VERBOSE,
)


def parse(text: str) -> tuple[Step, ...]:
    """Read a path.

    Raises:
        JsonPathError: it is none, or uses more than names, indices and `*`.
    """
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1].strip()
    inner = inner.removeprefix("$").removeprefix("@")
    if inner and inner[0] not in ".[":
        inner = f".{inner}"
    steps: list[Step] = []
    at = 0
    while at < len(inner):
        match = _STEP.match(inner, at)
        if not match:
            raise JsonPathError(f"{text!r} is no JSONPath that is supported here")
        steps.append(_step(match))
        at = match.end()
    if not steps:
        raise JsonPathError(f"{text!r} names no field")
    return tuple(steps)


def find(value: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    """Every value at the path, in order."""
    if not steps:
        yield value
        return
    for child in _children(value, steps[0]):
        yield from find(child, steps[1:])


def replace(value: Any, steps: tuple[Step, ...], change: Callable[[Any], Any]) -> None:
    """Put `change(old)` in place of every value at the path; the value at the root stays."""
    *above, last = steps
    for parent in find(value, tuple(above)):
        for key in _keys(parent, last):
            parent[key] = change(parent[key])


def _keys(parent: Any, step: Step) -> list[Any]:
    if isinstance(parent, dict):
        names = list(cast("dict[str, Any]", parent))
        return names if step is None else [n for n in names if n == step]
    if isinstance(parent, list):
        size = len(cast("Sequence[Any]", parent))
        if step is None:
            return list(range(size))
        return [step] if isinstance(step, int) and -size <= step < size else []
    return []


def _step(match: re.Match[str]) -> Step:
    if match["quoted"] is not None:
        return match["quoted"]
    if match["index"] is not None:
        return None if match["index"] == "*" else int(match["index"])
    return None if match["field"] == "*" else match["field"]


def _children(value: Any, step: Step) -> list[Any]:
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        if step is None:
            return list(mapping.values())
        return [mapping[step]] if isinstance(step, str) and step in mapping else []
    if isinstance(value, list):
        items = cast("list[object]", value)
        if step is None:
            return items
        if isinstance(step, int) and -len(items) <= step < len(items):
            return [items[step]]
    return []
