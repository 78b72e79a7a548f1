"""Objects that are no longer in the Tiltfile go; nothing else does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.builders import project as build
from tests.fakes.cluster import FakeCluster
from tests.runtime.test_planning import SETTINGS, kube, planned, steps
from tests.runtime.world import World, world
from tiltd import ports
from tiltd.core.plan import Step
from tiltd.model.desired import JSON, Manifest, Project
from tiltd.model.events import FilesChanged
from tiltd.model.problems import Code, Problem
from tiltd.model.state import Mode, Outcome


def app(*names: str) -> Project:
    return build.project(kube("web", *(build.config_map(n) for n in names)))


def thing(kind: str, name: str, version: str = "v1", **fields: Any) -> Manifest:
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}
    return build.manifest(body)


def names(engine: World, kind: str = "ConfigMap") -> set[str]:
    return {b["metadata"]["name"] for b in engine.cluster.objects.values() if b["kind"] == kind}


async def healthy(engine: World, project: Project, **flags: Any) -> None:
    ended = await engine.ci(project, **flags)
    assert ended.outcome is Outcome.HEALTHY, ended


async def test_what_goes_from_the_tiltfile_goes_from_the_cluster() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        found = await planned(engine, app("a"))
        assert steps(found) == {"object//ConfigMap//b": Step.DELETE}
        assert names(engine) == {"a", "b"}
        await healthy(engine, app("a"))
        assert names(engine) == {"a"}
        assert "ConfigMap/b: deleted, because it is no longer in the Tiltfile" in engine.text()
        assert steps(await planned(engine)) == {}


async def test_an_unchanged_project_writes_no_account() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        written = engine.cluster.stock_writes
        await healthy(engine, app("a", "b"))
        assert engine.cluster.stock_writes == written == 1


async def test_what_takes_its_place_is_there_before_something_goes() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        seen: list[set[str]] = []
        delete = engine.cluster.delete

        async def noted(bodies: Sequence[JSON], seconds: float) -> None:
            seen.append(names(engine))
            await delete(bodies, seconds)

        engine.cluster.delete = noted  # type: ignore[method-assign]
        await healthy(engine, app("a", "c"))
        assert seen == [{"a", "b", "c"}]


async def test_objects_of_others_and_those_that_are_to_be_kept_stay() -> None:
    keep = thing("ConfigMap", "precious")
    keep.body["metadata"]["annotations"] = {"tilt.dev/down-policy": "keep"}
    space = thing("Namespace", "space")
    async with world() as engine:
        engine.cluster.put(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}}
        )
        engine.cluster.on("Namespace", activate)
        await healthy(engine, build.project(kube("web", build.config_map("a"), keep, space)))
        await healthy(engine, app("a"))
        assert names(engine) == {"a", "precious", "theirs"}
        assert "space" in names(engine, "Namespace")
        assert "it stays: its annotation tilt.dev/down-policy says keep" in engine.text()
        await healthy(engine, app("a"))
        assert engine.text().count("it stays") == 2


async def test_an_object_that_somebody_made_anew_without_our_label_stays() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        engine.cluster.remove(engine.cluster.get("ConfigMap", "b"))
        meta = {"name": "b", "namespace": "default"}
        engine.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
        await healthy(engine, app("a"))
        assert names(engine) == {"a", "b"}


async def test_another_project_with_the_same_label_is_left_alone() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        await healthy(engine, app("x", "y"))
        assert names(engine) == {"a", "b", "x", "y"}
        await healthy(engine, app("x"))
        await healthy(engine, app("a", "b"))
        assert names(engine) == {"a", "b", "x"}


async def test_projects_of_one_name_that_share_half_of_their_objects_leave_each_other_alone(
    tmp_path: Path,
) -> None:
    def at(folder: str) -> str:
        return str(tmp_path / folder / "shop" / "Tiltfile")

    async with world() as engine:
        await healthy(engine, app("a", "b", "both", "too"), tiltfile=at("one"))
        await healthy(engine, app("both", "too", "x", "y"), tiltfile=at("other"))
        assert names(engine) == {"a", "b", "both", "too", "x", "y"}
        await healthy(engine, app("a", "too"), tiltfile=at("one"))
        assert names(engine) == {"a", "both", "too", "x", "y"}
        said = "ConfigMap/both: no longer in the Tiltfile; it stays: another project of this name"
        assert engine.text().count(said) == 1
        await healthy(engine, app("a", "too"), tiltfile=at("one"))
        assert engine.text().count(said) == 1
        await healthy(engine, app("too", "x"), tiltfile=at("other"))
        assert names(engine) == {"a", "too", "x"}


async def test_a_clone_of_the_repository_is_the_same_project(tmp_path: Path) -> None:
    def clone(folder: str, url: str) -> str:
        config = tmp_path / folder / ".git" / "config"
        config.parent.mkdir(parents=True)
        config.write_text(f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {url}\n')
        return str(tmp_path / folder / "shop" / "Tiltfile")

    here = clone("here", "git@example.com:me/shop.git")
    there = clone("there", "https://token@example.com/me/shop")
    fork = clone("fork", "https://example.com/you/shop")
    async with world() as engine:
        await healthy(engine, app("a", "b"), tiltfile=here)
        await healthy(engine, app("a", "b", "c"), tiltfile=there)
        await healthy(engine, app("a", "b"), tiltfile=fork)
        assert names(engine) == {"a", "b", "c"}
        await healthy(engine, app("a", "b"), tiltfile=here)
        assert names(engine) == {"a", "b"}


async def test_a_list_from_elsewhere_is_taken_over_only_where_most_is_the_same() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b", "c", "d"))
        (text,) = engine.cluster.stocks.values()
        engine.cluster.stocks = {"at-otherone-folder00.1": text}
        await healthy(engine, app("a", "b"))
        assert names(engine) == {"a", "b", "c", "d"}
        assert len(engine.cluster.stocks) == 2
        engine.cluster.stocks = {"at-otherone-folder00.1": text}
        written = engine.cluster.stock_writes
        await healthy(engine, app("a", "b", "c", "d"))
        assert engine.cluster.stock_writes == written
        await healthy(engine, app("a", "b", "c"))
        assert names(engine) == {"a", "b", "c"}
        (name,) = engine.cluster.stocks
        assert not name.startswith("at-otherone")
        assert "was kept from another machine or folder; it is taken over" in engine.text()


async def test_a_definition_stays_while_there_are_objects_of_its_kind() -> None:
    spec = {
        "group": "x.example.com",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": [{"name": "v1", "served": True, "storage": True}],
    }
    crd = thing("CustomResourceDefinition", "things", "apiextensions.k8s.io/v1", spec=spec)
    async with world() as engine:
        engine.cluster.on(
            "CustomResourceDefinition",
            establish,
        )
        await healthy(engine, build.project(kube("web", build.config_map("a"), crd)))
        meta = {"name": "t", "namespace": "default"}
        theirs = {"apiVersion": "x.example.com/v1", "kind": "Thing", "metadata": meta}
        made = engine.cluster.put(theirs)
        await healthy(engine, app("a"))
        assert names(engine, "CustomResourceDefinition") == {"things"}
        assert "there are objects of kind Thing" in engine.text()
        engine.cluster.remove(made)
        await healthy(engine, build.project(kube("web", build.config_map("a"), crd)))
        await healthy(engine, app("a"))
        assert names(engine, "CustomResourceDefinition") == set()


def activate(cluster: FakeCluster, live: dict[str, Any]) -> None:
    if not live.get("status"):
        cluster.change(live, status={"phase": "Active"})


def establish(cluster: FakeCluster, live: dict[str, Any]) -> None:
    if not live.get("status"):
        cluster.change(live, status={"conditions": [ESTABLISHED]})


ESTABLISHED = {"type": "Established", "status": "True"}


async def test_a_failed_deletion_is_no_verdict_and_is_tried_by_the_next_run() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        stuck = ports.TransientError(Problem(Code.TIMEOUT, "a finalizer holds it"))
        engine.cluster.delete_errors["ConfigMap/b"].append(stuck)
        await healthy(engine, app("a"))
        assert names(engine) == {"a", "b"}
        assert "still there: a finalizer holds it" in engine.text()
        await healthy(engine, app("a"))
        assert names(engine) == {"a"}


async def test_without_the_right_to_keep_an_account_nothing_is_deleted() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        forbidden = ports.PermanentError(Problem(Code.CLUSTER_FORBIDDEN, "may not"))
        engine.cluster.stock_errors.append(forbidden)
        await healthy(engine, app("a"))
        assert names(engine) == {"a", "b"}
        assert "what goes from the Tiltfile is not deleted" in engine.text()


async def test_a_run_that_fails_deletes_nothing() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        wrong = ports.PermanentError(Problem(Code.APPLY, "no"))
        engine.cluster.errors["ConfigMap/c"].append(wrong)
        assert (await engine.ci(app("a", "c"))).outcome is Outcome.FAILED
        assert names(engine) == {"a", "b"}


async def test_up_deletes_when_the_tiltfile_drops_something() -> None:
    async with world() as engine:
        await engine.start(app("a", "b"), Mode.UP)
        await engine.until(lambda s: len(s.applied) == 2 and s.stock.taken != "")
        engine.tiltfiles.project = app("a")
        engine.store.dispatch(FilesChanged(("/src/shop/Tiltfile",)))
        await engine.until(lambda s: s.stock.pruned)
        assert names(engine) == {"a"}


async def test_down_gives_the_account_up() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        assert engine.cluster.stocks
        await engine.start(app("a", "b"), Mode.DOWN)
        assert (await engine.ended()).outcome is Outcome.HEALTHY
        await engine.sessions.settled()
        assert engine.cluster.stocks == {}
        assert names(engine) == set()


async def test_resources_that_take_no_part_are_not_gone() -> None:
    async with world() as engine:
        a, b = kube("a", build.config_map("a")), kube("b", build.config_map("b"))
        await healthy(engine, build.project(a, b))
        await healthy(engine, build.project(a, b, enabled=["a"]))
        assert names(engine) == {"a", "b"}
        assert SETTINGS not in await planned(engine)


async def test_nothing_is_deleted_where_that_is_asked_for() -> None:
    async with world() as engine:
        await healthy(engine, app("a", "b"))
        await engine.start(app("a"), no_prune=True)
        assert (await engine.ended()).outcome is Outcome.HEALTHY
        await engine.sessions.settled()
        assert names(engine) == {"a", "b"}
        await healthy(engine, app("a"))
        assert names(engine) == {"a"}


async def test_what_a_project_in_another_namespace_has_too_stays() -> None:
    role = thing("ClusterRole", "reader", "rbac.authorization.k8s.io/v1", rules=[])
    async with world() as engine:
        await healthy(engine, build.project(kube("web", build.config_map("a"), role)))
        (ours,) = engine.cluster.stocks.values()
        engine.cluster.other_stocks.append(("staging", {"x": ours}))
        await healthy(engine, app("a"))
        assert names(engine, "ClusterRole") == {"reader"}
        assert "a project in namespace staging has it, too" in engine.text()
        engine.cluster.other_stocks.clear()
        await healthy(engine, build.project(kube("web", build.config_map("a"), role)))
        await healthy(engine, app("a"))
        assert names(engine, "ClusterRole") == set()
