"""Ephemeral containers: `kubectl debug` adds them, and nothing takes them away."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.api.client import STRATEGIC_PATCH, Answer, Client

MAIN = {"name": "main", "image": "x"}


@pytest.fixture
def pod(api: Client, namespace: str) -> Iterator[str]:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"schedulerName": "nobody", "containers": [MAIN]}
    api.create(pods, {"metadata": {"name": "a"}, "spec": spec})
    yield f"{pods}/a"
    api.call("DELETE", f"{pods}/a", gracePeriodSeconds="0")


def add(api: Client, pod: str, **container: Any) -> Answer:
    body = {"spec": {"ephemeralContainers": [{"name": "look", "image": "x", **container}]}}
    return api.call("PATCH", f"{pod}/ephemeralcontainers", body, media=STRATEGIC_PATCH)


def test_one_is_added_and_stays_as_it_is(api: Client, pod: str) -> None:
    answer = add(api, pod, stdin=True, targetContainerName="main")

    assert answer.code == 200, answer
    made = answer.body["spec"]["ephemeralContainers"][0]
    assert (made["imagePullPolicy"], made["targetContainerName"]) == ("Always", "main")
    assert answer.body["metadata"]["generation"] == 2
    changed = add(api, pod, image="y")
    assert changed.code == 422
    assert changed.causes[0][0] == "spec.ephemeralContainers"
    assert 'existing ephemeral containers "look" may not be changed' in changed.causes[0][2]
    now = api.get(pod)
    now["spec"]["ephemeralContainers"] = []
    removed = api.call("PUT", f"{pod}/ephemeralcontainers", now)
    assert removed.causes == [
        (
            "spec.ephemeralContainers",
            "FieldValueForbidden",
            'Forbidden: existing ephemeral containers "look" may not be removed\n',
        )
    ]


def test_it_is_added_in_no_other_way(api: Client, namespace: str, pod: str) -> None:
    now = api.get(pod)
    now["spec"]["ephemeralContainers"] = [{"name": "look", "image": "x"}]
    assert "pod updates may not change fields" in api.call("PUT", pod, now).body["message"]
    now["spec"]["containers"][0]["image"] = "other"
    answer = api.call("PUT", f"{pod}/ephemeralcontainers", now)
    assert answer.body["spec"]["containers"][0]["image"] == "x", "nothing else is"
    spec = {"containers": [MAIN], "ephemeralContainers": [{"name": "look", "image": "x"}]}
    body = {"metadata": {"name": "b"}, "spec": spec}
    made = api.call("POST", f"/api/v1/namespaces/{namespace}/pods", body)
    assert made.causes == [
        ("spec.ephemeralContainers", "FieldValueForbidden", "Forbidden: cannot be set on create")
    ]


@pytest.mark.parametrize(
    ("container", "field", "text"),
    [
        pytest.param({"image": ""}, "image", "Required value", id="no image"),
        pytest.param({"name": "main"}, "name", 'Duplicate value: "main"', id="a taken name"),
        pytest.param(
            {"ports": [{"containerPort": 1}]},
            "ports",
            "Forbidden: cannot be set for an Ephemeral Container",
            id="ports",
        ),
        pytest.param(
            {"targetContainerName": "none"}, "targetContainerName", 'Not found: "none"', id="target"
        ),
    ],
)
def test_its_rules_are_checked(
    api: Client, pod: str, container: Any, field: str, text: str
) -> None:
    answer = add(api, pod, **container)

    assert answer.code == 422, answer
    said = [(where, what) for where, _, what in answer.causes]
    assert said == [(f"spec.ephemeralContainers[0].{field}", text)]
