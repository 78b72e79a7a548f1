"""OpenAPI v2: the one document that clients ask for which don't know version 3."""

import json
import re

from tests.cluster.api.client import Client

PODS = "/api/v1/namespaces/{namespace}/pods"
_POD = "io.k8s.api.core.v1.Pod"
_INTEGER = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


def test_it_says_what_objects_look_like(api: Client) -> None:
    found = api.get("/openapi/v2")

    assert found["swagger"] == "2.0"
    pod = found["definitions"][_POD]
    assert pod["type"] == "object"
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "kind": "Pod", "version": "v1"}]
    assert pod["properties"]["spec"]["$ref"] == f"#/definitions/{_POD}Spec"
    containers = found["definitions"][f"{_POD}Spec"]["properties"]["containers"]
    assert containers["type"] == "array"
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["items"] == {"$ref": "#/definitions/io.k8s.api.core.v1.Container"}
    assert found["definitions"][_INTEGER]["format"] == "int-or-string"


def test_everything_it_refers_to_is_there(api: Client) -> None:
    found = api.get("/openapi/v2")

    text = json.dumps([found["definitions"], found["paths"]])
    wanted = set(re.findall(r'"\$ref": "#/definitions/([^"]+)"', text))
    assert wanted
    assert wanted <= set(found["definitions"])
    assert "#/components/" not in text


def test_it_says_which_operations_check_fields(api: Client) -> None:
    path = api.get("/openapi/v2")["paths"][PODS]

    assert path["post"]["x-kubernetes-action"] == "post"
    body = next(one for one in path["post"]["parameters"] if one.get("in") == "body")
    assert body["schema"] == {"$ref": f"#/definitions/{_POD}"}
    assert any(one.get("name") == "fieldValidation" for one in path["post"]["parameters"])
    assert "application/strategic-merge-patch+json" in found_patch(api)


def found_patch(api: Client) -> list[str]:
    patch = api.get("/openapi/v2")["paths"][f"{PODS}/{{name}}"]["patch"]
    consumed: list[str] = patch["consumes"]
    return consumed
