"""Custom resources: definitions, defaults, pruning, validation, subresources, columns."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.api.client import MERGE_PATCH, TABLE, Client

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 9},
        "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "replicas": {"type": "integer"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
            },
        },
    },
}
STATUS: dict[str, Any] = {
    "type": "object",
    "properties": {"phase": {"type": "string"}, "replicas": {"type": "integer"}},
}


def definition(group: str) -> dict[str, Any]:
    def version(name: str, *, storage: bool) -> dict[str, Any]:
        return {
            "name": name,
            "served": True,
            "storage": storage,
            "schema": {
                "openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": SPEC, "status": STATUS},
                }
            },
            "subresources": {
                "status": {},
                "scale": {
                    "specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas",
                },
            },
            "additionalPrinterColumns": [
                {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
            ],
        }

    names = {"plural": "things", "singular": "thing", "kind": "Thing", "shortNames": ["th"]}
    return {
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced",
            "versions": [version("v1", storage=True), version("v1beta1", storage=False)],
        },
    }


@pytest.fixture(scope="module")
def group(api: Client) -> Iterator[str]:
    name = f"g{uuid.uuid4().hex[:6]}.example.com"
    api.create(DEFINITIONS, definition(name))
    ends = time.monotonic() + 20
    while True:
        found = api.get(f"{DEFINITIONS}/things.{name}")
        listed = found["status"].get("conditions") or ()
        conditions = {one["type"]: one["status"] for one in listed}
        served = api.call("GET", f"/apis/{name}/v1/things").code == 200
        if conditions.get("Established") == "True" and served:
            break
        assert time.monotonic() < ends, found
    yield name
    api.call("DELETE", f"{DEFINITIONS}/things.{name}")


@pytest.fixture
def things(group: str, namespace: str) -> str:
    return f"/apis/{group}/v1/namespaces/{namespace}/things"


def thing(things: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "/".join(things.split("/")[2:4]),
        "kind": "Thing",
        "metadata": {"name": "a"},
        "spec": spec,
    }


def test_defaults_are_filled_in_and_unknown_fields_pruned(api: Client, things: str) -> None:
    made = api.create(things, thing(things, size=1, other=2, free={"any": 1}))

    assert made["spec"] == {"size": 1, "colour": "red", "free": {"any": 1}}
    assert made["metadata"]["generation"] == 1


def test_unknown_fields_are_refused_if_asked(api: Client, things: str) -> None:
    answer = api.call("POST", things, thing(things, size=1, other=2), fieldValidation="Strict")

    assert answer.code == 400
    assert answer.body["message"].endswith('strict decoding error: unknown field "spec.other"')


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        pytest.param({}, [("spec.size", "FieldValueRequired", "Required value")], id="required"),
        pytest.param(
            {"size": "x"},
            [
                (
                    "spec.size",
                    "FieldValueTypeInvalid",
                    'Invalid value: "string": spec.size in body must be of type integer: "string"',
                )
            ],
            id="type",
        ),
        pytest.param(
            {"size": 0},
            [
                (
                    "spec.size",
                    "FieldValueInvalid",
                    "Invalid value: 0: spec.size in body should be greater than or equal to 1",
                )
            ],
            id="minimum",
        ),
        pytest.param(
            {"size": 1, "colour": "green"},
            [
                (
                    "spec.colour",
                    "FieldValueNotSupported",
                    'Unsupported value: "green": supported values: "red", "blue"',
                )
            ],
            id="enum",
        ),
        pytest.param(
            {"size": 1, "name": "A"},
            [
                (
                    "spec.name",
                    "FieldValueInvalid",
                    "Invalid value: \"A\": spec.name in body should match '^[a-z]+$'",
                )
            ],
            id="pattern",
        ),
        pytest.param(
            {"size": 1, "parts": [{"name": "x"}, {"name": "x"}]},
            [
                (
                    "spec.parts[1]",
                    "FieldValueDuplicate",
                    'Duplicate value: {"name":"x"}',
                )
            ],
            id="duplicate key",
        ),
    ],
)
def test_the_schema_is_kept(
    api: Client, things: str, spec: dict[str, Any], causes: list[tuple[str, str, str]]
) -> None:
    answer = api.call("POST", things, thing(things, **spec))

    assert answer.code == 422, answer
    assert answer.causes == causes


def test_the_status_is_a_subresource(api: Client, things: str) -> None:
    body = {**thing(things, size=1), "status": {"phase": "No"}}
    made = api.create(things, body)
    assert "status" not in made

    answer = api.call(
        "PATCH",
        f"{things}/a/status",
        {"status": {"phase": "Done"}, "spec": {"size": 5}},
        media=MERGE_PATCH,
    )

    assert answer.body["status"] == {"phase": "Done"}
    assert answer.body["spec"]["size"] == 1
    assert answer.body["metadata"]["generation"] == 1


def test_it_must_say_what_it_is(api: Client, things: str) -> None:
    whole = thing(things, size=1)
    for missing, said in (
        ("kind", "the object provided is unrecognized (must be of type Thing): Object 'Kind' is "),
        ("apiVersion", "the API version in the data () does not match the expected API version ("),
    ):
        body = {key: value for key, value in whole.items() if key != missing}
        answer = api.call("POST", things, body)
        assert answer.code == 400, answer
        assert answer.body["message"].startswith(said)


def test_it_can_be_scaled(api: Client, things: str) -> None:
    api.create(things, thing(things, size=1, replicas=2))

    answer = api.call("PATCH", f"{things}/a/scale", {"spec": {"replicas": 5}}, media=MERGE_PATCH)

    assert answer.body["spec"]["replicas"] == 5
    assert api.get(f"{things}/a")["spec"]["replicas"] == 5


def test_it_is_served_in_every_version(api: Client, things: str, group: str) -> None:
    api.create(things, thing(things, size=1))

    found = api.get(things.replace("/v1/", "/v1beta1/") + "/a")

    assert found["apiVersion"] == f"{group}/v1beta1"
    assert found["spec"]["size"] == 1


def test_its_table_has_the_declared_columns(api: Client, things: str) -> None:
    api.create(things, thing(things, size=3))

    table = api.call("GET", things, accept=TABLE).body

    assert [one["name"] for one in table["columnDefinitions"]] == ["Name", "Size", "Phase"]
    assert table["rows"][0]["cells"] == ["a", 3, None]


def test_an_apply_merges_its_lists_by_key(api: Client, things: str) -> None:
    api.apply(f"{things}/a", thing(things, size=1, parts=[{"name": "x", "count": 1}]))

    answer = api.apply(f"{things}/a", thing(things, size=1, parts=[{"name": "y"}]), manager="b")

    assert answer.code == 200, answer
    assert answer.body["spec"]["parts"] == [{"name": "x", "count": 1}, {"name": "y"}]


def test_a_strategic_patch_is_refused(api: Client, things: str) -> None:
    api.create(things, thing(things, size=1))
    media = "application/strategic-merge-patch+json"

    assert api.call("PATCH", f"{things}/a", {}, media=media).code == 415


def test_discovery_says_it(api: Client, group: str) -> None:
    listed = api.get(f"/apis/{group}/v1")["resources"]

    assert {one["name"] for one in listed} == {"things", "things/status", "things/scale"}
    assert next(one for one in listed if one["name"] == "things")["shortNames"] == ["th"]
