"""Which images of others a build stands on."""

import pytest

from tests.builders import project as build
from tiltd.core import foreign
from tiltd.model.desired import CustomBuild, DockerBuild, Image
from tiltd.model.names import ImageName
from tiltd.model.observed import Grounds

PIN = f"busybox@sha256:{'a' * 64}"


def image(contents: str, **changes: object) -> Image:
    docker = DockerBuild("/a", "/a/D", contents, **changes)  # type: ignore[arg-type]
    return Image(ImageName("img"), docker, bases=(ImageName("shop/own"),))


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        pytest.param("FROM busybox:1", ("busybox:1",), id="FROM"),
        pytest.param("FROM scratch", (), id="scratch"),
        pytest.param(f"FROM {PIN}", (), id="pinned"),
        pytest.param("FROM shop/own", (), id="the project's own"),
        pytest.param("FROM shop/own:any", (), id="the project's own with a tag"),
        pytest.param("FROM a AS x\nFROM x\nCOPY --from=x . .", ("a",), id="a stage"),
        pytest.param("FROM a AS x\nFROM b", ("b",), id="a stage that nobody uses"),
        pytest.param("FROM a\nCOPY --from=b:2 . .", ("a", "b:2"), id="COPY --from"),
        pytest.param("FROM a\nRUN --mount=from=b,target=/b x", ("a", "b"), id="RUN --mount"),
        pytest.param("ARG V=1\nFROM a:$V", ("a:1",), id="an ARG's default"),
        pytest.param("ARG W=1\nFROM a:$W", ("a:9",), id="a build arg"),
        pytest.param("ARG E\nFROM a:$E", ("a:8",), id="a build arg of the environment"),
        pytest.param("FROM a:$TARGETARCH", ("a:arm64",), id="the builder's own platform"),
        pytest.param("# syntax=d/f:1\nFROM a", ("d/f:1", "a"), id="the frontend"),
        pytest.param("FROM a\nFROM", (), id="a broken Dockerfile"),
        pytest.param("FROM UPPER//", (), id="no reference"),
    ],
)
def test_what_a_build_takes_from_others(contents: str, expected: tuple[str, ...]) -> None:
    made = image(contents, build_args={"W": "9", "E": None})
    assert foreign.references(made, "linux/arm64", {"E": "8"}) == expected


def test_for_several_platforms_the_images_of_all_count() -> None:
    made = image("FROM a:$TARGETARCH", platform="linux/amd64,linux/arm64")
    assert foreign.references(made, "linux/386", {}) == ("a:amd64", "a:arm64")


def test_a_command_of_the_users_takes_nothing_that_we_know_of() -> None:
    command = build.local("x", "make").target
    assert command.cmd is not None  # type: ignore[union-attr]
    made = Image(ImageName("img"), CustomBuild(command.cmd, ()))  # type: ignore[union-attr]
    assert foreign.references(made, "linux/amd64", {}) == ()


def test_who_asks_nobody_takes_what_stood_in_the_last_key() -> None:
    made = image("FROM a\nCOPY --from=b . .\nCOPY --from=c . .")
    unknown = f"b{foreign.UNKNOWN}"
    parts = {"platform": "linux/arm64", "base a": "sha256:1", "base b": unknown, "base x": "y"}
    known: dict[str, str | None] = {"a": "sha256:1", "b": None, "c": None}
    assert foreign.remembered(made, parts, {}) == Grounds(known, "linux/arm64")
