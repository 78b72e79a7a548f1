"""What a real API server (1.36) says, and what it means."""

import json
from typing import Any

import pytest

from tiltd import ports
from tiltd.adapters.kubernetes import faults
from tiltd.adapters.kubernetes.faults import Meaning, Refused
from tiltd.adapters.kubernetes.wire import Reply

DEPLOYMENT = {"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}


def refused(code: int, message: str, *causes: dict[str, str], reason: str = "") -> Refused:
    status = {"message": message, "reason": reason, "details": {"causes": list(causes)}}
    return Refused(Reply(code, {}, json.dumps(status).encode()))


def cause(message: str, field: str = "spec") -> dict[str, str]:
    return {"reason": "FieldValueInvalid", "message": message, "field": field}


SELECTOR = 'Invalid value: {"matchLabels":{"a":"c"}}: field is immutable'
STATEFUL = (
    "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', "
    "'template', 'updateStrategy' are forbidden"
)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            refused(422, f"spec.selector: {SELECTOR}", cause(SELECTOR)), Meaning.IMMUTABLE, id="dep"
        ),
        pytest.param(refused(422, STATEFUL, cause(STATEFUL)), Meaning.IMMUTABLE, id="statefulset"),
        pytest.param(
            refused(422, "cannot change roleRef", cause("Invalid value: cannot change roleRef")),
            Meaning.IMMUTABLE,
            id="role binding",
        ),
        pytest.param(
            refused(422, f"[{SELECTOR}, bad]", cause(SELECTOR), cause("must be positive")),
            Meaning.INVALID,
            id="immutable and wrong besides: never delete for it",
        ),
        pytest.param(
            refused(500, "failed to create typed patch object (/a; /v1, Kind=X): .dat: field not"),
            Meaning.INVALID,
            id="schema errors come as 500",
        ),
        pytest.param(refused(500, "etcdserver: leader changed"), Meaning.TRANSIENT, id="etcd"),
        pytest.param(refused(404, 'namespaces "x" not found'), Meaning.TRANSIENT, id="namespace"),
        pytest.param(
            refused(403, "unable to create new content: it is being terminated"),
            Meaning.TRANSIENT,
            id="terminating",
        ),
        pytest.param(refused(403, "exceeded quota: q"), Meaning.TRANSIENT, id="quota"),
        pytest.param(refused(403, "User may not"), Meaning.FORBIDDEN, id="rbac"),
        pytest.param(refused(401, "Unauthorized"), Meaning.LOGIN, id="login"),
        pytest.param(refused(409, "object was modified"), Meaning.TRANSIENT, id="race"),
        pytest.param(refused(422, "bad", cause("must be positive")), Meaning.INVALID, id="bad"),
    ],
)
def test_an_answer_asks_for_one_thing(answer: Refused, expected: Meaning) -> None:
    assert faults.meaning(answer) is expected


def test_conflicts_name_the_field_and_its_manager() -> None:
    told = {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl" using apps/v1'}
    answer = refused(409, "Apply failed with 1 conflict", {**told, "field": ".spec.replicas"})

    assert faults.meaning(answer) is Meaning.CONFLICT
    assert faults.conflicts(answer) == (".spec.replicas (kubectl)",)


def test_a_users_error_names_object_field_and_hint() -> None:
    words = (
        "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): "
        ".spec.foo: field not declared in schema"
    )

    with pytest.raises(ports.PermanentError) as caught:
        faults.raise_apply(refused(500, words), DEPLOYMENT)

    problem = caught.value.problem
    assert problem.message == "Deployment/web (shop): .spec.foo: field not declared in schema"
    assert "spelling" in problem.hint


def test_a_very_long_answer_stands_in_the_detail() -> None:
    with pytest.raises(ports.PermanentError) as caught:
        faults.raise_apply(refused(422, "x" * 2000), DEPLOYMENT)

    assert len(caught.value.problem.message) < 600
    assert len(caught.value.problem.detail) == 2000


def _secret(**fields: Any) -> dict[str, Any]:
    return {"kind": "Secret", "metadata": {"name": "keys"}, **fields}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(
            _secret(stringData={"a": ["sup3rsecret"]}),
            '.stringData.a: expected string, got &value.valueUnstructured{Value:[]{"sup3rsecret"}}',
            id="wrong type",
        ),
        pytest.param(
            _secret(stringData={"a": 31415926}),
            ".stringData.a: expected string, got &value.valueUnstructured{Value:31415926}",
            id="number",
        ),
        pytest.param(
            _secret(stringData={"a": "sup3rsecret"}),
            'data[a]: Invalid value: "c3VwM3JzZWNyZXQ=": too long',
            id="encoded",
        ),
        pytest.param(
            _secret(data={"a": "c3VwM3JzZWNyZXQ="}),
            'data[a]: Invalid value: "sup3rsecret": too long',
            id="decoded",
        ),
        pytest.param(
            _secret(data={"a": "x"}), 'Invalid value: "sup3rsecret": no', id="whatever is quoted"
        ),
    ],
)
def test_no_value_of_a_secret_is_passed_on(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ports.PermanentError) as caught:
        faults.raise_apply(refused(422, words), body)

    shown = repr(caught.value.problem)
    assert "Secret/keys" in shown
    for value in ("sup3rsecret", "c3VwM3JzZWNyZXQ=", "31415926"):
        assert value not in shown


def test_the_field_of_a_wrong_secret_is_still_named() -> None:
    words = ".stringData.a: expected string, got &value.valueUnstructured{Value:123456}"
    body = _secret(stringData={"a": 123456})

    assert faults.cleaned(words, body).startswith(".stringData.a: expected string")
