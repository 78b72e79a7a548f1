"""Nothing that a client asks for is accepted and ignored: parameters, headers, fields."""

import uuid
from typing import Any

import pytest

from tests.cluster.api.client import (
    APPLY,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Client,
)
from tests.cluster.api.test_patches import MAIN, deployment

FUTURE = "99999999999"
FORBIDDEN = "Forbidden: "
LISTS = [
    pytest.param({"resourceVersion": "x"}, 400, "invalid syntax", id="version"),
    pytest.param({"resourceVersion": "-1"}, 400, "invalid syntax", id="negative version"),
    pytest.param({"resourceVersion": FUTURE}, 504, "Too large resource version", id="future"),
    pytest.param({"limit": "x"}, 400, "invalid syntax", id="limit"),
    pytest.param({"limit": "9" * 20}, 400, "value out of range", id="huge limit"),
    pytest.param({"timeoutSeconds": "x"}, 400, "invalid syntax", id="timeout"),
    pytest.param({"labelSelector": "a<x"}, 400, "must be an integer", id="comparison"),
    pytest.param({"labelSelector": "x" * 64 + "=a"}, 400, "more than 63 bytes", id="long label"),
    pytest.param({"sendInitialEvents": "true"}, 422, "forbidden for list", id="initial events"),
    pytest.param(
        {"resourceVersionMatch": "Exact"}, 422, "unless resourceVersion is provided", id="match"
    ),
    pytest.param(
        {"resourceVersionMatch": "x", "resourceVersion": "1"}, 422, "Unsupported value", id="what"
    ),
    pytest.param(
        {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
        422,
        'forbidden for resourceVersion "0"',
        id="exactly any",
    ),
    pytest.param(
        {"watch": "true", "resourceVersionMatch": "NotOlderThan"},
        422,
        "unless sendInitialEvents is provided",
        id="match of a watch",
    ),
    pytest.param(
        {"watch": "true", "sendInitialEvents": "true"},
        422,
        "requires setting resourceVersionMatch to NotOlderThan",
        id="initial events of any version",
    ),
]


@pytest.mark.parametrize(("parameters", "code", "said"), LISTS)
def test_a_list_that_means_nothing_is_refused(
    api: Client, config_maps: str, parameters: dict[str, str], code: int, said: str
) -> None:
    answer = api.call("GET", config_maps, **parameters)
    assert (answer.code, said in answer.body["message"]) == (code, True), answer
    if code == 504:
        assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


def named(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "data": {"a": "b"}}


def test_a_negative_limit_is_none(api: Client, config_maps: str) -> None:
    api.create(config_maps, named("a"))
    assert "continue" not in api.get(config_maps, limit="-1")["metadata"]


def test_forms_that_there_are_not_are_refused(api: Client, config_maps: str) -> None:
    api.create(config_maps, named("a"))
    kind = "application/json;g=meta.k8s.io;v={};as={}"
    for path, accept, code in (
        (f"{config_maps}/a", kind.format("v9", "Table"), 406),
        (f"{config_maps}/a", kind.format("v1", "PartialObjectMetadataList"), 406),
        (f"{config_maps}/a", kind.format("v1", "PartialObjectMetadata"), 200),
        (config_maps, kind.format("v1", "PartialObjectMetadata"), 406),
        (config_maps, kind.format("v1", "PartialObjectMetadataList"), 200),
    ):
        assert (api.call("GET", path, accept=accept).code, accept) == (code, accept)
    answer = api.call(
        "GET", f"{config_maps}/a", accept=kind.format("v1", "Table"), includeObject="x"
    )
    assert answer.code == 400, answer


def test_writes_that_mean_nothing_are_refused(api: Client, config_maps: str) -> None:
    first = api.create(config_maps, named("a"))
    one = f"{config_maps}/a"
    nobody = {"data": {"a": "c"}}
    both = {"propagationPolicy": "Orphan", "orphanDependents": True}
    for method, path, body, parameters, code in (
        ("POST", config_maps, named("b"), {"fieldManager": "x" * 129}, 422),
        ("POST", config_maps, named("b"), {"fieldManager": "a\x07"}, 422),
        ("POST", config_maps, named("b", resourceVersion="5"), {}, 500),
        ("POST", config_maps, named("b", finalizers=["x"]), {}, 422),
        ("PUT", one, nobody, {}, 400),
        ("PUT", one, named("a", resourceVersion="0"), {"dryRun": "All"}, 200),
        ("DELETE", one, both, {}, 422),
        ("DELETE", one, {"kind": "Pod", "apiVersion": "v1"}, {}, 400),
        ("GET", one, None, {"resourceVersion": FUTURE}, 504),
    ):
        answer = api.call(method, path, body, **parameters)
        assert (answer.code, method, body) == (code, method, body), answer
    for patch, code in (
        ({"metadata": {"uid": "x"}}, 422),
        ({"metadata": {"resourceVersion": ""}}, 200),
        ({"metadata": {"resourceVersion": None}}, 200),
        ({"metadata": None}, 400),
    ):
        answer = api.call("PATCH", one, patch, media=MERGE_PATCH)
        assert (answer.code, patch) == (code, patch), answer
    answer = api.call("PATCH", one, {}, media=MERGE_PATCH, force="true")
    assert answer.code == 422, answer
    assert api.get(one)["metadata"]["uid"] == first["metadata"]["uid"]


def test_a_key_that_comes_twice_in_yaml_is_told(api: Client, config_maps: str) -> None:
    body = b"metadata: {name: yaml}\ndata: {a: '1'}\ndata: {b: '2'}\n"
    answer = api.call("POST", config_maps, body, media="application/yaml", fieldValidation="Strict")
    assert answer.code == 400, answer
    answer = api.call("POST", config_maps, body, media="application/yaml")
    assert (answer.code, answer.body["data"]) == (201, {"b": "2"})
    assert "data" in answer.headers["Warning"]


def test_put_makes_objects_of_some_kinds(api: Client, namespace: str) -> None:
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/a"
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/a"
    maps = f"/api/v1/namespaces/{namespace}/configmaps/a"
    for path, code in ((leases, 201), (roles, 201), (roles, 200), (maps, 404)):
        answer = api.call("PUT", path, {"metadata": {"name": "a"}})
        assert (answer.code, path) == (code, path), answer
    # Some kinds are never replaced blindly.
    answer = api.call("PUT", leases, {"metadata": {"name": "a"}})
    assert (answer.code, answer.causes[0][0]) == (422, "metadata.resourceVersion"), answer
    version = api.get(leases)["metadata"]["resourceVersion"]
    answer = api.call("PUT", leases, {"metadata": {"name": "a", "resourceVersion": version}})
    assert answer.code == 200, answer


def test_a_new_item_of_a_merged_list_comes_first(api: Client, deployments: str) -> None:
    api.create(deployments, deployment(MAIN))
    one = f"{deployments}/web"

    def names(patch: Any) -> list[str]:
        spec = {"spec": {"template": {"spec": {"containers": patch}}}}
        answer = api.call("PATCH", one, spec, media=STRATEGIC_PATCH)
        assert answer.code == 200, answer
        return [item["name"] for item in answer.body["spec"]["template"]["spec"]["containers"]]

    old = MAIN["name"]
    assert names([{"name": "b", "image": "b:1"}]) == ["b", old]
    assert names([{"name": "c", "image": "c:1"}, {"name": old, "image": "d:1"}]) == ["c", "b", old]
    assert names([{"name": "b", "$patch": "delete"}]) == ["c", old]


def test_a_json_patch_replaces_what_is_not_there_yet(api: Client, config_maps: str) -> None:
    api.create(config_maps, named("a"))
    for path, code in (("/data/x", 200), ("/spec/x", 422)):
        patch = [{"op": "replace", "path": path, "value": "y"}]
        answer = api.call("PATCH", f"{config_maps}/a", patch, media=JSON_PATCH)
        assert (answer.code, path) == (code, path), answer
    assert api.get(f"{config_maps}/a")["data"] == {"a": "b", "x": "y"}


def test_who_applies_an_empty_map_owns_it(api: Client, config_maps: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}}
    answer = api.apply(f"{config_maps}/a", body)
    assert answer.body["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {}}
    answer = api.apply(f"{config_maps}/a", {**body, "data": {"a": "b"}}, "other")
    assert (answer.code, answer.body["message"].partition(":")[0]) == (
        409,
        "Apply failed with 1 conflict",
    )


def test_an_apply_that_says_an_item_twice_is_refused(api: Client, deployments: str) -> None:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment(MAIN, MAIN)}
    answer = api.call("PATCH", f"{deployments}/web", body, media=APPLY, fieldManager="a")
    where = ".spec.template.spec.containers: duplicate entries for key "
    assert (answer.code, where in answer.body["message"]) == (500, True), answer


def test_a_service_that_changes_its_type_forgets_the_old_one(api: Client, namespace: str) -> None:
    services = f"/api/v1/namespaces/{namespace}/services"
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}], "externalTrafficPolicy": "Local"}
    made = api.create(services, {"metadata": {"name": "s"}, "spec": spec})["spec"]
    assert made["allocateLoadBalancerNodePorts"] is True
    assert made["healthCheckNodePort"]

    def change(**wanted: Any) -> dict[str, Any]:
        answer = api.call("PATCH", f"{services}/s", {"spec": wanted}, media=MERGE_PATCH)
        assert answer.code == 200, answer
        found: dict[str, Any] = answer.body["spec"]
        return found

    inner = change(type="ClusterIP")
    of_old = {"allocateLoadBalancerNodePorts", "healthCheckNodePort", "externalTrafficPolicy"}
    assert of_old & set(inner) == set()
    assert "nodePort" not in inner["ports"][0]
    outer = change(type="ExternalName", externalName="a.example.com")
    assert {"clusterIP", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"} & set(
        outer
    ) == set()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param({"ipFamilies": ["IPv6"]}, "spec.ipFamilies[0]", id="family"),
        pytest.param({"ipFamilyPolicy": "RequireDualStack"}, "spec.ipFamilyPolicy", id="both"),
    ],
)
def test_a_service_that_wants_ipv6_is_refused(
    api: Client, namespace: str, spec: dict[str, Any], field: str
) -> None:
    body = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], **spec}}
    answer = api.call("POST", f"/api/v1/namespaces/{namespace}/services", body)
    assert (answer.code, answer.causes[0][0]) == (422, field), answer


def test_a_pod_keeps_its_node_and_its_deadline(api: Client, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [MAIN], "schedulerName": "none", "activeDeadlineSeconds": 50}
    api.create(pods, {"metadata": {"name": "p"}, "spec": spec})
    for wanted, code in (
        ({"nodeName": "x"}, 422),
        ({"terminationGracePeriodSeconds": 3}, 422),
        ({"schedulingGates": [{"name": "g"}]}, 422),
        ({"activeDeadlineSeconds": 51}, 422),
        ({"activeDeadlineSeconds": 49}, 200),
    ):
        answer = api.call("PATCH", f"{pods}/p", {"spec": wanted}, media=STRATEGIC_PATCH)
        assert (answer.code, wanted) == (code, wanted), answer
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "other"}}
    assert api.call("POST", f"{pods}/p/eviction", eviction).code == 400
    assert api.call("PUT", f"{pods}/p/log").code == 405


def test_a_job_is_replaced_only_with_its_selector(api: Client, namespace: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    template = {"spec": {"restartPolicy": "Never", "containers": [MAIN]}}
    body = {"metadata": {"name": "j"}, "spec": {"suspend": True, "template": template}}
    made = api.create(jobs, body)
    answer = api.call("PUT", f"{jobs}/j", body)
    assert (answer.code, "spec.selector" in {one[0] for one in answer.causes}) == (422, True)
    wanted = {**body, "spec": {**made["spec"], "parallelism": 2}}
    assert api.call("PUT", f"{jobs}/j", wanted).body["spec"]["parallelism"] == 2


def test_a_priority_is_for_good(api: Client) -> None:
    place = "/apis/scheduling.k8s.io/v1/priorityclasses"
    name = f"tilt-suite-{uuid.uuid4().hex[:8]}"
    api.create(place, {"metadata": {"name": name}, "value": 5})
    answer = api.call("PATCH", f"{place}/{name}", {"value": 6}, media=MERGE_PATCH)
    assert (answer.code, answer.causes[0][:2]) == (422, ("value", "FieldValueForbidden"))
    assert api.call("DELETE", f"{place}/{name}").code == 200
