"""Whose is a live object, in whatever order one hears of it?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import project as build
from tiltd.core import graph as graphs
from tiltd.core import live
from tiltd.model.desired import SELECTORS_ONLY, KubernetesTarget
from tiltd.model.graph import Graph
from tiltd.model.names import ObjectId, ResourceName
from tiltd.model.observed import Live, Uid

Obj = dict[str, Any]
WEB, DB = ResourceName("web"), ResourceName("db")


def graph() -> Graph:
    web = build.kubernetes("web", build.deployment("web"))
    db = build.kubernetes("db", build.deployment("db"))
    assert isinstance(db.target, KubernetesTarget)
    choosing = replace(db.target, extra_pod_selectors=({"for": "db"},))
    return graphs.build(build.project(web, replace(db, target=choosing)), "default")


GRAPH = graph()


def obj(kind: str, uid: str, owner: str = "", api: str = "apps/v1", **metadata: Any) -> Obj:
    owners = [{"uid": owner, "kind": "X", "name": "x"}] if owner else []
    meta = {"uid": uid, "name": uid, "namespace": "default", "ownerReferences": owners, **metadata}
    return {"apiVersion": api, "kind": kind, "metadata": meta}


def pod(uid: str, owner: str = "", **labels: str) -> Obj:
    return obj("Pod", uid, owner, "v1", labels=labels)


def event(uid: str, about: str) -> Obj:
    return {**obj("Event", uid, api="v1"), "involvedObject": {"uid": about}}


def adopt(
    *seen: Obj, known: Live | None = None, owners: Mapping[Uid, ResourceName] | None = None
) -> Live:
    return live.adopt(known or Live(), GRAPH, "default", seen, (), owners or {})[0]


FAMILY = (
    obj("Deployment", "web"),
    obj("ReplicaSet", "rs", "web"),
    pod("pod", "rs"),
    pod("claimed", "rs", **{"for": "db"}),
    pod("chosen", **{"for": "db"}),
    pod("strange", "nobody"),
    event("about-pod", "pod"),
    event("about-claimed", "claimed"),
    event("about-chosen", "chosen"),
    event("about-nobody", "nothing"),
)


@given(st.permutations(FAMILY), st.integers(1, len(FAMILY)))
def test_any_order_of_the_same_observations_gives_the_same_families(
    order: list[Obj], cut: int
) -> None:
    found = adopt(*order[cut:], known=adopt(*order[:cut]))
    assert {k: v for k, v in found.by_resource.items() if v} == {
        WEB: {"web", "rs", "pod", "claimed", "about-pod", "about-claimed"},
        DB: {"chosen", "about-chosen"},
    }
    assert found.objects.keys() == {str(o["metadata"]["uid"]) for o in FAMILY}


@given(st.permutations(FAMILY))
def test_when_all_is_gone_nothing_is_kept_but_who_owned_what(order: list[Obj]) -> None:
    known = adopt(*FAMILY)
    gone = [live.uid(o) for o in order]
    after, touched = live.adopt(known, GRAPH, "default", (), gone, {})
    assert not after.objects
    assert not after.orphans
    assert not any(after.by_resource.values())
    assert touched == {WEB, DB}
    assert not any(uid.startswith("about") for uid in after.owner)


def test_an_event_about_an_object_that_is_gone_still_finds_its_resource() -> None:
    known, _ = live.adopt(adopt(*FAMILY), GRAPH, "default", (), [Uid("pod")], {})
    assert "late" in adopt(event("late", "pod"), known=known).by_resource[WEB]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param("9", "10", "10", id="a newer version is believed"),
        pytest.param("10", "9", "10", id="an older version tells nothing"),
        pytest.param("10", "10", "10", id="the same version again"),
        pytest.param("zz", "9", "9", id="versions that are no numbers are believed as they come"),
        pytest.param(None, "9", "9", id="no version"),
    ],
)
def test_versions(first: str | None, second: str, kept: str) -> None:
    known = adopt(obj("Deployment", "web", resourceVersion=first))
    found = adopt(obj("Deployment", "web", resourceVersion=second), known=known)
    assert found.objects[Uid("web")]["metadata"]["resourceVersion"] == kept


def test_what_changes_nothing_touches_nobody() -> None:
    known = adopt(obj("Deployment", "web", resourceVersion="2"))
    old = obj("Deployment", "web", resourceVersion="1")
    assert live.adopt(known, GRAPH, "default", (old,), (), {})[1] == frozenset()


def test_an_object_is_taken_in_by_its_uid_when_its_name_says_nothing() -> None:
    known = adopt(obj("Other", "x"), owners={Uid("x"): WEB})
    assert known.by_resource[WEB] == {"x"}


def test_owners_in_a_circle_end() -> None:
    known = adopt(pod("a", "b"), pod("b", "a"), owners={Uid("a"): WEB})
    assert known.by_resource[WEB] == {"a", "b"}


@pytest.mark.parametrize(
    ("known", "body", "found"),
    [
        pytest.param(("", "a"), ("default", "a"), True, id="the default namespace"),
        pytest.param(("", "a"), ("other", "a"), False, id="another namespace"),
        pytest.param(("other", "a"), ("other", "a"), True, id="the same namespace"),
        pytest.param(("other", "a"), ("", "a"), True, id="cluster-scoped with a namespace"),
        pytest.param(("", "a"), ("", "b"), False, id="another name"),
    ],
)
def test_finding(known: tuple[str, str], body: tuple[str, str], *, found: bool) -> None:
    name = ObjectId("g", "Kind", *known)
    seen = {
        "apiVersion": "g/v1",
        "kind": "Kind",
        "metadata": {"namespace": body[0], "name": body[1]},
    }
    assert live.find({name: 1}, seen, "default") == (name if found else None)


def test_bookkeeping_is_left_out() -> None:
    assert "managedFields" not in live.trimmed({"metadata": {"managedFields": []}})["metadata"]


SELECTING = ("web", "rs", "chosen-of-ours", "unchosen", "elsewhere")


@given(st.permutations(SELECTING), st.integers(1, len(SELECTING)))
def test_with_selectors_only_no_other_pod_counts(order: list[str], cut: int) -> None:
    web = build.kubernetes("web", build.deployment("web"))
    assert isinstance(web.target, KubernetesTarget)
    target = replace(
        web.target, extra_pod_selectors=({"for": "web"},), discovery_strategy=SELECTORS_ONLY
    )
    made = graphs.build(build.project(replace(web, target=target)), "default")
    bodies = {
        "web": obj("Deployment", "web"),
        "rs": obj("ReplicaSet", "rs", "web"),
        "chosen-of-ours": pod("chosen-of-ours", "rs", **{"for": "web"}),
        "unchosen": pod("unchosen", "rs"),
        "elsewhere": pod("elsewhere", **{"for": "web"}),
    }
    first = live.adopt(Live(), made, "default", [bodies[n] for n in order[:cut]], (), {})[0]
    found = live.adopt(first, made, "default", [bodies[n] for n in order[cut:]], (), {})[0]
    assert found.by_resource[WEB] == {"web", "rs", "chosen-of-ours", "elsewhere"}
