"""Lists, selectors, chunks, and watches."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.api.client import MERGE_PATCH, TABLE, Client


@pytest.fixture
def three(api: Client, config_maps: str) -> str:
    for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
        body = {"metadata": {"name": name, "labels": {"l": label, "suite": "yes"}}}
        api.create(config_maps, body)
    return config_maps


def names(found: Any) -> list[str]:
    return [one["metadata"]["name"] for one in found["items"]]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param("l=x", ["a", "c"], id="equal"),
        pytest.param("l==x", ["a", "c"], id="double equal"),
        pytest.param("suite,l!=x", ["b"], id="not equal"),
        pytest.param("l in (x, y)", ["a", "b", "c"], id="in"),
        pytest.param("suite,l notin (x)", ["b"], id="not in"),
        pytest.param("suite=yes,!other", ["a", "b", "c"], id="absent"),
        pytest.param("other", [], id="exists"),
    ],
)
def test_labels_select(api: Client, three: str, selector: str, expected: list[str]) -> None:
    assert names(api.get(three, labelSelector=selector)) == expected


def test_a_bad_selector_is_a_bad_request(api: Client, config_maps: str) -> None:
    answer = api.call("GET", config_maps, labelSelector="a in b")

    assert answer.code == 400
    assert answer.body["reason"] == "BadRequest"


def test_a_field_selects_by_name(api: Client, three: str) -> None:
    assert names(api.get(three, fieldSelector="metadata.name=b")) == ["b"]
    left = names(api.get(three, fieldSelector="metadata.name!=b", labelSelector="suite"))
    assert left == ["a", "c"]


def test_an_unknown_field_selects_nothing(api: Client, config_maps: str) -> None:
    answer = api.call("GET", config_maps, fieldSelector="data.x=1")

    assert answer.code == 400
    assert answer.body["message"] == (
        '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"'
    )


def test_pods_can_be_selected_by_their_own_fields(api: Client, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    assert api.get(pods, fieldSelector="status.phase!=Running,spec.nodeName=none")["items"] == []

    answer = api.call("GET", pods, fieldSelector="data.x=1")

    assert answer.body["message"] == "field label not supported: data.x"


def test_a_list_comes_in_chunks(api: Client, three: str) -> None:
    found: list[str] = []
    parameters = {"limit": "2", "fieldSelector": "metadata.name!=kube-root-ca.crt"}
    pages = 0
    while True:
        page = api.get(three, **parameters)
        found += names(page)
        pages += 1
        if not page["metadata"].get("continue"):
            break
        parameters["continue"] = page["metadata"]["continue"]

    assert found == ["a", "b", "c"]
    assert pages == 2
    assert page["kind"] == "ConfigMapList"
    assert "kind" not in page["items"][0]


def test_a_bad_continue_token_is_a_bad_request(api: Client, config_maps: str) -> None:
    assert api.call("GET", config_maps, **{"continue": "nonsense"}).code == 400


def events(api: Client, path: str, **parameters: str) -> Iterator[tuple[str, Any]]:
    """The events of a watch that ends by its own timeout."""
    response = api.session.get(
        api.server + path,
        params={"watch": "true", "timeoutSeconds": "1", **parameters},
        headers={"Accept": parameters.pop("accept", "application/json")},
        stream=True,
        timeout=20,
    )
    with response:
        assert response.status_code == 200, response.text
        for line in response.iter_lines():
            event = json.loads(line)
            yield event["type"], event["object"]


def seen(stream: Iterator[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(word, obj["metadata"].get("name", "")) for word, obj in stream]


def test_a_watch_goes_on_where_a_list_ended(api: Client, three: str) -> None:
    version = api.get(three)["metadata"]["resourceVersion"]
    api.create(three, {"metadata": {"name": "d", "labels": {"suite": "yes"}}})
    api.call("PATCH", f"{three}/d", {"data": {"k": "v"}}, media=MERGE_PATCH)
    api.call("DELETE", f"{three}/d")

    found = seen(events(api, three, resourceVersion=version, labelSelector="suite"))

    assert found == [("ADDED", "d"), ("MODIFIED", "d"), ("DELETED", "d")]


def test_a_watch_without_a_version_begins_with_what_is_there(api: Client, three: str) -> None:
    found = seen(events(api, three, labelSelector="suite"))

    assert sorted(found) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]


def test_coming_into_a_selection_is_added_and_leaving_it_deleted(api: Client, three: str) -> None:
    version = api.get(three)["metadata"]["resourceVersion"]
    for label in ("x", "z"):
        patch = {"metadata": {"labels": {"l": label}}}
        api.call("PATCH", f"{three}/b", patch, media=MERGE_PATCH)

    found = seen(events(api, three, resourceVersion=version, labelSelector="l=x"))

    assert found == [("ADDED", "b"), ("DELETED", "b")]


def test_initial_events_end_with_a_bookmark(api: Client, three: str, is_real: bool) -> None:  # noqa: FBT001 - a fixture
    if is_real:
        pytest.skip("the store of `make real-cluster` has no progress notifications")
    found = list(
        events(
            api,
            three,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
            labelSelector="suite",
        )
    )

    words = [word for word, _ in found]
    assert words[:4] == ["ADDED", "ADDED", "ADDED", "BOOKMARK"]
    bookmark = found[3][1]
    assert bookmark["kind"] == "ConfigMap"
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(bookmark["metadata"]["resourceVersion"]) > 0


def test_a_watch_of_a_table_gives_rows(api: Client, three: str) -> None:
    found = list(events(api, three, accept=TABLE, labelSelector="l=y"))

    (word, table), *_ = found
    assert word == "ADDED"
    assert table["kind"] == "Table"
    assert table["rows"][0]["cells"][0] == "b"
