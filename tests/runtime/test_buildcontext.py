import contextlib
import hashlib
import io
import os
import pathlib
import socket
import tarfile
import tempfile
import threading
from collections.abc import Generator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import distant
from tiltd.core import dockerignore
from tiltd.runtime import buildcontext

ALL = dockerignore.ContextFilter()


def ignoring(text: str) -> dockerignore.ContextFilter:
    return dockerignore.context_filter("/", dockerignore=text)


def plant(root: pathlib.Path, **files: str) -> str:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return str(root)


def walk(context: str, excludes: dockerignore.ContextFilter = ALL) -> list[str]:
    return [entry.path for entry in buildcontext.entries(context, excludes)]


def digest(context: str, cache: buildcontext.DigestCache | None = None) -> str:
    return buildcontext.digest(buildcontext.entries(context, ALL), cache)


def test_entries_come_in_order_each_folder_before_its_contents(tmp_path: pathlib.Path) -> None:
    context = plant(tmp_path, b__z="1", b__a__c="2", a="3", B="4")
    assert walk(context) == ["B", "a", "b", "b/a", "b/a/c", "b/z"]


def test_a_folder_that_is_left_out_comes_along_with_what_is_kept_in_it(
    tmp_path: pathlib.Path,
) -> None:
    context = plant(tmp_path, a__keep="", a__drop="", b__drop="", c__d__keep="", c__e__drop="")
    assert walk(context, ignoring("*\n!**/keep")) == ["a", "a/keep", "c", "c/d", "c/d/keep"]


def test_links_stay_links_and_what_no_build_can_use_is_passed_over(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("no/where")
    (tmp_path / "up").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
        found = list(buildcontext.entries(str(tmp_path), ALL))
    assert [(e.path, e.kind, e.target) for e in found] == [
        ("link", buildcontext.Kind.LINK, "no/where"),
        ("up", buildcontext.Kind.LINK, str(tmp_path)),
    ]


def test_a_context_that_is_missing_or_a_file_is_said_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(buildcontext.ContextMissingError, match="does not exist"):
        buildcontext.entries(str(tmp_path / "none"), ALL)
    with pytest.raises(buildcontext.ContextMissingError, match="is no folder"):
        buildcontext.entries(plant(tmp_path, f="") + "/f", ALL)


def test_a_path_through_a_file_is_an_error_that_names_it(tmp_path: pathlib.Path) -> None:
    with pytest.raises(buildcontext.UnreadableError, match="f/x: it can't be read"):
        buildcontext.entries(plant(tmp_path, f="") + "/f/x", ALL)


@pytest.fixture
def public_folder() -> Iterator[pathlib.Path]:
    """A folder that a user without rights can reach, unlike pytest's; the test runs as one."""
    with tempfile.TemporaryDirectory() as name:
        pathlib.Path(name).chmod(0o755)
        yield pathlib.Path(name)


@contextlib.contextmanager
def without_rights() -> Generator[None]:
    """Root reads everything, so root becomes nobody for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_an_unreadable_file_or_folder_is_named(public_folder: pathlib.Path) -> None:
    context = plant(public_folder, secret="x", d__f="x")
    (public_folder / "secret").chmod(0)
    (public_folder / "d").chmod(0)
    with without_rights():
        with pytest.raises(buildcontext.UnreadableError, match="secret: it can't be read"):
            buildcontext.digest(buildcontext.entries(context, ignoring("d")))
        with pytest.raises(buildcontext.UnreadableError, match="d: it can't be read"):
            digest(context)
    (public_folder / "d").chmod(0o755)


def test_a_reader_that_went_away_is_not_blamed_on_the_file(tmp_path: pathlib.Path) -> None:
    context = plant(tmp_path, big="x" * 5_000_000)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as out, pytest.raises(BrokenPipeError):
        buildcontext.write_tar(out, buildcontext.entries(context, ALL))


def test_the_digest_changes_with_what_the_image_gets_and_with_nothing_else(
    tmp_path: pathlib.Path,
) -> None:
    one = plant(tmp_path / "one", a__b="1", c="2")
    two = plant(tmp_path / "two", a__b="1", c="2")
    same = digest(one)
    os.utime(tmp_path / "two" / "c", (1, 1))
    assert digest(two) == same
    (tmp_path / "two" / "c").chmod(0o755)
    executable = digest(two)
    (tmp_path / "two" / "c").write_text("3", encoding="utf-8")
    changed = digest(two)
    (tmp_path / "two" / "c").rename(tmp_path / "two" / "d")
    renamed = digest(two)
    (tmp_path / "two" / "empty").mkdir()
    assert len({same, executable, changed, renamed, digest(two)}) == 5


def test_names_that_are_no_utf_8_are_walked_digested_and_sent(tmp_path: pathlib.Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link").symlink_to(name)
    out = io.BytesIO()
    sent = buildcontext.write_tar(out, buildcontext.entries(str(tmp_path), ALL))
    assert sent == digest(str(tmp_path))
    with tarfile.open(fileobj=io.BytesIO(out.getvalue()), errors="surrogateescape") as tar:
        assert [(i.name, i.linkname) for i in tar] == [(name, ""), ("link", name)]


def test_the_tar_holds_the_context_and_nothing_of_this_machine(tmp_path: pathlib.Path) -> None:
    context = plant(tmp_path, run="#!", d__empty="", Dockerfile="FROM old")
    (tmp_path / "run").chmod(0o4755)
    (tmp_path / ("n" * 200)).symlink_to("t" * 200)
    extra = (buildcontext.ExtraFile("Dockerfile", b"FROM new"),)
    out = io.BytesIO()
    sent = buildcontext.write_tar(out, buildcontext.entries(context, ALL), extra)
    assert sent == digest(context)
    again = io.BytesIO()
    os.utime(tmp_path / "run", (1, 1))
    buildcontext.write_tar(again, buildcontext.entries(context, ALL), extra)
    assert again.getvalue() == out.getvalue()
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        members = {i.name: i for i in tar}
        assert list(members) == ["Dockerfile", "d", "d/empty", "n" * 200, "run"]
        assert {(i.uid, i.gid, i.uname, i.mtime) for i in members.values()} == {(0, 0, "", 0)}
        assert members["run"].mode == 0o4755
        assert members["n" * 200].linkname == "t" * 200
        dockerfile = tar.extractfile("Dockerfile")
        assert dockerfile is not None
        assert dockerfile.read() == b"FROM new"


def test_the_builders_own_files_hide_themselves() -> None:
    names = [buildcontext.DOCKERFILE, ".dockerignore"]
    hidden = buildcontext.builder_files(b"FROM a", None)
    assert [file.path for file in hidden] == names
    patterns = dockerignore.parse(hidden[1].content.decode())
    assert [patterns.matches(name) for name in names] == [True, True]
    shown = dockerignore.parse(buildcontext.builder_files(b"", b"*.log\n")[1].content.decode())
    assert [shown.matches(name) for name in [*names, "a.log"]] == [True, False, True]


class Memory:
    def __init__(self) -> None:
        self.known: dict[tuple[str, int, int], bytes] = {}
        self.hits = 0

    def get(self, path: str, status: os.stat_result) -> bytes | None:
        found = self.known.get((path, status.st_size, status.st_mtime_ns))
        self.hits += found is not None
        return found

    def put(self, path: str, status: os.stat_result, digest: bytes) -> None:
        self.known[(path, status.st_size, status.st_mtime_ns)] = digest


def test_a_cache_saves_reading_and_never_learns_a_file_that_was_just_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = plant(tmp_path, a="1", b="2")
    cache = Memory()
    first = digest(context, cache)
    assert cache.known == {}
    later = max(p.stat().st_ctime_ns for p in tmp_path.iterdir()) + 3_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: later)
    assert digest(context, cache) == first
    assert cache.known[str(tmp_path / "a"), 1, (tmp_path / "a").stat().st_mtime_ns] == (
        hashlib.sha256(b"1").digest()
    )
    assert cache.hits == 0
    assert digest(context, cache) == first
    assert cache.hits == 2


def test_a_file_that_is_gone_or_replaced_after_the_walk_is_a_change(tmp_path: pathlib.Path) -> None:
    found = list(buildcontext.entries(plant(tmp_path, a="1", b="2"), ALL))
    (tmp_path / "a").unlink()
    with pytest.raises(buildcontext.ContextChangedError, match="a: was removed or replaced"):
        buildcontext.digest(found)
    os.mkfifo(tmp_path / "a")
    with pytest.raises(buildcontext.ContextChangedError, match="a: was replaced"):
        buildcontext.write_tar(io.BytesIO(), found)


class Growing(Memory):
    """Writes to the file whenever it is looked up: a writer that never rests."""

    def __init__(self, path: pathlib.Path, times: int) -> None:
        super().__init__()
        self.path = path
        self.times = times

    def get(self, path: str, status: os.stat_result) -> bytes | None:
        if self.times:
            self.times -= 1
            with self.path.open("a", encoding="utf-8") as out:
                out.write("more")
        return super().get(path, status)


def test_a_file_that_changes_is_read_again_until_it_rests(tmp_path: pathlib.Path) -> None:
    context = plant(tmp_path, log="1")
    assert digest(context, Growing(tmp_path / "log", 2)) == digest(context)
    with pytest.raises(buildcontext.ContextChangedError, match="log: keeps changing"):
        digest(context, Growing(tmp_path / "log", 99))


def test_a_file_of_another_machine_is_not_believed_to_be_at_rest(tmp_path: pathlib.Path) -> None:
    """Its times are given by another clock."""
    with distant.shared(tmp_path) as shared:
        there, here = plant(shared.there, a="1"), str(shared.here)
        known = Memory()
        while not known.known:  # until it is at rest, by the clock that it is written by
            digest(there, known)
        far = Memory()
        assert digest(here, far) == digest(there)
        assert not far.known


class Shrinking(io.BytesIO):
    """Cuts a file off as soon as the first bytes of the tar arrive."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.path = path

    def write(self, data: object, /) -> int:
        os.truncate(self.path, 10)
        return len(bytes(data)) if isinstance(data, bytes | bytearray) else 0


def test_a_file_that_shrinks_while_it_is_sent_ends_the_stream(tmp_path: pathlib.Path) -> None:
    context = plant(tmp_path, big="x" * 5_000_000)
    with pytest.raises(buildcontext.ContextChangedError, match="big: became shorter"):
        buildcontext.write_tar(Shrinking(tmp_path / "big"), buildcontext.entries(context, ALL))


def test_a_tar_streams_into_a_pipe(tmp_path: pathlib.Path) -> None:
    context = plant(tmp_path, big="x" * 3_000_000)
    reader, writer = os.pipe()
    received: list[bytes] = []

    def receive() -> None:
        with os.fdopen(reader, "rb") as source:
            received.append(source.read())

    thread = threading.Thread(target=receive)
    thread.start()
    with os.fdopen(writer, "wb") as out:
        sent = buildcontext.write_tar(out, buildcontext.entries(context, ALL))
    thread.join()
    assert sent == digest(context)
    with tarfile.open(fileobj=io.BytesIO(received[0])) as tar:
        assert tar.getmember("big").size == 3_000_000


def test_only_changes_inside_the_filtered_context_count() -> None:
    excludes = ignoring("*.log\ndist\n!dist/keep\nnode_modules")
    paths = ["/c/a", "/c/x.log", "/c/dist", "/c/dist/x", "/c/dist/keep/y", "/c2/a", "/c",
             "/c/node_modules", "/c/node_modules/a"]  # fmt: skip
    assert buildcontext.affected("/c", excludes, paths) == (
        "/c/a",
        "/c/dist",
        "/c/dist/keep/y",
        "/c",
    )


def test_single_files_and_folders_have_a_digest_too(tmp_path: pathlib.Path) -> None:
    plant(tmp_path, f="1", d__x="2", d__y="3")
    (tmp_path / "link").symlink_to("f")
    paths = [(str(tmp_path / name), ignoring("y")) for name in ["f", "none", "d", "link"]]
    found = list(buildcontext.path_entries(paths))
    assert [entry.path for entry in found] == ["0", "2/x", "3"]
    assert len(buildcontext.digest(found)) == 64


LINES = st.lists(st.sampled_from(["a", "*", "!a", "b/*", "!b/a", "**/a", "!**/b", "a/**"]),
                 max_size=4)  # fmt: skip


@given(LINES)
def test_a_walk_finds_what_a_look_at_every_path_finds(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "tree"
    if not root.exists():
        for one in "ab":
            for two in "ab":
                plant(root / one / two, a="", b="")
    excludes = ignoring("\n".join(lines))
    everything = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    kept = {path for path in everything if not excludes.excludes(path)}
    files = {e.path for e in buildcontext.entries(str(root), excludes)
             if e.kind is buildcontext.Kind.FILE}  # fmt: skip
    assert files == kept
