"""`up`: what somebody else changes in the cluster is put right, or told; but not for ever."""

from typing import Any

from tests.builders import project as build
from tests.fakes.cluster import FakeCluster
from tests.runtime.test_planning import kube
from tests.runtime.world import World, world
from tiltd.core.reconcile import reconcile
from tiltd.model.decisions import Hold
from tiltd.model.names import NodeName
from tiltd.model.state import Mode, State


def app() -> Any:
    return build.project(kube("web", build.deployment("web"), build.config_map("conf", a="1")))


async def up(engine: World, **flags: Any) -> None:
    await engine.start(app(), Mode.UP, **flags)
    await engine.until(lambda s: len(s.applied) == 2)
    await engine.until(lambda _: any(s.kind == "ConfigMap" for s in engine.cluster.scopes))


def scaled(cluster: FakeCluster, replicas: int) -> None:
    live = cluster.get("Deployment", "web")
    cluster.change(live, manager="kubectl", spec={**live["spec"], "replicas": replicas})


def replicas(engine: World) -> int:
    return int(engine.cluster.get("Deployment", "web")["spec"]["replicas"])


def revision(state: State, name: str) -> str:
    (body,) = (b for b in state.live.objects.values() if b["metadata"]["name"] == name)
    return str(body["metadata"]["resourceVersion"])


async def test_a_changed_field_is_put_right_and_told() -> None:
    async with world() as engine:
        await up(engine)
        scaled(engine.cluster, 3)
        await engine.until(lambda _: replicas(engine) == 1)
        await engine.until(lambda _: "it is put right" in engine.text("web"))
        assert "Deployment/web: somebody else has changed it: spec.replicas 3 → 1" in engine.text(
            "web"
        )


async def test_a_changed_config_map_is_put_right_too() -> None:
    async with world() as engine:
        await up(engine)
        live = engine.cluster.get("ConfigMap", "conf")
        engine.cluster.change(live, manager="kubectl", data={"a": "2"})
        await engine.until(lambda _: engine.cluster.get("ConfigMap", "conf")["data"] == {"a": "1"})


async def test_what_is_none_of_our_business_is_left_alone() -> None:
    async with world() as engine:
        await up(engine)
        before = list(engine.cluster.applied)
        live = engine.cluster.get("Deployment", "web")
        engine.cluster.change(live, manager="kubectl", spec={**live["spec"], "paused": True})
        live = engine.cluster.get("Deployment", "web")
        engine.cluster.change(live, manager="controller", status={"replicas": 1})
        version = engine.cluster.get("Deployment", "web")["metadata"]["resourceVersion"]
        await engine.until(lambda s: revision(s, "web") == version)
        assert engine.cluster.applied == before


async def test_with_no_heal_it_is_told_once_and_left() -> None:
    async with world() as engine:
        await up(engine, no_heal=True)
        scaled(engine.cluster, 3)
        await engine.until(lambda _: "it is left so" in engine.text("web"))
        version = engine.cluster.get("Deployment", "web")["metadata"]["resourceVersion"]
        await engine.until(lambda s: revision(s, "web") == version)
        assert replicas(engine) == 3
        assert engine.text("web").count("it is left so") == 1
        scaled(engine.cluster, 4)
        await engine.until(lambda _: engine.text("web").count("it is left so") == 2)


async def test_two_programs_do_not_fight_for_ever() -> None:
    def autoscaler(cluster: FakeCluster, live: dict[str, Any]) -> None:
        if live["spec"]["replicas"] != 3:
            scaled(cluster, 3)

    async with world() as engine:
        engine.cluster.on("Deployment", autoscaler)
        await up(engine)

        def truce(state: State) -> bool:
            decision = reconcile(NodeName("object/apps/Deployment//web"), state, engine.clock.now())
            return isinstance(decision, Hold) and decision.code == "drifting"

        await engine.until(truce)
        assert engine.cluster.applied.count("Deployment/web") == 4
        assert replicas(engine) == 3


async def test_what_was_changed_before_up_began_is_put_right_at_its_start() -> None:
    async with world() as engine:
        await engine.ci(app())
        scaled(engine.cluster, 3)
        await up(engine)
        assert replicas(engine) == 1
