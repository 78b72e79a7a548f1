"""How long is a context digested: cold, by a new daemon with its cache, by a running one?

    python -m bench.bench_keys [--files 20000] [--mib 400]

Makes a folder of so many files in folders of 50, and digests it as an image's key does.  Cold: with
an empty cache (the files are in the page cache: what is measured is us, not the disk).  Warm: a new
process finds the cache on disk.  Again: the same process asks once more.  The files are old enough
to be at rest.  Seconds; memory in MiB.
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tiltd.core import dockerignore
from tiltd.runtime import buildcontext
from tiltd.runtime.cache import FileCache

_ROUNDS = 5
_IN_FOLDER = 50


def main() -> None:
    """Print the times as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--mib", type=int, default=400)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_measure(Path(options.child[0]), Path(options.child[1]))))
        return
    folder = Path(tempfile.mkdtemp(prefix="tiltd-bench-keys-"))
    try:
        _plant(folder / "context", options.files, options.mib << 20)
        store = folder / "files.sqlite"
        cold: list[dict[str, float]] = []
        warm: list[dict[str, float]] = []
        for _ in range(_ROUNDS):
            for file in folder.glob("files.sqlite*"):
                file.unlink()
            cold.append(_child(folder / "context", store))
            warm.append(_child(folder / "context", store))
        result = {
            "files": options.files,
            "mib": options.mib,
            "cold": _median(cold, "first"),
            "warm_new_daemon": _median(warm, "first"),
            "warm_same_daemon": _median(warm, "second"),
            "memory_mib": _median(warm, "memory"),
            "cache_mib": round(store.stat().st_size / (1 << 20), 1),
        }
        print(json.dumps(result, indent=2))
    finally:
        shutil.rmtree(folder)


def _plant(context: Path, files: int, size: int) -> None:
    chance = random.Random(1)  # noqa: S311 - the same files each time
    old = time.time() - 3600
    for number in range(files):
        path = context / f"d{number // _IN_FOLDER // 20}/e{number // _IN_FOLDER}/f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(size // files))
        os.utime(path, (old, old + 0.5))


def _child(context: Path, store: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.bench_keys", "--child", str(context), str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measure(context: Path, store: Path) -> dict[str, float]:
    began = time.perf_counter()
    cache = FileCache(store)
    first = _digest(context, cache)
    middle = time.perf_counter()
    second = _digest(context, cache)
    end = time.perf_counter()
    cache.close()
    if first != second:
        raise SystemExit("the digest changed")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"first": middle - began, "second": end - middle, "memory": peak}


def _digest(context: Path, cache: FileCache) -> str:
    found = buildcontext.digest(
        buildcontext.entries(str(context), dockerignore.ContextFilter()), cache
    )
    cache.flush()
    return found


def _median(runs: list[dict[str, float]], name: str) -> float:
    return round(statistics.median(run[name] for run in runs), 3)


if __name__ == "__main__":
    main()
