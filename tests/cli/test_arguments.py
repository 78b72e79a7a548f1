"""The command line's grammar."""

import tomllib
from pathlib import Path

import pytest

from tilt_api.version import VERSION
from tilt_client import arguments, durations
from tilt_client.commands import options
from tilt_client.complaint import Complaint, Exit


def parse(*argv: str) -> options.Options:
    verb, rest = arguments.verb_first(argv)
    parser = arguments.Parser(verb, "")
    arguments.add(parser, arguments.TIMEOUT, *arguments.SESSION)
    return options.read(arguments.parse(parser, rest))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Tiltfile").touch()
    (tmp_path / "other").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "verb", "rest"),
    [
        (["ci"], "ci", []),
        (["-f", "ci", "ci", "web"], "ci", ["-f", "ci", "web"]),
        (["--file=x", "--no-color", "ci"], "ci", ["--file=x", "--no-color"]),
        (["--timeout", "3m", "ci", "-f", "x"], "ci", ["--timeout", "3m", "-f", "x"]),
        (["--help"], "", ["--help"]),
        (["--", "ci"], "", []),
        (["-f"], "", ["-f"]),
        ([], "", []),
    ],
)
def test_flags_in_front_move_behind_the_verb(argv: list[str], verb: str, rest: list[str]) -> None:
    assert arguments.verb_first(argv) == (verb, rest)


@pytest.mark.parametrize(
    ("argv", "args"),
    [
        (["ci"], ()),
        (["ci", "web", "api"], ("web", "api")),
        (["ci", "web", "--timeout", "3m", "api"], ("web", "api")),
        (["ci", "web", "--", "--timeout", "x", "--"], ("web", "--timeout", "x", "--")),
        (["--timeout", "3m", "ci", "--", "-f", "other"], ("-f", "other")),
        (["ci", "--"], ()),
    ],
)
def test_what_is_no_flag_is_the_tiltfiles(argv: list[str], args: tuple[str, ...]) -> None:
    assert parse(*argv).args == args


def test_every_flag_arrives(project: Path) -> None:
    found = parse(
        *("--context", "kind-x", "ci", "-f", "other", "--namespace", "n", "--timeout", "1h30m"),
        *("--readiness-timeout=90", "--stable-for", "0", "--crash-budget", "0", "--grace", "1.5s"),
        *("--log-source", "runtime", "--log-resource", "a,b", "--log-resource", "c"),
        *("--log-level", "warn", "--no-color"),
    )
    assert found == options.Options(
        tiltfile=str(project / "other"),
        args=(),
        context="kind-x",
        namespace="n",
        timeout=5400,
        readiness_timeout=90,
        stable_for=0,
        crash_budget=0,
        grace=1.5,
        log_source="runtime",
        log_resources=frozenset("abc"),
        log_level="warn",
        no_color=True,
    )


def test_what_is_not_given_is_left_to_the_tiltfile() -> None:
    found = parse("ci")
    limits = (found.timeout, found.readiness_timeout, found.stable_for, found.grace)
    assert (*limits, found.crash_budget) == (None,) * 5


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["ci", "--timeout", "soon"], "'soon' is no duration"),
        (["ci", "--timeout", "-3s"], "expected one argument"),
        (["ci", "--crash-budget", "few"], "'few' is no number"),
        (["ci", "--log-level", "loud"], "invalid choice: 'loud'"),
        (["ci", "--time", "3m"], "unrecognized arguments"),
        (["ci", "-f"], "expected one argument"),
        (["ci", "-f", "."], "is a folder, not a Tiltfile"),
        (["ci", "-f", "missing"], "there is no Tiltfile at /"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(argv: list[str], says: str) -> None:
    with pytest.raises(Complaint) as caught:
        parse(*argv)
    assert says in str(caught.value)
    assert caught.value.code is Exit.USAGE
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("100ms", 0.1),
        ("1m0.5s", 60.5),
        (".5s", 0.5),
        ("2.s", 2),
        ("45", 45),
        ("0", 0),
        ("3µs", 3e-6),
    ],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert durations.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1s", "1d", "s", "1s ", "1h30", "٣s", "1e3s", "inf"])
def test_other_durations_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        durations.seconds(text)


def test_the_version_is_the_packages() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(pyproject.read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize(("columns", "lines"), [("400", 1), ("40", 4), ("", 2), ("wide", 2)])
def test_help_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: str, lines: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    parser = arguments.Parser("ci", "Do it.")
    for name in ("--first", "--second", "--third"):
        parser.add_argument(name, metavar="A-LONG-NAME")
    assert len(parser.format_usage().splitlines()) == lines
