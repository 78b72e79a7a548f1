"""Deployments and ReplicaSets: the arithmetic of rollouts, and Kubernetes' words for them."""

from typing import Any

import pytest

from tests.cluster.controllers.world import NOW, World, template
from tilt_cluster import fields
from tilt_cluster.controllers import deployment, replicaset, rollout
from tilt_cluster.objects import DEPLOYMENTS, PODS, REPLICA_SETS, ApiError


def _deployment(world: World, **spec: Any) -> None:
    selector = {"matchLabels": {"app": "web"}}
    body = {"replicas": 1, "selector": selector, "template": template(), **spec}
    body.setdefault("progressDeadlineSeconds", 600)
    world.put(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": body})


def _settle(world: World, now: float = NOW, *, ready: bool = True) -> None:
    for _ in range(20):
        world.sync(deployment.sync, "web", now)
        for one in world.list(REPLICA_SETS):
            world.sync(replicaset.sync, fields.name(one), now)
        if ready:
            world.ready()


def _spec(world: World, **changes: Any) -> None:
    found = world.find(DEPLOYMENTS, "web")
    assert found is not None
    metadata = {**found["metadata"], "generation": fields.generation(found) + 1}
    world.change(DEPLOYMENTS, "web", metadata=metadata, spec={**found["spec"], **changes})


def _status(world: World) -> Any:
    found = world.find(DEPLOYMENTS, "web")
    assert found is not None
    return found["status"]


def _condition(world: World, kind: str) -> Any:
    found = world.find(DEPLOYMENTS, "web")
    assert found is not None
    return fields.condition(found, kind)


def test_a_deployment_makes_a_replica_set_that_makes_pods() -> None:
    world = World()
    _deployment(world, replicas=2)
    _settle(world)
    (replica_set,) = world.list(REPLICA_SETS)
    hashed = fields.labels(replica_set)["pod-template-hash"]
    assert fields.name(replica_set) == f"web-{hashed}"
    assert [fields.labels(pod) for pod in world.list(PODS)] == [
        {"app": "web", "pod-template-hash": hashed}
    ] * 2
    status = _status(world)
    assert (status["replicas"], status["availableReplicas"], status["updatedReplicas"]) == (2, 2, 2)
    assert _condition(world, "Available")["reason"] == "MinimumReplicasAvailable"
    message = f'ReplicaSet "{fields.name(replica_set)}" has successfully progressed.'
    assert _condition(world, "Progressing")["message"] == message
    assert f"ScalingReplicaSet: Scaled up replica set web-{hashed} from 0 to 2" in world.told


def test_a_rollout_never_has_fewer_available_pods_or_more_pods_than_allowed() -> None:
    world = World()
    _deployment(
        world,
        replicas=4,
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
    )
    _settle(world)
    _spec(world, template=template(image="web:2"))
    for _ in range(30):
        world.sync(deployment.sync, "web")
        total = sum(rollout.replicas(one) for one in world.list(REPLICA_SETS))
        assert total <= 5
        for one in world.list(REPLICA_SETS):
            world.sync(replicaset.sync, fields.name(one))
        assert sum(1 for pod in world.list(PODS) if fields.is_true(pod, "Ready")) >= 3
        world.ready()
    images = {pod["spec"]["containers"][0]["image"] for pod in world.list(PODS)}
    assert images == {"web:2"}
    sets = {rollout.replicas(one) for one in world.list(REPLICA_SETS)}
    assert sets == {0, 4}
    found = world.find(DEPLOYMENTS, "web")
    assert found is not None
    assert fields.annotations(found)[deployment.REVISION] == "2"


def test_recreate_has_no_new_pod_before_the_last_old_one_is_gone() -> None:
    world = World()
    _deployment(world, strategy={"type": "Recreate"})
    _settle(world)
    _spec(world, template=template(image="web:2"))
    world.sync(deployment.sync, "web")
    assert len(world.list(REPLICA_SETS)) == 1
    _settle(world)
    assert [pod["spec"]["containers"][0]["image"] for pod in world.list(PODS)] == ["web:2"]


def test_a_rollout_that_does_not_progress_exceeds_its_deadline() -> None:
    world = World()
    _deployment(world, progressDeadlineSeconds=10)
    _settle(world, ready=False)
    assert _condition(world, "Progressing")["status"] == "True"
    again = world.sync(deployment.sync, "web", NOW + 5)
    assert again is not None
    assert 5 <= again <= 6
    world.sync(deployment.sync, "web", NOW + 11)
    condition = _condition(world, "Progressing")
    assert (condition["status"], condition["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert condition["message"].endswith("has timed out progressing.")


def test_going_back_to_an_old_template_uses_its_replica_set_again() -> None:
    world = World()
    _deployment(world)
    _settle(world)
    first = fields.name(world.list(REPLICA_SETS)[0])
    _spec(world, template=template(image="web:2"))
    _settle(world)
    _spec(world, template=template())
    _settle(world)
    again = world.find(REPLICA_SETS, first)
    assert again is not None
    assert rollout.replicas(again) == 1
    assert fields.annotations(again)[deployment.REVISION] == "3"
    assert len(world.list(REPLICA_SETS)) == 2


def test_a_paused_deployment_starts_no_rollout_but_follows_its_size() -> None:
    world = World()
    _deployment(world)
    _settle(world)
    _spec(world, paused=True, template=template(image="web:2"), replicas=3)
    _settle(world)
    assert [pod["spec"]["containers"][0]["image"] for pod in world.list(PODS)] == ["web:1"] * 3
    assert _condition(world, "Progressing")["reason"] == "DeploymentPaused"


def test_old_replica_sets_beyond_the_history_limit_go() -> None:
    world = World()
    _deployment(world, revisionHistoryLimit=1)
    for number in range(4):
        _spec(world, template=template(image=f"web:{number}"))
        _settle(world)
    assert len(world.list(REPLICA_SETS)) == 2


def test_pods_that_the_api_refuses_are_a_replica_failure_with_its_words() -> None:
    world = World()
    world.refuse = lambda resource, _: (
        ApiError(403, "Forbidden", "pods is forbidden: exceeded quota")
        if resource == PODS
        else None
    )
    _deployment(world)
    _settle(world, ready=False)
    failure = _condition(world, "ReplicaFailure")
    assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
    assert "exceeded quota" in failure["message"]
    assert "FailedCreate: Error creating: pods is forbidden: exceeded quota" in world.told


def test_a_replica_set_deletes_pods_that_nobody_misses_first() -> None:
    world = World()
    _deployment(world, replicas=3)
    _settle(world)
    kept = [fields.name(pod) for pod in world.list(PODS)][:2]
    unready = fields.name(world.list(PODS)[2])
    world.change(PODS, unready, status={"phase": "Pending"})
    _spec(world, replicas=2)
    _settle(world)
    assert [fields.name(pod) for pod in world.list(PODS)] == kept


def test_a_replica_set_adopts_matching_orphans_and_releases_strangers() -> None:
    world = World()
    world.put(PODS, {"metadata": {"name": "orphan", "labels": {"app": "web"}}, "status": {}})
    selector = {"matchLabels": {"app": "web"}}
    spec = {"replicas": 1, "selector": selector, "template": template()}
    world.put(REPLICA_SETS, {"metadata": {"name": "rs"}, "spec": spec})
    world.sync(replicaset.sync, "rs")
    (pod,) = world.list(PODS)
    assert (fields.controller(pod) or {})["name"] == "rs"
    world.change(PODS, "orphan", metadata={**pod["metadata"], "labels": {"app": "other"}})
    world.sync(replicaset.sync, "rs")
    released = world.find(PODS, "orphan")
    assert released is not None
    assert fields.controller(released) is None
    assert len(world.list(PODS)) == 2


@pytest.mark.parametrize(
    ("value", "of", "up", "expected"),
    [
        pytest.param("25%", 1, True, 1, id="surge-rounds-up"),
        pytest.param("25%", 1, False, 0, id="unavailable-rounds-down"),
        pytest.param(3, 10, True, 3, id="number"),
        pytest.param("100%", 7, False, 7, id="all"),
    ],
)
def test_portions(value: Any, of: int, up: bool, expected: int) -> None:  # noqa: FBT001 - a table
    assert rollout.portion(value, of, up=up) == expected
