"""When a daemon ends because nobody needs it: a clock, a session, and who listens."""

import pytest

from tiltd.model.names import SessionId
from tiltd.model.state import Mode, Session, SessionSpec
from tiltd.runtime.idleness import Idleness


def session(name: str = "s", *, settled: bool = True) -> Session:
    return Session(SessionSpec(SessionId(name), Mode.CI, "/src/Tiltfile"), 0.0, settled=settled)


def looks(
    idleness: Idleness, now: float, known: Session | None, *, streams: int = 0, told: str = ""
) -> bool:
    return idleness.over(now, known, streams=streams, told=told, planned=False)


def test_a_session_that_began_and_ended_between_two_looks_is_kept_for_its_client() -> None:
    idleness = Idleness(0.0, limit=20.0, one_session=True)
    assert not looks(idleness, 15.0, None)
    assert not looks(idleness, 30.0, session()), "whoever started it is about to ask"
    assert not looks(idleness, 39.0, session())
    assert not looks(idleness, 39.5, session(), streams=1)
    assert looks(idleness, 39.75, session(), told="s")


def test_a_session_that_nobody_asks_about_is_not_kept_for_ever() -> None:
    idleness = Idleness(0.0, limit=None, one_session=True)
    assert not looks(idleness, 5.0, session())
    assert looks(idleness, 15.0, session())


def test_the_end_of_an_earlier_session_is_no_news_of_this_one() -> None:
    idleness = Idleness(0.0, limit=None, one_session=True)
    assert not looks(idleness, 1.0, session("a"), streams=1)
    assert not looks(idleness, 2.0, session("b"), told="a")
    assert looks(idleness, 2.25, session("b"), told="b")


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("streams", [0, 1])
def test_it_stops_after_the_limit_only_where_there_is_neither_work_nor_anybody(
    settled: bool,  # noqa: FBT001 - a column of the table
    streams: int,
) -> None:
    idleness = Idleness(0.0, limit=60.0, one_session=False)
    known = session(settled=settled)
    assert not looks(idleness, 1.0, known, streams=streams)
    over = looks(idleness, 61.0, known, streams=streams)
    assert over is (settled and not streams)
