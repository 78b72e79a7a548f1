"""Protobuf bodies: what is read, and that nothing but a refusal comes of nonsense."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilt_cluster import wire


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


ABOUT = field(1, field(1, b"v1") + field(2, b"ConfigMap"))


def config_map() -> bytes:
    metadata = field(1, b"a") + field(3, b"") + field(8, b"")  # name, namespace, creationTimestamp
    pair = field(1, b"k") + field(2, b"v")
    return wire.MAGIC + ABOUT + field(2, field(1, metadata) + field(2, pair))


def test_an_object_is_read_as_its_json() -> None:
    assert wire.decode(config_map()) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"k": "v"},
    }


def test_an_unknown_kind_is_refused() -> None:
    about = field(1, field(1, b"v1") + field(2, b"Unicorn"))

    with pytest.raises(wire.WireError, match='no kind "Unicorn" is registered'):
        wire.decode(wire.MAGIC + about + field(2, b""))


@pytest.mark.parametrize("length", range(len(config_map())))
def test_a_cut_off_body_is_refused_or_read(length: int) -> None:
    with contextlib.suppress(wire.WireError):
        assert wire.decode(config_map()[:length])["kind"] == "ConfigMap"


@given(st.binary(max_size=200))
def test_nonsense_is_refused_or_read(body: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        assert wire.decode(wire.MAGIC + ABOUT + body)["kind"] == "ConfigMap"
