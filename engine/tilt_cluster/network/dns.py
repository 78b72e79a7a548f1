"""DNS messages, as far as a cluster's server needs them: questions in; A, SRV, CNAME, PTR out.

RFC 1035 (messages), RFC 2782 (SRV).  Names are lower-case without the final dot.  Only the first
question counts, as everywhere.  Answers carry whole names, without compression.
"""

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, CNAME, PTR, AAAA, SRV, ANY = 1, 5, 12, 28, 33, 255
OK, BROKEN, FAILED, UNKNOWN, REFUSED = 0, 1, 2, 3, 5
_HEADER = struct.Struct("!HHHHHH")
_UDP_MAX = 1232
_LABEL_MAX, _NAME_MAX = 63, 255
_POINTER = 0xC0


class MessageError(ValueError):
    """Bytes that are no question."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks.

    Args:
        number: of the message.
        name: that it asks about.
        kind: of the record.
        recursion: the client wants it followed.
        raw: the question as it came, for the answer.
    """

    number: int
    name: str
    kind: int
    recursion: bool
    raw: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an answer; `data` is in wire format."""

    name: str
    kind: int
    data: bytes
    ttl: int = 5


def question(message: bytes) -> Question:
    """Read a query.

    Raises:
        MessageError: it isn't one.
    """
    if len(message) < _HEADER.size:
        raise MessageError("too short")
    number, flags, count, *_ = _HEADER.unpack_from(message)
    if flags & 0x8000 or count < 1:
        raise MessageError("not a query")
    labels: list[str] = []
    at, size = _HEADER.size, 0
    while True:
        if at >= len(message):
            raise MessageError("cut off in the name")
        length = message[at]
        at += 1
        if not length:
            break
        size += length + 1
        if length & _POINTER or size > _NAME_MAX or at + length > len(message):
            raise MessageError("bad name")
        labels.append(message[at : at + length].decode("latin-1").lower())
        at += length
    if at + 4 > len(message):
        raise MessageError("cut off in the question")
    kind, _ = struct.unpack_from("!HH", message, at)
    raw = message[_HEADER.size : at + 4]
    return Question(number, ".".join(labels), kind, bool(flags & 0x0100), raw)


def encode_name(name: str) -> bytes:
    """A name in wire format."""
    parts = [part.encode("latin-1", "replace")[:_LABEL_MAX] for part in name.split(".") if part]
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


def address(name: str, ip: str) -> Record:
    """An A record."""
    return Record(name, A, ipaddress.IPv4Address(ip).packed)


def alias(name: str, target: str) -> Record:
    """A CNAME record."""
    return Record(name, CNAME, encode_name(target))


def pointer(name: str, target: str) -> Record:
    """A PTR record."""
    return Record(name, PTR, encode_name(target))


def service(name: str, port: int, target: str, weight: int = 100) -> Record:
    """An SRV record."""
    return Record(name, SRV, struct.pack("!HHH", 0, weight, port) + encode_name(target))


def answer(
    asked: Question,
    code: int,
    records: Sequence[Record] = (),
    extra: Sequence[Record] = (),
    *,
    limit: int | None = _UDP_MAX,
) -> bytes:
    """Write an answer; one that is longer than `limit` says so (TC) and is empty."""
    flags = 0x8400 | (0x0100 if asked.recursion else 0) | 0x0080 | code
    body = b"".join(_encode(record) for record in (*records, *extra))
    counts = (1, len(records), 0, len(extra))
    if limit is not None and _HEADER.size + len(asked.raw) + len(body) > limit:
        return _HEADER.pack(asked.number, flags | 0x0200, 1, 0, 0, 0) + asked.raw
    return _HEADER.pack(asked.number, flags, *counts) + asked.raw + body


def _encode(record: Record) -> bytes:
    tail = struct.pack("!HHIH", record.kind, 1, record.ttl, len(record.data))
    return encode_name(record.name) + tail + record.data
