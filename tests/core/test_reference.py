import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltd.core import reference

CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (pathlib.Path(__file__).parent / "data" / "image-refs.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


@pytest.mark.parametrize("case", [pytest.param(c, id=c["ref"][:40] or "empty") for c in CASES])
def test_a_reference_reads_as_the_distribution_library_reads_it(case: dict[str, Any]) -> None:
    if case.get("error"):
        with pytest.raises(reference.InvalidReferenceError):
            reference.parse(case["ref"])
        return
    parsed = reference.parse(case["ref"])
    assert (parsed.domain, parsed.path) == (case["domain"], case["path"])
    assert (parsed.tag, parsed.digest) == (case.get("tag"), case.get("digest"))
    assert parsed.familiar() == case["familiar"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "it is empty", id="empty"),
        pytest.param("ghcr.io/Org/app", "write 'org/app'", id="upper case"),
        pytest.param("App", "write 'app'", id="upper case on the hub"),
        pytest.param("http://a/b", "write 'a/b'", id="scheme"),
        pytest.param("a b", "it contains a space", id="space"),
        pytest.param("a:.x", "'.x' is no tag", id="tag"),
        pytest.param("a@sha256:00", "'sha256:00' is no digest", id="digest"),
        pytest.param("/a", "it begins with a slash", id="slash"),
        pytest.param("a.b/", "no name follows the registry", id="no name"),
        pytest.param("f" * 64, "an image's ID", id="identifier"),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_write(text: str, said: str) -> None:
    with pytest.raises(reference.InvalidReferenceError) as caught:
        reference.parse(text)
    assert said in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("declared", "image", "same"),
    [
        ("busybox", "docker.io/library/busybox:1", True),
        ("busybox", "busybox@sha256:" + "0" * 64, True),
        ("busybox", "me/busybox", False),
        ("busybox:1", "busybox:1", True),
        ("busybox:1", "busybox:2", False),
        ("busybox:1", "busybox", False),
        ("localhost:5000/a", "a", False),
    ],
)
def test_a_declared_tag_binds_and_a_missing_one_does_not(
    declared: str, image: str, *, same: bool
) -> None:
    assert reference.matches(reference.parse(declared), reference.parse(image)) is same


def test_a_tag_replaces_tag_and_digest() -> None:
    pinned = reference.parse("gcr.io/a/b:v1@sha256:" + "0" * 64)
    assert str(pinned.with_tag("tilt-00")) == "gcr.io/a/b:tilt-00"
    with pytest.raises(reference.InvalidReferenceError):
        pinned.with_tag("no tag")


PARTS = st.from_regex(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+){0,2}", fullmatch=True)
DOMAINS = st.sampled_from(["docker.io", "localhost", "localhost:5000", "A", "gcr.io", "[::1]:5"])
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
DIGESTS = st.from_regex(r"sha256:[a-f0-9]{64}", fullmatch=True)


@given(
    DOMAINS,
    st.lists(PARTS, min_size=1, max_size=3),
    st.one_of(st.none(), TAGS),
    st.one_of(st.none(), DIGESTS),
)
def test_every_printed_form_parses_back_to_the_same_value(
    domain: str, parts: list[str], tag: str | None, digest: str | None
) -> None:
    path = "/".join(parts)
    value = reference.parse(
        f"{domain}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    )
    assert reference.parse(str(value)) == value
    assert reference.parse(value.familiar()) == value
