"""Drift and difference, on objects that were recorded from a real cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from tiltd.core import diff, drift, normalise

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "applied.jsonl").read_text("utf-8").splitlines()
]
UNTOUCHED = [r for r in RECORDED if not r["shows"] and not r["name"].endswith("edited")]
EDITED = [r for r in RECORDED if r["name"].endswith("edited")]


def ids(row: dict[str, Any]) -> str:
    return str(row["name"])


@pytest.mark.parametrize("row", UNTOUCHED, ids=ids)
def test_what_was_applied_is_untouched(row: dict[str, Any]) -> None:
    assert drift.untouched(row["sent"], row["live"])
    assert diff.between(row["live"], row["sent"]) == ()


@pytest.mark.parametrize("row", EDITED, ids=ids)
def test_what_was_edited_is_not(row: dict[str, Any]) -> None:
    assert not drift.untouched(row["sent"], row["live"])
    assert len(diff.between(row["live"], row["sent"])) == len(row["shows"])


@pytest.mark.parametrize("row", UNTOUCHED, ids=ids)
def test_without_our_entry_nothing_is_ours(row: dict[str, Any]) -> None:
    metadata: dict[str, Any] = {**row["live"]["metadata"], "managedFields": []}
    assert not drift.untouched(row["sent"], {**row["live"], "metadata": metadata})


SAYS_SOMETHING = [
    r for r in UNTOUCHED if not r["name"].endswith(("nulls", "null data", "empty data"))
]


@pytest.mark.parametrize("row", SAYS_SOMETHING, ids=ids)
def test_each_field_that_we_lose_is_noticed(row: dict[str, Any]) -> None:
    """Take away one leaf of what we hold, at every place in turn."""
    entry = next(e for e in row["live"]["metadata"]["managedFields"] if e["manager"] == "tiltd")
    for less in _less(entry["fieldsV1"]):
        metadata = {"managedFields": [{**entry, "fieldsV1": less}]}
        assert not drift.untouched(row["sent"], {"metadata": metadata}), less


def _less(tree: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key, below in tree.items():
        rest = {k: v for k, v in tree.items() if k != key}
        if key in {".", "f:name"} or key.startswith("k:"):
            continue
        if set(below) <= {"."}:
            if not any(key in leaf for leaf in _NOT_SENT):
                found.append(rest)
        else:
            found += [{**rest, key: less} if less else rest for less in _less(below)]
    return found


# What the server notes for us although we sent an empty or a null value.
_NOT_SENT = (
    "f:creationTimestamp",
    "f:maybe",
    "f:tags",
    "f:env",
    "f:ports",
    "f:status",
    "f:rules",
    "f:args",
    "f:tolerations",
    "f:x",
    "f:loadBalancerSourceRanges",
    "f:sysctls",
)


@pytest.mark.parametrize(
    ("live", "desired", "shows"),
    [
        pytest.param({"a": 1}, {}, [], id="what is not named was defaulted"),
        pytest.param({}, {"a": {}, "b": [], "c": None}, [], id="empty is absent"),
        pytest.param({}, {"a": 0, "b": False, "c": ""}, [], id="zero is absent"),
        pytest.param({"a": 1}, {"a": 0}, ["spec.a 1 → 0"], id="but zero is not one"),
        pytest.param(
            {"labels": {}}, {"labels": {"x": ""}}, ["spec.labels.x (none) → "], id="an empty label"
        ),
        pytest.param(
            {"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}, [], id="equal quantities"
        ),
        pytest.param(
            {"limits": {"cpu": "1"}},
            {"limits": {"cpu": "2000m"}},
            ["spec.limits.cpu 1 → 2000m"],
            id="quantities in their own spelling",
        ),
        pytest.param(
            {"labels": {"v": "1.0"}},
            {"labels": {"v": "1"}},
            ["spec.labels.v 1.0 → 1"],
            id="a version is no quantity",
        ),
        pytest.param(
            {"env": [{"name": "b"}, {"name": "a", "value": "1"}]},
            {"env": [{"name": "a", "value": "2"}, {"name": "b"}]},
            ["spec.env.a.value 1 → 2"],
            id="list items are found by their keys",
        ),
        pytest.param(
            {"ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
            {"ports": [{"port": 53, "protocol": "UDP", "x": 1}, {"port": 53}]},
            ["spec.ports.53/UDP.x (none) → 1"],
            id="one port, two protocols",
        ),
        pytest.param(
            {"args": ["a", "b"]}, {"args": ["a", "c"]}, ["spec.args.1 b → c"], id="plain lists"
        ),
        pytest.param(
            {"x.y/z['q']": "1"},
            {"x.y/z['q']": "2"},
            ["spec.x.y/z['q'] 1 → 2"],
            id="names with any characters",
        ),
    ],
)
def test_differences(live: dict[str, Any], desired: dict[str, Any], shows: list[str]) -> None:
    found = diff.between({"spec": live}, {"spec": desired})
    assert [str(c) for c in found] == shows


def test_secrets_are_never_shown() -> None:
    applied = "kubectl.kubernetes.io/last-applied-configuration"

    def secret(value: str) -> dict[str, Any]:
        return {
            "kind": "Secret",
            "metadata": {"annotations": {applied: value}},
            "data": {"a.b": value},
            "stringData": {"c": value},
        }

    changes = diff.between(secret("old-hunter2"), secret("new-hunter2"))
    assert len(changes) == 3
    assert "hunter2" not in str(changes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("1000m", "1", id="milli"),
        pytest.param("1Gi", 1073741824, id="binary"),
        pytest.param("1k", 1000, id="decimal"),
        pytest.param("1e3", "1000", id="exponent"),
        pytest.param("0.5", "500m", id="fractions"),
    ],
)
def test_quantities(one: object, other: object) -> None:
    assert normalise.quantity(one) == normalise.quantity(other)


@pytest.mark.parametrize("odd", [True, None, "x", "1.2.3", [], "", "1Q"])
def test_what_is_no_quantity_stays_what_it_is(odd: object) -> None:
    assert normalise.quantity(odd) is odd
