"""StatefulSets, DaemonSets, scheduling, endpoints."""

from typing import Any

import pytest

from tests.cluster.controllers.world import NOW, World, template
from tilt_cluster import fields
from tilt_cluster.controllers import daemonset, endpoints, scheduler, statefulset
from tilt_cluster.objects import (
    DAEMON_SETS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SERVICES,
    STATEFUL_SETS,
)


def _stateful(world: World, **spec: Any) -> None:
    selector = {"matchLabels": {"app": "web"}}
    body = {"replicas": 3, "serviceName": "web", "selector": selector, "template": template()}
    world.put(STATEFUL_SETS, {"metadata": {"name": "db"}, "spec": {**body, **spec}})


def _names(world: World) -> list[str]:
    return sorted(fields.name(pod) for pod in world.list(PODS))


def _node(world: World, **parts: Any) -> None:
    allocatable = {"cpu": "2", "memory": "4Gi", "pods": "110"}
    labels = {"kubernetes.io/hostname": "n"}
    node = {"metadata": {"name": "n", "labels": labels}, "spec": {}, **parts}
    world.put(NODES, {**node, "status": {"allocatable": allocatable}})


def test_pods_of_a_stateful_set_come_one_after_the_other() -> None:
    world = World()
    _stateful(world)
    world.sync(statefulset.sync, "db")
    world.sync(statefulset.sync, "db")
    assert _names(world) == ["db-0"]
    world.ready()
    world.sync(statefulset.sync, "db")
    assert _names(world) == ["db-0", "db-1"]
    pod = world.find(PODS, "db-1")
    assert pod is not None
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-1", "web")
    assert fields.labels(pod)["apps.kubernetes.io/pod-index"] == "1"


def test_parallel_pods_come_together() -> None:
    world = World()
    _stateful(world, podManagementPolicy="Parallel")
    world.sync(statefulset.sync, "db")
    assert _names(world) == ["db-0", "db-1", "db-2"]


def test_every_pod_has_claims_of_its_own() -> None:
    world = World()
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    _stateful(world, volumeClaimTemplates=[claim], podManagementPolicy="Parallel", replicas=2)
    world.sync(statefulset.sync, "db")
    assert [fields.name(one) for one in world.list(PERSISTENT_VOLUME_CLAIMS)] == [
        "data-db-0",
        "data-db-1",
    ]
    pod = world.find(PODS, "db-1")
    assert pod is not None
    assert pod["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1"}}
    ]


def _rolled_out(world: World) -> None:
    for _ in range(12):
        world.sync(statefulset.sync, "db")
        world.ready()


def test_an_update_replaces_the_highest_pod_first_and_ends_with_one_revision() -> None:
    world = World()
    _stateful(world)
    _rolled_out(world)
    found = world.find(STATEFUL_SETS, "db")
    assert found is not None
    world.change(STATEFUL_SETS, "db", spec={**found["spec"], "template": template(image="web:2")})
    world.sync(statefulset.sync, "db")
    assert _names(world) == ["db-0", "db-1"]
    _rolled_out(world)
    assert {pod["spec"]["containers"][0]["image"] for pod in world.list(PODS)} == {"web:2"}
    found = world.find(STATEFUL_SETS, "db")
    assert found is not None
    assert found["status"]["currentRevision"] == found["status"]["updateRevision"]
    assert found["status"]["updatedReplicas"] == 3


def test_a_partition_keeps_the_lower_pods_as_they_are() -> None:
    world = World()
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    _stateful(world, updateStrategy=strategy)
    _rolled_out(world)
    found = world.find(STATEFUL_SETS, "db")
    assert found is not None
    world.change(STATEFUL_SETS, "db", spec={**found["spec"], "template": template(image="web:2")})
    _rolled_out(world)
    images = {fields.name(pod): pod["spec"]["containers"][0]["image"] for pod in world.list(PODS)}
    assert images == {"db-0": "web:1", "db-1": "web:1", "db-2": "web:2"}


def test_scaling_down_deletes_the_highest_pod_first() -> None:
    world = World()
    _stateful(world)
    _rolled_out(world)
    found = world.find(STATEFUL_SETS, "db")
    assert found is not None
    world.change(STATEFUL_SETS, "db", spec={**found["spec"], "replicas": 1})
    world.sync(statefulset.sync, "db")
    assert _names(world) == ["db-0", "db-1"]
    world.sync(statefulset.sync, "db")
    assert _names(world) == ["db-0"]


def test_a_daemon_set_has_one_pod_on_the_node_and_counts_it() -> None:
    world = World()
    _node(world)
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template()}
    world.put(DAEMON_SETS, {"metadata": {"name": "ds"}, "spec": spec})
    world.sync(daemonset.sync, "ds")
    world.ready()
    world.sync(daemonset.sync, "ds")
    assert len(world.list(PODS)) == 1
    found = world.find(DAEMON_SETS, "ds")
    assert found is not None
    status = found["status"]
    counted = (status["desiredNumberScheduled"], status["numberAvailable"])
    assert (*counted, status["updatedNumberScheduled"]) == (1, 1, 1)


def test_a_daemon_set_for_other_nodes_wants_no_pod() -> None:
    world = World()
    _node(world)
    pod = template(nodeSelector={"disk": "ssd"})
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": pod}
    world.put(DAEMON_SETS, {"metadata": {"name": "ds"}, "spec": spec})
    world.sync(daemonset.sync, "ds")
    assert world.list(PODS) == []


_HELPLESS = (
    " no new claims to deallocate, preemption: 0/1 nodes are available: "
    "1 Preemption is not helpful for scheduling."
)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            {"nodeSelector": {"a": "b"}},
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
            + _HELPLESS,
            id="selector",
        ),
        pytest.param(
            {"containers": [{"resources": {"requests": {"cpu": "100", "memory": "1Ti"}}}]},
            "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory." + _HELPLESS,
            id="resources",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "nope"}}]},
            '0/1 nodes are available: persistentvolumeclaim "nope" not found. not found',
            id="claim",
        ),
    ],
)
def test_what_does_not_fit_is_unschedulable_in_the_schedulers_words(
    spec: dict[str, Any], message: str
) -> None:
    world = World()
    _node(world)
    world.put(PODS, {"metadata": {"name": "p"}, "spec": spec})
    world.sync(scheduler.sync, "p")
    world.sync(scheduler.sync, "p")
    pod = world.find(PODS, "p")
    assert pod is not None
    found = fields.condition(pod, "PodScheduled")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", "Unschedulable")
    assert found["message"] == message
    assert world.told == [f"FailedScheduling: {message}"]


def test_a_taint_keeps_pods_away_that_do_not_tolerate_it() -> None:
    world = World()
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    _node(world, spec={"taints": [taint]})
    world.put(PODS, {"metadata": {"name": "p"}, "spec": {"containers": []}})
    tolerations = [{"key": "gpu", "operator": "Exists"}]
    world.put(PODS, {"metadata": {"name": "q"}, "spec": {"tolerations": tolerations}})
    world.sync(scheduler.sync, "p")
    world.sync(scheduler.sync, "q")
    assert any("untolerated taint(s) {gpu: yes}" in one for one in world.told)
    found = world.find(PODS, "q")
    assert found is not None
    assert found["spec"]["nodeName"] == "n"


def test_a_second_pod_with_the_same_host_port_does_not_fit() -> None:
    world = World()
    _node(world)
    spec = {"containers": [{"ports": [{"containerPort": 1, "hostPort": 80}]}]}
    for name in ("p", "q"):
        world.put(PODS, {"metadata": {"name": name}, "spec": spec})
        world.sync(scheduler.sync, name)
    assert any("didn't have free ports" in one for one in world.told)


def _service(world: World, **spec: Any) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    body = {"selector": {"app": "web"}, "ports": ports, "clusterIP": "10.96.0.9", **spec}
    world.put(SERVICES, {"metadata": {"name": "web"}, "spec": body})


def _pod(world: World, name: str, ip: str, **spec: Any) -> None:
    container = {"name": "main", "ports": [{"name": "web", "containerPort": 8080}]}
    body = {"containers": [container], "nodeName": "n", **spec}
    world.put(PODS, {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": body})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": fields.stamp(NOW)}
    world.change(PODS, name, status={"phase": "Running", "podIP": ip, "conditions": [ready]})


def test_a_named_target_port_is_the_pods_number() -> None:
    world = World()
    _service(world)
    _pod(world, "a", "10.0.0.2")
    world.sync(endpoints.sync, "web")
    (found,) = world.list(ENDPOINT_SLICES)
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert found["endpoints"][0]["addresses"] == ["10.0.0.2"]
    (older,) = world.list(ENDPOINTS)
    assert older["subsets"][0]["addresses"][0]["ip"] == "10.0.0.2"


def test_a_pod_that_is_not_ready_is_listed_as_such_and_comes_back() -> None:
    world = World()
    _service(world)
    _pod(world, "a", "10.0.0.2")
    world.sync(endpoints.sync, "web")
    world.change(PODS, "a", status={"phase": "Running", "podIP": "10.0.0.2"})
    world.sync(endpoints.sync, "web")
    (found,) = world.list(ENDPOINT_SLICES)
    assert found["endpoints"][0]["conditions"]["ready"] is False
    assert "notReadyAddresses" in world.list(ENDPOINTS)[0]["subsets"][0]


def test_slices_go_with_their_service() -> None:
    world = World()
    _service(world)
    _pod(world, "a", "10.0.0.2")
    world.sync(endpoints.sync, "web")
    world.objects[SERVICES] = []
    world.sync(endpoints.sync, "web")
    assert world.list(ENDPOINT_SLICES) == []
    assert world.list(ENDPOINTS) == []
