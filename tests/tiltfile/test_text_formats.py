"""YAML, JSON, JSONPaths, durations, versions: what texts mean."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltd.core import jsonpath as core_jsonpath
from tiltd.tiltfile import durations, json_text, jsonpath, versions, yaml_text
from tiltd.tiltfile.mistakes import Mistake

DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text("aeyn~01.x:-# '\"\n<=é"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ay1.", min_size=1), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("y", True, id="y is true"),
        pytest.param("No", False, id="No is false"),
        pytest.param("on", True, id="on"),
        pytest.param("'no'", "no", id="quoted"),
        pytest.param("010", 8, id="octal"),
        pytest.param("0o17", 15, id="new octal"),
        pytest.param("08", 8, id="no octal"),
        pytest.param("0x1F", 31, id="hex"),
        pytest.param("1_000", 1000, id="underscore"),
        pytest.param("1e3", 1000, id="exponent"),
        pytest.param("2.0", 2, id="whole"),
        pytest.param(".5", 0.5, id="fraction"),
        pytest.param("1:30", "1:30", id="no base 60"),
        pytest.param("2001-01-01", "2001-01-01", id="no date"),
        pytest.param("=", "=", id="equals sign"),
        pytest.param("!foo bar", "bar", id="unknown tag"),
        pytest.param("!!binary aGk=", "hi", id="binary"),
        pytest.param("1: a", {"1": "a"}, id="number as key"),
        pytest.param("true: a", {"true": "a"}, id="boolean as key"),
        pytest.param("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}, id="alias"),
        pytest.param("a: {<<: {b: 1}, c: 2}", {"a": {"b": 1, "c": 2}}, id="merge"),
        pytest.param("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}, id="CRLF"),
        pytest.param("", None, id="empty"),
        pytest.param("99999999999999999999", 1e20, id="too large for 64 bits"),
    ],
)
def test_a_yaml_text_means_what_go_reads(text: str, value: Any) -> None:
    found = yaml_text.decode_one(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        pytest.param("a: 1\nb: c: d", 2, "mapping values", id="mapping"),
        pytest.param("a: 1\n---\nb: c: d", 3, "mapping", id="second document"),
        pytest.param("a: .nan", 1, "no number that JSON can hold", id="nan"),
        pytest.param("? [1]\n: 2", 1, "a key must be a scalar", id="key"),
        pytest.param("a: *b", 1, "undefined alias", id="alias"),
        pytest.param("&a [*a]", 1, "without bound", id="endless"),
        pytest.param("[" * 5000, 1, "nested more than", id="deep brackets"),
        pytest.param("- " * 5000, 1, "nested more than", id="deep list"),
        pytest.param("!!binary é", 1, "base64", id="binary"),
        pytest.param("a: 1\nb: \udcff", 2, "the byte 0xff is no UTF-8", id="no UTF-8"),
        pytest.param("[" * 300 + "\udc80", 1, "the byte 0x80 is no UTF-8", id="deep, no UTF-8"),
    ],
)
def test_broken_yaml_is_told_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(yaml_text.YamlError) as caught:
        yaml_text.decode(text)
    assert caught.value.line == line
    assert said in caught.value.reason


def test_few_lines_of_aliases_do_not_become_billions_of_values() -> None:
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(yaml_text.YamlError, match="without bound"):
        yaml_text.decode("\n".join(lines))


def test_documents_come_with_their_lines_and_empty_ones_are_left_out() -> None:
    documents = yaml_text.decode("# nothing\n---\na: 1\n---\n---\nb: 2\n")
    assert [(d.value, d.line) for d in documents] == [({"a": 1}, 3), ({"b": 2}, 6)]


def test_several_documents_are_not_one() -> None:
    with pytest.raises(yaml_text.YamlError, match="several"):
        yaml_text.decode_one("a: 1\n---\nb: 2")


@given(DATA)
def test_what_is_written_as_yaml_reads_back(value: Any) -> None:
    found = yaml_text.decode_one(yaml_text.encode(value))
    assert found == value


@given(DATA)
def test_what_is_written_as_json_reads_back(value: Any) -> None:
    assert json_text.decode(json_text.encode(value)) == value


def test_a_float_without_a_fraction_is_written_as_an_integer() -> None:
    assert yaml_text.encode({"a": 100.0}) == "a: 100\n"
    assert json_text.encode([100.0, 1.5]) == "[\n  100,\n  1.5\n]\n"


def test_json_escapes_what_html_would_mistake() -> None:
    assert json_text.encode("<&>é") == '"\\u003c\\u0026\\u003eé"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("3e2", "no number with a dot", id="exponent"),
        pytest.param('{"a":1}{}', "more than one JSON value", id="two"),
        pytest.param("NaN", "no JSON value", id="nan"),
        pytest.param("[" * 100_000, "nested too deeply", id="deep"),
        pytest.param("9223372036854775808", "64 bits", id="large"),
        pytest.param('{"a":}', "line 1, column 6", id="place"),
    ],
)
def test_broken_json_is_told(text: str, said: str) -> None:
    with pytest.raises(json_text.JsonError) as caught:
        json_text.decode(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        pytest.param("{.a.b}", [1], id="field"),
        pytest.param(".a.b", [1], id="no braces"),
        pytest.param("a.b", [1], id="no dot"),
        pytest.param("{$.a.b}", [1], id="root"),
        pytest.param("{.l[*].x}", [2, 3], id="all elements"),
        pytest.param("{.l[0].x}", [2], id="index"),
        pytest.param("{.l[-1].x}", [3], id="from the end"),
        pytest.param("{.l[9].x}", [], id="out of range"),
        pytest.param("{['a']['b']}", [1], id="quoted"),
        pytest.param("{.a.*}", [1], id="all fields"),
        pytest.param("{.nope.b}", [], id="missing"),
    ],
)
def test_a_jsonpath_finds_its_values(path: str, values: list[int]) -> None:
    body = {"a": {"b": 1}, "l": [{"x": 2}, {"x": 3}]}
    assert list(core_jsonpath.find(body, core_jsonpath.parse(path))) == values


@pytest.mark.parametrize("path", ["", "{}", "{..a}", "{.a[?(@.b)]}", "{.a", "{range .a}"])
def test_a_jsonpath_that_names_no_place_is_refused(path: str) -> None:
    with pytest.raises(Mistake, match=r"JSONPath|names no field"):
        jsonpath.parse(path)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1h15m", 4500), ("1.5h", 5400), ("300ms", 0.3), ("0", 0), ("-1m", -60)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "1d", "1h 5m"])
def test_a_text_without_units_is_no_duration(text: str) -> None:
    with pytest.raises(Mistake, match="no duration"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("constraint", "satisfied"),
    [
        (">=0.30.0", True),
        (">0.37.6", False),
        (">=0.37.6", True),
        ("<0.38.0", True),
        ("<=0.37.5", False),
        ("0.37.6", True),
        ("=0.37.5", False),
        ("!=0.37.6", False),
        ("0.37.x", True),
        ("0.36.x", False),
        (">=0.30.0 <0.37.0", False),
        ("<0.1.0 || >0.37.0", True),
        (">=99.0.0", False),
    ],
)
def test_a_version_constraint_is_compared_with_the_compatible_version(
    constraint: str, *, satisfied: bool
) -> None:
    assert versions.satisfies(constraint) is satisfied


@pytest.mark.parametrize("constraint", ["", "new", ">=", "1.2.3.4", ">= 1.0 and 2"])
def test_a_text_that_is_no_constraint_is_refused(constraint: str) -> None:
    with pytest.raises(Mistake, match="no version constraint"):
        versions.satisfies(constraint)
