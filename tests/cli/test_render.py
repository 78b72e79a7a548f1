"""What people read, as tables: messages in, lines out."""

from typing import Any

import pytest

from tests.fakes.daemon import STARTED, resource
from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import report, style
from tilt_client.render.known import Known
from tilt_client.render.screen import SILENCE, Filter, Screen, Source
from tilt_client.render.style import Style, Tone
from tilt_client.render.tails import LINES, Tails

PLAIN = Style(color=False)
CRASH = pb.Finding(
    verdict=pb.VERDICT_FAILED,
    rule="pod.crash-loop",
    chain=[
        pb.ObjectRef(kind="Deployment", name="web"),
        pb.ObjectRef(kind="ReplicaSet", name="web-5d"),
        pb.ObjectRef(kind="Pod", name="web-5d-x1"),
        pb.ObjectRef(kind="Pod", name="web-5d-x1", container="main"),
    ],
    reason="CrashLoopBackOff",
    message="container main crashed 3 times",
    observed="restarts 3 of 2",
    life=3,
    exit_code=137,
    signal=9,
    warnings=["BackOff: restarting failed container"],
    hint="see what it printed",
)


def attempt(seconds: float, **fields: Any) -> pb.Attempt:
    return pb.Attempt(number=1, started_at=STARTED, ended_at=STARTED + seconds, **fields)


def image(**fields: Any) -> pb.Target:
    kind = pb.TARGET_KIND_IMAGE
    return pb.Target(id="image/shop", kind=kind, name="shop", **fields)


def built(seconds: float, **phases: float) -> pb.Target:
    done = pb.TARGET_PHASE_DONE
    return image(phase=done, attempt=attempt(seconds, phases=phases), spent=phases)


def applied(name: str, reused: str = "") -> pb.Target:
    done = pb.TARGET_PHASE_DONE
    kind = pb.TARGET_KIND_OBJECT
    return pb.Target(id=f"object/{name}", kind=kind, name=name, phase=done, reused=reused)


def line(text: str, **fields: Any) -> pb.LogLine:
    return pb.LogLine(text=text, level=fields.pop("level", pb.LOG_LEVEL_INFO), **fields)


def ended(outcome: "pb.Outcome.ValueType", *problems: pb.Problem) -> pb.Session:
    over = STARTED + 12.34
    return pb.Session(
        id="s1", started_at=STARTED, ended_at=over, outcome=outcome, problems=problems
    )


def screen(*, follow: bool = False, shown: Filter | None = None) -> Screen:
    return Screen(PLAIN, shown or Filter(), STARTED, follow=follow)


def told(*answers: pb.WatchResponse, at: float = 4.2) -> list[str]:
    shown = screen()
    return [text for answer in answers for text in shown.watched(answer, STARTED + at)]


def change(*resources: pb.Resource, session: pb.Session | None = None) -> pb.WatchResponse:
    known = pb.Session(started_at=STARTED) if session is None else session
    return pb.WatchResponse(session=known, resources=resources)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        pytest.param(built(3.2), ["web │ image shop built in 3.2s"], id="built"),
        pytest.param(
            built(3.2, build=2.9, push=0.3, find=0.01),
            ["web │ image shop built in 3.2s (build 2.9s, push 0.30s)"],
            id="phases",
        ),
        pytest.param(
            image(phase=pb.TARGET_PHASE_DONE, reused="registry"),
            ["web │ image shop is there already (registry)"],
            id="reused",
        ),
        pytest.param(image(phase=pb.TARGET_PHASE_RUNNING), [], id="running"),
        pytest.param(
            image(
                phase=pb.TARGET_PHASE_PENDING,
                attempt=attempt(
                    1,
                    outcome=pb.ATTEMPT_OUTCOME_FAILED,
                    problem=pb.Problem(message="the registry is busy"),
                ),
            ),
            ["web │ shop: the registry is busy; it is tried again"],
            id="tried again",
        ),
        pytest.param(
            image(
                phase=pb.TARGET_PHASE_FAILED,
                attempt=attempt(
                    1,
                    outcome=pb.ATTEMPT_OUTCOME_FAILED,
                    problem=pb.Problem(message="RUN failed"),
                ),
            ),
            [],
            id="failed for good: the report says it",
        ),
        pytest.param(applied("Deployment/web"), [], id="applied: the log says it"),
        pytest.param(
            pb.Target(
                id="command/web",
                kind=pb.TARGET_KIND_COMMAND,
                name="web",
                phase=pb.TARGET_PHASE_DONE,
                attempt=attempt(0.5, work="command", outcome=pb.ATTEMPT_OUTCOME_SUCCEEDED),
            ),
            ["web │ command succeeded in 0.50s"],
            id="command",
        ),
        pytest.param(
            pb.Target(
                id="serve/web",
                kind=pb.TARGET_KIND_COMMAND,
                name="web",
                phase=pb.TARGET_PHASE_DONE,
                attempt=attempt(0.5, work="serve", outcome=pb.ATTEMPT_OUTCOME_SUCCEEDED),
            ),
            [],
            id="served: it only ends with the session",
        ),
    ],
)
def test_news_of_a_target(target: pb.Target, says: list[str]) -> None:
    answer = change(resource("web", pb.VERDICT_PROGRESSING, targets=[target]))
    assert told(answer, answer) == says


def test_an_image_of_two_resources_is_told_once() -> None:
    users = [resource(n, pb.VERDICT_PROGRESSING, targets=[built(1)]) for n in ("api", "web")]
    assert told(change(*users)) == ["api │ image shop built in 1.0s"]


def test_the_tiltfile_is_told_with_its_time_and_warnings_once() -> None:
    session = pb.Session(
        started_at=STARTED,
        tiltfile=pb.Target(phase=pb.TARGET_PHASE_DONE, attempt=attempt(0.123)),
        warnings=[pb.Problem(message="image x is not used", file="Tiltfile", line=3)],
    )
    two = [resource(n, pb.VERDICT_PROGRESSING) for n in "ab"]
    answer = change(*two, session=session)
    assert told(answer, answer) == [
        "warning: Tiltfile:3: image x is not used",
        "Tiltfile loaded: 2 resources in 0.12s",
    ]


def test_verdicts_are_told_when_they_change() -> None:
    failing = pb.Finding(message="main crashed", observed="restarts 1 of 2", rule="pod.crash-loop")
    lines = told(
        change(resource("web", pb.VERDICT_PROGRESSING)),
        change(resource("web", pb.VERDICT_FAILING, findings=[failing])),
        change(resource("web", pb.VERDICT_FAILING, findings=[failing])),
        change(resource("web", pb.VERDICT_HEALTHY)),
        change(resource("web", pb.VERDICT_HEALTHY)),
        change(resource("web", pb.VERDICT_FAILING, findings=[failing])),
        change(resource("web", pb.VERDICT_HEALTHY)),
    )
    assert lines == [
        "web │ main crashed (restarts 1 of 2)",
        "web │ ✔ healthy after 4.2s",
        "web │ main crashed (restarts 1 of 2)",
        "web │ ✔ healthy again",
    ]


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        (pb.MODE_UP, "web │ ✔ healthy after 4.2s: http://localhost:80/ http://localhost:81/x"),
        (pb.MODE_CI, "web │ ✔ healthy after 4.2s"),
    ],
)
def test_up_tells_where_to_look_at_what_is_healthy(mode: "pb.Mode.ValueType", shown: str) -> None:
    links = [pb.Link(url=f"http://localhost:{end}") for end in ("80/", "81/x")]
    web = resource("web", pb.VERDICT_HEALTHY, links=links)
    session = pb.Session(started_at=STARTED, mode=mode)
    assert told(change(web, session=session)) == [shown]


def test_success_is_one_line() -> None:
    shown = screen()
    targets = [built(1), applied("a"), applied("b"), applied("c", reused="cluster")]
    others = resource("api", pb.VERDICT_HEALTHY, targets=[built(1)])
    shown.watched(change(resource("web", pb.VERDICT_HEALTHY, targets=targets), others), STARTED)
    shown.watched(change(session=ended(pb.OUTCOME_HEALTHY)), STARTED)
    assert shown.report() == [
        "✔ 2 resources healthy in 12.3s (1 image built, 0 reused; 2 objects applied, 1 unchanged)"
    ]


def test_a_failure_is_told_with_all_that_is_known_about_it() -> None:
    shown = screen()
    place = {"resource": "web", "span": "pod/web-5d-x1/main/3"}
    shown.logged([line("the life before", resource="web", span="pod/web-5d-x1/main/2")])
    shown.logged(line(f"line {n}", **place) for n in range(30))
    shown.logged([line("the next life", resource="web", span="pod/web-5d-x1/main/4")])
    shown.logged([line("another container's", resource="web", span="pod/web-5d-x1/side/3")])
    waiting = resource("api", pb.VERDICT_PROGRESSING, status="waiting for image shop-api")
    replica = pb.Finding()
    replica.CopyFrom(CRASH)
    replica.message = "container main of the other pod crashed 3 times"
    replica.chain[3].name = "web-5d-x2"
    web = resource("web", pb.VERDICT_FAILED, findings=[CRASH, replica])
    shown.watched(change(web, waiting), STARTED)
    # The daemon names the cause a second time, as the session's.
    again = pb.Problem(code="health", message=CRASH.message, resource="web")
    shown.watched(change(session=ended(pb.OUTCOME_FAILED, again)), STARTED)
    assert shown.report() == [
        "✘ web: container main crashed 3 times [pod.crash-loop]",
        "  Deployment/web → ReplicaSet/web-5d → Pod/web-5d-x1 → container main",
        "  CrashLoopBackOff, exit code 137, signal 9 (SIGKILL), restarts 3 of 2",
        "  last 20 lines of container main:",
        *(f"    line {n}" for n in range(10, 30)),
        "  events:",
        "    BackOff: restarting failed container",
        "  hint: see what it printed",
        "still waiting:",
        "  api: waiting for image shop-api",
        "✘ 1 of 2 resources failed in 12.3s: web",
    ]


def test_a_failed_build_shows_its_output_or_else_the_problems_detail() -> None:
    finding = pb.Finding(
        verdict=pb.VERDICT_FAILED,
        rule="image.build",
        chain=[pb.ObjectRef(kind="Image", name="shop")],
        message="Dockerfile:3: RUN false failed",
        hint="run it by hand",
    )
    trouble = pb.Problem(
        code="build", message="RUN false failed", file="Dockerfile", line=3, detail="exit 1\nsorry"
    )
    failed = image(
        phase=pb.TARGET_PHASE_FAILED,
        attempt=attempt(1, outcome=pb.ATTEMPT_OUTCOME_FAILED, problem=trouble),
    )
    users = [
        resource(n, pb.VERDICT_FAILED, findings=[finding], targets=[failed]) for n in ("web", "job")
    ]
    session = ended(pb.OUTCOME_FAILED, trouble)
    silent, loud = screen(), screen()
    loud.logged([line("false: not found", resource="job", span="build/shop")])
    for shown in (silent, loud):
        shown.watched(change(*users, session=session), STARTED)
    last = [
        "  hint: run it by hand",
        "✘ 2 of 2 resources failed in 12.3s: job, web",
    ]
    head = "✘ job: Dockerfile:3: RUN false failed [image.build]"
    assert silent.report() == [head, "    exit 1", "    sorry", *last]
    build = ["  last 1 line of the build of shop:", "    false: not found"]
    assert loud.report() == [head, *build, *last]


def test_a_timeout_tells_who_was_not_healthy_and_why() -> None:
    shown = screen()
    probe = pb.Finding(
        verdict=pb.VERDICT_PROGRESSING,
        rule="pod.not-ready",
        chain=CRASH.chain,
        message="the readiness probe of main has not passed: HTTP 503",
    )
    shown.watched(
        change(
            resource("ok", pb.VERDICT_HEALTHY),
            resource("web", pb.VERDICT_PROGRESSING, findings=[probe]),
            resource("api", pb.VERDICT_UNSPECIFIED, status="waiting for web"),
        ),
        STARTED,
    )
    late = pb.Problem(code="timeout", message="not healthy after 30s: web, api", hint="--timeout")
    shown.watched(change(session=ended(pb.OUTCOME_TIMEOUT, late)), STARTED)
    assert shown.report() == [
        "✘ not healthy after 30s: web, api [timeout]",
        "  hint: --timeout",
        "api: waiting for web",
        "• web: the readiness probe of main has not passed: HTTP 503 [pod.not-ready]",
        "  Deployment/web → ReplicaSet/web-5d → Pod/web-5d-x1 → container main",
        "✘ timed out after 12.3s, 2 of 3 resources not healthy: api, web",
    ]


def test_an_error_in_the_tiltfile_has_place_traceback_and_hint() -> None:
    shown = screen()
    trouble = pb.Problem(
        code="tiltfile",
        message="no such function: docker_biuld",
        file="Tiltfile",
        line=3,
        column=1,
        detail="Traceback:\n  Tiltfile:3:1",
        hint="did you mean docker_build?",
    )
    shown.watched(change(session=ended(pb.OUTCOME_TILTFILE_ERROR, trouble)), STARTED)
    assert shown.report() == [
        "✘ Tiltfile:3:1: no such function: docker_biuld [tiltfile]",
        "    Traceback:",
        "      Tiltfile:3:1",
        "  hint: did you mean docker_build?",
        "✘ the Tiltfile could not be loaded (12.3s)",
    ]


def test_a_failure_counts_though_its_verdict_is_not_there_yet() -> None:
    shown = screen()
    trouble = pb.Problem(code="build", message="COPY failed:\nno such file", resource="web")
    pending = resource("web", pb.VERDICT_PROGRESSING, status="has not been applied yet")
    other = resource("api", pb.VERDICT_PROGRESSING, status="waiting for web")
    session = ended(pb.OUTCOME_FAILED, trouble)
    shown.watched(change(pending, other, session=session), STARTED)
    assert shown.report() == [
        "✘ web: COPY failed: [build]",
        "    no such file",
        "still waiting:",
        "  api: waiting for web",
        "✘ 1 of 2 resources failed in 12.3s: web",
    ]


def test_without_a_cluster_nobody_is_blamed_for_waiting() -> None:
    shown = screen()
    trouble = pb.Problem(code="cluster-config", message="there is no context 'x'", hint="try y")
    waiting = resource("web", pb.VERDICT_PROGRESSING, status="has not been applied yet")
    shown.watched(change(waiting, session=ended(pb.OUTCOME_FAILED, trouble)), STARTED)
    assert shown.report() == [
        "✘ there is no context 'x' [cluster-config]",
        "  hint: try y",
        "✘ failed in 12.3s",
    ]


def test_a_stopped_session_says_only_that() -> None:
    shown = screen()
    failing = resource("web", pb.VERDICT_PROGRESSING, status="busy")
    shown.watched(change(failing, session=ended(pb.OUTCOME_CANCELLED)), STARTED)
    assert shown.report() == ["stopped after 12.3s"]


def test_up_tells_a_failure_when_it_happens_and_once() -> None:
    shown = screen(follow=True)
    failed = change(resource("web", pb.VERDICT_FAILED, findings=[CRASH]))
    first = shown.watched(failed, STARTED)
    assert first[0] == "✘ web: container main crashed 3 times [pod.crash-loop]"
    assert shown.watched(failed, STARTED) == []
    shown.watched(change(resource("web", pb.VERDICT_HEALTHY)), STARTED)
    assert shown.watched(failed, STARTED) == first


@pytest.mark.parametrize("source", ["tiltfile", "cluster"])
def test_up_tells_a_broken_source_when_it_breaks_and_once(source: str) -> None:
    shown = screen(follow=True)
    trouble = pb.Problem(code="tiltfile", file="Tiltfile", line=3, message="no such name")
    broken = pb.Target(
        phase=pb.TARGET_PHASE_FAILED,
        attempt=attempt(1, outcome=pb.ATTEMPT_OUTCOME_FAILED, problem=trouble),
    )
    fields: dict[str, Any] = {"started_at": STARTED, source: broken}
    told = ["✘ Tiltfile:3: no such name [tiltfile]"]
    assert shown.watched(change(session=pb.Session(**fields)), STARTED) == told
    assert shown.watched(change(session=pb.Session(**fields)), STARTED) == []
    shown.watched(change(), STARTED)
    assert shown.watched(change(session=pb.Session(**fields)), STARTED) == told


def test_a_cluster_that_is_tried_again_is_told_once() -> None:
    shown = screen()
    problem = pb.Problem(message="connection refused")
    for number in (1, 2):
        tried = attempt(number, outcome=pb.ATTEMPT_OUTCOME_FAILED, problem=problem)
        waits = pb.Target(phase=pb.TARGET_PHASE_PENDING, attempt=tried)
        session = pb.Session(started_at=STARTED, cluster=waits)
        expected = ["connection refused; it is tried again"] if number == 1 else []
        assert shown.watched(change(session=session), STARTED) == expected


def test_after_ten_silent_seconds_it_tells_who_waits_for_what() -> None:
    shown = screen()
    shown.watched(
        change(
            resource("ok", pb.VERDICT_HEALTHY),
            resource("web", pb.VERDICT_PROGRESSING, status="1/2 pods ready"),
            resource("api", pb.VERDICT_UNSPECIFIED, hold=pb.Hold(message="waiting for image a")),
            pb.Resource(name="manual", enabled=True),
        ),
        STARTED,
    )
    assert shown.silence(STARTED + 1) == SILENCE - 1
    shown.logged([line("chatter")])
    assert shown.waited(STARTED + SILENCE - 0.1) == []
    said = ["waiting: api: waiting for image a · web: 1/2 pods ready"]
    assert shown.waited(STARTED + SILENCE) == said
    assert shown.waited(STARTED + SILENCE + 1) == []
    assert shown.waited(STARTED + 2 * SILENCE) == said


def test_before_there_are_resources_it_waits_for_the_tiltfile() -> None:
    shown = screen()
    running = pb.Target(phase=pb.TARGET_PHASE_RUNNING, attempt=pb.Attempt(started_at=STARTED + 1))
    shown.watched(change(session=pb.Session(started_at=STARTED, tiltfile=running)), STARTED)
    assert shown.waited(STARTED + 20) == ["waiting: the Tiltfile (19.0s)"]


@pytest.mark.parametrize(
    ("chosen", "texts"),
    [
        pytest.param(Filter(), ["loading", "compiling", "serving", "careful"], id="all"),
        pytest.param(Filter(Source.RUNTIME), ["serving", "careful"], id="runtime"),
        pytest.param(Filter(Source.BUILD), ["loading", "compiling"], id="build"),
        pytest.param(Filter(resources=frozenset({"web"})), ["compiling", "serving"], id="resource"),
        pytest.param(Filter(level=pb.LOG_LEVEL_WARN), ["careful"], id="level"),
        pytest.param(
            Filter(level=pb.LOG_LEVEL_DEBUG),
            ["loading", "compiling", "serving", "careful", "detail"],
            id="debug",
        ),
    ],
)
def test_filters_choose_among_log_lines(chosen: Filter, texts: list[str]) -> None:
    lines = [
        line("loading", span="tiltfile"),
        line("compiling", resource="web", span="build/web"),
        line("serving", resource="web", span="pod/web-1/main/0"),
        line("careful", resource="docs", span="serve", level=pb.LOG_LEVEL_WARN),
        line("detail", resource="docs", span="command", level=pb.LOG_LEVEL_DEBUG),
    ]
    shown = screen(shown=chosen).logged(lines)
    assert [text.partition("│ ")[2] for text in shown] == texts


def test_a_filter_for_a_resource_that_is_not_there_is_told_once() -> None:
    shown = screen(shown=Filter(resources=frozenset({"web", "wbe"})))
    loaded = pb.Session(started_at=STARTED, tiltfile=pb.Target(phase=pb.TARGET_PHASE_DONE))
    answer = change(resource("web", pb.VERDICT_PROGRESSING), session=loaded)
    says = "warning: --log-resource: there is no resource wbe"
    assert shown.watched(change(), STARTED) == []
    assert says in shown.watched(answer, STARTED)
    assert says not in shown.watched(answer, STARTED)


def test_prefixes_line_up_and_say_whose_line_it_is() -> None:
    shown = screen()
    names = [resource(n, pb.VERDICT_PROGRESSING) for n in ("api", "frontend")]
    shown.watched(change(*names), STARTED)
    lines = shown.logged(
        [line("a", resource="api"), line("t", span="tiltfile"), line("i", span="build/base")],
        dropped=3,
    )
    assert lines == [
        "(3 log lines dropped: they came too fast)",
        "api      │ a",
        "Tiltfile │ t",
        "base     │ i",
    ]


def test_colours_are_taken_out_of_logs_where_none_are_wanted() -> None:
    text = "\x1b[31mred\x1b[0m and \x1b[38;5;200mpink"
    assert PLAIN.log_text(text) == "red and pink"
    assert Style(color=True).log_text(text) == f"{text}\x1b[0m"
    assert PLAIN.paint(Tone.BAD, "x") == "x"
    assert Style(color=True).paint(Tone.BAD, "x") == "\x1b[31mx\x1b[0m"


def test_a_name_has_one_colour_for_ever() -> None:
    colour = Style(color=True)
    assert colour.prefix("web", 5) == colour.prefix("web", 5)
    assert len({colour.prefix(n, 0)[:5] for n in "abcdefgh"}) > 1
    assert PLAIN.prefix("web", 5) == "web   │ "


def test_only_the_last_lines_are_kept() -> None:
    tails = Tails()
    for number in range(1000):
        tails.add(line(str(number), resource="web", span="serve"))
    served = pb.Finding(chain=[pb.ObjectRef(kind="Local", name="web")])
    _, kept = tails.of("web", served)
    assert kept == [str(n) for n in range(1000 - LINES, 1000)]
    assert tails.of("other", served)[1] == []
    assert tails.of("web", pb.Finding()) == ("", [])


def test_a_reset_forgets_what_was_known() -> None:
    known = Known()
    known.learn(change(resource("a", pb.VERDICT_HEALTHY), resource("b", pb.VERDICT_HEALTHY)))
    known.learn(pb.WatchResponse(removed=["b"]))
    assert [r.name for r in known.resources] == ["a"]
    known.learn(pb.WatchResponse(reset=True, resources=[resource("c", pb.VERDICT_HEALTHY)]))
    assert [r.name for r in known.resources] == ["c"]


def test_resources_come_in_the_tiltfiles_order() -> None:
    known = Known()
    known.learn(
        change(
            resource("b", pb.VERDICT_HEALTHY, order=0), resource("a", pb.VERDICT_HEALTHY, order=1)
        )
    )
    assert [r.name for r in known.resources] == ["b", "a"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.123, "0.12s"), (3.21, "3.2s"), (65, "1m05s"), (3725, "1h02m"), (-1, "0.00s")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert style.duration(seconds) == text


def test_a_problem_of_nobody_has_no_name_in_front() -> None:
    trouble = pb.Problem(message="no cluster answers", code="cluster-unreachable")
    assert report.problem(trouble, PLAIN) == ["✘ no cluster answers [cluster-unreachable]"]


@pytest.mark.parametrize(
    ("printed", "title", "kept"),
    [
        pytest.param({2: "old", 3: "boom", 4: "new"}, "container main", ["boom"], id="its own"),
        pytest.param({2: "old", 4: "boom"}, "container main, started again", ["boom"], id="gone"),
        pytest.param({2: "old"}, "container main", [], id="an earlier one explains nothing"),
        pytest.param({}, "container main", [], id="none"),
    ],
)
def test_the_lines_of_a_crash_are_those_of_the_life_that_crashed_or_of_a_later_one(
    printed: dict[int, str], title: str, kept: list[str]
) -> None:
    tails = Tails()
    for life, text in printed.items():
        tails.add(line(text, resource="web", span=f"pod/web-5d-x1/main/{life}"))
    assert tails.of("web", CRASH) == (title, kept)
