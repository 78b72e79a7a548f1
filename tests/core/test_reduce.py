"""Facts folded in; what they make obsolete goes in the same step."""

from dataclasses import replace
from itertools import groupby
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.builders import project as build
from tests.builders import state
from tests.builders.k8s import T0
from tests.core.playing import Player
from tiltd.core import graph as graphs
from tiltd.core.reduce import reduce
from tiltd.model.events import (
    AttemptEnded,
    AttemptStarted,
    ClusterChanged,
    ImageBuilt,
    InputsRead,
    SessionEnded,
    SessionSettled,
    SessionStarted,
    TiltfileBroken,
    TiltfileLoaded,
    Triggered,
)
from tiltd.model.names import TILTFILE, ImageName, NodeName, ResourceName, command_node
from tiltd.model.observed import Uid
from tiltd.model.problems import Code, Problem
from tiltd.model.state import AttemptOutcome, Mode, Outcome, SessionSpec, State

A, IMG = ResourceName("a"), ImageName("img")
PROBLEM = Problem(Code.COMMAND, "no")


def attempt(node: NodeName, wanted: str, outcome: AttemptOutcome, at: float) -> list[object]:
    problem = PROBLEM if outcome is AttemptOutcome.FAILED else None
    ended = AttemptEnded(node, outcome, at, problem, transient=True)
    return [AttemptStarted(node, "x", wanted, at), ended]


def tried(s: State, *tries: tuple[str, AttemptOutcome]) -> State:
    for number, (wanted, outcome) in enumerate(tries):
        s = state.after(s, *attempt(TILTFILE, wanted, outcome, T0 + number))  # type: ignore[arg-type] # events
    return s


FAILED, OK = AttemptOutcome.FAILED, AttemptOutcome.SUCCEEDED


@settings(deadline=None, max_examples=40, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_every_event_counts_and_names_of_the_state_are_those_of_the_project(seed: int) -> None:
    player = Player(Random(seed), Mode.UP)  # noqa: S311 - a game, no secret
    player.play(player.begin())
    for _ in range(60):
        old, new = player.play(player.move())
        assert new.revision == old.revision + 1
        assert new.images.keys() >= new.graph.images.keys()
        assert new.resources.keys() == new.graph.resources.keys()
        assert new.applied.keys() <= new.graph.manifests.keys()
        assert new.active <= new.resources.keys()
        assert new.wanted <= new.graph.nodes.keys()
        assert {uid for uids in new.live.by_resource.values() for uid in uids} <= (
            new.live.objects.keys()
        )


@pytest.mark.parametrize("mode", [Mode.UP, Mode.CI])
@settings(deadline=None, max_examples=40, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_what_nodes_say_at_one_moment_is_the_same_together_and_one_by_one(
    mode: Mode, seed: int
) -> None:
    player = Player(Random(seed), mode)  # noqa: S311 - a game, no secret
    player.play(player.begin())
    for _ in range(60):
        said = player.said()
        for _, alike in groupby(said, type):
            facts = list(alike)
            together = reduce(player.state, *facts)
            apart = state.after(player.state, *facts)
            assert together.revision == player.state.revision + 1
            assert replace(together, revision=0) == replace(apart, revision=0)
        player.play(player.move())


def test_failures_in_a_row_are_counted_while_the_same_is_wanted() -> None:
    progress = tried(state.started(), ("k", FAILED), ("k", FAILED)).progress[TILTFILE]
    assert progress.failure is not None
    assert (progress.failure.tries, progress.failure.since) == (2, T0)
    assert progress.failure.retry_at == T0 + 1 + 1.0
    other = tried(state.started(), ("k", FAILED), ("other", FAILED)).progress[TILTFILE]
    assert other.failure is not None
    assert (other.failure.tries, other.failure.since) == (1, T0 + 1)


def test_success_forgets_the_failure_and_tries_are_numbered_on() -> None:
    progress = tried(state.started(), ("k", FAILED), ("k", OK)).progress[TILTFILE]
    assert progress.failure is None
    assert progress.last is not None
    assert (progress.last.number, progress.last.outcome) == (2, OK)


def test_the_times_of_tries_at_the_same_thing_add_up_without_their_pauses() -> None:
    def spent(*tries: tuple[str, AttemptOutcome, dict[str, float]]) -> dict[str, float]:
        s = state.started()
        for number, (wanted, outcome, phases) in enumerate(tries):
            at = T0 + 100 * number
            problem = PROBLEM if outcome is FAILED else None
            ended = AttemptEnded(TILTFILE, outcome, at + 3, problem, phases=phases)
            s = state.after(s, AttemptStarted(TILTFILE, "load", wanted, at), ended)
        return dict(s.progress[TILTFILE].spent)

    cold, warm = {"build": 2.0, "push": 0.5}, {"push": 0.25}
    assert spent(("k", FAILED, cold), ("k", OK, warm)) == {"build": 2.0, "push": 0.75}
    assert spent(("k", FAILED, {}), ("k", FAILED, {})) == {"load": 6.0}
    assert spent(("k", FAILED, cold), ("other", OK, warm)) == warm
    assert spent(("k", OK, cold), ("k", OK, warm)) == warm


def test_a_trigger_forgets_the_failures_of_its_resource_and_no_others() -> None:
    project = build.project(build.local("a", "a"), build.local("b", "b"))
    s = state.loaded(project)
    for name in (A, ResourceName("b")):
        s = state.after(s, *attempt(command_node(name), "k", FAILED, T0))  # type: ignore[arg-type] # events
    s = state.after(s, Triggered(A))
    assert s.progress[command_node(A)].failure is None
    assert s.progress[command_node(ResourceName("b"))].failure is not None
    assert s.resources[A].generation == 2


def test_what_ends_after_its_session_is_nobodys() -> None:
    s = state.started()
    late = AttemptEnded(TILTFILE, OK, T0)
    assert reduce(s, late).progress == {}
    loaded = state.loaded(build.project(build.kubernetes("web", build.deployment("web", "img"))))
    assert reduce(loaded, Triggered(ResourceName("gone"))).resources == loaded.resources
    stray = ImageBuilt(ImageName("gone"), None)  # type: ignore[arg-type] # of no image that there is
    assert reduce(loaded, stray).images == loaded.images


def test_the_first_end_of_a_session_counts() -> None:
    s = state.after(
        state.started(), SessionEnded(Outcome.FAILED, T0), SessionEnded(Outcome.HEALTHY, T0 + 1)
    )
    assert s.session is not None
    assert s.session.ended is not None
    assert s.session.ended.outcome is Outcome.FAILED
    assert reduce(s, SessionSettled()).session.settled  # type: ignore[union-attr] # there is one


def test_a_new_session_knows_nothing_but_that_files_may_have_changed() -> None:
    project = build.project(
        build.kubernetes("web", build.deployment("web", "img")), images=[build.image("img")]
    )
    s = state.connected(project)
    s = state.applied(s, project.resources[0].target.manifests[0], uid="u")  # type: ignore[union-attr] # objects
    s = state.after(s, InputsRead(IMG, 1, "d"))
    assert s.session is not None
    fresh = reduce(
        s, SessionStarted(SessionSpec(s.session.spec.id, Mode.CI, "/other/Tiltfile"), T0)
    )
    assert (fresh.project, fresh.cluster, fresh.applied, fresh.label) == (None, None, {}, "other")
    assert fresh.images[IMG].inputs_generation < fresh.images[IMG].generation


def test_an_object_that_is_gone_is_not_applied_any_more() -> None:
    conf, other = build.config_map("c"), build.config_map("d")
    s = state.connected(build.project(build.kubernetes("a", conf, other)))
    s = state.applied(state.applied(s, conf, uid="c"), other, uid="d")
    s = state.after(s, ClusterChanged(T0, (), (Uid("c"),)))
    assert list(s.applied) == [other.id]


def test_a_reload_keeps_what_it_still_has_and_drops_the_rest() -> None:
    keep, drop = build.local("a", "a"), build.local("b", "b")
    s = state.after(state.loaded(build.project(keep, drop)), Triggered(A))
    s = state.after(s, TiltfileBroken(("/src/x",)))
    project = build.project(keep)
    loaded = TiltfileLoaded(project, graphs.build(project, ""), state.CONTEXT, 9, T0)
    s = state.after(s, loaded)
    assert list(s.resources) == [A]
    assert (s.resources[A].generation, s.loaded_generation, s.mending) == (2, 9, ())


def test_builds_for_nothing_are_counted_until_one_counts() -> None:
    web = build.kubernetes("web", build.deployment("web", "img"))
    s = state.loaded(build.project(web, images=[build.image("img")]))
    s = state.after(s, InputsRead(IMG, 1, "a"))
    assert s.images[IMG].moves == 0
    s = state.after(s, InputsRead(IMG, 1, "b", moved=True), InputsRead(IMG, 1, "c", moved=True))
    assert (s.images[IMG].moves, s.images[IMG].inputs) == (2, "c")
