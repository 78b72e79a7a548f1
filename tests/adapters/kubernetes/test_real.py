"""What only a real cluster can show: controllers, kubelets, its own words."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.adapters.kubernetes.worlds import (
    PATIENCE,
    Seen,
    Told,
    World,
    connected,
    need_a_cluster,
    session,
)
from tiltd import ports
from tiltd.adapters.kubernetes.cluster import KubeCluster
from tiltd.adapters.kubernetes.kubeconfig import KubeContexts
from tiltd.model.names import ResourceName
from tiltd.model.observed import ContainerRun

pytestmark = pytest.mark.cluster

IMAGE = os.environ.get("TILTD_TEST_IMAGE", "localhost:5000/base/busybox:1")


def pod_spec(script: str, *, policy: str = "Always") -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    return {
        "containers": [container],
        "restartPolicy": policy,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }


def template(app: str, script: str, *, policy: str = "Always") -> dict[str, Any]:
    return {"metadata": {"labels": {"app": app}}, "spec": pod_spec(script, policy=policy)}


def lives(body: Any) -> Iterator[ContainerRun]:
    """As the engine derives them from a pod."""
    if not body:
        return
    metadata = body["metadata"]
    for row in body.get("status", {}).get("containerStatuses", ()):
        base = (ResourceName("r"), metadata["namespace"], metadata["name"], metadata["uid"])
        restarts = row["restartCount"]
        begun, ended = {"running", "terminated"} & row["state"].keys(), row["lastState"]
        if begun or ended:
            yield ContainerRun(*base, row["name"], restarts)
        if begun and restarts and ended:
            yield ContainerRun(*base, row["name"], restarts - 1, previous=True)


class Engine:
    """Follows pods, and the logs of all their lives."""

    def __init__(self, world: World) -> None:
        self.world, self.seen, self.told = world, Seen(), Told()
        self._scopes = frozenset({world.scope("Pod", ours=False)})

    def start(self) -> None:
        self.world.cluster.follow(self._scopes, self._listen)

    def _listen(
        self, bodies: tuple[Any, ...], gone: tuple[Any, ...], ages: tuple[float, ...]
    ) -> None:
        self.seen(bodies, gone, ages)
        runs = frozenset(run for body in self.seen.bodies.values() for run in lives(body))
        self.world.cluster.follow_logs(runs, self.told)

    def text(self, restart: int) -> str:
        return "".join(text for run, text in self.told.text.items() if run.restart == restart)


async def test_the_cluster_is_introduced() -> None:
    need_a_cluster()
    spec = session(os.environ)
    context = await KubeContexts().read(spec)
    cluster = KubeCluster("p")

    info = await cluster.connect(spec, context)
    await cluster.close()

    assert info.version.startswith("v1.")
    assert info.context.is_local
    assert abs(info.skew) < 2


async def test_the_selector_of_a_stateful_set_takes_a_new_one(real: World) -> None:
    def stateful(app: str) -> dict[str, Any]:
        body = real.body("apps/v1", "StatefulSet", "db")
        selector = {"matchLabels": {"app": app}}
        pods = template(app, "sleep 1000")
        body["spec"] = {"selector": selector, "serviceName": "db", "template": pods}
        return body

    engine = Engine(real)
    engine.start()
    first = await real.apply(stateful("one"))
    await engine.seen.until(lambda s: s.named("db-0"))
    second = await real.apply(stateful("two"))

    assert second.recreated
    assert second.body["metadata"]["uid"] != first.body["metadata"]["uid"]
    await engine.seen.until(
        lambda s: s.named("db-0") and s.named("db-0")["metadata"]["labels"]["app"] == "two"
    )


async def test_a_jobs_template_takes_a_new_job(real: World) -> None:
    def job(script: str) -> dict[str, Any]:
        body = real.body("batch/v1", "Job", "migrate")
        body["spec"] = {"template": template("migrate", script, policy="Never")}
        return body

    await real.apply(job("true"))
    answer = await real.apply(job("echo other"))

    assert answer.recreated
    command = answer.body["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[-1] == "echo other"


async def test_a_volume_claim_is_never_deleted_to_change_it(real: World) -> None:
    def claim(storage_class: str) -> dict[str, Any]:
        body = real.body("v1", "PersistentVolumeClaim", "data")
        body["spec"] = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": storage_class,
        }
        return body

    first = await real.apply(claim("slow"))
    with pytest.raises(ports.PermanentError, match="immutable") as caught:
        await real.apply(claim("fast"))

    assert "Delete it yourself" in caught.value.problem.hint
    found = await real.cluster.look(frozenset({real.scope("PersistentVolumeClaim")}))
    assert found[0].body["metadata"]["uid"] == first.body["metadata"]["uid"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"data": {"a": "hunter2!!"}}, id="no base64"),
        pytest.param({"stringData": {"a": ["hunter2!!"]}}, id="a list"),
        pytest.param({"stringData": {"a": 271828182}}, id="a number"),
        pytest.param(
            {
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": {".dockerconfigjson": "hunter2!!"},
            },
            id="no docker config",
        ),
    ],
)
async def test_the_server_quotes_no_secret_through_us(real: World, fields: dict[str, Any]) -> None:
    with pytest.raises(ports.PermanentError) as caught:
        await real.apply(real.body("v1", "Secret", "keys") | fields)

    shown = repr(caught.value.problem)
    assert "Secret/keys" in shown
    assert "hunter2" not in shown
    assert "271828182" not in shown


async def test_a_misspelt_field_deep_inside_is_named(real: World) -> None:
    body = real.body("v1", "Pod", "web", spec=pod_spec("true"))
    body["spec"]["containers"][0]["imagePullPolcy"] = "Always"

    with pytest.raises(ports.PermanentError, match="imagePullPolcy") as caught:
        await real.apply(body)

    assert "spelling" in caught.value.problem.hint


async def test_every_line_is_told_from_the_first(real: World) -> None:
    engine = Engine(real)
    engine.start()
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; sleep 1000"
    await real.apply(real.body("v1", "Pod", "web", spec=pod_spec(script)))

    await engine.told.until(lambda _: "line 2999\n" in engine.text(0))

    assert engine.text(0) == "".join(f"line {i}\n" for i in range(3000))


async def test_each_life_of_a_crashing_container_is_told_once(real: World) -> None:
    engine = Engine(real)
    engine.start()
    script = "echo born; i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); done; echo dies; exit 3"
    await real.apply(real.body("v1", "Pod", "web", spec=pod_spec(script)))

    await engine.seen.until(lambda s: any(run.previous for run in lives(s.named("web") or {})))
    whole = "born\n" + "".join(f"{i}\n" for i in range(50)) + "dies\n"
    await engine.told.until(lambda _: engine.text(1).endswith("dies\n"))

    assert engine.text(0) == whole
    assert engine.text(1) == whole


async def test_a_long_line_without_an_end_arrives_whole(real: World) -> None:
    engine = Engine(real)
    engine.start()
    script = "head -c 300000 /dev/zero | tr '\\0' x; echo; echo after; sleep 1000"
    await real.apply(real.body("v1", "Pod", "web", spec=pod_spec(script)))

    await engine.told.until(lambda _: engine.text(0).endswith("after\n"))

    assert engine.text(0) == "x" * 300000 + "\nafter\n"


async def test_a_finished_life_can_be_drained(real: World) -> None:
    engine = Engine(real)
    engine.start()
    spec = pod_spec("echo bye", policy="Never")
    await real.apply(real.body("v1", "Pod", "web", spec=spec))
    await engine.seen.until(
        lambda s: s.named("web") and s.named("web")["status"]["phase"] == "Succeeded"
    )

    await real.cluster.drain(frozenset(lives(engine.seen.named("web"))), PATIENCE)

    assert engine.text(0) == "bye\n"


async def test_events_are_followed(real: World) -> None:
    seen = Seen()
    real.cluster.follow(frozenset({real.scope("Event", ours=False)}), seen)
    spec = pod_spec("true")
    spec["containers"][0]["image"] = "localhost:5000/there/is/none:1"
    await real.apply(real.body("v1", "Pod", "web", spec=spec))

    await seen.until(lambda s: any(e["reason"] == "Failed" for e in s.bodies.values()))


async def test_watches_that_are_renewed_all_the_time_lose_nothing(real: World) -> None:
    seen = Seen()
    async with connected(os.environ, label=real.label, watch_seconds=1) as cluster:
        cluster.follow(frozenset({real.scope("ConfigMap")}), seen)
        for i in range(30):
            await real.apply(real.config_map("settings", number=str(i)))
            await seen.until(number(i))
        await real.cluster.delete([real.config_map("settings")], PATIENCE)
        await seen.until(lambda s: s.gone)

    assert not seen.bodies


def number(wanted: int) -> Callable[[Seen], bool]:
    def is_told(seen: Seen) -> bool:
        body = seen.named("settings")
        return bool(body) and body["data"]["number"] == str(wanted)

    return is_told
