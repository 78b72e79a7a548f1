"""SPDY/3.1 frames, as far as port-forward needs them.

Source: the SPDY protocol draft 3.1.  Headers are compressed with one zlib stream for each
direction, whose dictionary both sides know.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 9
FIN = 1
_VERSION = 3
_LENGTH = 0xFFFFFF
_CONTROL = 0x80000000
_ID = 0x7FFFFFFF
HEAD = 8

_WORDS = [
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
]
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
    "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _counted(word: str) -> bytes:
    return struct.pack(">I", len(word)) + word.encode()


DICTIONARY = (
    b"".join(map(_counted, _WORDS))
    + b"".join(map(_counted, ("status", "200 OK", "version", "HTTP/1.1", "url", "public")))
    + b"".join(map(_counted, ("set-cookie", "keep-alive", "origin")))
    + _TAIL.encode()
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: of control (`kind`), or data (`kind` 0)."""

    kind: int
    flags: int
    stream: int
    body: bytes


class Reader:
    """Frames out of a stream of bytes."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._unpack = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> list[Frame]:
        """Every frame that is complete now."""
        self._waiting += data
        found: list[Frame] = []
        while len(self._waiting) >= HEAD:
            first, second = struct.unpack_from(">II", self._waiting)
            length = second & _LENGTH
            if len(self._waiting) < HEAD + length:
                break
            body = bytes(self._waiting[HEAD : HEAD + length])
            del self._waiting[: HEAD + length]
            flags = second >> 24
            if not first & _CONTROL:
                found.append(Frame(0, flags, first & _ID, body))
                continue
            kind = first & 0xFFFF
            stream = struct.unpack_from(">I", body)[0] & _ID if len(body) >= 4 else 0  # noqa: PLR2004 - an id
            found.append(Frame(kind, flags, stream, body))
        return found

    def headers(self, frame: Frame) -> Mapping[str, str]:
        """The headers of a SYN_STREAM."""
        text = self._unpack.decompress(frame.body[10:])
        count = struct.unpack_from(">I", text)[0]
        at = 4
        found: dict[str, str] = {}
        for _ in range(count):
            pair: list[str] = []
            for _ in range(2):
                length = struct.unpack_from(">I", text, at)[0]
                pair.append(text[at + 4 : at + 4 + length].decode())
                at += 4 + length
            found[pair[0].lower()] = pair[1]
        return found


class Writer:
    """Frames as bytes; one for each connection, since headers share a compressor."""

    def __init__(self) -> None:
        self._pack = zlib.compressobj(zdict=DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """SYN_REPLY without headers."""
        headers = self._pack.compress(struct.pack(">I", 0)) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        return _control(SYN_REPLY, 0, struct.pack(">I", stream) + headers)

    def data(self, stream: int, data: bytes, *, last: bool = False) -> bytes:
        """A data frame."""
        return struct.pack(">II", stream, ((FIN if last else 0) << 24) | len(data)) + data

    def window(self, stream: int, size: int) -> bytes:
        """WINDOW_UPDATE: that much may be sent again."""
        return _control(WINDOW_UPDATE, 0, struct.pack(">II", stream, size))

    def pong(self, frame: Frame) -> bytes:
        """The answer to a PING."""
        return _control(PING, 0, frame.body)


def _control(kind: int, flags: int, body: bytes) -> bytes:
    first = _CONTROL | (_VERSION << 16) | kind
    return struct.pack(">II", first, (flags << 24) | len(body)) + body
