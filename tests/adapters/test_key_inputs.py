"""Each input of an image's key, one at a time: a change changes the key, and nothing else does.

Real files, the real reader with its cache on disk, the real key; hypothesis edits a tree at random.
"""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltd import ports
from tiltd.adapters.inputs import LocalInputs
from tiltd.core import keys
from tiltd.model.desired import Command, CustomBuild, DockerBuild, Image
from tiltd.model.names import ImageName, SessionId
from tiltd.model.observed import Grounds
from tiltd.model.state import Mode, SessionSpec
from tiltd.runtime.cache import FileCache

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG BASE=scratch
FROM ${BASE} AS first
FROM first
COPY --from=first / /
"""


@dataclass
class Build:
    """A build, the world around it, and its key."""

    folder: Path
    build: DockerBuild | CustomBuild
    bases: dict[ImageName, str] = field(default_factory=dict[ImageName, str])
    env: dict[str, str] = field(default_factory=dict[str, str])
    outside: Grounds = field(default_factory=Grounds)

    def key(self) -> str:
        reader = LocalInputs(FileCache(self.folder / "files.sqlite"))
        try:
            digest = asyncio.run(reader.digest(self.build))
            spec = SessionSpec(
                SessionId("s"), Mode.CI, "/nowhere/Tiltfile", env=self.env, cwd=str(self.folder)
            )
            secrets = asyncio.run(reader.secrets(self.build, spec))
        finally:
            reader.close()
        image = Image(ImageName("img"), self.build)
        return keys.image_key(
            image, digest, self.bases, self.env, replace(self.outside, secrets=secrets)
        )

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def planted(folder: Path) -> Build:
    app = folder / "app"
    build = DockerBuild(
        str(app),
        str(app / "Dockerfile"),
        DOCKERFILE,
        build_args={"VERSION": "1", "TOKEN": None},
        ignore=("*.log",),
        secret=("id=npm,src=npmrc", "id=CODE"),
    )
    env = {"TOKEN": "a", "HOME": "/home/me", "CODE": "1"}
    outside = Grounds({"docker/dockerfile:1": "sha256:1"}, "linux/amd64")
    made = Build(folder, build, {ImageName("base"): "1"}, env, outside)
    made.write("npmrc", "token")
    made.write("app/Dockerfile", DOCKERFILE)
    made.write("app/.dockerignore", "secret\nnotes\n!notes/kept\n")
    made.write("app/src/main.py", "print()")
    made.write("app/src/other.py", "")
    made.write("app/secret", "1")
    made.write("app/notes/one", "1")
    made.write("app/notes/kept", "1")
    made.write("app/debug.log", "1")
    made.write("elsewhere/file", "1")
    (app / "link").symlink_to("src/main.py")
    (app / "empty").mkdir()
    return made


def docker(made: Build, **changes: object) -> None:
    made.build = replace(made.build, **changes)  # type: ignore[arg-type]


def ground(made: Build, **changes: object) -> None:
    made.outside = replace(made.outside, **changes)  # type: ignore[arg-type]


def move_secret(made: Build) -> None:
    (made.folder / "npmrc").rename(made.folder / "elsewhere/npmrc")
    docker(made, secret=("id=CODE", f"id=npm,src={made.folder}/elsewhere/npmrc"))


def rename(made: Build) -> None:
    (made.folder / "app/src/main.py").rename(made.folder / "app/src/name.py")


def relink(made: Build) -> None:
    (made.folder / "app/link").unlink()
    (made.folder / "app/link").symlink_to("src/other.py")


def link_for_file(made: Build) -> None:
    (made.folder / "app/src/main.py").unlink()
    (made.folder / "app/src/main.py").symlink_to("other.py")


def swap(made: Build) -> None:
    """Two files trade their contents: the same bytes in all."""
    made.write("app/src/main.py", "")
    made.write("app/src/other.py", "print()")


def same_size_and_time(made: Build) -> None:
    """As `cp -p` over it, or `git checkout` within a second."""
    path = made.folder / "app/src/main.py"
    status = path.stat()
    path.write_text("PRINT()")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


Change = Callable[[Build], object]

COUNTS: dict[str, Change] = {
    "a file's content": lambda b: b.write("app/src/main.py", "print(1)"),
    "content of the same size and time": same_size_and_time,
    "a file's name": rename,
    "two contents swapped": swap,
    "a new file": lambda b: b.write("app/new", ""),
    "a file gone": lambda b: (b.folder / "app/src/other.py").unlink(),
    "a file's mode": lambda b: (b.folder / "app/src/main.py").chmod(0o755),
    "a folder's mode": lambda b: (b.folder / "app/src").chmod(0o700),
    "a new empty folder": lambda b: (b.folder / "app/nothing").mkdir(),
    "an empty folder gone": lambda b: (b.folder / "app/empty").rmdir(),
    "a link's target": relink,
    "a link for a file": link_for_file,
    "a file behind an exception": lambda b: b.write("app/notes/kept", "2"),
    "a name that is no UTF-8": lambda b: (b.folder / "app" / os.fsdecode(b"\xff")).touch(),
    ".dockerignore": lambda b: b.write("app/.dockerignore", "secret\nnotes\n"),
    "a Dockerfile.dockerignore": lambda b: b.write("app/Dockerfile.dockerignore", "src\n"),
    "the Dockerfile": lambda b: docker(b, contents=f"{DOCKERFILE}LABEL a=1\n"),
    "an ARG's default": lambda b: docker(b, contents=DOCKERFILE.replace("=scratch", "=x")),
    "# syntax": lambda b: docker(b, contents=DOCKERFILE.replace("dockerfile:1", "dockerfile:2")),
    "COPY --from": lambda b: docker(b, contents=DOCKERFILE.replace("--from=first", "--from=x")),
    "a build arg": lambda b: docker(b, build_args={"VERSION": "2", "TOKEN": None}),
    "a build arg gone": lambda b: docker(b, build_args={"TOKEN": None}),
    "a build arg of the environment": lambda b: b.env.update(TOKEN="b"),
    "the target": lambda b: docker(b, target="first"),
    "the platform": lambda b: docker(b, platform="linux/arm64"),
    "the network": lambda b: docker(b, network="none"),
    "hosts": lambda b: docker(b, extra_hosts=("a:1.2.3.4",)),
    "a secret's id": lambda b: docker(b, secret=("id=other,src=npmrc", "id=CODE")),
    "a secret's content": lambda b: b.write("npmrc", "another"),
    "a secret of the environment": lambda b: b.env.update(CODE="2"),
    "a secret that is gone": lambda b: (b.folder / "npmrc").unlink(),
    "the digest of a base of others": lambda b: ground(b, bases={"docker/dockerfile:1": "x"}),
    "a base of others unknown": lambda b: ground(b, bases={"docker/dockerfile:1": None}),
    "the builder's own platform": lambda b: ground(b, platform="linux/arm64"),
    "ssh": lambda b: docker(b, ssh=("default",)),
    "only": lambda b: docker(b, only=("src",)),
    "ignore": lambda b: docker(b, ignore=("*.log", "src")),
    "a base that is built here": lambda b: b.bases.update({ImageName("base"): "2"}),
}

DOES_NOT_COUNT: dict[str, Change] = {
    "nothing": lambda _: None,
    "times": lambda b: os.utime(b.folder / "app/src/main.py", (1, 1)),
    "what .dockerignore names": lambda b: b.write("app/secret", "2"),
    "what is in an ignored folder": lambda b: b.write("app/notes/one", "2"),
    "a new ignored file": lambda b: b.write("app/notes/two", "2"),
    "what ignore= names": lambda b: b.write("app/debug.log", "2"),
    "a file outside": lambda b: b.write("elsewhere/file", "2"),
    "the environment": lambda b: b.env.update(HOME="/home/you", OTHER="1"),
    "where a secret is": move_secret,
    "a platform said that is the builder's own": lambda b: docker(b, platform="linux/amd64"),
    "further tags": lambda b: docker(b, extra_tags=("x",)),
    "caches": lambda b: docker(b, cache_from=("x",)),
}


@pytest.mark.parametrize("change", COUNTS.values(), ids=COUNTS.keys())
def test_this_counts(tmp_path: Path, change: Change) -> None:
    made = planted(tmp_path)
    before = made.key()
    change(made)
    assert made.key() != before


@pytest.mark.parametrize("change", DOES_NOT_COUNT.values(), ids=DOES_NOT_COUNT.keys())
def test_this_does_not_count(tmp_path: Path, change: Change) -> None:
    made = planted(tmp_path)
    before = made.key()
    change(made)
    assert made.key() == before


def test_another_folder_with_the_same_files_is_the_same(tmp_path: Path) -> None:
    one, other = planted(tmp_path / "one"), planted(tmp_path / "deeper/other")
    assert one.key() == other.key()


def test_a_socket_or_pipe_is_passed_over(tmp_path: Path) -> None:
    made = planted(tmp_path)
    before = made.key()
    os.mkfifo(tmp_path / "app/pipe")
    folder = tempfile.mkdtemp(prefix="tk")  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{folder}/s")
            Path(f"{folder}/s").rename(tmp_path / "app/socket")
        assert made.key() == before
    finally:
        shutil.rmtree(folder)


def test_patterns_and_names_that_are_no_utf_8_meet(tmp_path: Path) -> None:
    made = planted(tmp_path)
    before = made.key()
    for name in (b"caf\xe9.tmp", b"\xff\xfe", b"dir\xe9/inside"):
        path = tmp_path / "app" / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    assert made.key() != before
    (tmp_path / "app/.dockerignore").write_bytes(
        b"secret\nnotes\n!notes/kept\n*.tmp\n\xff*\ndir\xe9\n"
    )
    ignored = made.key()
    for name in (b"caf\xe9.tmp", b"\xff\xfe", b"dir\xe9/inside"):
        (tmp_path / "app" / os.fsdecode(name)).write_text("2")
    assert made.key() == ignored
    (tmp_path / "app" / os.fsdecode(b"caf\xe9")).touch()
    assert made.key() != ignored


@pytest.mark.parametrize("year", [1970, 2100])
def test_a_clock_that_jumps_hides_no_change(tmp_path: Path, year: int) -> None:
    """Times from long ago or of the future, as a clock that was wrong has left them."""
    made = planted(tmp_path)
    path = tmp_path / "app/src/main.py"
    at = (year - 1970) * 365 * 86_400 * 10**9
    os.utime(path, ns=(at, at))
    before = made.key()
    path.write_text("PRINT()")
    os.utime(path, ns=(at, at))
    assert made.key() != before


def test_a_context_that_is_gone_is_a_users_error(tmp_path: Path) -> None:
    made = planted(tmp_path)
    shutil.rmtree(tmp_path / "app")
    with pytest.raises(ports.PermanentError, match="does not exist"):
        made.key()


def custom(folder: Path) -> Build:
    made = planted(folder)
    command = Command(("make", "image"), str(folder / "app"), {"MODE": "fast"})
    deps = (str(folder / "app/src"), str(folder / "elsewhere/file"))
    made.build = CustomBuild(command, deps, ignore=("src/other.py",))
    return made


def command(made: Build, **changes: object) -> None:
    assert isinstance(made.build, CustomBuild)
    docker(made, command=replace(made.build.command, **changes))  # type: ignore[arg-type]


CUSTOM: dict[str, tuple[bool, Change]] = {
    "a dep": (True, lambda b: b.write("app/src/main.py", "2")),
    "a dep that is a file": (True, lambda b: b.write("elsewhere/file", "2")),
    "a dep gone": (True, lambda b: (b.folder / "elsewhere/file").unlink()),
    "the command": (True, lambda b: command(b, argv=("make", "all"))),
    "its environment": (True, lambda b: command(b, env={"MODE": "slow"})),
    "the tag": (True, lambda b: docker(b, tag="x")),
    "image_deps": (True, lambda b: b.bases.clear()),
    "ignore=": (False, lambda b: b.write("app/src/other.py", "2")),
    "no dep": (False, lambda b: b.write("app/Dockerfile", "2")),
    "the environment": (False, lambda b: b.env.update(TOKEN="x")),
}


@pytest.mark.parametrize(("counts", "change"), CUSTOM.values(), ids=CUSTOM.keys())
def test_what_counts_of_a_custom_build(tmp_path: Path, change: Change, *, counts: bool) -> None:
    made = custom(tmp_path)
    before = made.key()
    change(made)
    assert (made.key() != before) is counts


NAMES = st.sampled_from(["a", "b/c", "b/d", "notes/x", "x.log", "e/f/g"])
TREES = st.dictionaries(NAMES, st.text(max_size=3), max_size=5)


def content(tree: dict[str, str]) -> dict[str, str]:
    """What of a tree the build gets."""
    return {n: t for n, t in tree.items() if not n.startswith("notes/") and not n.endswith(".log")}


@settings(max_examples=40, deadline=None)
@given(TREES, TREES)
def test_two_trees_have_one_key_exactly_if_the_build_gets_the_same(
    one: dict[str, str], other: dict[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found: list[str] = []
        for number, tree in enumerate((one, other)):
            root = Path(folder, str(number))
            build = DockerBuild(str(root / "app"), "", "FROM scratch", inline=True)
            made = Build(root, replace(build, ignore=("notes", "*.log")))
            (root / "app").mkdir(parents=True)
            for name, text in tree.items():
                made.write(f"app/{name}", text)
            found.append(made.key())
    assert (found[0] == found[1]) is (content(one) == content(other))
