"""How long does a large Tiltfile take?

A project of 1,000 images and 1,000 Kubernetes objects: a `docker_build`, a `k8s_yaml` and a
`k8s_resource` for each, written out one call a line.  `first`: nothing is known.  `compiled`: the
compiled program is on disk, as a new daemon finds it.  `again`: the same daemon reads it again,
unchanged.  Each run is the reading of one Tiltfile, from the first line to the project, in a
process of its own that has imported all it needs (which `bench_import` measures).  Limits: 1.0 s,
0.4 s and 0.4 s on an idle core; on a busy one, `cpu_seconds` tells more: what the process was
charged for the same time.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tiltd.model.names import SessionId
from tiltd.model.observed import KubeContext
from tiltd.model.state import Mode, SessionSpec
from tiltd.runtime.threads import Pool
from tiltd.tiltfile.loader import TiltfileLoader

_LIMITS = {"first": 1.0, "compiled": 0.4, "again": 0.4}
_CONTEXT = KubeContext("kind-bench", "kind-bench", is_local=True)
_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{n}
  labels: {{app: app-{n}}}
spec:
  replicas: 1
  selector:
    matchLabels: {{app: app-{n}}}
  template:
    metadata:
      labels: {{app: app-{n}}}
    spec:
      containers:
        - name: main
          image: team/app-{n}
          env:
            - name: PORT
              value: "8080"
          ports:
            - containerPort: 8080
"""
_CALLS = """\
docker_build('team/app-{n}', 'app-{n}', only=['src'])
k8s_yaml('app-{n}/app.yaml')
k8s_resource('app-{n}', port_forwards='{port}:8080', labels=['bench'])
"""


class _Took(NamedTuple):
    seconds: float
    cpu: float


class _Quiet:
    def write(self, text: str, *, level: str = "info") -> None:
        """Keep nothing."""


def main() -> int:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=1000)
    given = parser.parse_args()
    runs: int = given.runs
    size: int = given.size
    took: dict[str, list[_Took]] = {name: [] for name in _LIMITS}
    with tempfile.TemporaryDirectory(prefix="tiltd-bench-") as folder:
        _write(Path(folder), size)
        for number in range(runs):
            cache = f"{folder}/cache-{number}"
            for names in (("first", "again"), ("compiled",)):
                for name, times in zip(names, _measured(folder, cache, len(names)), strict=True):
                    took[name].append(times)
    result: dict[str, object] = {"bench": "tiltfile", "runs": runs, "size": size}
    for name, limit in _LIMITS.items():
        middle = round(statistics.median(t.seconds for t in took[name]), 3)
        result[name] = {
            "median_seconds": middle,
            "fastest_seconds": round(min(t.seconds for t in took[name]), 3),
            "cpu_seconds": round(statistics.median(t.cpu for t in took[name]), 3),
            "limit_seconds": limit,
            "within": middle <= limit,
        }
    print(json.dumps(result, indent=2))
    return 0


def _write(folder: Path, size: int) -> None:
    calls: list[str] = []
    for n in range(size):
        app = folder / f"app-{n}"
        app.mkdir()
        (app / "Dockerfile").write_text("FROM scratch\nCOPY src /src\n")
        (app / "app.yaml").write_text(_DEPLOYMENT.format(n=n))
        calls.append(_CALLS.format(n=n, port=10000 + n))
    (folder / "Tiltfile").write_text("".join(calls))


def _measured(folder: str, cache: str, readings: int) -> list[_Took]:
    """Each reading, one after the other in one new process."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(_read, (folder, cache, readings))


def _read(folder: str, cache: str, readings: int) -> list[_Took]:
    return asyncio.run(_reading(folder, cache, readings))


async def _reading(folder: str, cache: str, readings: int) -> list[_Took]:
    pool = Pool("tiltfile", 1)
    loader = TiltfileLoader(pool, Path(cache))
    env = {"PATH": os.environ["PATH"]}
    took: list[_Took] = []
    for number in range(readings):
        spec = SessionSpec(
            SessionId(f"s{number}"), Mode.CI, f"{folder}/Tiltfile", env=env, cwd=folder
        )
        began, charged = time.perf_counter(), time.process_time()
        loaded = await loader.load(spec, _CONTEXT, _Quiet())
        took.append(_Took(time.perf_counter() - began, time.process_time() - charged))
        if not loaded.project.images:
            sys.exit("the Tiltfile has no images")
    pool.close()
    return took


if __name__ == "__main__":
    sys.exit(main())
