"""A folder with very many files: each counts, and asking again reads none of them.

20,000 take a second.  TILTD_TEST_FILES=200000 has them be ten times as many, which takes 12 s of a
processor's time (6 s of it the first digest), and 70 MiB.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiltd.adapters.inputs import LocalInputs
from tiltd.model.desired import DockerBuild
from tiltd.runtime import buildcontext
from tiltd.runtime.cache import FileCache

COUNT = int(os.environ.get("TILTD_TEST_FILES", "20000"))
IN_FOLDER = 500
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own in there; a disk takes minutes


@pytest.fixture
def context() -> Iterator[Path]:
    """So many files, each with a content of its own."""
    root = tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
    try:
        for first in range(0, COUNT, IN_FOLDER):
            folder = Path(root, str(first))
            folder.mkdir()
            at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            for number in range(first, first + IN_FOLDER):
                handle = os.open(str(number), os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=at)
                os.write(handle, b"%d" % number)
                os.close(handle)
            os.close(at)
        yield Path(root)
    finally:
        shutil.rmtree(root)


async def test_each_of_very_many_files_counts_and_none_is_read_twice(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = DockerBuild(str(context), "", "FROM scratch", inline=True)
    opened: list[str] = []
    opens = buildcontext._opened

    def noted(item: buildcontext.Entry) -> object:
        opened.append(item.path)
        return opens(item)

    monkeypatch.setattr(buildcontext, "_opened", noted)

    async def digest() -> str:
        """By a daemon of its own."""
        opened.clear()
        reader = LocalInputs(FileCache(tmp_path / "files.sqlite"))
        try:
            return await reader.digest(build)
        finally:
            reader.close()

    first = await digest()
    assert len(opened) == COUNT
    assert await digest() == first
    assert len(opened) < COUNT / 2, "only what was just written when it was read is not known yet"
    last = context / str(COUNT - IN_FOLDER) / str(COUNT - 1)
    last.write_text("another")
    assert await digest() != first
    last.unlink()
    assert await digest() != first
