"""Reports, as tables: what the daemon said in, files' texts out."""

import json
import os
import stat
from pathlib import Path

import pytest

from tests.cli import junit_schema, schema
from tests.cli.test_render import CRASH, applied, built, change, ended, line
from tests.fakes.daemon import STARTED, resource
from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.complaint import Complaint, Exit
from tilt_client.outputs import document, events, files, junit, logfiles, pages, summary
from tilt_client.outputs.document import Document
from tilt_client.render import times
from tilt_client.render.known import Known
from tilt_client.render.tails import Tails

TOKEN = "0123"


def failing(name: str = "web", **fields: object) -> pb.Resource:
    fields = {"kind": pb.RESOURCE_KIND_KUBERNETES, "findings": [CRASH], **fields}
    return resource(name, pb.VERDICT_FAILED, targets=[built(3.2, build=2.9, push=0.3)], **fields)


def well(name: str = "api", ready: float = 2.5) -> pb.Resource:
    return resource(
        name,
        pb.VERDICT_HEALTHY,
        targets=[applied("Deployment/api")],
        started_at=STARTED + 1,
        ready_at=STARTED + 1 + ready,
    )


def of(session: pb.Session, *resources: pb.Resource, printed: tuple[str, ...] = ()) -> Document:
    known, tails = Known(), Tails()
    known.learn(change(*resources, session=session))
    for text in printed:
        tails.add(line(text, resource="web", span="pod/web-5d-x1/main/3"))
    return document.of(known, tails, 1)


def crashed(*printed: str, hint: str = "") -> Document:
    told = pb.Problem(
        code="health", rule="pod.crash-loop", message=CRASH.message, resources=["web"], hint=hint
    )
    waiting = resource("check", pb.VERDICT_PROGRESSING, status="waiting for web")
    asleep = pb.Resource(name="later", enabled=True, order=9)
    every = (failing(), well(), waiting, asleep)
    return of(ended(pb.OUTCOME_FAILED, told), *every, printed=printed)


NASTY = ("\x1b[31mred\x1b[0m", "bell \x07 null \x00 \ufffe", "]]> <&\"'", "ünïcödé 🎉")


def test_the_json_report_is_as_its_schema_says() -> None:
    told = json.loads(json.dumps(crashed(*NASTY)))
    schema.check(told, "report-v1")
    results = {r["name"]: r["result"] for r in told["resources"]}
    assert results == {
        "web": "failed",
        "api": "healthy",
        "check": "unfinished",
        "later": "not-started",
    }
    web = next(r for r in told["resources"] if r["name"] == "web")
    assert (web["times"]["build"], web["times"]["push"], web["times"]["ready"]) == (2.9, 0.3, None)
    assert web["findings"][0]["exitCode"] == 137
    assert web["findings"][0]["lastLines"]["lines"][0] == "red"
    assert told["summary"] == "✘ 1 of 3 resources failed in 12.3s: web"


@pytest.mark.parametrize("outcome", list(document.OUTCOMES), ids=pb.Outcome.Name)
def test_every_outcome_has_a_word_that_the_schema_knows(outcome: "pb.Outcome.ValueType") -> None:
    session = ended(outcome) if outcome else pb.Session(id="s1", started_at=STARTED)
    schema.check(of(session, well()), "report-v1")


def test_a_broken_session_is_an_error_in_every_report() -> None:
    told = document.broken(Known(), Tails(), 1, "tiltd has ended unexpectedly", "see its log")
    schema.check(told, "report-v1")
    root = junit_schema.check(junit.text(told, "shop"))
    error = junit_schema.cases(root)["internal"].find("error")
    assert error is not None
    assert error.get("message") == "tiltd has ended unexpectedly"
    assert "tiltd has ended unexpectedly" in summary.text(told, "shop")


def test_junit_has_a_case_for_each_resource() -> None:
    root = junit_schema.check(junit.text(crashed("first", "last words"), "shop"))
    found = junit_schema.cases(root)
    assert [child.tag for child in found["web"]] == ["failure", "system-out"]
    assert found["web"].findtext("system-out") == "first\nlast words"
    failure = found["web"].find("failure")
    assert failure is not None
    assert failure.get("type") == "pod.crash-loop"
    assert "Deployment/web -> ReplicaSet/web-5d -> Pod/web-5d-x1" in (failure.text or "")
    assert "exit code 137" in (failure.text or "")
    assert list(found["api"]) == []
    assert found["api"].get("time") == "2.500"
    assert [child.get("message") for child in found["check"]] == ["waiting for web"]
    assert [child.tag for child in found["later"]] == ["skipped"]


def test_junit_is_well_formed_whatever_was_printed() -> None:
    root = junit_schema.check(junit.text(crashed(*NASTY), "sh\x00op"))
    printed = junit_schema.cases(root)["web"].findtext("system-out") or ""
    assert printed.splitlines() == ["red", "bell  null  ", "]]> <&\"'", "ünïcödé 🎉"]


@pytest.mark.parametrize(
    ("outcome", "mode", "tags"),
    [
        (pb.OUTCOME_HEALTHY, pb.MODE_CI, {"web": "skipped"}),
        (pb.OUTCOME_TIMEOUT, pb.MODE_CI, {"web": "failure"}),
        (pb.OUTCOME_CANCELLED, pb.MODE_CI, {"session": "error", "web": "skipped"}),
        (pb.OUTCOME_CANCELLED, pb.MODE_UP, {"web": "skipped"}),
        (pb.OUTCOME_FAILED, pb.MODE_CI, {"session": "error", "web": "skipped"}),
    ],
)
def test_junit_is_green_only_where_the_run_is(
    outcome: "pb.Outcome.ValueType", mode: "pb.Mode.ValueType", tags: dict[str, str]
) -> None:
    session = ended(outcome)
    session.mode = mode
    told = of(session, resource("web", pb.VERDICT_PROGRESSING, status="1/2 pods ready"))
    found = junit_schema.cases(junit_schema.check(junit.text(told, "shop")))
    assert {name: case[0].tag for name, case in found.items()} == tags


def test_an_error_in_the_tiltfile_is_a_case_of_its_own() -> None:
    wrong = pb.Problem(code="tiltfile", message="no such name", file="Tiltfile", line=3, column=1)
    told = of(ended(pb.OUTCOME_TILTFILE_ERROR, wrong))
    (case,) = junit_schema.cases(junit_schema.check(junit.text(told, "shop"))).values()
    assert case.findtext("error") == "Tiltfile:3:1: no such name"


def test_a_removal_that_failed_is_told_beside_a_good_verdict() -> None:
    stuck = pb.Problem(code="apply", message="Deployment/api stays", resources=["api"])
    known, removal = Known(), Known()
    known.learn(change(well(), session=ended(pb.OUTCOME_HEALTHY)))
    removal.learn(change(well(), session=ended(pb.OUTCOME_FAILED, stuck)))
    told = document.of(known, Tails(), 1, removal)
    schema.check(told, "report-v1")
    found = junit_schema.cases(junit_schema.check(junit.text(told, "shop")))
    assert {name: [child.tag for child in case] for name, case in found.items()} == {
        "apply": ["error"],
        "api": [],
    }
    assert "> ❌ Deployment/api stays" in summary.text(told, "shop")
    (note,) = pages.GitHub({}, TOKEN).notes(told)
    assert note == "::error title=api%3A apply::Deployment/api stays"


def test_the_summary_quotes_what_was_printed() -> None:
    told = summary.text(crashed("```", "<script>", "| a | b |"), "shop")
    assert "### ❌ shop: 1 of 3 resources failed" in told
    assert "````text\n```\n<script>\n| a | b |\n````" in told
    assert "| web | ❌ failed | 2.9s | 0.30s |" in told
    assert "<script>" not in summary.text(failed_with("<script>|`x`"), "shop")


def failed_with(message: str) -> Document:
    return of(ended(pb.OUTCOME_FAILED, pb.Problem(code="build", message=message)))


def test_the_summary_stays_below_githubs_limit() -> None:
    problems = [pb.Problem(code="build", message=str(n), detail="é" * 90_000) for n in range(30)]
    told = summary.text(of(ended(pb.OUTCOME_FAILED, *problems)), "shop")
    assert len(told.encode()) <= 1024 * 1024
    assert "cut off" in told


def test_github_gets_an_annotation_for_each_problem() -> None:
    page = pages.GitHub({"GITHUB_WORKSPACE": "/src"}, TOKEN)
    wrong = pb.Problem(
        code="tiltfile", message="100% wrong:\nno such name", file="Tiltfile", line=3, column=5
    )
    session = ended(pb.OUTCOME_TILTFILE_ERROR, wrong)
    session.tiltfile_path = "/src/app/Tiltfile"
    session.warnings.add(message="old", code="warning", file="/elsewhere/x,y:z", line=1)
    assert page.notes(of(session)) == [
        (
            "::error file=app/Tiltfile,line=3,col=5,title=tilt-client%3A tiltfile"
            "::100%25 wrong:%0Ano such name"
        ),
        "::warning file=/elsewhere/x%2Cy%3Az,line=1,title=tilt-client%3A warning::old",
    ]
    (crash,) = page.notes(crashed("one", "\x1b[31mlast words", hint="look"))
    assert crash == (
        "::error title=web%3A pod.crash-loop"
        "::container main crashed 3 times%0Aone%0Alast words%0Ahint: look"
    )


def test_github_gets_no_more_annotations_than_it_shows() -> None:
    many = [pb.Problem(code="build", message=f"no {n}", resource=f"r{n}") for n in range(30)]
    late = resource("late", pb.VERDICT_PROGRESSING, status="1/2 pods ready")
    assert len(pages.GitHub({}, TOKEN).notes(of(ended(pb.OUTCOME_FAILED, *many)))) == 10
    (note,) = pages.GitHub({}, TOKEN).notes(of(ended(pb.OUTCOME_TIMEOUT), late))
    assert note == "::error title=late%3A timed out::1/2 pods ready"


def test_github_takes_no_commands_from_what_is_printed() -> None:
    page = pages.GitHub({}, TOKEN)
    assert page.fold("ci") == ["::group::ci", "::stop-commands::0123"]
    assert page.unfold() == ["::0123::", "::endgroup::"]
    quoted = page.quoted(["  ::add-mask::a"])
    assert quoted == ["::stop-commands::0123", "  ::add-mask::a", "::0123::"]


def test_gitlab_gets_a_section() -> None:
    page = pages.of({"GITLAB_CI": "true"})
    (start,), (end,) = page.fold("tilt-client ci"), page.unfold()
    name = start.partition("[collapsed=true]")[0].split(":")[2]
    assert start.startswith("\x1b[0Ksection_start:")
    assert start.endswith("[collapsed=true]\r\x1b[0Ktilt-client ci")
    assert end.startswith("\x1b[0Ksection_end:")
    assert end.endswith(f":{name}\r\x1b[0K")


def test_elsewhere_nothing_is_added() -> None:
    page = pages.of({"GITHUB_ACTIONS": "false"})
    assert page.fold("x") == page.unfold() == page.notes(crashed()) == []
    assert page.quoted(["a"]) == ["a"]


def test_events_are_told_once_and_as_their_schema_says() -> None:
    told, known = events.Events(), Known()
    session = pb.Session(id="s1", mode=pb.MODE_CI, started_at=STARTED)
    answers = [
        change(resource("web", pb.VERDICT_PROGRESSING, targets=[built(3)]), session=session),
        change(resource("web", pb.VERDICT_PROGRESSING, targets=[built(3)]), session=session),
        change(failing(), session=ended(pb.OUTCOME_FAILED)),
        change(session=ended(pb.OUTCOME_FAILED)),
    ]
    lines: list[str] = []
    for answer in answers:
        known.learn(answer)
        lines += told.of(answer, known, STARTED)
    lines += [events.error_line("x", "y", STARTED), events.exit_line(1, STARTED)]
    found = [json.loads(text) for text in lines]
    for event in found:
        schema.check(event, "events-v1")
    assert [e["type"] for e in found] == [
        *("session-started", "target", "resource", "resource", "session-ended", "error", "exit"),
    ]
    assert found[3]["finding"]["rule"] == "pod.crash-loop"
    assert found[4]["failed"] == ["web"]


def test_times_are_a_table() -> None:
    rows = times.table([failing(), well(), resource("idle", pb.VERDICT_PROGRESSING)], STARTED)
    assert rows == [
        "     build   push  until ready  ready at",
        "web   2.9s  0.30s            -         -",
        "api      -      -         2.5s      3.5s",
    ]


def test_of_many_resources_the_slowest_are_told() -> None:
    rows = times.table([well(f"r{n}", ready=n) for n in range(50)], STARTED)
    assert len(rows) == 22
    assert rows[1].startswith("r30 ")
    assert rows[-1] == "(the slowest 20 of 50)"


def test_an_older_report_is_gone_when_the_run_begins(tmp_path: Path) -> None:
    old = tmp_path / "out" / "report.xml"
    assert files.claim(str(old), "--report junit", {}) == str(old)
    old.write_text("old")
    files.claim(str(old), "--report junit", {})
    assert list(old.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("env", "mode"), [({}, 0o600), ({"CI": "true"}, 0o644)], ids=["private", "ci"]
)
def test_files_are_private_but_in_ci(tmp_path: Path, env: dict[str, str], mode: int) -> None:
    before = os.umask(0o022)
    try:
        path = files.claim(str(tmp_path / "sub" / "report"), "--report json", env)
        files.write(path, ["all ", "of it"], env)
    finally:
        os.umask(before)
    assert Path(path).read_text() == "all of it"
    assert stat.S_IMODE(Path(path).stat().st_mode) == mode
    assert list((tmp_path / "sub").iterdir()) == [Path(path)]


def test_a_file_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> list[str]:
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        files.write(str(tmp_path / "report"), (text for text in chunks()), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("file/report", "File exists"),
        ("folder", "Is a directory"),
        ("/proc/none/report", "No such file"),
        ("", "is empty"),
    ],
)
def test_what_can_not_be_written_is_told(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(Complaint, match=says) as caught:
        files.claim(str(tmp_path / name) if name else "", "--events", {})
    assert caught.value.code is Exit.USAGE
    assert str(caught.value).startswith("--events: ")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}


def test_a_device_is_written_to_as_it_is() -> None:
    assert files.claim("/dev/null", "--report json", {}) == "/dev/null"
    files.write("/dev/null", ["x"], {})
    assert Path("/dev/null").is_char_device()


def test_each_resource_has_a_log_of_its_own(tmp_path: Path) -> None:
    logs = logfiles.LogFiles(str(tmp_path), {})
    names = ["", "a/b", "a_b", "tiltd", "../../x", *(f"r{n}" for n in range(150)), ""]
    for number, name in enumerate(names):
        text = f"\x1b[32mline {number}\x1b[0m"
        logs.write([line(text, resource=name, span="build/x", time=STARTED)])
    logs.close()
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert len(found) == 155
    assert found["a_b.log"] == "1970-01-01T00:16:40.000Z build/x | line 1\n"
    assert found["a_b-2.log"].endswith("| line 2\n")
    assert found["tiltd-2.log"].endswith("| line 3\n")
    assert [text.rpartition("| ")[2] for text in found["tiltd.log"].splitlines()] == [
        "line 0",
        f"line {len(names) - 1}",
    ]
