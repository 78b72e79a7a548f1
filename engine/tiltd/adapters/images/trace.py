"""BuildKit's own progress, as the Engine hands it on: protobuf in base64 in the build's stream.

Of the message (`StatusResponse` of BuildKit's control API) a few fields are of interest, and the
wire format is three rules; so it is read here, and nothing else here has to know protobuf.
"""

import base64
import binascii
import dataclasses
from collections.abc import Iterator

ID = "moby.buildkit.trace"
"""The events of the Engine's stream that bring it in `aux`."""

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_VERTEXES, _LOGS = 1, 3
_KEY, _NAME, _CACHED, _STARTED, _ERROR, _PRINTED = 1, 3, 4, 5, 7, 4
_LONGEST = 70
Value = int | bytes


class TraceError(Exception):
    """It is not as BuildKit sends it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Vertex:
    """What BuildKit does, or is going to do."""

    key: str
    name: str
    cached: bool
    started: bool
    error: str


@dataclasses.dataclass(frozen=True, slots=True)
class Printed:
    """What a program of a vertex has printed: any bytes, not whole lines."""

    key: str
    text: bytes


def read(text: str) -> Iterator[Vertex | Printed]:
    """What an event tells.

    Raises:
        TraceError: it is no such message.
    """
    try:
        message = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise TraceError(str(error)) from error
    for number, value in _fields(message):
        if number == _VERTEXES:
            yield _vertex(_message(value))
        elif number == _LOGS:
            found = dict(_fields(_message(value)))
            yield Printed(_text(found, _KEY), _message(found.get(_PRINTED, b"")))


def _vertex(message: bytes) -> Vertex:
    found = dict(_fields(message))
    key, name, error = (_text(found, number) for number in (_KEY, _NAME, _ERROR))
    return Vertex(key, name, bool(found.get(_CACHED)), _STARTED in found, error)


def _text(found: dict[int, Value], number: int) -> str:
    return _message(found.get(number, b"")).decode("utf-8", "replace")


def _message(value: Value) -> bytes:
    if isinstance(value, int):
        raise TraceError("a number in the place of a message")
    return value


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(message):
        head, at = _varint(message, at)
        kind = head & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield head >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        elif kind in (_EIGHT, _FOUR):
            length = 8 if kind == _EIGHT else 4
        else:
            raise TraceError(f"a field of kind {kind}")
        if at + length > len(message):
            raise TraceError("it breaks off")
        yield head >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < _LONGEST:
        byte = message[at]
        at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the bit that says "more"
            return value, at
    raise TraceError("it breaks off in a number")
