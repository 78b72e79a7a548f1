"""JSON patch, merge patch, strategic merge patch, and server-side apply."""

from typing import Any

import pytest

from tests.cluster.api.client import (
    APPLY,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Answer,
    Client,
)


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "paused": True,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": list(containers)},
            },
            **spec,
        },
    }


MAIN = {"name": "main", "image": "none:1", "env": [{"name": "A", "value": "1"}]}
SIDE = {"name": "side", "image": "none:2"}


def names_of(answer: Answer) -> list[str]:
    return [one["name"] for one in answer.body["spec"]["template"]["spec"]["containers"]]


@pytest.fixture
def web(api: Client, deployments: str) -> str:
    api.create(deployments, deployment(MAIN, SIDE))
    return f"{deployments}/web"


def test_a_json_patch_adds_replaces_and_removes(api: Client, config_maps: str) -> None:
    api.create(config_maps, config_map(a="1", b="2"))

    answer = api.call(
        "PATCH",
        f"{config_maps}/a",
        [
            {"op": "test", "path": "/data/a", "value": "1"},
            {"op": "add", "path": "/data/c.d", "value": "3"},
            {"op": "replace", "path": "/data/a", "value": "9"},
            {"op": "remove", "path": "/data/b"},
        ],
        media=JSON_PATCH,
    )

    assert answer.body["data"] == {"a": "9", "c.d": "3"}


def test_a_json_patch_whose_test_fails_changes_nothing(api: Client, config_maps: str) -> None:
    api.create(config_maps, config_map(a="1"))

    answer = api.call(
        "PATCH",
        f"{config_maps}/a",
        [
            {"op": "test", "path": "/data/a", "value": "2"},
            {"op": "remove", "path": "/data/a"},
        ],
        media=JSON_PATCH,
    )

    assert answer.code == 422
    assert answer.body["reason"] == "Invalid"
    assert api.get(f"{config_maps}/a")["data"] == {"a": "1"}


def test_a_merge_patch_removes_what_is_null(api: Client, config_maps: str) -> None:
    api.create(config_maps, config_map(a="1", b="2"))

    answer = api.call(
        "PATCH", f"{config_maps}/a", {"data": {"a": None, "c": "3"}}, media=MERGE_PATCH
    )

    assert answer.body["data"] == {"b": "2", "c": "3"}


def test_a_merge_patch_replaces_lists(api: Client, web: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "new", "image": "none:3"}]}}}}

    answer = api.call("PATCH", web, patch, media=MERGE_PATCH)

    assert names_of(answer) == ["new"]


def test_a_strategic_patch_merges_lists_by_key(api: Client, web: str) -> None:
    change = {
        "name": "main",
        "env": [{"name": "B", "value": "2"}, {"name": "A", "$patch": "delete"}],
    }
    patch = {"spec": {"template": {"spec": {"containers": [change]}}}}

    answer = api.call("PATCH", web, patch, media=STRATEGIC_PATCH)

    assert answer.code == 200, answer
    assert names_of(answer) == ["main", "side"]
    main = answer.body["spec"]["template"]["spec"]["containers"][0]
    assert main["image"] == "none:1"
    assert main["env"] == [{"name": "B", "value": "2"}]


def test_a_strategic_patch_orders_and_deletes(api: Client, web: str) -> None:
    spec = {
        "$setElementOrder/containers": [{"name": "side"}, {"name": "main"}],
        "containers": [{"name": "side", "image": "none:9"}],
    }

    answer = api.call("PATCH", web, {"spec": {"template": {"spec": spec}}}, media=STRATEGIC_PATCH)

    assert names_of(answer) == ["side", "main"]


def test_a_patch_may_demand_a_version(api: Client, config_maps: str) -> None:
    api.create(config_maps, config_map(a="1"))

    answer = api.call(
        "PATCH",
        f"{config_maps}/a",
        {"metadata": {"resourceVersion": "1"}, "data": {"a": "2"}},
        media=MERGE_PATCH,
    )

    assert answer.code == 409
    assert answer.body["reason"] == "Conflict"


def test_a_patch_of_nothing_is_not_found(api: Client, config_maps: str) -> None:
    assert api.call("PATCH", f"{config_maps}/none", {}, media=MERGE_PATCH).code == 404


def test_an_unknown_patch_is_415(api: Client, config_maps: str) -> None:
    api.create(config_maps, config_map(a="1"))

    answer = api.call("PATCH", f"{config_maps}/a", {}, media="application/json")

    assert answer.code == 415


def test_an_apply_creates_and_owns_what_it_says(api: Client, config_maps: str) -> None:
    answer = api.apply(f"{config_maps}/a", config_map(x="1"))

    assert answer.code == 201
    (entry,) = answer.body["metadata"]["managedFields"]
    assert entry["manager"] == "a"
    assert entry["operation"] == "Apply"
    assert entry["apiVersion"] == "v1"
    assert entry["fieldsType"] == "FieldsV1"
    assert entry["fieldsV1"] == {"f:data": {"f:x": {}}}


def test_applying_the_same_again_changes_nothing(api: Client, config_maps: str) -> None:
    first = api.apply(f"{config_maps}/a", config_map(x="1"))

    again = api.apply(f"{config_maps}/a", config_map(x="1"))

    assert again.code == 200
    assert again.body["metadata"] == first.body["metadata"]


def test_what_an_apply_no_longer_says_goes(api: Client, config_maps: str) -> None:
    api.apply(f"{config_maps}/a", config_map(x="1", y="2"))
    api.apply(f"{config_maps}/a", {**config_map(z="3")}, manager="b")

    answer = api.apply(f"{config_maps}/a", config_map(x="1"))

    assert answer.body["data"] == {"x": "1", "z": "3"}


def test_what_somebody_else_owns_too_stays(api: Client, config_maps: str) -> None:
    api.apply(f"{config_maps}/a", config_map(x="1", y="2"))
    api.apply(f"{config_maps}/a", config_map(y="2"), manager="b")

    answer = api.apply(f"{config_maps}/a", config_map(x="1"))

    assert answer.body["data"] == {"x": "1", "y": "2"}


def test_another_value_is_a_conflict(api: Client, config_maps: str) -> None:
    api.apply(f"{config_maps}/a", config_map(x="1"))

    answer = api.apply(f"{config_maps}/a", config_map(x="2"), manager="b")

    assert answer.code == 409
    assert answer.body["reason"] == "Conflict"
    assert answer.body["message"] == ('Apply failed with 1 conflict: conflict with "a": .data.x')
    assert answer.causes == [(".data.x", "FieldManagerConflict", 'conflict with "a"')]


def test_several_conflicts_are_listed(api: Client, config_maps: str) -> None:
    api.apply(f"{config_maps}/a", config_map(x="1", y="1"))

    answer = api.apply(f"{config_maps}/a", config_map(x="2", y="2"), manager="b")

    assert answer.body["message"] == (
        'Apply failed with 2 conflicts: conflicts with "a":\n- .data.x\n- .data.y'
    )


def test_a_plain_write_can_be_in_conflict_too(api: Client, config_maps: str) -> None:
    api.create(config_maps, config_map(x="1"), fieldManager="writer")

    answer = api.apply(f"{config_maps}/a", config_map(x="2"))

    assert answer.body["message"] == (
        'Apply failed with 1 conflict: conflict with "writer" using v1: .data.x'
    )


def test_force_takes_the_field(api: Client, config_maps: str) -> None:
    api.apply(f"{config_maps}/a", config_map(x="1", y="1"))

    answer = api.apply(f"{config_maps}/a", config_map(x="2"), manager="b", force="true")

    assert answer.code == 200
    assert answer.body["data"] == {"x": "2", "y": "1"}
    owned = {one["manager"]: one["fieldsV1"] for one in answer.body["metadata"]["managedFields"]}
    assert owned == {"a": {"f:data": {"f:y": {}}}, "b": {"f:data": {"f:x": {}}}}


def test_an_apply_merges_lists_by_key(api: Client, deployments: str) -> None:
    path = f"{deployments}/web"
    first = api.apply(path, deployment(MAIN, SIDE))
    assert first.code == 201, first
    other = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "main", "env": [{"name": "B", "value": "2"}]}]}
            }
        },
    }

    answer = api.apply(path, other, manager="b")

    assert answer.code == 200, answer
    main = answer.body["spec"]["template"]["spec"]["containers"][0]
    assert main["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    fields = next(
        one["fieldsV1"] for one in answer.body["metadata"]["managedFields"] if one["manager"] == "b"
    )
    containers = fields["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert containers == {
        'k:{"name":"main"}': {
            ".": {},
            "f:env": {'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}}},
            "f:name": {},
        }
    }

    without = api.apply(path, deployment(MAIN))
    assert names_of(without) == ["main"]
    conflict = api.apply(path, deployment({**MAIN, "image": "x"}), manager="c")
    assert conflict.causes == [
        (
            '.spec.template.spec.containers[name="main"].image',
            "FieldManagerConflict",
            'conflict with "a"',
        )
    ]


def test_a_dry_apply_stores_nothing(api: Client, config_maps: str) -> None:
    api.apply(f"{config_maps}/a", config_map(x="1"))

    answer = api.apply(f"{config_maps}/a", config_map(x="2"), dryRun="All")

    assert answer.body["data"] == {"x": "2"}
    assert api.get(f"{config_maps}/a")["data"] == {"x": "1"}


def test_an_apply_needs_a_manager(api: Client, config_maps: str) -> None:
    answer = api.call("PATCH", f"{config_maps}/a", config_map(x="1"), media=APPLY)

    assert answer.code == 422
    assert answer.body["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: '
        "is required for apply patch"
    )


def test_an_apply_of_an_unknown_field_is_refused(api: Client, deployments: str) -> None:
    answer = api.apply(f"{deployments}/web", deployment(MAIN, foo=1))

    assert answer.code in {400, 500}
    assert "field not declared in schema" in answer.body["message"]


def test_an_update_takes_fields_from_an_apply(api: Client, config_maps: str) -> None:
    api.apply(f"{config_maps}/a", config_map(x="1", y="1"))

    answer = api.call("PATCH", f"{config_maps}/a", {"data": {"x": "2"}}, media=MERGE_PATCH)

    owned = {one["manager"]: one["fieldsV1"] for one in answer.body["metadata"]["managedFields"]}
    assert owned == {"a": {"f:data": {"f:y": {}}}, "suite": {"f:data": {"f:x": {}}}}


def test_a_plain_write_owns_what_it_adds(api: Client, deployments: str) -> None:
    made = api.create(deployments, deployment(MAIN))

    (entry,) = made["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {
        "f:spec": {
            "f:paused": {},
            "f:progressDeadlineSeconds": {},
            "f:replicas": {},
            "f:revisionHistoryLimit": {},
            "f:selector": {},
            "f:strategy": {
                "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}},
                "f:type": {},
            },
            "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"main"}': {
                            ".": {},
                            "f:env": {
                                ".": {},
                                'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}},
                            },
                            "f:image": {},
                            "f:imagePullPolicy": {},
                            "f:name": {},
                            "f:resources": {},
                            "f:terminationMessagePath": {},
                            "f:terminationMessagePolicy": {},
                        }
                    },
                    "f:dnsPolicy": {},
                    "f:restartPolicy": {},
                    "f:schedulerName": {},
                    "f:securityContext": {},
                    "f:terminationGracePeriodSeconds": {},
                },
            },
        }
    }
