"""What a changed file concerns: too much is harmless, too little is not."""

from dataclasses import replace

import pytest

from tests.builders import project as build
from tiltd.core import affected
from tiltd.model.desired import Command, CustomBuild, DockerBuild, Ignore, LocalTarget, Project

IMG = build.image("img")
assert isinstance(IMG.build, DockerBuild)
ONLY = replace(IMG, build=replace(IMG.build, only=("app",), ignore=("*.md",)))
CUSTOM = replace(
    IMG, build=CustomBuild(Command(("make",), "/src"), deps=("/src/img", "/src/go.mod"))
)


def project(**changes: object) -> Project:
    local = build.local("check", "true", files=["/src/check"])
    return replace(build.project(local, images=[IMG]), **changes)  # type: ignore[arg-type]


def hit(made: Project, *paths: str) -> tuple[bool, list[str], list[str]]:
    found = affected.by(made, paths)
    return found.tiltfile, sorted(found.images), sorted(found.resources)


@pytest.mark.parametrize(
    ("path", "tiltfile", "image", "resource"),
    [
        pytest.param("/src/shop/Tiltfile", True, False, False, id="the Tiltfile"),
        pytest.param("/src/img/a/b.py", False, True, False, id="of an image"),
        pytest.param("/src/check", False, False, True, id="a dep itself"),
        pytest.param("/src/check/deep/x", False, False, True, id="below a dep"),
        pytest.param("/src/img2/b.py", False, False, False, id="only the name begins alike"),
        pytest.param("/else", False, False, False, id="of nobody"),
    ],
)
def test_by_path(path: str, tiltfile: bool, image: bool, resource: bool) -> None:  # noqa: FBT001 - columns of the table
    found = affected.by(project(), [path])
    told = (found.tiltfile, bool(found.images), bool(found.resources))
    assert told == (tiltfile, image, resource)


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("/src/img/app/x.py", True),
        ("/src/img/app/notes.md", True),  # a pattern without a slash is of the top folder
        ("/src/img/notes.md", False),
        ("/src/img/lib/x.py", False),
        ("/src/img/Dockerfile", True),
        ("/src/img/Dockerfile.dockerignore", True),
        ("/src/img/.dockerignore", True),
    ],
)
def test_only_and_ignore_are_heeded_but_not_for_the_files_that_say_what_counts(
    path: str,
    counts: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert hit(project(images=(ONLY,)), path)[1] == (["img"] if counts else [])


def test_a_custom_build_has_its_deps() -> None:
    made = project(images=(CUSTOM,))
    assert hit(made, "/src/go.mod")[1] == ["img"]
    assert hit(made, "/src/go.sum")[1] == []


def test_what_is_ignored_everywhere_concerns_nobody() -> None:
    made = project(watch_ignores=(Ignore("/src", ("**/*.swp",)),))
    assert hit(made, "/src/img/a.swp", "/src/check/b.swp") == (False, [], [])
    assert hit(made, "/src/img/a.swp", "/src/img/a.py") == (False, ["img"], [])


def test_a_local_resource_ignores_what_it_says() -> None:
    local = build.local("check", "true", files=["/src/check"])
    assert isinstance(local.target, LocalTarget)
    ignoring = replace(local.target, ignore=(Ignore("/src/check", ("out",)),))
    made = build.project(replace(local, target=ignoring))
    assert hit(made, "/src/check/out/x")[2] == []
    assert hit(made, "/src/check/in/x")[2] == ["check"]


def test_all_that_may_concern_it_is_watched() -> None:
    made = project(images=(IMG, replace(CUSTOM, name=build.image("other").name)))
    assert affected.watched(made) == {
        "/src/shop/Tiltfile",
        *("/src/img", "/src/img/Dockerfile", "/src/img/Dockerfile.dockerignore"),
        *("/src/go.mod", "/src/check"),
    }
