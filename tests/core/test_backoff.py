"""Tries get rarer, and never stop."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tiltd.core import backoff


def test_the_pauses_grow_up_to_a_bound() -> None:
    pauses = [backoff.delay(n) for n in range(1, 20)]
    assert pauses[0] == 0.5
    assert all(0 < a <= b for a, b in pairwise(pauses))
    assert pauses[-1] == pauses[-2] == 15.0


@given(st.integers(1, 10**9))
def test_there_is_a_pause_after_any_number_of_failures(tries: int) -> None:
    assert 0.5 <= backoff.delay(tries) <= 15.0
