"""BuildKit's own progress, as the Engine hands it on: protobuf in base64 in the build's stream.

Only the fields of interest are declared (of `StatusResponse` in BuildKit's control API); the
others are skipped, and what BuildKit adds in time does not matter.
"""

import base64
import binascii
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

ID = "moby.buildkit.trace"
"""The events of the Engine's stream that bring it in `aux`."""

_Field = descriptor_pb2.FieldDescriptorProto
# Text is declared as bytes: a program's name for something need not be UTF-8. So is a time, of
# which only matters whether it is there: it is a message, and they have one form.
_FIELDS: Mapping[str, Mapping[str, tuple[int, Any]]] = {
    "StatusResponse": {"vertexes": (1, "Vertex"), "logs": (3, "VertexLog")},
    "Vertex": {
        "digest": (1, _Field.TYPE_BYTES),
        "name": (3, _Field.TYPE_BYTES),
        "cached": (4, _Field.TYPE_BOOL),
        "started": (5, _Field.TYPE_BYTES),
        "error": (7, _Field.TYPE_BYTES),
    },
    "VertexLog": {"vertex": (1, _Field.TYPE_BYTES), "msg": (4, _Field.TYPE_BYTES)},
}


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
        found: Any = _response().FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, message.DecodeError) as error:
        raise TraceError(str(error)) from error
    for one in found.vertexes:
        key, name, failure = (_text(part) for part in (one.digest, one.name, one.error))
        yield Vertex(key, name, one.cached, bool(one.started), failure)
    for one in found.logs:
        yield Printed(_text(one.vertex), one.msg)


def _text(given: bytes) -> str:
    return given.decode("utf-8", "replace")


@functools.cache
def _response() -> type[message.Message]:
    file = descriptor_pb2.FileDescriptorProto(name="trace.proto", package="t", syntax="proto3")
    for name, fields in _FIELDS.items():
        declared = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            made = declared.field.add(name=field, number=number)
            if isinstance(kind, str):
                made.label, made.type = _Field.LABEL_REPEATED, _Field.TYPE_MESSAGE
                made.type_name = f".t.{kind}"
            else:
                made.label, made.type = _Field.LABEL_OPTIONAL, kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.StatusResponse"))
