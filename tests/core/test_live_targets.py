"""Which containers run an image, and which of them can be updated."""

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import k8s
from tests.builders import project as build
from tiltd.core import graph as graphs
from tiltd.core import live_targets
from tiltd.model.actions import ImageRefs
from tiltd.model.desired import Image, Resource
from tiltd.model.live_update import Target
from tiltd.model.names import ImageName, ResourceName, SessionId
from tiltd.model.observed import Grounds, Live, Uid
from tiltd.model.state import Built, ImageReady, ImageState, Mode, Session, SessionSpec, State

WEB, IMG, APP = ResourceName("web"), ImageName("img"), ImageName("app")
REF = "registry/img:tilt-1"
SYNC = build.step("sync", "/src/img", remote="/srv")
DEPLOYMENT = k8s.obj("apps/v1", "Deployment", "web", spec={"replicas": 2})


def replica_set(name: str, revision: int) -> k8s.Json:
    written = {"deployment.kubernetes.io/revision": str(revision)}
    return k8s.obj("apps/v1", "ReplicaSet", name, owner=DEPLOYMENT, annotations=written)


OLD, NEW = replica_set("web-1", 1), replica_set("web-2", 2)


def pod(name: str, state: k8s.Json, *, image: str = REF, owner: k8s.Json = NEW, **more: Any) -> Any:
    boxes = [k8s.box(state, name="main", image=image)]
    if more.pop("beside", None):
        boxes.append(k8s.box(k8s.running(), name="proxy"))
    made = k8s.pod(*boxes, name=name, owner=owner, **more)
    for status in made["status"].get("containerStatuses", ()):
        status["containerID"] = f"c://{name}/{status['name']}"
    return made


def seen(*objects: k8s.Json, resource: Resource | None = None, image: Image | None = None) -> State:
    made = image or build.live(build.image("img"), SYNC)
    given = resource or build.kubernetes("web", build.deployment("web", "img"))
    known = {Uid(o["metadata"]["uid"]): o for o in (DEPLOYMENT, OLD, NEW, *objects)}
    ready = ImageReady("key", ImageRefs(REF, REF, push=True))
    return State(
        graph=graphs.build(build.project(given, images=[made]), "default"),
        live=Live(known, by_resource={WEB: frozenset(known)}),
        images={IMG: ImageState(ready=ready)},
    )


def found(s: State) -> live_targets.Found:
    return live_targets.containers(s.graph.resources[WEB], s.graph.images[IMG], s)


def test_every_running_pod_of_the_newest_revision_that_stays_is_updated() -> None:
    s = seen(
        pod("a", k8s.running()),
        pod("b", k8s.running(), beside=True),
        pod("old", k8s.running(), owner=OLD),
        pod("leaving", k8s.running(), deleted=5),
        pod("other", k8s.running(), image="registry/img:tilt-0"),
    )
    targets = [Target(f"c://{n}/main", "main", n, "default") for n in "ab"]
    assert found(s) == live_targets.Found(tuple(targets))


@pytest.mark.parametrize(
    ("state", "more", "starting", "reason"),
    [
        pytest.param(k8s.waiting("ContainerCreating"), {}, True, "", id="creating"),
        pytest.param(k8s.waiting("PodInitializing"), {}, True, "", id="initializing"),
        pytest.param(k8s.back_off(), {}, False, "does not run (CrashLoopBackOff)", id="crash loop"),
        pytest.param(
            k8s.waiting("ImagePullBackOff"), {}, False, "does not run (ImagePullBackOff)", id="pull"
        ),
        pytest.param(k8s.ended(1), {}, False, "has ended", id="ended"),
        pytest.param(k8s.ended(0), {"phase": "Succeeded"}, False, "has ended", id="done"),
        pytest.param(k8s.running(), {"phase": "Failed"}, False, "has ended", id="failed"),
    ],
)
def test_what_does_not_run_is_about_to_or_is_down(
    state: k8s.Json, more: dict[str, Any], *, starting: bool, reason: str
) -> None:
    there = found(seen(pod("a", state, **more)))
    assert there.running == ()
    assert there.starting is starting
    assert [down.reason for down in there.down] == ([reason] if reason else [])


def up(s: State, mode: Mode = Mode.UP) -> State:
    """Everything is built and read, in a session."""
    session = Session(SessionSpec(SessionId("s"), mode, "/src/shop/Tiltfile"), 0.0)
    s = replace(s, session=session, active=frozenset(s.graph.resources))
    images: dict[ImageName, ImageState] = {}
    for name in _bases_first(s):
        files = {f"/src/{name}/main": "f644 1"}
        built = Built("d", Grounds(), files)
        known = ImageState(inputs="d", inputs_generation=1, files=files, built=built)
        s = replace(s, images={**s.images, **images, name: known})
        ready = ImageReady(live_targets._built_key(name, s), ImageRefs(REF, REF, push=True))
        images[name] = replace(known, ready=ready)
    return replace(s, images=images)


def _bases_first(s: State) -> list[ImageName]:
    """Bases first."""
    nodes = graphs.sequence(s.graph)
    return [ImageName(n.partition("/")[2]) for n in nodes if n.startswith("image/")]


def shop(*lively: str) -> State:
    """`app` is built on `img`; each is deployed by a resource of its own."""
    images = [build.image("img"), build.image("app", "img"), build.image("other")]
    made = [build.live(i, SYNC) if i.name in lively else i for i in images]
    resources = [build.kubernetes(i.name, build.deployment(i.name, i.name)) for i in made]
    return State(graph=graphs.build(build.project(*resources, images=made), "default"))


@pytest.mark.parametrize(
    ("lively", "changed", "expected"),
    [
        pytest.param((), "", set[str](), id="no live_update"),
        pytest.param(("img", "app"), "img", {"img", "app"}, id="all who share a change"),
        pytest.param(("img",), "img", set[str](), id="one of them has to be built"),
        pytest.param(("app",), "img", set[str](), id="the base is deployed without"),
        pytest.param(("app",), "app", {"app"}, id="nothing that is shared has changed"),
        pytest.param(("other",), "other", {"other"}, id="alone"),
    ],
)
def test_images_that_share_a_change_are_updated_together_or_built(
    lively: tuple[str, ...], changed: str, expected: set[str]
) -> None:
    s = up(shop(*lively))
    if changed:
        known = replace(s.images[ImageName(changed)], changes={"/src/x": "f644 2"})
        s = replace(s, images={**s.images, ImageName(changed): known})
    assert {n for n in s.images if live_targets.handles(n, s)} == expected


@pytest.mark.parametrize("mode", [Mode.CI, Mode.DOWN])
def test_only_up_updates_containers(mode: Mode) -> None:
    s = up(shop("img", "app"), mode)
    assert not any(live_targets.handles(n, s) or live_targets.listed(n, s) for n in s.images)


def test_what_was_stopped_or_defined_otherwise_is_built() -> None:
    s = up(shop("other"))
    other = ImageName("other")
    stopped = replace(s.images[other], stopped="it broke")
    assert not live_targets.handles(other, replace(s, images={**s.images, other: stopped}))
    contents = build.live(build.image("other", contents="FROM busybox"), SYNC)
    graph = replace(s.graph, images={**s.graph.images, other: contents})
    assert not live_targets.handles(other, replace(s, graph=graph))
    assert live_targets.handles(other, s)
