import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltd.core.scrub import Scrubber

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=4).filter(
    lambda s: s == s.strip() and len(s.splitlines()) == 1
)


def test_a_secret_is_replaced_by_its_name() -> None:
    scrubber = Scrubber({"hunter22": "db:password"})
    assert scrubber.scrub("pw=hunter22;") == "pw=[redacted secret db:password];"


def test_without_secrets_text_stays_as_it_is() -> None:
    assert Scrubber().scrub("hunter22") == "hunter22"
    assert Scrubber().safe_length("hunter22") == 8


def test_the_longest_secret_wins() -> None:
    scrubber = Scrubber({"hunter": "short", "hunter22": "long"})
    assert scrubber.scrub("hunter22 hunter2") == "[redacted secret long] [redacted secret short]2"


@pytest.mark.parametrize("value", ["", "1", "no", "yes"])
def test_what_is_too_short_to_be_secret_stays(value: str) -> None:
    assert Scrubber.of([value]).scrub("1 no yes") == "1 no yes"


def test_each_long_line_of_a_secret_is_replaced_and_its_armour_stays() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nab\n-----END KEY-----\n"
    scrubber = Scrubber.of([key])
    assert [scrubber.scrub(line) for line in key.splitlines()] == [
        "-----BEGIN KEY-----",
        "[redacted secret]",
        "ab",
        "-----END KEY-----",
    ]


@pytest.mark.parametrize("altchars", [b"+/", b"-_"], ids=["standard", "url-safe"])
@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_base64_is_replaced_wherever_the_secret_begins_in_it(altchars: bytes, before: str) -> None:
    secret = "pässwörd?>~correct"
    text = base64.b64encode(f"{before}{secret}:more".encode(), altchars).decode()
    done = Scrubber.of([secret]).scrub(f"Authorization: Basic {text}")
    assert "[redacted secret]" in done
    left = done.removeprefix("Authorization: Basic ").replace("[redacted secret]", "")
    assert len(left) <= len(text) - len(secret)


@given(SECRETS, st.text(), st.text())
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    scrubber = Scrubber.of([secret])
    done = scrubber.scrub(before + secret + after)
    assert secret in "[redacted secret]" or secret not in done.replace("[redacted secret]", "\n")


@given(SECRETS, st.text(), st.integers(0))
def test_text_that_is_cut_where_it_is_safe_gives_nothing_away(
    secret: str, around: str, where: int
) -> None:
    scrubber = Scrubber.of([secret])
    text = around + secret + around
    come = text[: where % (len(text) + 1)]
    cut = scrubber.safe_length(come)
    pieces = scrubber.scrub(text[:cut]) + scrubber.scrub(text[cut:])
    assert secret in "[redacted secret]" or secret not in pieces.replace("[redacted secret]", "\n")


def test_a_scrubber_knows_whether_it_covers_another() -> None:
    few, many = Scrubber.of(["hunter22"]), Scrubber.of(["hunter22", "swordfish"])
    assert many.knows_all_of(few)
    assert not few.knows_all_of(many)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("plain", "plain", id="ascii"),
        pytest.param("é\U0001f600", "é\U0001f600", id="other characters"),
        pytest.param("a\udcff\udc80b", "a\ufffd\ufffdb", id="bytes that are no UTF-8"),
    ],
)
def test_what_is_told_can_be_written(text: str, told: str) -> None:
    assert Scrubber().scrub(text) == told
    assert Scrubber.of(["a secret value"]).scrub(text) == told
