r"""Texts and patterns that choose Kubernetes objects.

Two kinds: the fragments of `k8s_resource(objects=[…])`, `name`, `name:kind`,
`name:kind:namespace` and `…:group`, with `\:` for a colon in a name, in any case; and the regular
expressions of `k8s_kind`, `k8s_image_json_path` and `filter_yaml`, which match anywhere in the
text, in any case.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.objects import Entity

_PARTS = re.compile(r"(?:[^:\\]|\\.)*")
_MOST_PARTS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Pattern:
    """Regular expressions over an object's coordinates; an empty one matches everything.

    Raises:
        Mistake: one of them is no regular expression.
    """

    api_version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""

    def __post_init__(self) -> None:
        for part in dataclasses.fields(self):
            text = getattr(self, part.name)
            try:
                re.compile(text)
            except re.error as error:
                raise Mistake(
                    f"{part.name}={text!r} is no regular expression: {error}",
                    hint="put a backslash before a character that is meant as itself",
                ) from error

    def matches(self, entity: Entity) -> bool:
        """Whether every part matches somewhere in its coordinate."""
        return (
            _found(self.api_version, entity.api_version)
            and _found(self.kind, entity.kind)
            and _found(self.name, entity.name)
            and _found(self.namespace, entity.namespace)
        )


class Fragments:
    """Objects by all fragments that mean them, so that a thousand look-ups are a thousand steps.

    Args:
        entities: the objects, in their order.
    """

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._entities: dict[tuple[str, ...], list[Entity]] = {}
        for entity in entities:
            parts = (entity.name, entity.kind, entity.namespace, entity.group or "core")
            coordinates = tuple(part.lower() for part in parts)
            for length in range(1, _MOST_PARTS + 1):
                self._entities.setdefault(coordinates[:length], []).append(entity)

    def matching(self, text: str) -> Sequence[Entity]:
        """The objects that a fragment may mean."""
        return self._entities.get(tuple(part.lower() for part in split_fragment(text)), ())


def has_labels(entity: Entity, wanted: Mapping[str, str]) -> bool:
    """Whether the object carries all of these labels."""
    return all(entity.labels.get(key) == value for key, value in wanted.items())


def check_fragment(text: str) -> None:
    """Refuse what can name no object.

    Raises:
        Mistake: it is empty or has too many parts.
    """
    if not text:
        raise Mistake(
            "an object selector is empty", hint="write name, name:kind or name:kind:namespace"
        )
    parts = split_fragment(text)
    if len(parts) > _MOST_PARTS:
        raise Mistake(
            f"the object selector {text!r} has {len(parts)} parts, more than {_MOST_PARTS}",
            hint="write name, name:kind, name:kind:namespace or name:kind:namespace:group; "
            "a colon in a name is written \\:",
        )


def split_fragment(text: str) -> list[str]:
    r"""The parts between the colons that no backslash escapes, without the escapes."""
    if "\\" not in text:
        return text.split(":")
    parts: list[str] = []
    at = 0
    while True:
        match = _PARTS.match(text, at)
        end = match.end() if match else at
        parts.append(re.sub(r"\\(.)", r"\1", text[at:end]))
        if end >= len(text):
            return parts
        at = end + 1


def _found(pattern: str, text: str) -> bool:
    return not pattern or re.search(pattern, text, re.IGNORECASE) is not None
