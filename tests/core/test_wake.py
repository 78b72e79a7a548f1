"""Nobody sleeps through a change that concerns him."""

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.core.playing import Player
from tiltd.core.reconcile import reconcile
from tiltd.core.wake import everyone, wake
from tiltd.model.names import SESSION
from tiltd.model.state import Mode


@pytest.mark.parametrize("mode", [Mode.UP, Mode.CI])
@settings(deadline=None, max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32))  # a seed can't be shrunk, which would take minutes
def test_every_node_whose_decision_an_event_changes_is_woken(mode: Mode, seed: int) -> None:
    player = Player(Random(seed), mode)  # noqa: S311 - a game, no secret
    player.play(player.begin())
    for _ in range(60):
        event = player.move()
        old, new = player.play(event)
        woken = wake(old, new, event)
        for node in everyone(old) | everyone(new):
            before, after = (reconcile(node, s, player.now) for s in (old, new))
            assert node in woken or before == after, (node, event, before, after)
        assert SESSION in woken
