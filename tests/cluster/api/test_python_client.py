"""The official Python client: what it does goes through, and what it gets fits its models."""

from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
from kubernetes import client

from tests.cluster.api.client import Client


@pytest.fixture
def official(api: Client) -> Iterator[Any]:
    config: Any = kubernetes.config
    connect = config.new_client_from_config
    with connect(str(api.kubeconfig)) as made:
        yield made


def meta(name: str, **parts: Any) -> Any:
    return client.V1ObjectMeta(name=name, **parts)


def test_a_namespace(official: Any, namespace: str) -> None:
    core: Any = client.CoreV1Api(official)
    name = f"{namespace}-2"

    assert core.create_namespace(client.V1Namespace(metadata=meta(name))).metadata.name == name
    core.patch_namespace(name, {"metadata": {"labels": {"a": "b"}}})
    assert core.read_namespace(name).metadata.labels["a"] == "b"
    assert core.delete_namespace(name)


def test_config_maps(official: Any, namespace: str) -> None:
    core: Any = client.CoreV1Api(official)
    made: Any = None
    for at in range(5):
        body = client.V1ConfigMap(metadata=meta(f"m{at}", labels={"x": "y"}), data={"k": "v"})
        made = core.create_namespaced_config_map(namespace, body)
    made.data = {"k": "w"}
    assert core.replace_namespaced_config_map("m4", namespace, made).data == {"k": "w"}
    assert core.patch_namespaced_config_map("m4", namespace, {"data": {"l": "m"}}).data["l"] == "m"

    found: list[str] = []
    rest = None
    while rest != "":
        page = core.list_namespaced_config_map(
            namespace, limit=2, label_selector="x=y", _continue=rest
        )
        found += [one.metadata.name for one in page.items]
        rest = page.metadata._continue or ""
    assert found == ["m0", "m1", "m2", "m3", "m4"]
    assert core.delete_namespaced_config_map("m0", namespace)
    with pytest.raises(client.ApiException, match="404"):
        core.delete_namespaced_config_map("m0", namespace)
    core.delete_collection_namespaced_config_map(namespace, label_selector="x=y")
    assert core.list_namespaced_config_map(namespace, label_selector="x=y").items == []


def test_a_deployment(official: Any, namespace: str) -> None:
    apps: Any = client.AppsV1Api(official)
    container = client.V1Container(name="main", image="none:1")
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"a": "b"}),
        spec=client.V1PodSpec(containers=[container]),
    )
    spec = client.V1DeploymentSpec(
        replicas=0, selector=client.V1LabelSelector(match_labels={"a": "b"}), template=template
    )
    body = client.V1Deployment(metadata=meta("d"), spec=spec)

    assert apps.create_namespaced_deployment(namespace, body).spec.strategy.type == "RollingUpdate"
    apps.patch_namespaced_deployment("d", namespace, {"spec": {"paused": True}})
    assert apps.read_namespaced_deployment("d", namespace).spec.paused
    scale = {"spec": {"replicas": 0}}
    assert apps.patch_namespaced_deployment_scale("d", namespace, scale).spec.replicas in (None, 0)
    assert apps.delete_namespaced_deployment("d", namespace, propagation_policy="Foreground")


def test_a_pod_and_a_watch_of_it(official: Any, namespace: str) -> None:
    core: Any = client.CoreV1Api(official)
    container = client.V1Container(name="main", image="none:1")
    spec = client.V1PodSpec(scheduler_name="nobody", containers=[container])
    core.create_namespaced_pod(namespace, client.V1Pod(metadata=meta("p"), spec=spec))
    watches: Any = kubernetes.watch.Watch
    watch = watches()
    seen: list[str] = []
    # From version 0, that is whatever the server has: a busy one may lag behind its own lists.
    listed = core.list_namespaced_pod
    for event in watch.stream(listed, namespace, resource_version="0", timeout_seconds=60):
        assert event["object"].metadata.name == "p"
        seen.append(event["type"])
        if len(seen) == 1:
            core.patch_namespaced_pod("p", namespace, {"metadata": {"labels": {"a": "b"}}})
        elif len(seen) == 2:
            gone = core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)
            assert gone.metadata.name == "p", "pods are given back"
        elif event["type"] == "DELETED":
            watch.stop()
    assert list(dict.fromkeys(seen)) == ["ADDED", "MODIFIED", "DELETED"]


def test_what_the_server_is(official: Any) -> None:
    version: Any = client.VersionApi(official)
    core: Any = client.CoreApi(official)
    every: Any = client.ApisApi(official)
    assert version.get_code().major == "1"
    assert core.get_api_versions().versions == ["v1"]
    groups = {one.name for one in every.get_api_versions().groups}
    assert {"apps", "batch"} <= groups
