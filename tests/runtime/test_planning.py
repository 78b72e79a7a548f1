"""A plan tells what a run does, before it does it; and does nothing itself."""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import project as build
from tests.runtime.world import World, world
from tiltd.core import diff, secret
from tiltd.core.plan import Planned, Step
from tiltd.model.desired import (
    Command,
    CustomDeploy,
    DockerBuild,
    Image,
    KubernetesTarget,
    Manifest,
    PodReadiness,
    Project,
    Resource,
)
from tiltd.model.names import ImageName, ResourceName, SessionId
from tiltd.model.state import Mode, Outcome, SessionSpec


class Quiet:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str, *, level: str = "info") -> None:
        del level
        self.text += text


def kube(name: str, *manifests: Manifest, auto_init: bool = True) -> Resource:
    ignored = PodReadiness.IGNORE
    return build.kubernetes(name, *manifests, auto_init=auto_init, pod_readiness=ignored)


async def planned(
    engine: World, project: Project | None = None, *, offline: bool = False
) -> dict[str, Planned]:
    if project is not None:
        engine.tiltfiles.project = project
    spec = SessionSpec(SessionId("p"), Mode.CI, "/src/shop/Tiltfile", env={"HOME": "/nowhere"})
    drawn = await engine.planner.draw(spec, Quiet(), offline=offline)
    return {p.node: p for p in drawn.nodes}


def steps(found: dict[str, Planned]) -> dict[str, Step]:
    return {n: p.step for n, p in found.items() if p.step is not Step.NOTHING}


def shop(*, replicas: int = 1, contents: str = "FROM scratch") -> Project:
    return build.project(
        kube("web", build.deployment("web", "img", replicas=replicas), cm()),
        build.local("check", "true", deps=["web"]),
        images=[build.image("img", "base", contents=contents), build.image("base")],
    )


def cm(**data: str) -> Any:
    return build.config_map("settings", **(data or {"a": "1"}))


IMG, BASE = "image/img", "image/base"
WEB, SETTINGS = "object/apps/Deployment//web", "object//ConfigMap//settings"
CHECK = "command/check"


async def running(engine: World, project: Project) -> None:
    """The app is there; whether it is healthy is no concern of a plan."""
    assert (await engine.ci(project)).outcome is Outcome.HEALTHY


async def test_a_first_plan_builds_and_creates_everything_in_order(tmp_path: Path) -> None:
    async with world(state_folder=tmp_path) as engine:
        found = await planned(engine, shop())
        assert steps(found) == {
            BASE: Step.BUILD,
            IMG: Step.BUILD,
            WEB: Step.CREATE,
            SETTINGS: Step.CREATE,
            CHECK: Step.RUN,
        }
        names = list(found)
        assert names.index(BASE) < names.index(IMG) < names.index(WEB)
        assert names.index("resource/web") < names.index(CHECK)
        assert found[IMG].reason == "no image of this key is there yet"
        assert engine.cluster.applied == []
        assert engine.images.built == []
        assert engine.processes.ran == []
        assert engine.cluster.closed


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert not list(tmp_path.rglob("*.tmp"))


def remembered(files: Path) -> list[bytes]:
    return [zlib.decompress(path.read_bytes()) for path in files.rglob("*.keys")]


def damaged(files: Path, data: bytes) -> None:
    for path in files.rglob("*.keys"):
        path.write_bytes(data)


async def test_after_a_run_there_is_nothing_left_to_plan(files: Path) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, shop())
        found = await planned(engine)
        assert steps(found) == {CHECK: Step.RUN}
        assert found[IMG].reason == "in the registry already"
        assert found[WEB].reason == "as it was applied"
        assert found[IMG].key == found[IMG].last


async def test_a_changed_file_is_named_and_concerns_its_image_and_workload_only(
    files: Path,
) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, shop())
        engine.inputs.contents["/src/img"] = "other"
        found = await planned(engine)
        assert steps(found) == {IMG: Step.BUILD, WEB: Step.CHANGE, CHECK: Step.RUN}
        assert found[IMG].reason == "changed: files (~ file)"
        assert found[WEB].reason == "changed: image img"
        (change,) = found[WEB].changes
        assert change.path == "spec.template.spec.containers.c0.image"


async def test_a_changed_base_rebuilds_its_dependents(files: Path) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, shop())
        engine.inputs.contents["/src/base"] = "other"
        found = await planned(engine)
        assert found[BASE].reason == "changed: files (~ file)"
        assert found[IMG].reason == "changed: base base"
        assert found[WEB].step is Step.CHANGE
        assert found[SETTINGS].step is Step.NOTHING


async def test_a_changed_dockerfile_is_told_as_such(files: Path) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, shop())
        found = await planned(engine, shop(contents="FROM scratch\nLABEL a=1"))
        assert found[IMG].reason == "changed: Dockerfile"


async def test_one_changed_field_is_one_change(files: Path) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, shop())
        found = await planned(engine, shop(replicas=2))
        assert steps(found) == {WEB: Step.CHANGE, CHECK: Step.RUN}
        (change,) = found[WEB].changes
        assert (change.path, change.old, change.new) == ("spec.replicas", 1, 2)
        assert found[WEB].reason == "changed: manifest"


async def test_what_somebody_else_changed_is_drift(files: Path) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, shop())
        live = engine.cluster.get("ConfigMap", "settings")
        engine.cluster.change(live, manager="kubectl", data={"a": "2"})
        found = await planned(engine)
        assert found[SETTINGS].step is Step.CHANGE
        assert found[SETTINGS].reason == "drift: somebody else has changed it"
        assert [str(c) for c in found[SETTINGS].changes] == ["data.a 2 → 1"]
        assert "takes over .data.a (kubectl) from another manager" in found[SETTINGS].notes


async def test_a_changed_config_map_restarts_nobody_and_the_plan_says_so(files: Path) -> None:
    spec = {"volumes": [{"name": "v", "configMap": {"name": "settings"}}]}

    def app(value: str) -> Project:
        web = build.deployment("web", spec=spec)
        return build.project(kube("web", web, cm(a=value)))

    async with world(state_folder=files) as engine:
        await running(engine, app("1"))
        found = await planned(engine, app("2"))
        assert steps(found) == {SETTINGS: Step.CHANGE}
        assert found[SETTINGS].notes == ("the pods of Deployment/web are not restarted for it",)


async def test_values_of_a_secret_are_masked_and_a_change_is_told(files: Path) -> None:
    def app(value: str) -> Project:
        meta = {"name": "s"}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"p": value}}
        return build.project(kube("s", build.manifest(body)))

    async with world(state_folder=files) as engine:
        await running(engine, app("hunter1"))
        assert steps(await planned(engine)) == {}
        found = await planned(engine, app("hunter2"))
        node = found["object//Secret//s"]
        assert [str(c) for c in node.changes] == ["data.p (secret) → (secret, changed)"]
        assert "hunter" not in repr(node.changes)
        assert all(b"hunter" not in kept for kept in remembered(files))


async def test_a_field_that_cannot_be_changed_is_a_recreation(files: Path) -> None:
    def app(label: str) -> Project:
        web = build.deployment("web")
        body: Any = {**web.body, "spec": {**web.body["spec"]}}
        body["spec"]["selector"] = {"matchLabels": {"app": label}}
        return build.project(kube("web", build.manifest(body)))

    async with world(state_folder=files) as engine:
        await running(engine, app("web"))
        found = await planned(engine, app("other"))
        assert found[WEB].step is Step.RECREATE
        assert [c.path for c in found[WEB].changes] == ["spec.selector.matchLabels.app"]


async def test_an_object_of_somebody_elses_is_told_from_ours(files: Path) -> None:
    async with world(state_folder=files) as engine:
        meta = {"name": "settings", "namespace": "default"}
        theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "0"}}
        engine.cluster.put(theirs)
        found = await planned(engine, build.project(kube("web", cm())))
        assert found[SETTINGS].step is Step.CHANGE
        assert found[SETTINGS].reason == "it is there, but was not applied by this project"
        assert "data.a 0 → 1" in [str(c) for c in found[SETTINGS].changes]


async def test_what_comes_with_its_namespace_or_definition_is_created(files: Path) -> None:
    meta = {"name": "shop"}
    namespace = build.manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    inside = build.manifest(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": "shop"},
            "data": {},
        }
    )
    custom = build.manifest(
        {"apiVersion": "x.example.com/v1", "kind": "Thing", "metadata": {"name": "t"}}
    )
    async with world(state_folder=files) as engine:
        project = build.project(kube("web", namespace, inside, custom))
        found = await planned(engine, project)
        assert set(steps(found).values()) == {Step.CREATE}
        assert found["object//ConfigMap/shop/c"].notes == ("its namespace is not there yet",)


async def test_what_the_cluster_would_refuse_is_told_with_its_words(files: Path) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "dat": {}}
    async with world(state_folder=files) as engine:
        found = await planned(engine, build.project(kube("a", build.manifest(body))))
        assert found[SETTINGS].step is Step.REFUSED
        problem = found[SETTINGS].problem
        assert problem is not None
        assert "dat" in problem.message


async def test_offline_nobody_is_asked_and_the_last_run_is_compared_with(files: Path) -> None:
    async with world(state_folder=files) as engine:
        before = await planned(engine, shop(), offline=True)
        assert steps(before) == {
            BASE: Step.UNKNOWN,
            IMG: Step.UNKNOWN,
            WEB: Step.UNKNOWN,
            SETTINGS: Step.UNKNOWN,
            CHECK: Step.RUN,
        }
        assert engine.connections == 0
        await running(engine, shop())
        assert steps(await planned(engine, offline=True)) == {CHECK: Step.RUN}
        engine.inputs.contents["/src/img"] = "other"
        found = await planned(engine, offline=True)
        assert steps(found) == {IMG: Step.BUILD, WEB: Step.CHANGE, CHECK: Step.RUN}
        assert engine.connections == 1


async def test_an_image_that_was_deleted_behind_our_back_is_built_again(files: Path) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, shop())
        key = (await planned(engine))[IMG].key
        engine.images.engine.clear()
        engine.images.registry.clear()
        found = await planned(engine)
        assert found[IMG].step is Step.BUILD
        assert found[IMG].reason == "as it was built last, but nowhere to be found"
        assert found[IMG].key == key
        await running(engine, shop())
        assert steps(await planned(engine)) == {CHECK: Step.RUN}
        assert len(engine.images.built) == 4


def on_others(secret: str = "") -> Project:
    secrets = (secret,) if secret else ()
    docker = DockerBuild("/src/img", "/src/img/Dockerfile", "FROM busybox:1", secret=secrets)
    made = Image(ImageName("img"), docker)
    return build.project(kube("web", build.deployment("web", "img")), images=[made])


async def test_a_base_of_others_that_was_pushed_anew_is_built_on(files: Path) -> None:
    async with world(state_folder=files) as engine:
        engine.images.digests["busybox:1"] = "sha256:1"
        await running(engine, on_others())
        assert steps(await planned(engine)) == {}
        assert steps(await planned(engine, offline=True)) == {}
        engine.images.digests["busybox:1"] = "sha256:2"
        assert steps(await planned(engine, offline=True)) == {}
        found = await planned(engine)
        assert found[IMG].reason == "changed: base busybox:1"
        parts = {p.name: (p.before, p.value) for p in found[IMG].parts}
        assert parts["base busybox:1"] == ("sha256:1", "sha256:2")
        await running(engine, on_others())
        assert len(engine.images.built) == 2


async def test_a_base_whose_digest_nobody_can_tell_is_said_so(files: Path) -> None:
    async with world(state_folder=files) as engine:
        found = await planned(engine, on_others())
        parts = {p.name: p.value for p in found[IMG].parts}
        assert parts["base busybox:1"] == "busybox:1 (nobody can tell its digest)"


async def test_another_platform_is_another_image(files: Path) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, on_others())
        engine.images.platform = "linux/arm64"
        assert (await planned(engine))[IMG].reason == "changed: platform"


async def test_of_a_changed_secret_that_is_told_and_nothing_more(files: Path) -> None:
    async with world(state_folder=files) as engine:
        digest, other = secret.digest(b"one"), secret.digest(b"other")
        project = on_others("id=npm,src=/x")
        engine.inputs.hidden["npm"] = digest
        await running(engine, project)
        engine.inputs.hidden["npm"] = other
        found = await planned(engine)
        assert found[IMG].reason == "changed: secret npm"
        part = next(p for p in found[IMG].parts if p.name == "secret npm")
        assert (part.value, part.before, part.changed) == ("hidden", "hidden", True)
        (kept,) = remembered(files)
        assert digest[:5].encode() not in kept
        engine.inputs.hidden.clear()
        parts = {p.name: p.value for p in (await planned(engine))[IMG].parts}
        assert parts["secret npm"] == "missing"


async def test_a_damaged_memory_costs_the_reasons_and_nothing_else(files: Path) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, shop())
        (kept,) = remembered(files)
        for damage in (b"", b"x" * 100, kept[:50], zlib.compress(b'{"format": 1}')):
            damaged(files, damage)
            engine.inputs.contents["/src/img"] = "other"
            found = await planned(engine)
            assert found[IMG].reason == "no image of this key is there yet"
        await running(engine, shop())
        engine.inputs.contents["/src/img"] = "third"
        assert (await planned(engine))[IMG].reason == "changed: files (~ file)"


async def test_a_resource_that_does_not_start_by_itself_is_not_planned(files: Path) -> None:
    project = build.project(kube("web", cm(), auto_init=False), build.local("check", "true"))
    async with world(state_folder=files) as engine:
        assert steps(await planned(engine, project)) == {CHECK: Step.RUN}
        assert engine.connections == 0


async def test_an_image_in_the_engine_alone_is_pushed(files: Path) -> None:
    async with world(state_folder=files) as engine:
        project = replace(shop())
        found = await planned(engine, project)
        del found
        await running(engine, project)
        engine.images.registry.clear()
        assert (await planned(engine))[IMG].step is Step.PUSH
        engine.images.engine.clear()
        node = (await planned(engine))[IMG]
        assert (node.step, node.reason) == (
            Step.BUILD,
            "as it was built last, but nowhere to be found",
        )


async def test_what_is_unchanged_is_not_looked_at_by_deepdiff(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(state_folder=files) as engine:
        await running(engine, shop())
        compared: list[str] = []
        between = diff.between

        def counted(live: Any, desired: Any) -> tuple[diff.Change, ...]:
            compared.append(desired["metadata"]["name"])
            return between(live, desired)

        monkeypatch.setattr(diff, "between", counted)
        assert steps(await planned(engine)) == {CHECK: Step.RUN}
        await running(engine, shop())
        assert compared == []
        await planned(engine, shop(replicas=2))
        assert set(compared) == {"web"}


async def test_live_updates_are_no_part_of_a_plan() -> None:
    sync = build.step("sync", "/src/img/src", remote="/srv")
    custom = CustomDeploy(
        apply=Command(("sh", "-c", "apply"), "/src"),
        delete=Command(("sh", "-c", "delete"), "/src"),
        deps=("/src/cd",),
        live_update=(build.step("sync", "/src/cd", remote="/srv"),),
        container_selector="main",
    )
    deployed = Resource(ResourceName("cd"), KubernetesTarget((), custom=custom))
    project = build.project(
        kube("web", build.deployment("web", "img")),
        deployed,
        images=[build.live(build.image("img"), sync)],
    )
    async with world() as engine:
        found = await planned(engine, project)
        assert set(found) == {IMG, WEB, "deploy/cd", "resource/web", "resource/cd"}
        assert steps(found) == {IMG: Step.BUILD, WEB: Step.CREATE, "deploy/cd": Step.RUN}
