"""The controllers' loop on the API's own objects: owners, namespaces, claims, services."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from tilt_cluster import api, controllers, fields, recorder, tokens
from tilt_cluster.objects import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Facts,
    Object,
    Propagation,
    Resource,
)


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncGenerator[api.Api]:
    facts = Facts("test", tmp_path, "https://127.0.0.1:1", 1, "the CA")
    made = api.Api(facts, tokens.Signer(b"secret"))
    made.create(NAMESPACES, {"metadata": {"name": "ns"}})
    size = {"cpu": "2", "memory": "4Gi", "pods": "110"}
    made.create(NODES, {"metadata": {"name": "n"}, "status": {"allocatable": size}})
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(controllers.run(made))
        yield made
        running.cancel()


async def _until(objects: api.Api, holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10), objects.watch() as changes:
        while not holds():
            await changes.batch()


def _put(objects: api.Api, resource: Resource, name: str, **parts: Any) -> Object:
    return objects.create(resource, {"metadata": {"name": name, "namespace": "ns"}, **parts})


def _deployment(objects: api.Api) -> None:
    containers = [{"name": "main", "image": "web:1"}]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    _put(objects, DEPLOYMENTS, "web", spec=spec)


def _run(objects: api.Api) -> None:
    """Do the node's part: every bound pod runs and is ready."""
    for pod in objects.list(PODS):
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        status = {"phase": "Running", "podIP": "10.0.0.2", "conditions": [ready]}
        objects.update_status(PODS, fields.with_status(pod, status))


async def test_a_deployment_becomes_a_scheduled_pod_with_events(objects: api.Api) -> None:
    _deployment(objects)
    await _until(objects, lambda: [1 for p in objects.list(PODS) if p["spec"].get("nodeName")])
    _run(objects)

    def available() -> bool:
        found = objects.get(DEPLOYMENTS, "web", "ns")
        return bool(fields.get(found, "status", "availableReplicas") == 1)

    await _until(objects, available)
    reasons = {str(one["reason"]) for one in objects.list(EVENTS)}
    assert reasons == {"ScalingReplicaSet", "SuccessfulCreate", "Scheduled"}


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_what_is_owned_goes_with_its_owner(
    objects: api.Api, propagation: Propagation
) -> None:
    _deployment(objects)
    await _until(objects, lambda: objects.list(PODS))
    objects.delete(DEPLOYMENTS, "web", "ns", propagation=propagation)
    await _until(objects, lambda: not objects.list(REPLICA_SETS) or _end_pods(objects))
    await _until(objects, lambda: not objects.list(PODS) or _end_pods(objects))
    await _until(objects, lambda: objects.find(DEPLOYMENTS, "web", "ns") is None)


def _end_pods(objects: api.Api) -> bool:
    """Do the node's part of a deletion."""
    for pod in objects.list(PODS):
        if fields.deleting(pod):
            objects.delete(PODS, fields.name(pod), "ns", grace_seconds=0)
    return False


async def test_foreground_deletion_waits_for_what_is_owned(objects: api.Api) -> None:
    _deployment(objects)
    await _until(objects, lambda: [1 for p in objects.list(PODS) if p["spec"].get("nodeName")])
    objects.delete(DEPLOYMENTS, "web", "ns", propagation="Foreground")
    await _until(objects, lambda: all(fields.deleting(pod) for pod in objects.list(PODS)))
    assert objects.find(DEPLOYMENTS, "web", "ns") is not None
    await _until(objects, lambda: not objects.list(PODS) or _end_pods(objects))
    await _until(objects, lambda: objects.find(DEPLOYMENTS, "web", "ns") is None)
    assert objects.list(REPLICA_SETS) == []


async def test_orphans_stay_without_their_owner(objects: api.Api) -> None:
    _deployment(objects)
    await _until(objects, lambda: objects.list(PODS))
    objects.delete(DEPLOYMENTS, "web", "ns", propagation="Orphan")
    await _until(objects, lambda: objects.find(DEPLOYMENTS, "web", "ns") is None)
    (left,) = objects.list(REPLICA_SETS)
    assert fields.controller(left) is None
    assert len(objects.list(PODS)) == 1


async def test_every_namespace_has_an_account_and_the_ca(objects: api.Api) -> None:
    await _until(objects, lambda: objects.find(SERVICE_ACCOUNTS, "default", "ns"))
    await _until(objects, lambda: objects.find(CONFIG_MAPS, "kube-root-ca.crt", "ns"))
    assert objects.get(CONFIG_MAPS, "kube-root-ca.crt", "ns")["data"] == {"ca.crt": "the CA"}
    objects.delete(SERVICE_ACCOUNTS, "default", "ns")
    await _until(objects, lambda: objects.find(SERVICE_ACCOUNTS, "default", "ns"))


async def test_a_deleted_namespace_takes_everything_with_it(objects: api.Api) -> None:
    _deployment(objects)
    _put(objects, CONFIG_MAPS, "settings", data={"a": "b"})
    await _until(objects, lambda: [1 for p in objects.list(PODS) if p["spec"].get("nodeName")])
    objects.delete(NAMESPACES, "ns")
    await _until(objects, lambda: all(fields.deleting(pod) for pod in objects.list(PODS)))
    assert fields.get(objects.get(NAMESPACES, "ns"), "status", "phase") == "Terminating"
    await _until(objects, lambda: not objects.list(PODS) or _end_pods(objects))
    await _until(objects, lambda: objects.find(NAMESPACES, "ns") is None)
    assert objects.list(CONFIG_MAPS, "ns") == []


async def test_a_claim_gets_a_volume_that_goes_with_it(objects: api.Api) -> None:
    requests = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": requests}
    _put(objects, PERSISTENT_VOLUME_CLAIMS, "data", spec=spec)

    def bound() -> bool:
        found = objects.get(PERSISTENT_VOLUME_CLAIMS, "data", "ns")
        return bool(fields.get(found, "status", "phase") == "Bound")

    await _until(objects, bound)
    assert len(objects.list(PERSISTENT_VOLUMES)) == 1
    objects.delete(PERSISTENT_VOLUME_CLAIMS, "data", "ns")
    await _until(objects, lambda: objects.list(PERSISTENT_VOLUMES) == [])


async def test_a_claim_of_an_unknown_class_says_so(objects: api.Api) -> None:
    requests = {"requests": {"storage": "1Gi"}}
    spec = {"storageClassName": "no", "accessModes": ["ReadWriteOnce"], "resources": requests}
    _put(objects, PERSISTENT_VOLUME_CLAIMS, "data", spec=spec)
    await _until(objects, lambda: objects.list(EVENTS))
    (event,) = objects.list(EVENTS)
    assert event["reason"] == "ProvisioningFailed"
    assert event["message"] == 'storageclass.storage.k8s.io "no" not found'


async def test_a_service_follows_its_pods(objects: api.Api) -> None:
    _deployment(objects)
    _put(objects, SERVICES, "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})
    await _until(objects, lambda: objects.list(PODS))
    _run(objects)

    def addresses() -> list[str]:
        return [
            address
            for one in objects.list(ENDPOINT_SLICES)
            for endpoint in one.get("endpoints") or ()
            for address in endpoint["addresses"]
        ]

    await _until(objects, lambda: addresses() == ["10.0.0.2"])
    objects.delete(SERVICES, "web", "ns")
    await _until(objects, lambda: objects.list(ENDPOINT_SLICES) == [])


async def test_a_budget_counts_its_healthy_pods(objects: api.Api) -> None:
    _deployment(objects)
    await _until(objects, lambda: objects.list(PODS))
    _run(objects)
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    _put(objects, POD_DISRUPTION_BUDGETS, "web", spec=spec)

    def counted() -> bool:
        found = objects.get(POD_DISRUPTION_BUDGETS, "web", "ns")
        return bool(fields.get(found, "status", "currentHealthy") == 1)

    await _until(objects, counted)
    status = objects.get(POD_DISRUPTION_BUDGETS, "web", "ns")["status"]
    shown = (status["desiredHealthy"], status["expectedPods"], status["disruptionsAllowed"])
    assert shown == (1, 1, 0)
    assert status["conditions"][0]["reason"] == "InsufficientPods"


async def test_the_same_event_again_is_counted(objects: api.Api) -> None:
    await _until(objects, lambda: objects.find(SERVICE_ACCOUNTS, "default", "ns"))
    containers = [{"name": "m", "image": "a"}]
    _put(objects, PODS, "p", spec={"nodeName": "n", "containers": containers})
    tell = recorder.Recorder(objects, "kubelet", "n")
    pod = objects.get(PODS, "p", "ns")
    for _ in range(3):
        tell.tell(PODS, pod, "Warning", "BackOff", "again", field="spec.containers{m}")
    (event,) = objects.list(EVENTS)
    assert (event["count"], event["involvedObject"]["fieldPath"]) == (3, "spec.containers{m}")
