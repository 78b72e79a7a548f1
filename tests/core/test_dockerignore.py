import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltd.core import dockerignore
from tiltd.model.desired import Ignore

CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (pathlib.Path(__file__).parent / "data" / "dockerignore.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


@pytest.mark.parametrize("case", [pytest.param(c, id=repr(c["file"])) for c in CASES])
def test_a_file_ignores_what_docker_ignores(case: dict[str, Any]) -> None:
    if case.get("error"):
        with pytest.raises(dockerignore.InvalidPatternError):
            dockerignore.parse(case["file"])
        return
    patterns = dockerignore.parse(case["file"])
    assert [path for path in case["paths"] if patterns.matches(path)] == case["ignored"]


def test_the_data_has_all_its_cases() -> None:
    assert len(CASES) == 71


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        pytest.param("a\n\n!\n", 3, "nothing follows the '!'", id="bare exclamation mark"),
        pytest.param("a\n[b", 2, "a '[' is never closed", id="open class"),
        pytest.param("# c\nb\\", 2, "nothing follows the backslash", id="backslash"),
        pytest.param("[]", 1, "needs a backslash", id="empty class"),
        pytest.param("[a-]", 1, "needs a backslash", id="open range"),
        pytest.param("[z-a]", 1, "the range z-a is empty", id="inverted range"),
    ],
)
def test_a_bad_pattern_is_reported_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(dockerignore.InvalidPatternError) as caught:
        dockerignore.parse(text)
    assert caught.value.line == line
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "path", "ignored"),
    [
        pytest.param("**foo", "a/xfoo", True, id="two stars and a name end in it"),
        pytest.param("**foo*", "a/xfoo", False, id="but not with another star"),
        pytest.param("a**", "ab/c", True, id="a name and two stars begin with it"),
        pytest.param("[a-c]x", "bx", True, id="range"),
        pytest.param("[\\]]", "]", True, id="escaped bracket in a class"),
        pytest.param("a|b", "a", False, id="a bar is a bar"),
        pytest.param(" # a", "# a", True, id="an indented hash is no comment"),
        pytest.param(".", "a", False, id="a dot is nothing"),
    ],
)
def test_corners_of_the_pattern_language(text: str, path: str, *, ignored: bool) -> None:
    assert dockerignore.parse(text).matches(path) is ignored


def test_only_keeps_its_paths_and_what_is_below_them() -> None:
    kept = dockerignore.only(["./web", "/base/go.mod", "pages/[id]", "/elsewhere"], "/base")
    paths = ["web", "web/a/b", "go.mod", "pages/[id]/x", "pages/i", "website", "Dockerfile"]
    assert [path for path in paths if not kept.matches(path)] == paths[:4]
    assert kept.can_skip_dir("api")
    assert not kept.can_skip_dir("pages")


def test_only_the_whole_context_leaves_nothing_out() -> None:
    assert not dockerignore.only(["."], "/base").matches("a/b")


def test_only_refuses_globs() -> None:
    with pytest.raises(dockerignore.InvalidPatternError, match="no globs"):
        dockerignore.only(["src/*.go"], "/base")


def test_ignore_takes_patterns_relative_to_the_context_or_absolute() -> None:
    patterns = dockerignore.from_list(["./x", "/base/y/*.log", "/other/z", "", "!x/keep"], "/base")
    ignored = [p for p in ["x", "x/a", "x/keep", "y/a.log", "z"] if patterns.matches(p)]
    assert ignored == ["x", "x/a", "y/a.log"]


def test_no_source_of_patterns_brings_back_what_another_left_out() -> None:
    both = dockerignore.context_filter(
        "/base", dockerignore="*.log\n!keep.log", ignore=["c/**"], only_paths=["a", "keep.log", "c"]
    )
    paths = ["a", "a/x.log", "a.log", "keep.log", "c/x", "b"]
    assert [p for p in paths if not both.excludes(p)] == ["a", "a/x.log", "keep.log"]
    assert both.can_skip_dir("b")
    assert both.can_skip_dir("c/x")


def test_literal_paths_mean_nothing_else() -> None:
    named = ["/base/a[b]", "**", "!no", " blank ", "#hash", "../up"]
    patterns = dockerignore.literal(named, "/base")
    paths = ["a[b]/c", "**", "!no", " blank ", "#hash", "ab", "x", "blank", "no"]
    assert [p for p in paths if patterns.matches(p)] == paths[:5]


IGNORES = (
    Ignore("/p/.git"),
    Ignore("/p", ("ctx/a", "*.log", "**/gen", "!**/gen/keep")),
    Ignore("/p/ctx/web/", ("dist",)),
    Ignore("/other"),
    Ignore("/other", ("**",)),
)


def test_ignores_with_a_base_of_their_own_speak_of_paths_below_it() -> None:
    inside = dockerignore.from_ignores("/p/ctx", IGNORES)
    paths = ["a", "a/b", "x.log", "gen", "gen/x", "gen/keep", "dist", "web/dist/x", ".git"]
    assert [p for p in paths if inside.excludes(p)] == ["a", "a/b", "gen", "gen/x", "web/dist/x"]
    # `!**/gen/keep` may speak of a path below any folder but those of another base.
    assert [p for p in paths if inside.can_skip_dir(p)] == ["web/dist/x"]


def test_ignores_of_the_folder_itself_and_of_files_in_it() -> None:
    project = dockerignore.from_ignores("/p", IGNORES)
    paths = [".git/config", "ctx/a", "x.log", "ctx/x.log", "ctx/web/dist", "dist"]
    assert [p for p in paths if project.excludes(p)] == [*paths[:3], "ctx/web/dist"]


@pytest.mark.parametrize("base", ["/p", "/p/ctx", "/"])
def test_an_ignore_without_patterns_leaves_all_of_its_base_out(base: str) -> None:
    everything = dockerignore.from_ignores("/p/ctx", [Ignore(base)])
    assert everything.excludes("a")
    assert everything.can_skip_dir("a")


def test_a_dockerfile_of_its_own_name_has_its_own_ignore_file() -> None:
    assert dockerignore.file_names("ctx", "other/Df") == (
        "other/Df.dockerignore",
        "ctx/.dockerignore",
    )
    assert dockerignore.file_names("ctx", None) == ("ctx/.dockerignore",)


def pattern_line(sign: str, parts: list[str]) -> str:
    return sign + "/".join(parts)


PATHS = st.lists(st.sampled_from(["a", "b", "ab", "a.b"]), min_size=1, max_size=4).map("/".join)
PARTS = st.sampled_from(["a", "b", "*", "**", "a*", "**b", "?", "[ab]", "\\*", "a**"])
LINES = st.builds(pattern_line, st.sampled_from(["", "!"]), st.lists(PARTS, min_size=1, max_size=3))


@given(st.lists(LINES, max_size=5), PATHS, PATHS)
def test_a_folder_that_may_be_skipped_holds_nothing_that_is_kept(
    lines: list[str], folder: str, rest: str
) -> None:
    patterns = dockerignore.parse("\n".join(lines))
    if patterns.can_skip_dir(folder):
        assert patterns.matches(f"{folder}/{rest}")
