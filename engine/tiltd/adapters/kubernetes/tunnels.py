"""One forwarded connection as messages of a WebSocket, in the two ways that API servers know.

    SPDY/3.1+portforward.k8s.io   frames of SPDY: one stream for data, one for errors.  API servers
                                  serve it since 1.31 (KEP-4006), and it is what kubectl speaks.
    v4.channel.k8s.io             each message begins with its channel: 0 is data, 1 errors.  Every
                                  kubelet serves it; nobody can end one direction only.

Both are offered in one handshake, and the server takes what it knows.  A connection has a WebSocket
of its own, so that backpressure is TCP's, and what ends with it is this connection alone.

No I/O is done here: `receive` takes a message and gives what came in it.  Of SPDY this is what it
takes for two streams: headers are packed without the protocol's dictionary, which a zlib stream may
do without (RFC 1950, FDICT), and those of the answer are not read, since they say nothing.

Sources: the SPDY protocol draft 3.1; Kubernetes' `portforward` streams (`streamType`, `port`,
`requestID`; the error stream first).
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

_CONTROL = 0x80000000
_VERSION = 3
_LENGTH = 0xFFFFFF
_ID = 0x7FFFFFFF
_HEAD = 8
_SYN_STREAM, _RST_STREAM, _PING = 1, 3, 6
_FIN = 1
_ERRORS, _DATA = 1, 3
_LONGEST_CONTROL = 65536
_LONGEST_WORDS = 1000
_PORT_SIZE = 2


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes from the pod."""

    piece: bytes


@dataclass(frozen=True, slots=True)
class Words:
    """Why it does not work."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that has to be sent now."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Over:
    """The pod has ended the connection; why may still follow."""


@dataclass(frozen=True, slots=True)
class Mute:
    """No words (any more) will come."""


Came = Data | Words | Answer | Over | Mute


class BabbleError(Exception):
    """What came is not of the protocol."""


class Tunnel(Protocol):
    """A way of putting one connection into messages."""

    def begin(self) -> bytes:
        """The first message; empty if there is none."""
        ...

    def data(self, piece: bytes) -> bytes:
        """The message that brings a piece to the pod."""
        ...

    def end(self) -> bytes:
        """The message that tells the pod that no more comes; empty if that can't be told."""
        ...

    def receive(self, message: bytes) -> Iterator[Came]:
        """What came with a message.

        Raises:
            BabbleError: nothing that the protocol knows.
        """
        ...


class Spdy:
    """`SPDY/3.1+portforward.k8s.io`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._head = bytearray()
        self._stream, self._last, self._left = 0, False, 0
        self._words = b""

    def begin(self) -> bytes:
        """Two streams; on that of errors only the pod's side speaks."""
        pack = zlib.compressobj(0)

        def stream(number: int, kind: str) -> bytes:
            headers = {"streamtype": kind, "port": str(self._port), "requestid": "0"}
            packed = pack.compress(_headers(headers)) + pack.flush(zlib.Z_SYNC_FLUSH)
            return _control(_SYN_STREAM, struct.pack(">IIBB", number, 0, 0, 0) + packed)

        return stream(_ERRORS, "error") + _data(_ERRORS, b"", _FIN) + stream(_DATA, "data")

    def data(self, piece: bytes) -> bytes:
        """A data frame."""
        return _data(_DATA, piece, 0)

    def end(self) -> bytes:
        """An empty data frame, which is the last."""
        return _data(_DATA, b"", _FIN)

    def receive(self, message: bytes) -> Iterator[Came]:
        """Frames may begin and end anywhere in messages; data is told as it comes."""
        rest = memoryview(message)
        while rest:
            if self._left:
                piece, rest = bytes(rest[: self._left]), rest[self._left :]
                self._left -= len(piece)
                yield from self._told(piece)
                continue
            need = self._need() - len(self._head)
            self._head += rest[:need]
            rest = rest[need:]
            if len(self._head) == self._need():
                yield from self._framed()

    def _need(self) -> int:
        """How much of a frame has to be there: its head, of a control frame all of it."""
        if len(self._head) < _HEAD:
            return _HEAD
        first, second = _numbers(self._head)
        if not first & _CONTROL:
            return _HEAD
        length = second & _LENGTH
        if length > _LONGEST_CONTROL:
            raise BabbleError(f"a control frame of {length} bytes")
        return _HEAD + length

    def _framed(self) -> Iterator[Came]:
        first, second = _numbers(self._head)
        frame, self._head = bytes(self._head), bytearray()
        if first & _CONTROL:
            yield from _controlled(first & 0xFFFF, frame)
            return
        self._stream, self._last = first & _ID, bool((second >> 24) & _FIN)
        self._left = second & _LENGTH
        if not self._left:
            yield from self._told(b"")

    def _told(self, piece: bytes) -> Iterator[Came]:
        if self._stream == _DATA:
            if piece:
                yield Data(piece)
            if self._last and not self._left:
                yield Over()
        elif self._stream == _ERRORS:
            self._words = (self._words + piece)[:_LONGEST_WORDS]
            if self._words and not self._left:
                yield Words(_text(self._words))
                self._words = b""
            if self._last and not self._left:
                yield Mute()


class Channels:
    """`v4.channel.k8s.io`; each channel's first message is the number of the port."""

    def __init__(self, port: int) -> None:
        del port  # it is in the request already
        self._headless = {0, 1}

    def begin(self) -> bytes:
        """Nothing: the server begins."""
        return b""

    def data(self, piece: bytes) -> bytes:
        """A message on the channel of data."""
        return b"\0" + piece

    def end(self) -> bytes:
        """There is no way to tell."""
        return b""

    def receive(self, message: bytes) -> Iterator[Came]:
        """The pod's end is the WebSocket's."""
        if not message or message[0] > 1:
            raise BabbleError(f"a message on channel {message[:1].hex() or 'none'}")
        channel, rest = message[0], message[1:]
        if channel in self._headless:
            if len(rest) < _PORT_SIZE:
                raise BabbleError("a channel that does not begin with its port")
            self._headless.discard(channel)
            rest = rest[_PORT_SIZE:]
        if rest:
            yield Words(_text(rest)) if channel else Data(rest)


TUNNELS: Mapping[str, Callable[[int], Tunnel]] = {
    "SPDY/3.1+portforward.k8s.io": Spdy,
    "v4.channel.k8s.io": Channels,
}
"""By their names as subprotocols, the better one first; made with the port in the pod."""


def _controlled(kind: int, frame: bytes) -> Iterator[Came]:
    if kind == _PING:
        yield Answer(frame)
    elif kind == _RST_STREAM and len(frame) >= _HEAD + 4:
        yield Over()  # of either stream: without the one the other is worth nothing


def _numbers(head: bytes | bytearray) -> tuple[int, int]:
    """The two numbers that a frame begins with."""
    return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")


def _text(words: bytes) -> str:
    return words[:_LONGEST_WORDS].decode(errors="replace")


def _headers(headers: Mapping[str, str]) -> bytes:
    words = [word.encode() for pair in headers.items() for word in pair]
    return struct.pack(">I", len(headers)) + b"".join(
        struct.pack(">I", len(word)) + word for word in words
    )


def _control(kind: int, body: bytes) -> bytes:
    return struct.pack(">II", _CONTROL | _VERSION << 16 | kind, len(body)) + body


def _data(stream: int, piece: bytes, flags: int) -> bytes:
    return struct.pack(">II", stream, flags << 24 | len(piece)) + piece
