"""How a session ends: at once, or after everything; and `down`, which takes away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.builders import project as build
from tests.runtime.test_engine import controls_deployments, crash
from tests.runtime.world import World, world
from tilt_api.v1 import tilt_pb2 as pb
from tiltd.core import follow, inject
from tiltd.core.scrub import Scrubber
from tiltd.model.desired import Manifest
from tiltd.model.names import ImageName
from tiltd.model.observed import Scope
from tiltd.model.problems import Code, Problem
from tiltd.model.state import Mode, Outcome
from tiltd.ports import PermanentError, TransientError
from tiltd.server.convert import Converter

BROKEN = Problem(Code.BUILD, "RUN false failed")


@pytest.fixture
async def engine() -> AsyncIterator[World]:
    async with world() as made:
        yield made


def told(engine: World) -> pb.Session:
    session = Converter(engine.state, engine.clock.now(), Scrubber()).session()
    assert session is not None
    return session


def annotated(manifest: Manifest, **annotations: str) -> Manifest:
    metadata = {**manifest.body["metadata"], "annotations": annotations}
    return replace(manifest, body={**manifest.body, "metadata": metadata})


def namespace(name: str) -> Manifest:
    return build.manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


async def test_what_a_failure_cut_short_is_told(engine: World) -> None:
    engine.images._failures[ImageName("bad")] = PermanentError(BROKEN)
    engine.processes.seconds["long"] = 1000
    web = build.kubernetes("web", build.deployment("web", "bad"))
    await engine.ci(build.project(web, build.local("other", "long"), images=[build.image("bad")]))
    (cut,) = told(engine).cancelled
    assert (cut.id, cut.name, cut.work, cut.resource) == (
        "command/other",
        "other",
        "command",
        "other",
    )
    assert engine.state.session is not None
    assert engine.state.session.ended is not None
    assert engine.clock.now() - engine.state.session.ended.at < 2


async def test_a_healthy_end_cuts_nothing_short(engine: World) -> None:
    await engine.ci(build.project(build.local("a", "one", serve="for ever")))
    assert not told(engine).cancelled


async def test_keep_going_runs_everything_that_does_not_depend_on_a_failure(engine: World) -> None:
    engine.images._failures[ImageName("bad")] = PermanentError(BROKEN)
    engine.processes.seconds["long"] = 60
    engine.processes.exits["fails"] = 3
    controls_deployments(engine.cluster)
    ended = await engine.ci(
        build.project(
            build.kubernetes("broken", build.deployment("broken", "bad")),
            build.kubernetes("after", build.deployment("after"), deps=["broken"]),
            build.kubernetes("well", build.deployment("well")),
            build.local("slow", "long"),
            build.local("wrong", "fails"),
            images=[build.image("bad")],
        ),
        keep_going=True,
    )
    assert ended.outcome is Outcome.FAILED
    assert [(p.resources, p.code) for p in ended.problems] == [
        (("wrong",), Code.COMMAND),
        (("broken",), Code.BUILD),
    ]
    assert not engine.processes.stopped
    assert not told(engine).cancelled
    assert "Deployment/well" in engine.cluster.applied
    assert "Deployment/after" not in engine.cluster.applied
    well = engine.state.resources[build.kubernetes("well").name]
    assert well.ready_at is not None


async def test_keep_going_waits_for_what_may_still_fail(engine: World) -> None:
    engine.processes.exits["fails"] = 1
    controls_deployments(engine.cluster, after=20, fails=True)
    ended = await engine.ci(
        build.project(
            build.local("wrong", "fails"), build.kubernetes("web", build.deployment("web"))
        ),
        keep_going=True,
    )
    assert [p.resources for p in ended.problems] == [("wrong",), ("web",)]


async def test_keep_going_without_a_failure_is_a_plain_success(engine: World) -> None:
    ended = await engine.ci(build.project(build.local("a", "fine")), keep_going=True)
    assert ended.outcome is Outcome.HEALTHY


async def test_two_resources_with_one_broken_image_are_one_problem(engine: World) -> None:
    engine.images._failures[ImageName("bad")] = PermanentError(BROKEN)
    a = build.kubernetes("a", build.deployment("a", "bad"))
    b = build.kubernetes("b", build.deployment("b", "bad"))
    ended = await engine.ci(build.project(a, b, images=[build.image("bad")]))
    (problem,) = ended.problems
    assert problem.resources == ("a", "b")
    assert problem.resource == ""


async def down(engine: World, *, delete_namespaces: bool = False) -> Outcome:
    engine.cluster.deleted.clear()
    await engine.start(mode=Mode.DOWN, delete_namespaces=delete_namespaces)
    ended = await engine.ended()
    await engine.sessions.settled()
    return ended.outcome


async def test_down_deletes_in_reverse_what_was_applied(engine: World) -> None:
    controls_deployments(engine.cluster)
    conf = build.config_map("conf", a="1")
    web = build.deployment("web", spec={"volumes": [{"name": "v", "configMap": {"name": "conf"}}]})
    db = build.kubernetes("db", build.deployment("db"))
    project = build.project(db, build.kubernetes("web", conf, web, deps=["db"]))
    await engine.ci(project)
    assert await down(engine) is Outcome.HEALTHY
    mine = [d for d in engine.cluster.deleted if d.startswith(("Deployment", "ConfigMap"))]
    assert mine == ["Deployment/web", "ConfigMap/conf", "Deployment/db"]
    assert {r.fate for r in told(engine).removals} == {pb.FATE_DELETED}
    assert engine.text("db").endswith("Deployment/db: deleted")


async def test_down_leaves_alone_what_is_kept_what_is_others_and_what_it_never_applied(
    engine: World,
) -> None:
    keep = annotated(build.config_map("keep", a="1"), **{"tilt.dev/down-policy": "keep"})
    mine, never = build.config_map("mine", a="1"), build.config_map("never", a="1")
    theirs = build.config_map("theirs", a="1")
    space = namespace("space")
    first = build.project(build.kubernetes("all", keep, mine, space))
    await engine.ci(first)
    engine.cluster.put({**theirs.body, "metadata": {"name": "theirs", "namespace": "default"}})
    engine.tiltfiles.project = build.project(
        build.kubernetes("all", keep, mine, never, theirs, space)
    )
    assert await down(engine) is Outcome.HEALTHY
    assert engine.cluster.deleted == ["ConfigMap/mine"]
    assert engine.cluster.get("ConfigMap", "theirs")["data"] == {"a": "1"}
    assert {r.object.name: r.fate for r in told(engine).removals} == {
        "keep": pb.FATE_KEPT,
        "mine": pb.FATE_DELETED,
        "never": pb.FATE_ABSENT,
        "theirs": pb.FATE_ABSENT,
        "space": pb.FATE_NAMESPACE_KEPT,
    }


async def test_down_deletes_namespaces_when_asked_after_their_contents(engine: World) -> None:
    space = namespace("space")
    inside = build.manifest(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "conf", "namespace": "space"},
            "data": {},
        }
    )
    await engine.ci(build.project(build.kubernetes("all", inside, space)))
    assert await down(engine, delete_namespaces=True) is Outcome.HEALTHY
    assert engine.cluster.deleted == ["ConfigMap/conf", "Namespace/space"]


async def test_down_takes_what_was_started_by_hand_too(engine: World) -> None:
    label = inject.project_label("/src/shop/Tiltfile")
    metadata = {"name": "conf", "namespace": "default", "labels": {inject.PROJECT_LABEL: label}}
    engine.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    resource = build.kubernetes("conf", build.config_map("conf"), auto_init=False)
    engine.tiltfiles.project = build.project(resource)
    assert await down(engine) is Outcome.HEALTHY
    assert engine.cluster.deleted == ["ConfigMap/conf"]


async def test_down_tries_again_and_deletes_the_rest_where_one_cannot_be_deleted(
    engine: World,
) -> None:
    a, b = build.config_map("a"), build.config_map("b")
    await engine.ci(build.project(build.kubernetes("both", a, b)))
    engine.cluster.delete_errors["ConfigMap/a"].append(
        PermanentError(Problem(Code.CLUSTER_FORBIDDEN, "may not delete ConfigMap/a"))
    )
    engine.cluster.delete_errors["ConfigMap/b"].append(TransientError(Problem(Code.APPLY, "busy")))
    assert await down(engine) is Outcome.FAILED
    assert engine.cluster.deleted == ["ConfigMap/b"]
    assert engine.state.session is not None
    assert engine.state.session.ended is not None
    (problem,) = engine.state.session.ended.problems
    assert "may not delete ConfigMap/a" in problem.message


async def test_down_says_so_where_it_may_not_look(engine: World) -> None:
    await engine.ci(build.project(build.kubernetes("conf", build.config_map("conf"))))
    engine.cluster.forbidden.add("ConfigMap")
    assert await down(engine) is Outcome.FAILED
    session = told(engine)
    assert "cannot list ConfigMap" in session.problems[0].message
    assert "cannot list ConfigMap" in session.warnings[0].message


async def test_down_builds_and_runs_nothing(engine: World) -> None:
    web = build.kubernetes("web", build.deployment("web", "img"))
    engine.tiltfiles.project = build.project(
        web, build.local("cmd", "x"), images=[build.image("img")]
    )
    assert await down(engine) is Outcome.HEALTHY
    assert engine.images.built == []
    assert engine.processes.most_running == 0


SCOPE = Scope("", "v1", "Pod", "default", ours=False)


async def test_no_verdict_is_given_while_the_cluster_is_away(engine: World) -> None:
    controls_deployments(engine.cluster)
    await engine.start(build.project(build.kubernetes("web", build.deployment("web"))))
    await engine.until(lambda s: bool(s.applied))
    engine.cluster.blind(frozenset({SCOPE}))
    await asyncio.sleep(60)
    assert engine.state.session is not None
    assert engine.state.session.ended is None
    engine.cluster.blind(frozenset())
    assert (await engine.ended()).outcome is Outcome.HEALTHY
    assert engine.text().splitlines()[-2:] == [
        "the cluster is away: no verdict until it is seen again",
        "the cluster is seen again",
    ]


async def test_a_container_whose_log_has_ended_is_not_well(engine: World) -> None:
    """A kubelet with much to do ends the log long before it reports the exit."""
    controls_deployments(engine.cluster)
    await engine.start(build.project(build.kubernetes("web", build.deployment("web"))))
    await engine.until(lambda s: bool(follow.log_runs(s)))
    (life,) = follow.log_runs(engine.state)
    await asyncio.sleep(3)
    engine.cluster.silence(life, True)  # noqa: FBT003 - see `ports.Silence`
    await asyncio.sleep(17)
    assert engine.state.session is not None
    assert engine.state.session.ended is None
    crash(engine.cluster, engine.cluster.objects[life.uid])
    (problem,) = (await engine.ended()).problems
    assert problem.rule == "pod.crash-loop"


async def test_a_log_that_goes_on_after_all_holds_nothing_back(engine: World) -> None:
    controls_deployments(engine.cluster)
    await engine.start(build.project(build.kubernetes("web", build.deployment("web"))))
    await engine.until(lambda s: bool(follow.log_runs(s)))
    (life,) = follow.log_runs(engine.state)
    began = engine.clock.now()
    engine.cluster.silence(life, True)  # noqa: FBT003 - see `ports.Silence`
    await asyncio.sleep(10)
    engine.cluster.silence(life, False)  # noqa: FBT003 - see `ports.Silence`
    assert (await engine.ended()).outcome is Outcome.HEALTHY
    assert 10 <= engine.clock.now() - began < 11


async def test_bad_news_that_is_old_is_no_verdict_either(engine: World) -> None:
    await engine.start(
        build.project(build.kubernetes("web", build.deployment("web"))), readiness=10.0
    )
    await engine.until(lambda s: bool(s.applied))
    engine.cluster.blind(frozenset({SCOPE}))
    await asyncio.sleep(60)
    assert engine.state.session is not None
    assert engine.state.session.ended is None
    engine.cluster.blind(frozenset())
    (problem,) = (await engine.ended()).problems
    assert problem.rule == "readiness.deadline"


async def test_a_failed_command_ends_the_run_also_while_the_cluster_is_away(engine: World) -> None:
    engine.processes.exits["fails"] = 1
    engine.processes.seconds["fails"] = 30
    web = build.kubernetes("web", build.deployment("web"))
    await engine.start(build.project(web, build.local("cmd", "fails")))
    await engine.until(lambda s: bool(s.applied))
    engine.cluster.blind(frozenset({SCOPE}))
    (problem,) = (await engine.ended()).problems
    assert problem.code is Code.COMMAND


async def test_what_may_not_be_read_is_a_warning_once(engine: World) -> None:
    engine.cluster.forbidden.add("ConfigMap")
    await engine.ci(build.project(build.kubernetes("conf", build.config_map("conf"))))
    (warning,) = told(engine).warnings
    assert warning.message.startswith("may not read ConfigMap in default")


@pytest.mark.parametrize(
    ("code", "after"),
    [
        pytest.param(Code.REFUSED, 30, id="what the cluster refuses has the grace"),
        pytest.param(Code.PUSH, 300, id="what is away has as long as readiness"),
    ],
)
async def test_what_fails_again_and_again_is_given_up(
    engine: World, code: Code, after: float
) -> None:
    problem = Problem(code, "not now")
    engine.cluster.errors["ConfigMap/conf"].extend([TransientError(problem)] * 1000)
    await engine.start(build.project(build.kubernetes("conf", build.config_map("conf"))))
    started = engine.clock.now()
    ended = await engine.ended()
    assert ended.outcome is Outcome.FAILED
    assert [p.message for p in ended.problems] == ["not now"]
    assert after <= ended.at - started < after + 2


async def test_a_local_server_that_dies_at_once_did_not_start(engine: World) -> None:
    engine.processes.exits["dies"] = 2
    engine.processes.serve_ends["dies"] = 3
    ended = await engine.ci(build.project(build.local("web", serve="dies")))
    assert ended.outcome is Outcome.FAILED
    assert "exit code 2" in ended.problems[0].message


async def test_a_local_server_that_stays_up_is_healthy_after_a_while(engine: World) -> None:
    ended = await engine.ci(build.project(build.local("web", serve="for ever")))
    assert ended.outcome is Outcome.HEALTHY
    assert engine.state.session is not None
    assert 5 <= ended.at - engine.state.session.started_at < 6


async def test_a_claim_is_watched_with_its_events(engine: World) -> None:
    claim = build.manifest(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
    )
    await engine.start(build.project(build.kubernetes("data", claim)))
    await engine.until(lambda s: bool(s.applied))
    assert "Event" in {scope.kind for scope in engine.cluster.scopes}


async def test_a_report_tells_what_was_waiting_and_on_what(engine: World) -> None:
    engine.processes.exits["fails"] = 1
    first = build.local("first", "fails")
    after = build.kubernetes("after", build.config_map("conf"), deps=["first"])
    await engine.ci(build.project(first, after))
    converter = Converter(engine.state, engine.clock.now(), Scrubber())
    assert converter.resource(after.name).status == "waiting for first"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(PermanentError(Problem(Code.CLUSTER_FORBIDDEN, "may not delete")), id="never"),
        pytest.param(TransientError(Problem(Code.REFUSED, "not now")), id="again and again"),
    ],
)
async def test_what_cannot_be_deleted_holds_up_nothing_for_long(
    engine: World, error: Exception
) -> None:
    controls_deployments(engine.cluster)
    volumes = [{"name": "v", "configMap": {"name": "conf"}}]
    web = build.deployment("web", spec={"volumes": volumes})
    await engine.ci(build.project(build.kubernetes("web", build.config_map("conf"), web)))
    engine.cluster.delete_errors["Deployment/web"].extend([error] * 100)
    began = engine.clock.now()
    assert await down(engine) is Outcome.FAILED
    assert engine.cluster.deleted == ["ConfigMap/conf"]
    assert engine.clock.now() - began < 60


@pytest.mark.parametrize(("fails", "waits"), [(False, 1), (True, 2)])
async def test_what_goes_on_is_listened_to_only_after_a_failure(
    engine: World, *, fails: bool, waits: int
) -> None:
    controls_deployments(engine.cluster, fails=fails)
    ended = await engine.ci(build.project(build.kubernetes("web", build.deployment("web"))))
    assert ended.outcome is (Outcome.FAILED if fails else Outcome.HEALTHY)
    assert len(engine.cluster.drained) == waits
