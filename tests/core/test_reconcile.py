"""Deciding is a function of the state: doing what was decided leaves nothing of it to do."""

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.core.playing import Player
from tiltd.core import work
from tiltd.core.reconcile import reconcile
from tiltd.core.reduce import reduce
from tiltd.core.wake import everyone
from tiltd.model.decisions import Act, Decision, Done, Hold, Record
from tiltd.model.events import AttemptEnded, AttemptStarted
from tiltd.model.names import NodeName
from tiltd.model.state import AttemptOutcome, Mode, State

SEEDS = st.integers(0, 2**32)
PLAYED = settings(deadline=None, max_examples=40, phases=[Phase.explicit, Phase.generate])


def decisions(s: State, now: float) -> dict[NodeName, Decision]:
    return {name: reconcile(name, s, now) for name in sorted(everyone(s))}


def played(seed: int, mode: Mode, moves: int) -> Player:
    player = Player(Random(seed), mode)  # noqa: S311 - a game, no secret
    player.play(player.begin())
    for _ in range(moves):
        player.play(player.move())
    return player


@pytest.mark.parametrize("mode", [Mode.UP, Mode.CI])
@PLAYED
@given(seed=SEEDS, moves=st.integers(0, 80))
def test_deciding_twice_gives_the_same(mode: Mode, seed: int, moves: int) -> None:
    player = played(seed, mode, moves)
    first = decisions(player.state, player.now)
    assert decisions(player.state, player.now) == first
    assert decisions(player.state, player.now + 1000.0).keys() == first.keys()
    assert decisions(player.state, player.now) == first, "also after a look from another time"


@pytest.mark.parametrize("mode", [Mode.UP, Mode.CI])
@PLAYED
@given(seed=SEEDS, moves=st.integers(0, 80))
def test_after_a_record_its_node_has_nothing_to_say_until_the_time_that_it_gave(
    mode: Mode, seed: int, moves: int
) -> None:
    """The controller does not ask again."""
    player = played(seed, mode, moves)
    for name, decision in decisions(player.state, player.now).items():
        if isinstance(decision, Record):
            after = reconcile(name, reduce(player.state, decision.event), player.now)
            assert isinstance(after, Hold | Done), (name, decision, after)
            assert after.until == decision.until, (name, decision, after)


@pytest.mark.parametrize("mode", [Mode.UP, Mode.CI])
@PLAYED
@given(seed=SEEDS, moves=st.integers(0, 60))
def test_when_all_work_succeeds_there_comes_an_end_of_it(mode: Mode, seed: int, moves: int) -> None:
    player = played(seed, mode, moves)
    for name in sorted(player.running):
        player.play(AttemptEnded(name, AttemptOutcome.CANCELLED, player.now))
    player.running.clear()
    player.now += 60.0  # no failure is waited out any more
    wanted: set[tuple[NodeName, str]] = set()
    for _ in range(60):
        due = _due(player)
        if not due:
            break
        for name in due:
            _do(player, name, wanted)
    assert not _due(player)


def _due(player: Player) -> list[NodeName]:
    found = decisions(player.state, player.now)
    return [name for name, decision in found.items() if isinstance(decision, Act | Record)]


def _do(player: Player, name: NodeName, wanted: set[tuple[NodeName, str]]) -> None:
    decision = reconcile(name, player.state, player.now)
    if isinstance(decision, Record):
        player.play(decision.event)
    elif isinstance(decision, Act):
        key = work.wanted(decision.action)
        fact = player._fact(decision.action)
        player.play(AttemptStarted(name, work.kind(decision.action).value, key, player.now))
        if fact is not None:
            player.play(fact)
        player.play(AttemptEnded(name, AttemptOutcome.SUCCEEDED, player.now))
        if fact is not None:
            again = name == "tiltfile" or name.startswith("live/")  # one container at a time
            assert (name, key) not in wanted or again, (name, key, "done twice")
        wanted.add((name, key))
