"""What is remembered of a service from look to look."""

from dataclasses import replace

from tiltd.core import serving
from tiltd.model.events import ServiceSeen, ServiceStarted
from tiltd.model.names import ResourceName
from tiltd.model.observed import ServiceContainer

DB = ResourceName("db")
OLD = ServiceContainer("old", "shop-db-1", "running", started_at=50, restarts=4)
NEW = ServiceContainer("new", "shop-db-1", "running", started_at=101, restarts=1)


def started(*containers: ServiceContainer) -> ServiceStarted:
    return ServiceStarted(DB, "k", 1, containers, began=100, at=102)


def test_restarts_of_what_ran_before_are_old_and_others_are_not() -> None:
    assert serving.started(None, started(OLD, NEW)).baselines == {"old": 4, "new": 0}


def test_what_was_old_once_stays_old_when_it_is_brought_up_again() -> None:
    up = serving.started(None, started(OLD))
    again = serving.started(up, started(replace(OLD, restarts=6)))
    assert again.baselines == {"old": 4}


def test_a_sickness_begins_when_it_is_first_seen_and_ends_with_a_better_look() -> None:
    up = serving.started(None, started(OLD))
    sick = replace(OLD, health="unhealthy")
    first = serving.seen(up, ServiceSeen(DB, (sick,), 110))
    assert first is not None
    second = serving.seen(first, ServiceSeen(DB, (sick,), 120))
    assert second is not None
    assert second.unhealthy_since == {"old": 110}
    well = serving.seen(second, ServiceSeen(DB, (OLD,), 130))
    assert well is not None
    assert well.unhealthy_since == {}


def test_what_has_lost_its_containers_is_not_up_any_more() -> None:
    up = serving.started(None, started(OLD))
    assert serving.seen(up, ServiceSeen(DB, (), 110)) is None


def test_what_never_had_a_container_lacks_none() -> None:
    up = serving.started(None, started())
    assert serving.seen(up, ServiceSeen(DB, (), 110)) is not None
