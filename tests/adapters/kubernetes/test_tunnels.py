"""What goes through a WebSocket for one forwarded connection, byte by byte."""

import struct

import pytest

from tilt_cluster.server import spdy
from tiltd.adapters.kubernetes import tunnels
from tiltd.adapters.kubernetes.tunnels import Answer, Data, Mute, Over, Words

PING = struct.pack(">III", 0x80030006, 4, 2)
RESET = struct.pack(">IIII", 0x80030003, 8, 3, 5)
GOAWAY = struct.pack(">IIII", 0x80030007, 8, 0, 0)
REPLY = struct.pack(">III", 0x80030002, 4, 3)


def data(stream: int, piece: bytes, *, last: bool = False) -> bytes:
    return struct.pack(">II", stream, (int(last) << 24) | len(piece)) + piece


def came(tunnel: tunnels.Tunnel, *messages: bytes) -> list[tunnels.Came]:
    return [one for message in messages for one in tunnel.receive(message)]


def joined(all_that_came: list[tunnels.Came]) -> list[tunnels.Came]:
    """Pieces that follow each other as one: where they are cut is of no meaning."""
    out: list[tunnels.Came] = []
    for one in all_that_came:
        before = out[-1] if out else None
        if isinstance(one, Data) and isinstance(before, Data):
            out[-1] = Data(before.piece + one.piece)
        else:
            out.append(one)
    return out


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(data(3, b"hello"), [Data(b"hello")], id="data"),
        pytest.param(data(3, b"bye", last=True), [Data(b"bye"), Over()], id="last-data"),
        pytest.param(data(3, b"", last=True), [Over()], id="end"),
        pytest.param(data(1, b"", last=True), [Mute()], id="no-error"),
        pytest.param(data(1, b"refused", last=True), [Words("refused"), Mute()], id="error"),
        pytest.param(data(9, b"whose?"), [], id="stream-of-nobody"),
        pytest.param(PING, [Answer(PING)], id="ping"),
        pytest.param(RESET, [Over()], id="reset"),
        pytest.param(REPLY + GOAWAY, [], id="reply-and-goaway"),
        pytest.param(
            data(3, b"one") + PING + data(3, b"two") + data(1, b"no") + RESET,
            [Data(b"one"), Answer(PING), Data(b"two"), Words("no"), Over()],
            id="several",
        ),
    ],
)
def test_spdy_is_understood_wherever_messages_are_cut(
    message: bytes, expected: list[tunnels.Came]
) -> None:
    assert came(tunnels.Spdy(80), message) == expected
    for at in range(len(message) + 1):
        assert joined(came(tunnels.Spdy(80), message[:at], message[at:])) == expected
    assert joined(came(tunnels.Spdy(80), *(bytes([byte]) for byte in message))) == expected


def test_spdy_opens_the_stream_of_errors_first_and_ends_its_half() -> None:
    tunnel, reader = tunnels.Spdy(8000), spdy.Reader()
    errors, silent, opened, piece, end = reader.feed(
        tunnel.begin() + tunnel.data(b"hello") + tunnel.end()
    )
    of_port = {"port": "8000", "requestid": "0"}
    assert (errors.kind, errors.stream) == (spdy.SYN_STREAM, 1)
    assert reader.headers(errors) == {"streamtype": "error", **of_port}
    assert silent == spdy.Frame(0, spdy.FIN, 1, b"")
    assert (opened.kind, opened.stream) == (spdy.SYN_STREAM, 3)
    assert reader.headers(opened) == {"streamtype": "data", **of_port}
    assert piece == spdy.Frame(0, 0, 3, b"hello")
    assert end == spdy.Frame(0, spdy.FIN, 3, b"")


def test_a_frame_that_would_take_too_much_memory_is_refused() -> None:
    with pytest.raises(tunnels.BabbleError, match="16777215 bytes"):
        came(tunnels.Spdy(80), struct.pack(">II", 0x80030001, 0xFFFFFF))


def test_channels_begin_with_the_port_and_then_carry() -> None:
    tunnel = tunnels.Channels(80)
    assert came(tunnel, b"\0\x50\0", b"\1\x50\0", b"\0hello", b"\1no") == [
        Data(b"hello"),
        Words("no"),
    ]
    assert tunnel.begin() == b""
    assert tunnel.data(b"hello") == b"\0hello"
    assert tunnel.end() == b""


@pytest.mark.parametrize("message", [b"", b"\2x", b"\0\x50"], ids=["empty", "channel", "headless"])
def test_what_no_channel_says_is_refused(message: bytes) -> None:
    with pytest.raises(tunnels.BabbleError):
        came(tunnels.Channels(80), message)


def test_the_tunnel_that_can_end_one_direction_is_preferred() -> None:
    assert list(tunnels.TUNNELS) == ["SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io"]
