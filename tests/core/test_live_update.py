"""Changed files lead to steps, or to a build: as Tilt's Live Update reference has it."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import project as build
from tiltd.core import live_update
from tiltd.core.live_update import Plan, Refusal
from tiltd.model.desired import Command, CustomBuild, LiveUpdateStep
from tiltd.model.live_update import GONE, UNKNOWN

SRC = build.step("sync", "/p/src", remote="/app")
PACKAGE = build.step("sync", "/p/package.json", remote="/app/web/package.json")
INTO = build.step("sync", "/p/one.txt", remote="/etc/")
STOP = build.step("fall_back_on", "/p/src/go.mod", "/p/src/gen")
SETUP = build.step("run", argv=("sh", "-c", "setup"))
YARN = build.step("run", "/p/src/yarn.lock", argv=("yarn",))
CONFIGS = build.step("run", "/p/src/a", "/p/src/b", argv=("configs",))
RESTART = build.step("restart_container")
INITIAL = build.step("initial_sync")
NEW = "f644 2"


def planned(steps: list[LiveUpdateStep], *paths: str, **what: str) -> Plan | Refusal | None:
    changes = dict.fromkeys(paths, NEW) | {f"/p/src/{name}": to for name, to in what.items()}
    return live_update.plan(steps, changes, changes)


@pytest.mark.parametrize(
    ("steps", "path", "copies"),
    [
        pytest.param([SRC], "/p/src/a/b.py", ("/p/src/a/b.py", "/app/a/b.py"), id="below a folder"),
        pytest.param(
            [SRC, PACKAGE],
            "/p/package.json",
            ("/p/package.json", "/app/web/package.json"),
            id="a file of its own",
        ),
        pytest.param([INTO], "/p/one.txt", ("/p/one.txt", "/etc/one.txt"), id="into a folder"),
        pytest.param(
            [build.step("sync", "/p/src", remote="/app/")],
            "/p/src/a",
            ("/p/src/a", "/app/a"),
            id="a folder's slash says nothing",
        ),
        pytest.param(
            [build.step("sync", "/p/src/a", remote="/x"), SRC],
            "/p/src/a/b",
            ("/p/src/a/b", "/x/b"),
            id="the first that covers it",
        ),
        pytest.param(
            [build.step("sync", "/p", remote="/")], "/p/a", ("/p/a", "/a"), id="into the root"
        ),
    ],
)
def test_a_file_goes_where_the_first_sync_says_that_covers_it(
    steps: list[LiveUpdateStep], path: str, copies: tuple[str, str]
) -> None:
    assert planned(steps, path) == Plan(copies=(copies,))


@pytest.mark.parametrize(
    ("steps", "paths", "reason"),
    [
        pytest.param([SRC], ["/p/other"], "no sync() covers /p/other", id="no sync"),
        pytest.param([SRC], ["/p/srcs/a"], "no sync() covers /p/srcs/a", id="only its name begins"),
        pytest.param(
            [SRC], ["/p/src/a", "/p/b"], "no sync() covers /p/b", id="one of several is enough"
        ),
        pytest.param(
            [SRC, CONFIGS], ["/p/conf"], "no sync() covers /p/conf", id="a trigger is no sync"
        ),
        pytest.param(
            [STOP, SRC],
            ["/p/src/go.mod"],
            "fall_back_on() names /p/src/go.mod",
            id="fall back on a file",
        ),
        pytest.param(
            [STOP, SRC],
            ["/p/src/gen/x", "/p/src/a"],
            "fall_back_on() names /p/src/gen/x",
            id="fall back on a folder",
        ),
        pytest.param(
            [SRC],
            [f"/p/{n}" for n in "abcde"],
            "no sync() covers /p/a, /p/b, /p/c and 2 more",
            id="many",
        ),
    ],
)
def test_a_file_that_no_step_takes_in_asks_for_a_build(
    steps: list[LiveUpdateStep], paths: list[str], reason: str
) -> None:
    assert planned(steps, *paths) == Refusal(reason)


def test_run_steps_follow_in_order_and_only_where_their_triggers_say_so() -> None:
    steps = [SRC, SETUP, YARN, CONFIGS, RESTART]
    main, lock = planned(steps, "/p/src/main"), planned(steps, "/p/src/yarn.lock")
    below = planned(steps, "/p/src/b/x")
    assert isinstance(main, Plan)
    assert isinstance(lock, Plan)
    assert isinstance(below, Plan)
    assert (main.runs, main.restart) == ((SETUP,), True)
    assert lock.runs == (SETUP, YARN)
    assert below.runs == (SETUP, CONFIGS)


def test_what_is_gone_is_removed_with_all_that_was_below_it() -> None:
    due = {"/p/src/d": GONE, "/p/src/d/x": GONE, "/p/src/d.py": GONE, "/p/src/new": NEW}
    plan = live_update.plan([SRC], due, due, {"/p/src/d"})
    assert plan == Plan(("/app/d", "/app/d.py"), (("/p/src/new", "/app/new"),))


def test_the_root_of_a_container_is_never_removed() -> None:
    due = {"/p": GONE}
    assert live_update.plan([build.step("sync", "/p", remote="/")], due, due, {"/p"}) is None


def test_a_folder_is_no_news_by_itself() -> None:
    due = {"/p/docs": "d755 ", "/p/src/empty": "d755 "}
    assert live_update.plan([SRC], due, due) is None
    due = {"/p/docs": GONE}
    assert live_update.plan([SRC], due, due, {"/p/docs"}) is None


def test_an_initial_sync_copies_all_that_is_synced_and_asks_for_no_build_by_that() -> None:
    files = {"/p/src": "d755 ", "/p/src/go.mod": "f644 1", "/p/src/a": "f644 1", "/p/x": "f644 1"}
    steps = [INITIAL, STOP, SRC, YARN]
    want = live_update.wanted(steps, {}, files)
    assert set(want) == {"/p/src/go.mod", "/p/src/a"}
    plan = live_update.plan(steps, live_update.pending(want, {}, files), {})
    assert isinstance(plan, Plan)
    assert [remote for _, remote in plan.copies] == ["/app/a", "/app/go.mod"]
    assert plan.runs == ()
    changed = {"/p/src/go.mod": NEW}
    assert isinstance(live_update.plan(steps, changed, changed), Refusal)


def test_paths_of_a_build_are_found_again_on_this_machine() -> None:
    docker = build.image("img").build
    assert live_update.located(docker, {"a/b": "f644 1"}) == {"/src/img/a/b": "f644 1"}
    custom = CustomBuild(Command(("make",), "/p"), ("/p/src", "/p/one"))
    listing = {"0/a/b": "f644 1", "1": "f644 2"}
    assert live_update.located(custom, listing) == {"/p/src/a/b": "f644 1", "/p/one": "f644 2"}


PATHS = st.sampled_from([f"/p/src/{name}" for name in "abcd"])
FILES = st.dictionaries(PATHS, st.sampled_from(["f644 1", "f644 2", "l777 x"]))
HELD = st.dictionaries(PATHS, st.sampled_from(["f644 1", "f644 2", GONE, UNKNOWN]))


@given(built=FILES, now=FILES, held=HELD)
def test_after_its_update_a_container_has_the_files_as_they_are_now(
    built: Mapping[str, str], now: Mapping[str, str], held: Mapping[str, str]
) -> None:
    """Whatever it held before: what is in it is its image, with what was put over it."""
    changes = live_update.difference(built, now)
    due = live_update.pending(changes, held, now)
    plan = live_update.plan([SRC], due, changes)
    inside = {**built, **held}
    if isinstance(plan, Plan):
        inside |= {path: now[path] for path, _ in plan.copies}
        inside |= {f"/p/src/{path.removeprefix('/app/')}": GONE for path in plan.removals}
    else:
        assert plan is None
        assert not due
    assert {p: w for p, w in inside.items() if w != GONE} == now
    assert live_update.pending(changes, changes, now) == {}


@given(built=FILES, now=FILES)
def test_what_differs_is_told_once_and_leads_from_one_to_the_other(
    built: Mapping[str, str], now: Mapping[str, str]
) -> None:
    changes = live_update.difference(built, now)
    assert {p: w for p, w in {**built, **changes}.items() if w != GONE} == now
    assert all(built.get(path, GONE) != what for path, what in changes.items())
