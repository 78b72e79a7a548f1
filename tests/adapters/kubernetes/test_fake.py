"""What tests of the engine script the fake with; here time is virtual."""

import asyncio
from typing import Any

import pytest

from tests.adapters.kubernetes.worlds import Seen, Told, session
from tests.fakes.cluster import FakeCluster, Obj
from tests.virtual import VirtualLoop
from tiltd import ports
from tiltd.model.names import ResourceName
from tiltd.model.observed import ContainerRun, KubeContext, Scope
from tiltd.model.problems import Code, Problem

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}},
}
PODS = frozenset({Scope("", "v1", "Pod", "default", ours=False)})


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


def start_pod(cluster: FakeCluster, deployment: Obj) -> None:
    owner = {"uid": deployment["metadata"]["uid"], "kind": "Deployment", "name": "web"}
    metadata = {"name": "web-1", "ownerReferences": [owner]}
    pod = cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})
    cluster.later(60, lambda: cluster.change(pod, status={"phase": "Running"}))


async def test_controllers_make_pods_and_time_passes_at_once() -> None:
    cluster, seen = FakeCluster(), Seen()
    cluster.on("Deployment", start_pod)
    cluster.follow(PODS, seen)

    await cluster.apply(DEPLOYMENT, 30)
    await seen.until(lambda s: s.named("web-1"))
    assert "status" not in seen.named("web-1")
    before = cluster.now()
    await asyncio.sleep(50)
    await seen.until(lambda s: "status" in s.named("web-1"))

    assert cluster.now() - before == pytest.approx(60, abs=1)


async def test_what_an_object_owns_goes_with_it() -> None:
    cluster = FakeCluster()
    cluster.on("Deployment", start_pod)
    await cluster.apply(DEPLOYMENT, 30)
    await asyncio.sleep(1)

    await cluster.delete([DEPLOYMENT], 30)

    assert cluster.deleted == ["Deployment/web", "Pod/web-1"]
    with pytest.raises(LookupError):
        cluster.get("Pod", "web-1")


async def test_scripted_errors_come_in_order_and_then_it_works() -> None:
    cluster = FakeCluster()
    error = ports.TransientError(Problem(Code.APPLY, "busy"))
    cluster.errors["Deployment/web"].append(error)

    with pytest.raises(ports.TransientError, match="busy"):
        await cluster.apply(DEPLOYMENT, 30)
    await cluster.apply(DEPLOYMENT, 30)

    assert cluster.applied == ["Deployment/web"]


async def test_a_slow_cluster_makes_an_apply_time_out() -> None:
    cluster = FakeCluster(delay=40)

    with pytest.raises(ports.TransientError, match="within 30 s"):
        await cluster.apply(DEPLOYMENT, 30)


async def test_applies_at_the_same_time_are_counted() -> None:
    cluster = FakeCluster()

    await asyncio.gather(*(cluster.apply(DEPLOYMENT, 30) for _ in range(5)))

    assert (cluster.most_active, cluster.active) == (5, 0)


async def test_logs_are_told_once_from_the_first_line() -> None:
    cluster, told = FakeCluster(), Told()
    pod = cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1"}})
    run = ContainerRun(ResourceName("r"), "default", "web-1", pod["metadata"]["uid"], "main", 0)
    cluster.say(pod, "main", "before\n")

    cluster.follow_logs(frozenset({run}), told)
    cluster.say(pod, "main", "after\n")
    cluster.follow_logs(frozenset(), told)
    cluster.say(pod, "main", "unheard\n", restart=1)
    cluster.follow_logs(frozenset({run}), told)

    assert told.text == {run: "before\nafter\n"}


async def test_connecting_can_be_made_to_fail() -> None:
    cluster = FakeCluster()
    cluster.connect_errors.append(ports.PermanentError(Problem(Code.CLUSTER_UNREACHABLE, "no")))

    with pytest.raises(ports.PermanentError, match="no"):
        await cluster.connect(session({}), KubeContext("fake"))
    info = await cluster.connect(session({}), KubeContext("fake"))

    assert info.context.name == "fake"


async def test_closing_ends_run_and_what_was_going_to_happen() -> None:
    cluster = FakeCluster()
    cluster.on("Deployment", start_pod)
    await cluster.apply(DEPLOYMENT, 30)
    async with asyncio.TaskGroup() as group:
        group.create_task(cluster.run())
        await cluster.close()

    await asyncio.sleep(100)
    with pytest.raises(LookupError):
        cluster.get("Pod", "web-1")
