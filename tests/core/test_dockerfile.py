import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltd.core import dockerfile, dockerfile_syntax, reference


def names(text: str, **options: str) -> list[str]:
    target = options.pop("target", "")
    platform = options.pop("platform", "")
    return [i.reference for i in dockerfile.base_images(text, options, target, platform)]


MULTI = """\
ARG GO=1.22
FROM golang:${GO} AS build
RUN go build
FROM build AS test
COPY --from=tools:1 /x /x
FROM alpine AS Final
COPY --from=BUILD /a /a
RUN --mount=type=bind,from=cache,target=/c true
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("FROM busybox", ["busybox"], id="plain"),
        pytest.param("from busybox as x\nFROM x", ["busybox"], id="lower case, stage"),
        pytest.param("FROM scratch\nCOPY a b", [], id="scratch"),
        pytest.param("FROM --platform=linux/amd64 a:1", ["a:1"], id="platform"),
        pytest.param("ARG T\nFROM a:${T:-2}", ["a:2"], id="default of an expansion"),
        pytest.param("ARG T=1\nFROM a${T:+-full}", ["a-full"], id="alternative"),
        pytest.param("ARG A=x B=${A}y\nFROM $B", ["xy"], id="two args in a line"),
        pytest.param('ARG A="x"\nFROM ${A}', ["x"], id="quoted default"),
        pytest.param("ARG V=1.2.3\nFROM a:${V%.*}", ["a:1.2"], id="suffix"),
        pytest.param("ARG V=v1.2\nFROM a:${V#v}-${V##*.}-${V/./_}", ["a:1.2-2-v1_2"], id="cuts"),
        pytest.param("FROM \\\n# why\n\n  busybox \\\n AS x", ["busybox"], id="continued"),
        pytest.param("# escape=`\nFROM `\nbusybox", ["busybox"], id="escape directive"),
        pytest.param("\ufeff# c\r\nFROM busybox\r\n", ["busybox"], id="BOM and CRLF"),
        pytest.param("FROM a\nCOPY --from=0 x y\nFROM b\nCOPY --from=0 x y", None, id="bad number"),
        pytest.param("FROM a\nFROM b\nCOPY --from=0 x y", ["a", "b"], id="stage by number"),
        pytest.param("FROM a AS later2\nFROM b\nCOPY --from=later x y\nFROM c AS later",
                     ["c"], id="only the last stage"),
        pytest.param("FROM b\nCOPY --from=later x y\nFROM c AS later\nFROM b\nCOPY --from=0 x y",
                     ["b", "later"], id="a name that comes later is an image"),
        pytest.param("FROM a\nRUN <<EOF\nFROM b\nEOF\nCOPY <<-'X' /f\n\tFROM c\n\tX\n", ["a"],
                     id="heredocs hold no instructions"),
        pytest.param("FROM a\nRUN echo $((1 <<3))\nCOPY --from=b x y", ["a", "b"],
                     id="a shift is no heredoc"),
        pytest.param("FROM a\nONBUILD COPY --from=b x y", ["a", "b"], id="onbuild"),
        pytest.param("FROM a\nFROM a\nCOPY --from=a x y", ["a"], id="each once"),
    ],
)  # fmt: skip
def test_the_images_that_a_dockerfile_builds_on(text: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(dockerfile.DockerfileError):
            names(text)
    else:
        assert names(text) == expected


def test_only_what_the_target_uses_counts() -> None:
    assert names(MULTI) == ["golang:1.22", "alpine", "cache"]
    assert names(MULTI, target="test") == ["golang:1.22", "tools:1"]
    assert names(MULTI, target="0") == ["golang:1.22"]
    assert names(MULTI, target="FINAL") == names(MULTI)


def test_build_args_count_where_they_are_declared() -> None:
    assert names(MULTI, target="build", GO="tip", OTHER="x") == ["golang:tip"]
    assert names("FROM a\nARG X\nFROM b", X="1") == ["b"]


def test_the_platform_gives_variables() -> None:
    text = "FROM a:${TARGETOS}-$TARGETARCH$BUILDVARIANT"
    assert names(text, platform="linux/arm64/v8") == ["a:linux-arm64v8"]


def test_a_base_knows_the_line_that_names_it_first() -> None:
    assert [i.line for i in dockerfile.base_images(MULTI)] == [2, 6, 8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "line 1: the Dockerfile has no instruction", id="empty"),
        pytest.param("ARG A", "line 1: the Dockerfile has no FROM", id="no from"),
        pytest.param("\nRUN x\nFROM a", "line 2: RUN comes before the first FROM", id="early"),
        pytest.param("FROM a b", "line 1: FROM takes an image", id="words"),
        pytest.param("FROM a AS 1x", "'1x' is no name for a stage", id="stage name"),
        pytest.param("ARG A\nFROM $A", "line 2: the image's name $A is empty", id="unset"),
        pytest.param("FROM ${A", "line 1: '${' is never closed", id="open brace"),
        pytest.param("FROM ${A:?set-it}", "line 1: A: set-it", id="required"),
        pytest.param("FROM a\nCOPY --from=$X a b", "line 2: from=$X has a variable", id="from"),
        pytest.param("FROM a\nCOPY --from=7 a b", "line 2: from=7: no earlier stage", id="number"),
        pytest.param("# escape=x\nFROM a", "line 1: escape=x is not possible", id="escape"),
        pytest.param("# escape=`\n# Escape=`\nFROM a", "line 2: a second escape", id="twice"),
    ],
)
def test_an_error_names_its_line(text: str, said: str) -> None:
    with pytest.raises(dockerfile.DockerfileError) as caught:
        dockerfile.base_images(text)
    assert said in str(caught.value)


def test_an_unknown_target_is_answered_with_the_stages() -> None:
    with pytest.raises(dockerfile.DockerfileError, match="the stages are build, test, final"):
        dockerfile.base_images(MULTI, target="biuld")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("FROM a\nCOPY --from=b --chown=1 x y", None, id="classic flags"),
        pytest.param("# syntax=docker/dockerfile:1\nFROM a", None, id="plain frontend"),
        pytest.param("FROM --platform=linux/amd64 a\nHEALTHCHECK --interval=1s CMD x", None,
                     id="platform and healthcheck"),
        pytest.param("ARG TARGETARCH=x\nFROM a:$TARGETARCH", None, id="declared"),
        pytest.param("FROM a\nRUN --mount=type=cache,target=/x y", "line 2: RUN --mount",
                     id="mount"),
        pytest.param("FROM a\nRUN --network=none y", "line 2: RUN --network", id="network"),
        pytest.param("FROM a\nRUN <<EOF\nx\nEOF", "line 2: a heredoc (<<EOF)", id="heredoc"),
        pytest.param("FROM a\n\nCOPY --link a b", "line 3: COPY --link", id="link"),
        pytest.param("FROM a\nCOPY --chmod=1 a b", "line 2: COPY --chmod", id="chmod"),
        pytest.param("FROM a\nADD --checksum=x a b", "line 2: ADD --checksum", id="checksum"),
        pytest.param("FROM a\nADD https://h/r.git#v /b", "line 2: ADD of a Git", id="git"),
        pytest.param("FROM a\nONBUILD COPY --parents a b", "line 2: COPY --parents", id="onbuild"),
        pytest.param("# syntax=docker/dockerfile:1-labs\nFROM a", "line 1: '# syntax=", id="labs"),
        pytest.param("# syntax=other/frontend\nFROM a", "line 1: '# syntax=", id="frontend"),
        pytest.param("FROM --platform=$BUILDPLATFORM a", "line 1: FROM with $BUILDPLATFORM",
                     id="automatic platform"),
    ],
)  # fmt: skip
def test_what_only_buildkit_can_build_is_said_with_its_line(text: str, reason: str | None) -> None:
    said = dockerfile.needs_buildkit(text)
    if reason is None:
        assert said is None
    else:
        assert said is not None
        assert said.startswith(reason)
        assert said.endswith("needs BuildKit")


REPLACED = {
    reference.parse("me/base"): "localhost:5000/me_base:tilt-1",
    reference.parse("tool:1"): "tool:tilt-2",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM me/base", "FROM localhost:5000/me_base:tilt-1"),
        ("FROM docker.io/me/base:v1 AS x", "FROM localhost:5000/me_base:tilt-1 AS x"),
        ("ARG B=me/base\nFROM ${B} AS x\r\nRUN y", None),
        ("FROM a\nCOPY --from=tool:1 x y", "FROM a\nCOPY --from=tool:tilt-2 x y"),
        ("FROM a\nCOPY --from=tool:2 x y", "FROM a\nCOPY --from=tool:2 x y"),
        ('FROM a\nCOPY --from="tool:1" x y', 'FROM a\nCOPY --from="tool:tilt-2" x y'),
        ("FROM x AS tool\nFROM tool", "FROM x AS tool\nFROM tool"),
        (
            "FROM a\nRUN --mount=type=bind,from=tool:1,target=/x y",
            "FROM a\nRUN --mount=type=bind,from=tool:tilt-2,target=/x y",
        ),
        ("FROM me/\\\nbase AS x\nRUN y", "FROM localhost:5000/me_base:tilt-1\\\n AS x\nRUN y"),
        ("FROM Not:An:Image", "FROM Not:An:Image"),
    ],
)  # fmt: skip
def test_bases_are_replaced_where_they_stand(text: str, expected: str | None) -> None:
    wanted = expected or "ARG B=me/base\nFROM localhost:5000/me_base:tilt-1 AS x\r\nRUN y"
    assert dockerfile.replace_base(text, REPLACED) == wanted


def test_build_args_decide_which_base_is_replaced() -> None:
    text = "ARG B=other\nFROM $B"
    assert dockerfile.replace_base(text, REPLACED) == text
    assert "tilt-1" in dockerfile.replace_base(text, REPLACED, {"B": "me/base"})


def test_quotes_and_escapes_go_as_docker_takes_them() -> None:
    def expand(word: str) -> str:
        return dockerfile_syntax.expand(word, {"A": "1", "E": ""}, "\\", 1)

    assert expand("'$A'\"$A\\$A\\x\"\\$A") == "$A1$A\\x$A"
    assert expand("${E:-x}${E-x}${N-x}${E:+x}${E+x}$N$") == "xxx$"
    assert expand("${N:-${A}}") == "1"


@given(st.text(alphabet="FROMCPYa:b \\\n#'\"$<{}=-@\t", max_size=60))
def test_no_text_breaks_the_parser_and_lines_stay_as_many(tail: str) -> None:
    text = f"FROM me/base\n{tail}"
    try:
        replaced = dockerfile.replace_base(text, REPLACED)
    except dockerfile.DockerfileError as error:
        line = error.line
    else:
        line = 1
        assert replaced.count("\n") == text.count("\n")
        assert replaced.startswith("FROM localhost:5000/me_base:tilt-1")
    assert 1 <= line <= text.count("\n") + 1
