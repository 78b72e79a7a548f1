"""Whose is what: the account of what was applied never makes us delete what is others'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltd.core import stock
from tiltd.model.stock import Entry


def cm(name: str, namespace: str = "") -> Entry:
    return Entry("", "v1", "ConfigMap", namespace, name)


A, B, C, D = (cm(name) for name in "abcd")


def test_a_list_is_read_as_it_was_written() -> None:
    web = Entry("apps", "v1", "Deployment", "shop", "web")
    assert stock.parse({"x": stock.text([web, A])}) == {"x": frozenset({web, A})}


@pytest.mark.parametrize("text", ["", "{", "{}", "3", '[["a"]]', "[[1,2,3,4,5]]", "[null]"])
def test_what_cannot_be_read_lists_nothing(text: str) -> None:
    assert not any(stock.parse({"x": text}).values())


def test_the_own_list_is_the_one_that_shares_most() -> None:
    lists = {"x": frozenset({A, B}), "y": frozenset({C, D, A})}
    assert stock.own(lists, [A, B], "default") == "x"
    assert stock.own(lists, [A, C, D], "default") == "y"


def test_a_list_that_shares_nothing_is_somebody_elses() -> None:
    lists = {"x": frozenset({A, B})}
    assert stock.own(lists, [C], "default") is None
    assert stock.gone(lists, None, [C], "default") == ()


def test_a_namespace_that_both_have_makes_no_list_ones_own() -> None:
    space = Entry("", "v1", "Namespace", "", "shop")
    assert stock.own({"x": frozenset({space, A})}, [space, B], "default") is None


def test_a_list_that_shares_less_than_half_is_somebody_elses() -> None:
    lists = {"x": frozenset({A, B, C, D})}
    assert stock.own(lists, [A, cm("e"), cm("f")], "default") is None
    assert stock.own(lists, [A, B, cm("e"), cm("f")], "default") == "x"
    assert stock.own(lists, [A], "default") == "x"


def test_what_the_project_no_longer_has_is_gone_unless_others_have_it() -> None:
    lists = {"x": frozenset({A, B, C}), "y": frozenset({C, D})}
    assert stock.gone(lists, "x", [A], "default") == (B,)


def test_the_default_namespace_is_one_whether_it_is_named_or_not() -> None:
    lists = {"x": frozenset({cm("a", "default"), B})}
    assert stock.own(lists, [A], "default") == "x"
    assert stock.gone(lists, "x", [A, cm("b", "default")], "default") == ()


def test_another_version_of_a_kind_is_the_same_object() -> None:
    old = Entry("autoscaling", "v1", "HorizontalPodAutoscaler", "", "web")
    new = Entry("autoscaling", "v2", "HorizontalPodAutoscaler", "", "web")
    assert stock.gone({"x": frozenset({old, A})}, "x", [new, A], "default") == ()


ENTRIES = st.frozensets(st.sampled_from([cm(f"n{n}") for n in range(8)]))


@given(st.dictionaries(st.sampled_from("xyz"), ENTRIES), ENTRIES)
def test_nothing_is_gone_that_the_project_or_another_has(
    lists: dict[str, frozenset[Entry]], now: frozenset[Entry]
) -> None:
    name = stock.own(lists, now, "default")
    gone = set(stock.gone(lists, name, now, "default"))
    assert not gone & now
    assert all(not gone & found for other, found in lists.items() if other != name)
    assert name is not None or not gone


def test_what_is_kept_and_why() -> None:
    def body(kind: str, **annotations: str) -> dict[str, object]:
        return {"kind": kind, "metadata": {"name": "x", "annotations": annotations}}

    assert stock.kept(body("ConfigMap")) == ""
    assert "keep" in stock.kept(body("ConfigMap", **{"tilt.dev/down-policy": "keep"}))
    assert "Namespace" in stock.kept(body("Namespace"))
