"""The values of a project's Secrets: what must never be shown.

Both forms count, the plain value and its base64, and the single lines of a value with several
(logs come in lines).  Very short values are left out: to hide every `1` or `true` would make all
logs unreadable and say where the value is.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Any

from tiltd.core import podspec
from tiltd.tiltfile.objects import Entity

_SHORTEST = 4
"""Shorter values are not hidden."""


def values(entities: Iterable[Entity]) -> tuple[str, ...]:
    """All values of the Secrets among these objects, longest first."""
    found: set[str] = set()
    for entity in entities:
        if (entity.group, entity.kind) == ("", "Secret"):
            found.update(v for v in _of(entity) if len(v) >= _SHORTEST)
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def _of(entity: Entity) -> Iterator[str]:
    for value in podspec.section(entity.body, "stringData").values():
        text = _as_text(value)
        yield from _forms(text)
        yield base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
    for value in podspec.section(entity.body, "data").values():
        encoded = "".join(_as_text(value).split())
        yield encoded
        try:
            plain = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError):
            continue  # no text: only its base64 can ever be printed
        yield from _forms(plain)


def _forms(text: str) -> Iterator[str]:
    yield text
    yield from (line.strip() for line in text.splitlines())


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else ("" if value is None else str(value))
