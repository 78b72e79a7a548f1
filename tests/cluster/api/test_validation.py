"""What is refused, and in which words."""

from typing import Any

import pytest

from tests.cluster.api.client import MERGE_PATCH, Client
from tests.cluster.api.test_patches import MAIN, deployment


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [MAIN], **spec}}


def service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], **spec}}


def changed(obj: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The object with one field set (a part that is a number is a list's index)."""
    key, _, rest = path.partition(".")
    if key.isdigit():
        items: Any = list(obj)
        items[int(key)] = changed(items[int(key)], rest, value) if rest else value
        return items  # type: ignore[no-any-return] # a list inside the object
    return {**obj, key: changed(obj.get(key, {}), rest, value) if rest else value}


DEPLOYMENT = deployment(MAIN)
TEMPLATE = "spec.template.spec"
CASES = [
    pytest.param(
        "deployments",
        changed(DEPLOYMENT, "spec.selector", None),
        [
            ("spec.selector", "FieldValueRequired", "Required value"),
            (
                "spec.template.metadata.labels",
                "FieldValueInvalid",
                'Invalid value: {"app":"web"}: `selector` does not match template `labels`',
            ),
        ],
        id="no selector",
    ),
    pytest.param(
        "deployments",
        changed(DEPLOYMENT, "spec.replicas", -1),
        [
            (
                "spec.replicas",
                "FieldValueInvalid",
                "Invalid value: -1: must be greater than or equal to 0",
            )
        ],
        id="negative replicas",
    ),
    pytest.param(
        "deployments",
        changed(DEPLOYMENT, "spec.template.metadata.labels", {"app": "other"}),
        [
            (
                "spec.template.metadata.labels",
                "FieldValueInvalid",
                'Invalid value: {"app":"other"}: `selector` does not match template `labels`',
            )
        ],
        id="other labels",
    ),
    pytest.param(
        "deployments",
        changed(DEPLOYMENT, f"{TEMPLATE}.containers", []),
        [(f"{TEMPLATE}.containers", "FieldValueRequired", "Required value")],
        id="no containers",
    ),
    pytest.param(
        "deployments",
        changed(DEPLOYMENT, f"{TEMPLATE}.restartPolicy", "Never"),
        [
            (
                f"{TEMPLATE}.restartPolicy",
                "FieldValueNotSupported",
                'Unsupported value: "Never": supported values: "Always"',
            )
        ],
        id="restart policy",
    ),
    pytest.param(
        "deployments",
        changed(DEPLOYMENT, f"{TEMPLATE}.containers.0.image", ""),
        [(f"{TEMPLATE}.containers[0].image", "FieldValueRequired", "Required value")],
        id="no image",
    ),
    pytest.param(
        "deployments",
        changed(
            DEPLOYMENT,
            f"{TEMPLATE}.containers.0.volumeMounts",
            [{"name": "v", "mountPath": "/v"}],
        ),
        [
            (
                f"{TEMPLATE}.containers[0].volumeMounts[0].name",
                "FieldValueNotFound",
                'Not found: "v"',
            )
        ],
        id="no such volume",
    ),
    pytest.param(
        "deployments",
        changed(DEPLOYMENT, f"{TEMPLATE}.containers.0.imagePullPolicy", "Sometimes"),
        [
            (
                f"{TEMPLATE}.containers[0].imagePullPolicy",
                "FieldValueNotSupported",
                (
                    'Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", '
                    '"Never"'
                ),
            )
        ],
        id="pull policy",
    ),
    pytest.param(
        "deployments",
        changed(DEPLOYMENT, f"{TEMPLATE}.containers.0.ports", [{"containerPort": 70000}]),
        [
            (
                f"{TEMPLATE}.containers[0].ports[0].containerPort",
                "FieldValueInvalid",
                "Invalid value: 70000: must be between 1 and 65535, inclusive",
            )
        ],
        id="port",
    ),
    pytest.param(
        "deployments",
        changed(DEPLOYMENT, f"{TEMPLATE}.containers.0.readinessProbe", {"periodSeconds": 1}),
        [
            (
                f"{TEMPLATE}.containers[0].readinessProbe",
                "FieldValueRequired",
                "Required value: must specify a handler type",
            )
        ],
        id="probe without handler",
    ),
    pytest.param(
        "services",
        service(ports=[]),
        [("spec.ports", "FieldValueRequired", "Required value")],
        id="service without ports",
    ),
    pytest.param(
        "services",
        service(type="Nothing"),
        [
            (
                "spec.type",
                "FieldValueNotSupported",
                (
                    'Unsupported value: "Nothing": supported values: "ClusterIP", "ExternalName", '
                    '"LoadBalancer", "NodePort"'
                ),
            )
        ],
        id="service type",
    ),
    pytest.param(
        "services",
        service(ports=[{"port": 80}, {"port": 81}]),
        [
            ("spec.ports[0].name", "FieldValueRequired", "Required value"),
            ("spec.ports[1].name", "FieldValueRequired", "Required value"),
        ],
        id="ports without names",
    ),
    pytest.param(
        "configmaps",
        {"metadata": {"name": "A_b"}},
        [
            (
                "metadata.name",
                "FieldValueInvalid",
                (
                    'Invalid value: "A_b": a lowercase RFC 1123 subdomain must consist of lower '
                    "case alphanumeric characters, '-' or '.', and must start and end with an "
                    "alphanumeric character (e.g. 'example.com', regex used for validation is "
                    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                ),
            )
        ],
        id="name",
    ),
    pytest.param(
        "configmaps",
        {"metadata": {"name": "a", "labels": {"x": "a b"}}},
        [
            (
                "metadata.labels",
                "FieldValueInvalid",
                (
                    'Invalid value: "a b": a valid label must be an empty string or consist of '
                    "alphanumeric characters, '-', '_' or '.', and must start and end with an "
                    "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex "
                    "used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                ),
            )
        ],
        id="label",
    ),
    pytest.param(
        "configmaps",
        {"metadata": {}},
        [
            (
                "metadata.name",
                "FieldValueRequired",
                "Required value: name or generateName is required",
            )
        ],
        id="no name",
    ),
    pytest.param(
        "persistentvolumeclaims",
        {"metadata": {"name": "p"}, "spec": {"accessModes": ["ReadWriteOnce"]}},
        [("spec.resources[storage]", "FieldValueRequired", "Required value")],
        id="claim without size",
    ),
    pytest.param(
        "pods",
        pod(volumes=[{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]),
        [
            (
                "spec.volumes[0].hostPath",
                "FieldValueForbidden",
                "Forbidden: may not specify more than 1 volume type",
            )
        ],
        id="two sources of a volume",
    ),
    pytest.param(
        "pods",
        pod(containers=[MAIN, MAIN]),
        [("spec.containers[1].name", "FieldValueDuplicate", 'Duplicate value: "main"')],
        id="two containers of a name",
    ),
]


def place(namespace: str, resource: str) -> str:
    base = "/apis/apps/v1" if resource == "deployments" else "/api/v1"
    return f"{base}/namespaces/{namespace}/{resource}"


@pytest.mark.parametrize(("resource", "body", "causes"), CASES)
def test_an_invalid_object_is_refused_with_its_causes(
    api: Client,
    namespace: str,
    resource: str,
    body: dict[str, Any],
    causes: list[tuple[str, str, str]],
) -> None:
    answer = api.call("POST", place(namespace, resource), body)

    assert answer.code == 422, answer
    assert answer.body["reason"] == "Invalid"
    assert answer.causes == causes


def test_one_cause_is_in_the_message(api: Client, deployments: str) -> None:
    answer = api.call("POST", deployments, changed(DEPLOYMENT, "spec.replicas", -1))

    assert answer.body["message"] == (
        'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: '
        "must be greater than or equal to 0"
    )
    assert answer.body["details"]["kind"] == "Deployment"
    assert answer.body["details"]["group"] == "apps"


def test_a_selector_never_changes(api: Client, deployments: str) -> None:
    api.create(deployments, DEPLOYMENT)
    labels = {"app": "other"}
    patch = {
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}},
        }
    }

    answer = api.call("PATCH", f"{deployments}/web", patch, media=MERGE_PATCH)

    assert answer.code == 422
    assert answer.causes == [
        (
            "spec.selector",
            "FieldValueInvalid",
            'Invalid value: {"matchLabels":{"app":"other"}}: field is immutable',
        )
    ]


def test_an_immutable_config_map_never_changes(api: Client, config_maps: str) -> None:
    api.create(config_maps, {"metadata": {"name": "a"}, "data": {"k": "v"}, "immutable": True})

    answer = api.call("PATCH", f"{config_maps}/a", {"data": {"k": "w"}}, media=MERGE_PATCH)

    assert answer.causes == [
        (
            "data",
            "FieldValueForbidden",
            "Forbidden: field is immutable when `immutable` is set",
        )
    ]


def test_unknown_fields_are_refused_if_asked(api: Client, deployments: str) -> None:
    body = changed(changed(DEPLOYMENT, "spec.foo", 1), f"{TEMPLATE}.containers.0.bar", 2)

    answer = api.call("POST", deployments, body, fieldValidation="Strict")

    assert answer.code == 400
    assert answer.body["reason"] == "BadRequest"
    assert answer.body["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.template.spec.containers[0].bar", unknown field "spec.foo"'
    )


def test_unknown_fields_are_warned_of(api: Client, deployments: str) -> None:
    answer = api.call("POST", deployments, changed(DEPLOYMENT, "spec.foo", 1))

    assert answer.code == 201
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.foo\\""'
    assert "foo" not in answer.body["spec"]


def test_unknown_fields_can_be_ignored(api: Client, deployments: str) -> None:
    answer = api.call(
        "POST", deployments, changed(DEPLOYMENT, "spec.foo", 1), fieldValidation="Ignore"
    )

    assert answer.code == 201
    assert "Warning" not in answer.headers


def test_duplicate_fields_are_refused_if_asked(api: Client, config_maps: str) -> None:
    body = b'{"metadata": {"name": "a"}, "data": {"k": "1", "k": "2"}}'

    answer = api.call("POST", config_maps, body, fieldValidation="Strict")

    assert answer.code == 400
    assert 'strict decoding error: duplicate field "data.k"' in answer.body["message"]


def test_a_wrong_type_is_a_bad_request(api: Client, deployments: str) -> None:
    answer = api.call("POST", deployments, changed(DEPLOYMENT, "spec.replicas", "three"))

    assert answer.code == 400
    assert answer.body["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal '
        "string into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


def test_a_wrong_quantity_is_a_bad_request(api: Client, deployments: str) -> None:
    path = f"{TEMPLATE}.containers.0.resources"
    body = changed(DEPLOYMENT, path, {"limits": {"cpu": "much"}})

    answer = api.call("POST", deployments, body)

    assert answer.code == 400
    assert answer.body["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: quantities must match the '
        "regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )


@pytest.mark.parametrize("key", ["containers", "volumes", "tolerations"])
def test_null_in_a_list_is_an_empty_item(api: Client, deployments: str, key: str) -> None:
    answer = api.call("POST", deployments, changed(DEPLOYMENT, f"{TEMPLATE}.{key}", [None]))

    assert answer.code == 422, answer


def test_a_wrong_kind_is_a_bad_request(api: Client, config_maps: str) -> None:
    answer = api.call(
        "POST", config_maps, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    )

    assert answer.code == 400
