"""Resources that a command of the user's deploys, in the whole engine and in virtual time."""

import copy
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import project as build
from tests.runtime.test_engine import controls_deployments
from tests.runtime.world import World, world
from tiltd.core.keys import tag
from tiltd.model.desired import Command, CustomDeploy, KubernetesTarget, Resource, Settings
from tiltd.model.events import ClusterChanged, FilesChanged
from tiltd.model.names import ImageName, ResourceName, SessionId
from tiltd.model.state import Mode, Outcome, SessionSpec
from tiltd.runtime import deploying

CD = ResourceName("cd")


@pytest.fixture
async def engine() -> AsyncIterator[World]:
    async with world() as made:
        yield made


def custom(
    *images: str, deps: tuple[str, ...] = (), resource_deps: tuple[str, ...] = ()
) -> Resource:
    deploy = CustomDeploy(
        apply=Command(("sh", "-c", "apply"), "/src", {"K": "V"}),
        delete=Command(("sh", "-c", "delete"), "/src"),
        deps=deps,
        images=tuple(ImageName(i) for i in images),
    )
    names = tuple(ResourceName(name) for name in resource_deps)
    return Resource(CD, KubernetesTarget((), custom=deploy), names)


def applies(engine: World, name: str = "web", *, tells_uid: bool = True) -> Callable[[], str]:
    """A command that puts a Deployment into the cluster, and prints it."""

    def command() -> str:
        body = copy.deepcopy(dict(build.deployment(name).body))
        known = [
            live
            for live in engine.cluster.objects.values()
            if (live["kind"], live["metadata"]["name"]) == ("Deployment", name)
        ]
        made = {**body, "metadata": {**body["metadata"], "generation": 1}}
        live = known[0] if known else engine.cluster.put(made)
        return json.dumps(live if tells_uid else body)

    return command


async def test_what_a_command_applied_is_watched_and_judged(engine: World) -> None:
    controls_deployments(engine.cluster)
    engine.processes.prints["apply"] = applies(engine)
    ended = await engine.ci(build.project(custom()))
    assert ended.outcome is Outcome.HEALTHY
    assert engine.processes.ran == ["apply"]
    known = engine.state.resources[CD]
    assert known.health is not None
    assert known.health.findings[0].rule != "deploy.pending"
    assert "Deployment/web (default): applied" in engine.text("cd")


async def test_a_crash_of_what_a_command_applied_fails_the_run(engine: World) -> None:
    controls_deployments(engine.cluster, fails=True)
    engine.processes.prints["apply"] = applies(engine)
    ended = await engine.ci(build.project(custom()))
    assert ended.outcome is Outcome.FAILED
    assert ended.problems[0].resource == "cd"
    assert "exit code 1" in ended.problems[0].message


async def test_objects_printed_without_uid_are_found_in_the_cluster(engine: World) -> None:
    controls_deployments(engine.cluster)
    engine.processes.prints["apply"] = applies(engine, tells_uid=False)
    ended = await engine.ci(build.project(custom()))
    assert ended.outcome is Outcome.HEALTHY
    deployed = engine.state.deployed.get(CD)
    assert deployed is not None
    assert deployed.objects.keys() <= engine.cluster.objects.keys()


async def test_an_object_that_is_printed_and_not_there_is_an_error(engine: World) -> None:
    body = dict(build.deployment("ghost").body)
    engine.processes.prints["apply"] = lambda: json.dumps(body)
    ended = await engine.ci(build.project(custom()))
    assert ended.outcome is Outcome.FAILED
    assert "printed Deployment/ghost, which the cluster has not" in ended.problems[0].message


async def test_the_command_gets_the_references_of_its_images(engine: World) -> None:
    controls_deployments(engine.cluster)
    engine.processes.prints["apply"] = applies(engine)
    await engine.ci(build.project(custom("shop/a"), images=[build.image("shop/a")]))
    ready = engine.state.images[ImageName("shop/a")].ready
    assert ready is not None
    env = engine.processes.environments["apply"]
    assert env["TILT_IMAGE_0"] == ready.refs.in_cluster
    assert env["TILT_IMAGE_0"].endswith(tag(ready.key))
    assert (env["TILT_IMAGE_MAP_0"], env["K"]) == ("shop_a", "V")
    assert engine.images.pushed == [env["TILT_IMAGE_0"]]


async def test_a_command_that_fails_ends_the_run_with_its_exit_code(engine: World) -> None:
    engine.processes.exits["apply"] = 3
    ended = await engine.ci(build.project(custom()))
    assert ended.outcome is Outcome.FAILED
    assert ended.problems[0].message == "the command that deploys cd ended with exit code 3"


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        pytest.param("a: [", "can't be used", id="no YAML"),
        pytest.param("just words", "where a Kubernetes object is expected", id="words"),
        pytest.param("{apiVersion: v1}", "has no kind", id="no kind"),
    ],
)
async def test_output_that_is_no_objects_is_an_error(
    engine: World, printed: str, said: str
) -> None:
    engine.processes.prints["apply"] = lambda: printed
    ended = await engine.ci(build.project(custom()))
    assert ended.outcome is Outcome.FAILED
    assert said in ended.problems[0].message
    assert printed in ended.problems[0].detail


async def test_a_command_that_takes_too_long_is_stopped(engine: World) -> None:
    engine.processes.hold("apply")
    settings = Settings(apply_timeout=7)
    ended = await engine.ci(build.project(custom(), settings=settings))
    assert ended.outcome is Outcome.FAILED
    assert "stopped after 7s" in ended.problems[0].message
    assert "k8s_upsert_timeout_secs" in ended.problems[0].hint
    assert engine.processes.stopped == ["apply"]


async def test_a_command_that_applies_nothing_is_healthy(engine: World) -> None:
    engine.processes.prints["apply"] = lambda: ""
    ended = await engine.ci(build.project(custom()))
    assert ended.outcome is Outcome.HEALTHY


async def test_it_waits_for_its_resource_deps(engine: World) -> None:
    controls_deployments(engine.cluster)
    engine.processes.prints["apply"] = applies(engine)
    first = build.local("first", "first")
    await engine.ci(build.project(first, custom(resource_deps=("first",))))
    assert engine.processes.ran == ["first", "apply"]


async def test_a_changed_file_of_its_deps_runs_it_again(engine: World) -> None:
    controls_deployments(engine.cluster)
    engine.processes.prints["apply"] = applies(engine)
    await engine.start(build.project(custom(deps=("/src/chart",))), Mode.UP)
    await engine.until(lambda s: CD in s.deployed)
    first = engine.state.deployed.get(CD)
    engine.store.dispatch(FilesChanged(("/src/other",)))
    engine.store.dispatch(FilesChanged(("/src/chart/values.yaml",)))
    await engine.until(lambda s: s.deployed.get(CD) is not first)
    assert engine.processes.ran == ["apply", "apply"]


async def test_it_runs_again_when_somebody_deletes_what_it_made(engine: World) -> None:
    engine.processes.prints["apply"] = applies(engine)
    await engine.start(build.project(custom()), Mode.UP)
    await engine.until(lambda s: CD in s.deployed)
    first = engine.state.deployed.get(CD)
    assert first is not None
    engine.cluster.remove(engine.cluster.get("Deployment", "web"))
    await engine.until(lambda s: s.deployed.get(CD) not in (first, None))
    assert engine.cluster.get("Deployment", "web")["metadata"]["uid"] not in first.objects


async def test_a_job_that_is_cleaned_up_does_not_run_it_again(engine: World) -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once", "namespace": "default"},
        "status": {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1},
    }
    engine.processes.prints["apply"] = lambda: json.dumps(engine.cluster.put(job))
    await engine.start(build.project(custom()), Mode.UP)
    await engine.until(lambda s: CD in s.deployed)
    gone = tuple(engine.cluster.objects)
    engine.store.dispatch(ClusterChanged(engine.clock.now(), gone=gone))
    known = engine.state.deployed.get(CD)
    assert known is not None
    assert not known.objects
    assert engine.processes.ran == ["apply"]


async def test_down_runs_the_command_that_removes_it_after_what_needs_it(engine: World) -> None:
    controls_deployments(engine.cluster)
    engine.processes.prints["apply"] = applies(engine, "other")
    web = build.kubernetes("web", build.deployment("web"), deps=("cd",))
    project = build.project(custom(), web)
    ended = await engine.ci(project)
    assert ended.outcome is Outcome.HEALTHY
    gone_before: list[bool] = []

    def delete() -> str:
        names = [live["metadata"]["name"] for live in engine.cluster.objects.values()]
        gone_before.append("web" not in names)
        return ""

    engine.processes.prints["delete"] = delete
    await engine.start(project, Mode.DOWN)
    assert (await engine.ended()).outcome is Outcome.HEALTHY
    await engine.sessions.settled()
    assert engine.processes.ran == ["apply", "delete"]
    assert gone_before == [True]


async def test_a_removal_that_fails_is_told(engine: World) -> None:
    engine.processes.exits["delete"] = 1
    await engine.start(build.project(custom()), Mode.DOWN)
    ended = await engine.ended()
    assert ended.outcome is Outcome.FAILED
    assert ended.problems[0].message == "the command that removes cd ended with exit code 1"


def spec(context: str, env: dict[str, str]) -> SessionSpec:
    return SessionSpec(SessionId("s"), Mode.CI, "/src/Tiltfile", context=context, env=env)


def test_a_context_of_the_session_goes_before_that_of_the_kubeconfig() -> None:
    command = Command(("kubectl",), "/src", {"A": "b"})
    given = spec("kind-other", {"HOME": "/home/me"})
    with deploying.in_context(given, command) as told:
        first, rest = told.env["KUBECONFIG"].split(":")
        written: dict[str, Any] = json.loads(Path(first).read_text("utf-8"))
        assert written["current-context"] == "kind-other"
        assert rest == "/home/me/.kube/config"
        assert told.env["A"] == "b"
    assert not Path(first).exists()


def test_the_commands_own_kubeconfig_stays_and_without_a_context_nothing_is_added() -> None:
    command = Command(("kubectl",), "/src", {"KUBECONFIG": "/mine"})
    with deploying.in_context(spec("x", {"KUBECONFIG": "/theirs"}), command) as told:
        assert told.env["KUBECONFIG"].endswith(":/mine")
    with deploying.in_context(replace(spec("", {})), command) as told:
        assert told is command
