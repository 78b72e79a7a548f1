"""What an action is for: a failure stands, and work goes on, as long as that is the same."""

import itertools

import pytest

from tests.builders import project as build
from tiltd.core import work
from tiltd.model.actions import (
    Action,
    Apply,
    Connect,
    Delete,
    EnsureImage,
    ImageRefs,
    LoadTiltfile,
    Look,
    ReadInputs,
    RunCommand,
    Serve,
    Work,
)
from tiltd.model.desired import Command
from tiltd.model.names import ResourceName
from tiltd.model.observed import Scope

IMAGE, MANIFEST = build.image("img"), build.config_map("c")
REFS, COMMAND = ImageRefs("r", "r", push=True), Command(("true",), "/")
NAME = ResourceName("a")
SCOPES = tuple(Scope("", "v1", kind, "default", ours=True) for kind in ("Pod", "Service"))


def live(uid: str) -> dict[str, object]:
    return {"kind": "ConfigMap", "metadata": {"name": "c", "uid": uid}}


@pytest.mark.parametrize(
    ("kind", "actions"),
    [
        pytest.param(Work.LOAD, [LoadTiltfile(1), LoadTiltfile(2)], id="load"),
        pytest.param(Work.CONNECT, [Connect("a"), Connect("b")], id="connect"),
        pytest.param(Work.LOOK, [Look(frozenset(SCOPES)), Look(frozenset(SCOPES[:1]))], id="look"),
        pytest.param(Work.READ, [ReadInputs(IMAGE, 1), ReadInputs(IMAGE, 2)], id="read"),
        pytest.param(
            Work.BUILD,
            [EnsureImage(IMAGE, "1", REFS, {}), EnsureImage(IMAGE, "2", REFS, {})],
            id="build",
        ),
        pytest.param(
            Work.APPLY,
            [Apply(MANIFEST, {}, "1", 30.0), Apply(MANIFEST, {}, "2", 30.0)],
            id="apply",
        ),
        pytest.param(
            Work.DELETE,
            [Delete(MANIFEST, live("u1"), 30.0), Delete(MANIFEST, live("u2"), 30.0)],
            id="delete: another object of that name",
        ),
        pytest.param(
            Work.COMMAND,
            [RunCommand(NAME, COMMAND, "1"), RunCommand(NAME, COMMAND, "2")],
            id="command",
        ),
        pytest.param(
            Work.SERVE,
            [Serve(NAME, COMMAND, None, "1"), Serve(NAME, COMMAND, None, "2")],
            id="serve",
        ),
    ],
)
def test_another_wish_is_another_and_counts_against_the_same_bound(
    kind: Work, actions: list[Action]
) -> None:
    assert {work.kind(a) for a in actions} == {kind}
    for one, other in itertools.combinations(actions, 2):
        assert work.wanted(one) != work.wanted(other)


def test_a_node_reads_its_inputs_before_it_builds_and_these_are_two_things() -> None:
    assert work.wanted(ReadInputs(IMAGE, 1)) != work.wanted(EnsureImage(IMAGE, "1", REFS, {}))


def test_the_order_in_which_scopes_are_named_means_nothing() -> None:
    one, other = (Look(frozenset(order)) for order in (SCOPES, SCOPES[::-1]))
    assert work.wanted(one) == work.wanted(other)
