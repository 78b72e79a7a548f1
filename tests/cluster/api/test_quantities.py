"""Quantities are kept in Kubernetes' canonical form, whatever verb brings them."""

from typing import Any

import pytest

from tests.cluster.api.client import APPLY, MERGE_PATCH, Client

LISTED: dict[Any, str] = {
    "1000m": "1",
    "1.5": "1500m",
    ".5": "500m",
    1.5: "1500m",
    1000: "1k",
    0: "0",
    "-0.5": "-500m",
    "0Gi": "0",
    "1024Mi": "1Gi",
    "1025Mi": "1025Mi",
    "1.5Gi": "1536Mi",
    "1.5Ki": "1536",
    "0.0001Ki": "103m",
    "16Ei": "9223372036854775807",
    "1e3": "1e3",
    "12e2": "1200",
    "1e4": "10e3",
    "1e-10": "1e-3",
    "1000000u": "1",
    "500u": "1m",
    "100000000000000000000": "100E",
    # What needs no other suffix stays.
    "+1": "+1",
    "1.": "1.",
    "001": "001",
    "1.100": "1.100",
    "0.100": "100m",
    "736.324T": "736.324T",
    "736.5T": "736500G",
    "1E3": "1E3",
    "01025Mi": "01025Mi",
    "+1024Mi": "1Gi",
}


def test_amounts_of_resources_are_rounded_to_thousandths(api: Client, namespace: str) -> None:
    given = {f"a.b/n{at}": text for at, text in enumerate(LISTED)}
    limits = [{"type": "a.b/c", "max": given}]
    path = f"/api/v1/namespaces/{namespace}/limitranges"
    made = api.create(path, {"metadata": {"name": "a"}, "spec": {"limits": limits}})

    kept = made["spec"]["limits"][0]["max"]
    assert {text: kept[key] for key, text in given.items()} == LISTED


@pytest.mark.parametrize("verb", ["create", "apply", "patch"])
def test_amounts_are_kept_the_same_way_by_every_verb(
    api: Client, namespace: str, verb: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/podtemplates"
    plain = {"name": "m", "image": "x"}
    main = {**plain, "resources": {"requests": {"cpu": 1, "memory": "2048Mi"}}}
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": "500u"}}]
    template = {"spec": {"containers": [main], "volumes": volumes}}
    body = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"}}
    if verb == "create":
        answer = api.call("POST", path, {**body, "template": template})
    elif verb == "apply":
        given = {**body, "template": template}
        answer = api.call("PATCH", f"{path}/a", given, media=APPLY, fieldManager="me")
        again = api.call("PATCH", f"{path}/a", given, media=APPLY, fieldManager="me")
        versions = {one.body["metadata"]["resourceVersion"] for one in (answer, again)}
        assert len(versions) == 1  # what is said in another way is no change
    else:
        api.create(path, {**body, "template": {"spec": {"containers": [plain]}}})
        answer = api.call("PATCH", f"{path}/a", {"template": template}, media=MERGE_PATCH)

    found = answer.body["template"]["spec"]
    assert found["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": "2Gi"}
    assert found["volumes"][0]["emptyDir"]["sizeLimit"] == "500u"
