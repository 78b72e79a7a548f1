"""`k8s_resource(discovery_strategy='selectors-only')`: which pods a resource is judged by."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.builders import project as build
from tests.fakes.cluster import FakeCluster
from tests.runtime.test_engine import controls_deployments, crash
from tests.runtime.world import World, world
from tiltd.model.desired import SELECTORS_ONLY, KubernetesTarget, PodReadiness, Project
from tiltd.model.state import Outcome


@pytest.fixture
async def engine() -> AsyncIterator[World]:
    async with world() as made:
        yield made


def shop(**fields: Any) -> Project:
    web = build.kubernetes("web", build.deployment("web"))
    assert isinstance(web.target, KubernetesTarget)
    target = replace(
        web.target,
        extra_pod_selectors=({"made-by": "operator"},),
        discovery_strategy=SELECTORS_ONLY,
        **fields,
    )
    return build.project(replace(web, target=target))


def operated(cluster: FakeCluster, *, after: float, fails: bool = False) -> None:
    """Some time after the Deployment, somebody else makes a pod that nobody owns."""

    def make() -> None:
        running = {"running": {"startedAt": cluster.stamp()}}
        status = {
            "name": "main",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": running,
        }
        conditions = [
            {"type": t, "status": "True"} for t in ("Ready", "ContainersReady", "PodScheduled")
        ]
        pod = cluster.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": "made",
                    "namespace": "default",
                    "labels": {"made-by": "operator"},
                    "creationTimestamp": cluster.stamp(),
                },
                "spec": {"containers": [{"name": "main", "image": "x"}]},
                "status": {
                    "phase": "Running",
                    "conditions": conditions,
                    "containerStatuses": [status],
                },
            }
        )
        if fails:
            crash(cluster, pod)

    cluster.on("Deployment", lambda c, _live: c.later(after, make) if not _has_pod(c) else None)


def _has_pod(cluster: FakeCluster) -> bool:
    return any(body.get("metadata", {}).get("name") == "made" for body in cluster.objects.values())


async def test_its_own_pods_count_for_nothing_and_the_chosen_ones_are_waited_for(
    engine: World,
) -> None:
    controls_deployments(engine.cluster, fails=True)
    operated(engine.cluster, after=20)
    began = engine.clock.now()
    ended = await engine.ci(shop())
    assert ended.outcome is Outcome.HEALTHY
    assert engine.clock.now() - began > 20


async def test_a_chosen_pod_that_crashes_fails_it(engine: World) -> None:
    controls_deployments(engine.cluster)
    operated(engine.cluster, after=5, fails=True)
    ended = await engine.ci(shop())
    assert ended.outcome is Outcome.FAILED
    assert "exit code 1" in ended.problems[0].message


async def test_without_a_chosen_pod_the_deadline_says_what_is_missing(engine: World) -> None:
    controls_deployments(engine.cluster)
    ended = await engine.ci(shop(), readiness=30.0)
    assert ended.outcome is Outcome.FAILED
    assert "has the labels of its extra_pod_selectors" in ended.problems[0].message


async def test_nothing_is_waited_for_where_pods_are_ignored(engine: World) -> None:
    controls_deployments(engine.cluster, fails=True)
    ended = await engine.ci(shop(pod_readiness=PodReadiness.IGNORE))
    assert ended.outcome is Outcome.HEALTHY
