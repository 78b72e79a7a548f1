"""The flags about what a session takes over from earlier ones reach the daemon."""

import pytest

from tests.cli.conftest import Place
from tests.fakes.daemon import End, Script
from tilt_api.v1 import tilt_pb2 as pb

HEALTHY = End(pb.OUTCOME_HEALTHY)


def asked(place: Place, *args: str) -> pb.StartSessionRequest:
    with place.serving(Script([HEALTHY])) as servicer:
        done = place.run(*args)
        assert (done.returncode, done.stderr) == (0, "")
        (request,) = servicer.requests
    return request


def test_without_flags_everything_is_shared_pruned_and_put_right(place: Place) -> None:
    request = asked(place, "ci")
    assert request.cache == pb.CACHE_WRITE
    assert list(request.rebuild) == []
    assert (request.no_prune, request.no_drift) == (False, False)


def test_each_flag_reaches_the_daemon(place: Place) -> None:
    flags = ("--cache=read", "--rebuild=a,b", "--rebuild", "c", "--no-prune", "--no-drift")
    request = asked(place, "ci", *flags)
    assert request.cache == pb.CACHE_READ
    assert list(request.rebuild) == ["a", "b", "c"]
    assert (request.no_prune, request.no_drift) == (True, True)


@pytest.mark.parametrize(
    "args", [("ci", "--cache=none"), ("up", "--no-drift"), ("down", "--cache=off")]
)
def test_what_makes_no_sense_is_refused(place: Place, args: tuple[str, ...]) -> None:
    done = place.run(*args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_up_can_be_asked_to_leave_what_others_change(place: Place) -> None:
    request = asked(place, "up", "--no-heal")
    assert request.no_heal
    assert not asked(place, "up").no_heal
