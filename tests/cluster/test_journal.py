"""The journal stays small, and keeps all that can be kept."""

import resource
import signal
from pathlib import Path

import pytest

from tilt_cluster.journal import Journal
from tilt_cluster.objects import CONFIG_MAPS
from tilt_cluster.store import Store


def test_a_journal_is_written_anew_when_it_has_grown(tmp_path: Path) -> None:
    path, bound = tmp_path / "objects.jsonl", 20_000
    kept = Store()
    journal = Journal(path, bound)
    journal.start(kept)
    for number in range(500):
        for name in ("a", "b"):
            kept.write(CONFIG_MAPS, {"metadata": {"name": name}, "data": {"k": f"{number}" * 50}})
        assert path.stat().st_size < 2 * bound
    kept.remove(CONFIG_MAPS, kept.collection(CONFIG_MAPS).objects["", "a"])
    journal.close()

    found = Store()
    assert Journal(path).load(found) == 1
    assert found.collection(CONFIG_MAPS).objects == kept.collection(CONFIG_MAPS).objects
    assert found.version == kept.version
    assert path.stat().st_mode & 0o077 == 0


def test_what_is_kept_of_many_objects_may_be_larger_than_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "objects.jsonl"
    kept = Store()
    journal = Journal(path, 1000)
    journal.start(kept)
    inodes: set[int] = set()
    for number in range(400):
        kept.write(CONFIG_MAPS, {"metadata": {"name": f"{number}"}, "data": {"k": "x" * 100}})
        inodes.add(path.stat().st_ino)
    journal.close()

    assert Journal(path).load(Store()) == 400
    assert len(inodes) < 10, "each time it is twice as large as the last"


def test_a_full_disk_stops_nothing_and_is_made_up_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "objects.jsonl"
    kept = Store()
    journal = Journal(path)
    journal.start(kept)
    kept.write(CONFIG_MAPS, {"metadata": {"name": "a"}})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        kept.write(CONFIG_MAPS, {"metadata": {"name": "b"}})
        kept.write(CONFIG_MAPS, {"metadata": {"name": "c"}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert str(path) in caplog.text
    assert Journal(path).load(Store()) == 1

    kept.write(CONFIG_MAPS, {"metadata": {"name": "d"}})
    journal.close()
    assert Journal(path).load(Store()) == 4
