"""Create, read, update, delete: codes, bodies and metadata."""

import pytest
import requests

from tests.cluster.api.client import STRATEGIC_PATCH, TABLE, Client


def test_a_created_object_has_its_metadata(api: Client, config_maps: str) -> None:
    answer = api.call("POST", config_maps, {"metadata": {"name": "a"}, "data": {"k": "v"}})

    assert answer.code == 201
    assert answer.body["kind"] == "ConfigMap"
    assert answer.body["apiVersion"] == "v1"
    assert answer.body["data"] == {"k": "v"}
    metadata = answer.body["metadata"]
    assert {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"} <= set(metadata)
    assert "generation" not in metadata
    assert metadata["managedFields"][0]["manager"] == "suite"
    assert metadata["managedFields"][0]["fieldsV1"] == {"f:data": {".": {}, "f:k": {}}}


def test_a_taken_name_is_refused(api: Client, config_maps: str) -> None:
    api.create(config_maps, {"metadata": {"name": "a"}})

    answer = api.call("POST", config_maps, {"metadata": {"name": "a"}})

    assert answer.code == 409
    assert answer.body["reason"] == "AlreadyExists"
    assert answer.body["message"] == 'configmaps "a" already exists'
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}


def test_generate_name_makes_a_name(api: Client, config_maps: str) -> None:
    made = api.create(config_maps, {"metadata": {"generateName": "a-"}})

    assert made["metadata"]["name"].startswith("a-")
    assert len(made["metadata"]["name"]) == 7
    assert made["metadata"]["generateName"] == "a-"


def test_what_is_not_there_is_said_as_kubernetes_does(api: Client, deployments: str) -> None:
    answer = api.call("GET", f"{deployments}/none")

    assert answer.code == 404
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "none" not found',
        "reason": "NotFound",
        "details": {"name": "none", "group": "apps", "kind": "deployments"},
        "code": 404,
    }


def test_an_unknown_resource_is_404(api: Client, namespace: str) -> None:
    answer = api.call("GET", f"/api/v1/namespaces/{namespace}/unicorns")

    assert answer.code == 404


def test_a_namespace_must_be_there(api: Client) -> None:
    answer = api.call(
        "POST", "/api/v1/namespaces/tilt-none/configmaps", {"metadata": {"name": "a"}}
    )

    assert answer.code == 404
    assert answer.body["message"] == 'namespaces "tilt-none" not found'


def test_an_update_needs_the_newest_version(api: Client, config_maps: str) -> None:
    first = api.create(config_maps, {"metadata": {"name": "a"}, "data": {"k": "1"}})
    second = api.call("PUT", f"{config_maps}/a", {**first, "data": {"k": "2"}})
    assert second.code == 200
    assert int(second.body["metadata"]["resourceVersion"]) > int(
        first["metadata"]["resourceVersion"]
    )

    answer = api.call("PUT", f"{config_maps}/a", {**first, "data": {"k": "3"}})

    assert answer.code == 409
    assert answer.body["reason"] == "Conflict"
    assert answer.body["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_a_write_that_changes_nothing_keeps_the_version(api: Client, config_maps: str) -> None:
    first = api.create(config_maps, {"metadata": {"name": "a"}, "data": {"k": "1"}})

    again = api.call("PUT", f"{config_maps}/a", first)

    assert again.body["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_dry_run_stores_nothing(api: Client, config_maps: str) -> None:
    answer = api.call("POST", config_maps, {"metadata": {"name": "a"}}, dryRun="All")

    assert answer.code == 201
    assert api.call("GET", f"{config_maps}/a").code == 404


def test_the_name_must_be_that_of_the_url(api: Client, config_maps: str) -> None:
    api.create(config_maps, {"metadata": {"name": "a"}})

    answer = api.call("PUT", f"{config_maps}/a", {"metadata": {"name": "b"}})

    assert answer.code == 400
    assert answer.body["message"] == (
        "the name of the object (b) does not match the name on the URL (a)"
    )


def test_the_namespace_must_be_that_of_the_url(api: Client, config_maps: str) -> None:
    answer = api.call("POST", config_maps, {"metadata": {"name": "a", "namespace": "other"}})

    assert answer.code == 400
    assert answer.body["message"] == (
        "the namespace of the provided object does not match the namespace sent on the request"
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"metadata": []}', id="metadata is a list"),
    ],
)
def test_a_malformed_body_is_a_bad_request(api: Client, config_maps: str, body: bytes) -> None:
    answer = api.call("POST", config_maps, body)

    assert answer.code == 400
    assert answer.body["reason"] == "BadRequest"


def test_a_huge_body_is_refused(api: Client, config_maps: str) -> None:
    body = {"metadata": {"name": "a"}, "data": {"k": "x" * (4 * 1024 * 1024)}}

    answer = api.call("POST", config_maps, body)

    assert answer.code == 413
    assert answer.body["reason"] == "RequestEntityTooLarge"


def test_yaml_is_read(api: Client, config_maps: str) -> None:
    body = b"metadata: {name: a}\ndata: {k: v}\n"

    answer = api.call("POST", config_maps, body, media="application/yaml")

    assert answer.code == 201
    assert answer.body["data"] == {"k": "v"}


def test_an_unknown_media_type_is_415(api: Client, config_maps: str) -> None:
    assert api.call("POST", config_maps, b"a", media="text/plain").code == 415


def test_deleting_answers_with_a_status(api: Client, config_maps: str) -> None:
    made = api.create(config_maps, {"metadata": {"name": "a"}})

    answer = api.call("DELETE", f"{config_maps}/a")

    assert answer.code == 200
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]},
    }
    assert api.call("GET", f"{config_maps}/a").code == 404


def test_deleting_may_demand_a_uid(api: Client, config_maps: str) -> None:
    made = api.create(config_maps, {"metadata": {"name": "a"}})

    answer = api.call("DELETE", f"{config_maps}/a", {"preconditions": {"uid": "other"}})

    assert answer.code == 409
    uid = made["metadata"]["uid"]
    assert answer.body["message"] == (
        'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (other) '
        f"does not match the UID in record ({uid}). "
        "The object might have been deleted and then recreated"
    )


def test_a_finalizer_holds_an_object(api: Client, config_maps: str) -> None:
    api.create(config_maps, {"metadata": {"name": "a", "finalizers": ["example.com/x"]}})

    deleted = api.call("DELETE", f"{config_maps}/a")
    assert deleted.code == 200
    held = api.get(f"{config_maps}/a")
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0

    held["metadata"]["finalizers"] = []
    assert api.call("PUT", f"{config_maps}/a", held).code == 200
    assert api.call("GET", f"{config_maps}/a").code == 404


def test_a_collection_is_deleted_by_selector(api: Client, config_maps: str) -> None:
    for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
        api.create(config_maps, {"metadata": {"name": name, "labels": {"l": label}}})

    answer = api.call("DELETE", config_maps, labelSelector="l=x")

    assert answer.code == 200
    left = api.get(config_maps, labelSelector="l")["items"]
    assert [one["metadata"]["name"] for one in left] == ["b"]


def test_generation_counts_changes_of_the_spec(api: Client, deployments: str) -> None:
    made = api.create(deployments, deployment("web"))
    assert made["metadata"]["generation"] == 1
    labelled = api.call(
        "PATCH",
        f"{deployments}/web",
        {"metadata": {"labels": {"a": "b"}}},
        media="application/merge-patch+json",
    )
    assert labelled.body["metadata"]["generation"] == 1
    scaled = api.call(
        "PATCH",
        f"{deployments}/web",
        {"spec": {"minReadySeconds": 3}},
        media="application/merge-patch+json",
    )
    assert scaled.body["metadata"]["generation"] == 2


def test_binding_a_pod_is_no_new_generation_of_it(api: Client, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    container = {"name": "main", "image": "x"}
    # A scheduler and a node that are not there, so that nobody else touches it.
    spec = {"schedulerName": "nobody", "containers": [container]}
    assert (
        api.create(pods, {"metadata": {"name": "a"}, "spec": spec})["metadata"]["generation"] == 1
    )
    target = {"apiVersion": "v1", "kind": "Node", "name": "none"}

    bound = api.call("POST", f"{pods}/a/binding", {"metadata": {"name": "a"}, "target": target})

    assert bound.code == 201, bound
    now = api.get(f"{pods}/a")
    assert (now["spec"]["nodeName"], now["metadata"]["generation"]) == ("none", 1)
    patch = {"spec": {"containers": [{**container, "image": "y"}]}}
    answer = api.call("PATCH", f"{pods}/a", patch, media=STRATEGIC_PATCH)
    assert answer.body["metadata"]["generation"] == 2
    assert api.call("DELETE", f"{pods}/a", gracePeriodSeconds="0").code == 200


def test_a_plain_write_leaves_the_status_alone(api: Client, deployments: str) -> None:
    made = api.create(deployments, {**deployment("web"), "status": {"replicas": 7}})

    assert made.get("status", {}).get("replicas") is None


def test_the_scale_of_a_deployment(api: Client, deployments: str) -> None:
    api.create(deployments, deployment("web"))

    scale = api.get(f"{deployments}/web/scale")
    assert scale["kind"] == "Scale"
    assert scale["apiVersion"] == "autoscaling/v1"
    assert scale["status"]["selector"] == "app=web"

    answer = api.call(
        "PATCH",
        f"{deployments}/web/scale",
        {"spec": {"replicas": 0}},
        media="application/merge-patch+json",
    )
    assert answer.code == 200
    assert answer.body["spec"] == {}
    assert api.get(f"{deployments}/web")["spec"]["replicas"] == 0


def test_a_table_has_the_columns_of_its_kind(api: Client, config_maps: str) -> None:
    api.create(config_maps, {"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}})

    answer = api.call("GET", f"{config_maps}/a", accept=TABLE)

    assert answer.body["kind"] == "Table"
    names = [one["name"] for one in answer.body["columnDefinitions"]]
    assert names == ["Name", "Data", "Age"]
    (row,) = answer.body["rows"]
    assert row["cells"][:2] == ["a", 2]
    assert row["object"]["kind"] == "PartialObjectMetadata"


def test_a_secret_takes_clear_text(api: Client, namespace: str) -> None:
    made = api.create(
        f"/api/v1/namespaces/{namespace}/secrets",
        {"metadata": {"name": "s"}, "stringData": {"k": "v"}},
    )

    assert made["data"] == {"k": "dg=="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"


def test_everybody_may_do_everything(api: Client) -> None:
    answer = api.call(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}}},
    )

    assert answer.code == 201
    assert answer.body["status"]["allowed"] is True


def test_without_a_certificate_nobody_is_served(api: Client) -> None:
    with requests.Session() as nobody:
        nobody.trust_env = False
        nobody.verify = api.session.verify
        refused = nobody.get(f"{api.server}/api/v1/namespaces", timeout=10)
    assert refused.status_code in (401, 403)


def deployment(name: str) -> dict[str, object]:
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "paused": True,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "none:1"}]},
            },
        },
    }
