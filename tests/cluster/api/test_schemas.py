"""Structural schemas: what their rules refuse in objects, and what is refused in them."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.api.client import Client

PATIENCE = 60.0
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PAIR = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
BOTH = [{"required": ["a"]}, {"required": ["b"]}]
RULES: dict[str, Any] = {
    "one": {**PAIR, "oneOf": BOTH},
    "any": {**PAIR, "anyOf": BOTH},
    "all": {**PAIR, "allOf": BOTH},
    "listed": {"type": "array", "items": {**PAIR, "not": {"required": ["a"]}}},
    "numbers": {"type": "integer", "oneOf": [{"minimum": 10}, {"maximum": 5}, {"multipleOf": 2}]},
    "text": {"type": "string", "allOf": [{"pattern": "^a"}, {"maxLength": 3}]},
    "either": {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
    },
    "share": {"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+%$"},
    "sized": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "minProperties": 1,
        "maxProperties": 2,
    },
    "shape": {"type": "string", "pattern": r"^[[:lower:]]\d{2}$"},
    "small": {"type": "integer", "format": "int32"},
    **{
        form: {"type": "string", "format": form}
        for form in (
            *("byte", "cidr", "date", "date-time", "duration", "email", "hexcolor", "hostname"),
            *("ipv4", "ipv6", "k8s-short-name", "mac", "password", "uri", "uuid", "uuid4"),
        )
    },
}


def definition(group: str, schema: Any) -> dict[str, Any]:
    version = {"name": "v1", "served": True, "storage": True}
    return {
        "metadata": {"name": f"rules.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "rules", "kind": "Rule"},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.fixture(scope="module")
def rules(api: Client) -> Iterator[str]:
    """The path of objects whose `spec` has the rules."""
    group = f"r{uuid.uuid4().hex[:8]}.example.com"
    spec = {"type": "object", "properties": RULES}
    made = definition(group, {"type": "object", "properties": {"spec": spec}})
    api.create(DEFINITIONS, made)
    path = f"/apis/{group}/v1/namespaces/default/rules"
    deadline = time.monotonic() + PATIENCE
    while api.call("GET", path).code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield path
    api.call("DELETE", f"{DEFINITIONS}/rules.{group}")


def rule(path: str, spec: Any) -> dict[str, Any]:
    group = path.split("/")[2]
    return {
        "apiVersion": f"{group}/v1",
        "kind": "Rule",
        "metadata": {"name": "a"},
        "spec": spec,
    }


def wrong(field: str, text: str) -> tuple[str, str, str]:
    return field, "FieldValueInvalid", text


def joined(text: str) -> tuple[str, str, str]:
    return wrong("<nil>", f'Invalid value: "": {text}')


def missing(field: str) -> tuple[str, str, str]:
    return field, "FieldValueRequired", "Required value"


def of_type(field: str, value: str, text: str) -> tuple[str, str, str]:
    return (
        field,
        "FieldValueTypeInvalid",
        f'Invalid value: "{value}": {field} in body must be {text}',
    )


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        pytest.param(
            {"one": {}},
            [
                joined(
                    '"spec.one" must validate one and only one schema (oneOf). Found none valid'
                ),
                missing("spec.one.a"),
            ],
            id="none of one",
        ),
        pytest.param(
            {"one": {"a": "", "b": ""}},
            [
                joined(
                    '"spec.one" must validate one and only one schema (oneOf). '
                    "Found 2 valid alternatives"
                )
            ],
            id="two of one",
        ),
        pytest.param(
            {"any": {}},
            [
                joined('"spec.any" must validate at least one schema (anyOf)'),
                missing("spec.any.a"),
            ],
            id="none of any",
        ),
        pytest.param(
            {"all": {"a": ""}},
            [
                joined('"spec.all" must validate all the schemas (allOf)'),
                missing("spec.all.b"),
            ],
            id="one of all",
        ),
        pytest.param(
            {"all": {}},
            [
                joined('"spec.all" must validate all the schemas (allOf). None validated'),
                missing("spec.all.a"),
                missing("spec.all.b"),
            ],
            id="none of all",
        ),
        pytest.param(
            {"listed": [{"b": ""}, {"a": ""}]},
            [joined('"spec.listed[1]" must not validate the schema (not)')],
            id="what must not be",
        ),
        pytest.param(
            {"numbers": 7},
            [
                joined(
                    '"spec.numbers" must validate one and only one schema (oneOf). Found none valid'
                ),
                wrong(
                    "spec.numbers",
                    "Invalid value: 7: spec.numbers in body should be greater than or equal to 10",
                ),
            ],
            id="a number",
        ),
        pytest.param(
            {"text": "abcd"},
            [
                joined('"spec.text" must validate all the schemas (allOf)'),
                ("spec.text", "FieldValueTooLong", "Too long: may not be more than 3 bytes"),
            ],
            id="a text",
        ),
        pytest.param(
            {"either": True},
            [
                joined('"spec.either" must validate at least one schema (anyOf)'),
                of_type("spec.either", "boolean", 'of type integer,string: "boolean"'),
                of_type("spec.either", "boolean", 'of type integer: "boolean"'),
            ],
            id="neither",
        ),
        pytest.param(
            {"share": "5"},
            [
                wrong(
                    "spec.share",
                    "Invalid value: \"5\": spec.share in body should match '^[0-9]+%$'",
                )
            ],
            id="no share",
        ),
        pytest.param(
            {"sized": {}},
            [
                wrong(
                    "spec.sized",
                    "Invalid value: 0: spec.sized in body should have at least 1 properties",
                )
            ],
            id="too few",
        ),
        pytest.param(
            {"sized": {"a": "", "b": "", "c": ""}},
            [("spec.sized", "FieldValueTooMany", "Too many: 3: must have at most 2 items")],
            id="too many",
        ),
        pytest.param(
            {"shape": "a12\n"},
            [
                wrong(
                    "spec.shape",
                    'Invalid value: "a12\\n": spec.shape in body should match '
                    "'^[[:lower:]]\\d{2}$'",
                )
            ],
            id="a line's end is a character",
        ),
        pytest.param(
            {"small": 3_000_000_000},
            [joined("Checked value must be of type integer with format int32 in spec.small")],
            id="too large a number",
        ),
    ],
)
def test_a_broken_rule_is_refused(
    api: Client, rules: str, spec: Any, causes: list[tuple[str, str, str]]
) -> None:
    answer = api.call("POST", rules, rule(rules, spec), dryRun="All")

    assert answer.code == 422, answer
    assert answer.causes == sorted(causes)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"one": {"a": ""}, "any": {"b": ""}, "all": {"a": "", "b": ""}}, id="joined"),
        pytest.param(
            {"numbers": 3, "text": "abc", "listed": [{"b": ""}], "sized": {"a": ""}}, id="values"
        ),
        pytest.param({"either": 1, "share": 7, "shape": "a12", "small": -1}, id="numbers"),
        pytest.param({"either": "x", "share": "7%"}, id="texts"),
    ],
)
def test_what_keeps_the_rules_is_taken(api: Client, rules: str, spec: Any) -> None:
    api.create(rules, rule(rules, spec), dryRun="All")


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("byte", ["YWI=", "nope"], ["!!"]),
        ("cidr", ["1.2.3.4/8"], ["1.2.3.4"]),
        ("date", ["2020-02-28"], ["2020-02-30", "2020-2-3"]),
        (
            "date-time",
            ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.123+01:00"],
            ["2020-01-01 00:00:00Z", "2020-01-01"],
        ),
        ("duration", ["5m", "1h5m"], ["nope"]),
        ("email", ["a@b.c"], ["nope"]),
        ("hexcolor", ["#fff", "#00ff00"], ["nope"]),
        ("hostname", ["a", "a.example.com"], ["a_b"]),
        ("ipv4", ["1.2.3.4"], ["1.2.3", "::1"]),
        ("ipv6", ["::1"], ["1.2.3.4"]),
        ("k8s-short-name", ["a-b"], ["A_b"]),
        ("mac", ["00:11:22:33:44:55"], ["00:11:22"]),
        ("password", ["anything"], []),
        ("uri", ["http://x/y", "/x"], ["nope"]),
        ("uuid", ["12345678-1234-1234-1234-123456789abc"], ["nope"]),
        (
            "uuid4",
            ["12345678-1234-4234-8234-123456789abc"],
            ["12345678-1234-1234-1234-123456789abc"],
        ),
    ],
)
def test_a_format_is_checked(
    api: Client, rules: str, form: str, good: list[str], bad: list[str]
) -> None:
    for text in (*good, *bad):
        answer = api.call("POST", rules, rule(rules, {form: text}), dryRun="All")
        assert answer.code == (422 if text in bad else 201), (text, answer)
        if text in bad:
            said = of_type(f"spec.{form}", text, f'of type {form}: "{text}"')
            assert answer.causes == [said]


@pytest.mark.parametrize(
    ("schema", "field", "said"),
    [
        pytest.param(
            {"type": "string", "pattern": "(?=a)"},
            "pattern",
            'Invalid value: "(?=a)": must be a valid regular expression, but isn\'t: error parsing '
            "regexp: invalid or unsupported Perl syntax: `(?=`",
            id="a pattern that looks ahead",
        ),
        pytest.param(
            {"type": "string", "pattern": "["},
            "pattern",
            'Invalid value: "[": must be a valid regular expression, but isn\'t: error parsing '
            "regexp: missing closing ]: `[`",
            id="half a pattern",
        ),
        pytest.param(
            {"type": "string", "pattern": "a{1001}"},
            "pattern",
            'Invalid value: "a{1001}": must be a valid regular expression, but isn\'t: error '
            "parsing regexp: invalid repeat count: `{1001}`",
            id="too much of a pattern",
        ),
        pytest.param(
            {"type": "string", "anyOf": [{"type": "string"}]},
            "anyOf[0].type",
            "Forbidden: must be empty to be structural",
            id="a type in anyOf",
        ),
        pytest.param(
            {"type": "string", "anyOf": [{"default": "x"}]},
            "anyOf[0].default",
            "Forbidden: must be undefined to be structural",
            id="a default in anyOf",
        ),
        pytest.param(
            {"type": "foo"},
            "type",
            'Unsupported value: "foo": supported values: "array", "boolean", "integer", "number", '
            '"object", "string"',
            id="no type",
        ),
        pytest.param(
            {"properties": {}},
            "type",
            "Required value: must not be empty for specified object fields",
            id="without a type",
        ),
        pytest.param(
            {"type": "array"}, "items", "Required value: must be specified", id="no items"
        ),
        pytest.param(
            {"type": "string", "default": 3},
            "default",
            'Invalid value: "integer":  in body must be of type string: "integer"',
            id="a wrong default",
        ),
    ],
)
def test_a_schema_that_is_none_is_refused(api: Client, schema: Any, field: str, said: str) -> None:
    whole = {"type": "object", "properties": {"s": schema}}
    answer = api.call("POST", DEFINITIONS, definition("none.example.com", whole), dryRun="All")

    assert answer.code == 422, answer
    path = f"spec.validation.openAPIV3Schema.properties[s].{field}"
    assert [(where, text) for where, _, text in answer.causes] == [(path, said)]


def test_what_will_not_be_checked_is_a_warning(api: Client, *, is_real: bool) -> None:
    rule = {"rule": "self.size() > 1", "message": "too short"}
    parts = {
        "s": {"type": "string", "maxLength": 9, "x-kubernetes-validations": [rule]},
        "odd": {"type": "string", "format": "whatever"},
        "letters": {"type": "string", "pattern": r"^\pL+$"},
    }
    whole = definition("none.example.com", {"type": "object", "properties": parts})

    answer = api.call("POST", DEFINITIONS, whole, dryRun="All")

    assert answer.code == 201
    said = answer.headers["Warning"]
    assert 'unrecognized format \\"whatever\\"' in said
    assert ("does not evaluate CEL rules" in said) is not is_real
    assert (r"does not check the pattern '^\\pL+$'" in said) is not is_real


GROUP = "never.example.com"
LIST = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}},
    },
}
AT = "spec.validation.openAPIV3Schema.properties[spec].properties[l]"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        pytest.param(
            {"x-kubernetes-list-map-keys": None},
            f"{AT}.x-kubernetes-list-map-keys",
            "FieldValueRequired",
            id="no keys",
        ),
        pytest.param(
            {"x-kubernetes-list-type": None},
            f"{AT}.x-kubernetes-list-type",
            "FieldValueRequired",
            id="keys of no map",
        ),
        pytest.param(
            {"x-kubernetes-list-map-keys": ["other"]},
            f"{AT}.x-kubernetes-list-map-keys",
            "FieldValueInvalid",
            id="no such property",
        ),
        pytest.param(
            {"items": {"type": "object", "properties": {"name": {"type": "string"}}}},
            f"{AT}.items.properties[name].default",
            "FieldValueRequired",
            id="a key that may be absent",
        ),
    ],
)
def test_a_list_must_say_how_it_merges(
    api: Client, change: dict[str, Any], field: str, reason: str
) -> None:
    spec = {"type": "object", "properties": {"l": {**LIST, **change}}}
    body = definition(GROUP, {"type": "object", "properties": {"spec": spec}})
    answer = api.call("POST", DEFINITIONS, body, dryRun="All")
    assert answer.code == 422, answer
    assert (field, reason) in [cause[:2] for cause in answer.causes]


def test_names_and_columns_of_a_definition_are_checked(api: Client) -> None:
    body = definition(GROUP, {"type": "object"})
    names, version = body["spec"]["names"], body["spec"]["versions"][0]
    names["shortNames"] = ["Up"]
    version["additionalPrinterColumns"] = [{"name": "a", "type": "text", "jsonPath": "a"}]
    answer = api.call("POST", DEFINITIONS, body, dryRun="All")
    found = {cause[0] for cause in answer.causes}
    at = "spec.versions[0].additionalPrinterColumns[0]"
    columns = {f"{at}.type", f"{at}.JSONPath"}
    if not any(one.startswith(at) for one in found):
        columns = {one.replace("versions[0].", "") for one in columns}
    assert found == {"spec.names.shortNames[0]", *columns}


def test_a_schema_in_a_schema_must_be_one(api: Client) -> None:
    spec = {"type": "object", "additionalProperties": "x"}
    body = definition(GROUP, {"type": "object", "properties": {"spec": spec}})
    answer = api.call("POST", DEFINITIONS, body, dryRun="All")
    said = "boolean or JSON schema expected"
    assert (answer.code, said in answer.body["message"]) == (400, True), answer
