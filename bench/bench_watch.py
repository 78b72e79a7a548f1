"""How soon is a verdict told, and what does watching cost?

Three questions.  How long after the cluster knew it did `tilt-client ci` exit: on the real cluster,
against the moment at which an independent watch told of the container's end, and against the
object's own timestamp, which is cut to the second (up to 1 s of it is that) and which the kubelet
reports when it next looks (up to another).  What does the daemon need to watch 500 pods, where
nothing changes (as in an app that runs), a little, and a lot: CPU over a while, on a server
of the bench's own.  And do 10,000 log lines a second from 50 pods all arrive, without holding up
the verdict of a pod that crashes, and within the memory that logs may take?
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import cluster, fake_cluster
from tilt_api import address, client
from tilt_api.v1 import tilt_pb2 as pb

_UPDATES = (0.0, 10.0, 50.0)
_SECONDS = 20.0
_LINES = 10_000.0
_LOGGING = 10.0
_PATIENCE = 60.0
_MIB = 1 << 20
_EXIT = 3
_FAILING = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: app}}
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: localhost:5000/base/busybox:1
      command: [sh, -c, "sleep 3; exit {_EXIT}"]
"""


def main() -> int:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs: int = parser.parse_args().runs
    result: dict[str, object] = {"bench": "watch", "runs": runs}
    if os.environ.get("KUBECONFIG"):
        found = [_latency() for _ in range(runs)]
        result["exit after"] = {
            name: round(statistics.median(f[name] for f in found), 2) for name in found[0]
        }
    result["500 pods"] = [_watching(updates) for updates in _UPDATES]
    result["10000 lines a second"] = _logging()
    print(json.dumps(result, indent=2))
    return 0


def _latency() -> dict[str, float]:
    """Seconds from a pod's end to the exit of the client."""
    with tempfile.TemporaryDirectory(prefix="tiltd-bench-") as folder, cluster.namespace() as name:
        project = Path(folder)
        (project / "Tiltfile").write_text("k8s_yaml('app.yaml')\n")
        (project / "app.yaml").write_text(_FAILING)
        seen: list[float] = []
        with _observed(name, seen):
            subprocess.run(cluster.ours(name), cwd=project, check=False, capture_output=True)
            ended = time.time()
        text = _kubectl("get", "pod", "app", "-n", name, "-o", "json")
        status = json.loads(text)["status"]["containerStatuses"][0]["state"]["terminated"]
        stamp = datetime.fromisoformat(status["finishedAt"]).timestamp()
        return {"an independent watch": ended - seen[0], "the object's timestamp": ended - stamp}


@contextlib.contextmanager
def _observed(name: str, seen: list[float]) -> Generator[None]:
    """Note when a watch of somebody else's tells that the container has ended."""
    what = "jsonpath={.status.containerStatuses[*].state.terminated.exitCode}:"
    command = ["kubectl", "get", "pods", "-n", name, "--watch", "-o", what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:

        def read() -> None:
            text = ""
            while watch.stdout and (letter := watch.stdout.read(1)):
                text += letter
                if text.endswith(f"{_EXIT}:"):
                    seen.append(time.time())

        reader = threading.Thread(target=read)
        reader.start()
        yield
        _until(lambda: bool(seen))  # it may be later than the client
        watch.terminate()
        reader.join()


def _watching(updates: float) -> dict[str, float]:
    """CPU of a daemon while 500 pods change now and then."""
    with fake_cluster.FakeCluster(updates) as server, _daemon(server.url) as (pid, tiltd):
        _healthy(tiltd)
        told, before, began = server.told, _cpu(pid), time.monotonic()
        threading.Event().wait(_SECONDS)
        took, used = time.monotonic() - began, _cpu(pid) - before
        changes = server.told - told
        found = {
            "changes a second": round(changes / took, 1),
            "percent of a core": round(100 * used / took, 1),
        }
        if changes:
            found["cpu seconds for 1000 changes"] = round(1000 * used / changes, 2)
        return found


def _logging() -> dict[str, float]:
    """Lines that were printed, those that came, and how late a verdict is among them."""
    with (
        fake_cluster.FakeCluster(1.0, _LINES, _LOGGING) as server,
        _daemon(server.url) as (pid, tiltd),
    ):
        lines, dropped = [0], [0]
        logs = tiltd.logs(pb.StreamLogsRequest(follow=True))

        def read() -> None:
            for answer in logs:
                lines[0] += sum(line.span.startswith("pod/") for line in answer.lines)
                dropped[0] += answer.dropped

        reader = threading.Thread(target=read)
        reader.start()
        before, memory = _cpu(pid), _memory(pid)
        try:
            _until(lambda: server.printed >= _LINES * _LOGGING / 2)
            crashed = server.crash()
            _verdict(tiltd, pb.VERDICT_FAILED)
            late = time.time() - crashed
            _until(lambda: server.printed >= _LINES * _LOGGING)
            _until(lambda: lines[0] >= server.printed)
            used = _cpu(pid) - before
        finally:
            logs.cancel()
            reader.join()
        return {
            "printed": server.printed,
            "arrived": lines[0],
            "dropped": dropped[0],
            "verdict after": round(late, 3),
            "percent of a core": round(100 * used / _LOGGING, 1),
            "MiB of lines": round(server.bytes / _MIB, 1),
            "MiB more memory": round(_memory(pid) - memory, 1),
        }


@contextlib.contextmanager
def _daemon(url: str) -> Generator[tuple[int, Any]]:
    """A daemon in an `up` session on the server's Deployments."""
    with tempfile.TemporaryDirectory(prefix="tiltd-bench-") as folder:
        project = Path(folder).resolve()
        (project / "Tiltfile").write_text("k8s_yaml('app.yaml')\n")
        (project / "app.yaml").write_text(fake_cluster.manifests())
        (project / "kubeconfig").write_text(fake_cluster.kubeconfig(url))
        command = [sys.executable, "-m", "tiltd", "--project-dir", str(project)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            if process.stdout:
                process.stdout.readline()
            try:
                with client.connect(str(address.home(str(project)).address)) as tiltd:
                    tiltd.start(_request(project))
                    yield process.pid, tiltd
            finally:
                process.terminate()


def _request(project: Path) -> pb.StartSessionRequest:
    return pb.StartSessionRequest(
        tiltfile_path=str(project / "Tiltfile"),
        mode=pb.MODE_UP,
        env={**os.environ, "KUBECONFIG": str(project / "kubeconfig")},
        working_dir=str(project),
    )


def _healthy(tiltd: Any) -> None:
    _until(lambda: _verdicts(tiltd) == [pb.VERDICT_HEALTHY] * fake_cluster.DEPLOYMENTS)


def _verdict(tiltd: Any, verdict: int) -> None:
    """Wait, as a client does that watches, until a resource has this verdict."""
    watch = tiltd.watch()
    for change in watch:
        if any(resource.verdict == verdict for resource in change.resources):
            break
    watch.cancel()


def _verdicts(tiltd: Any) -> list[int]:
    return [resource.verdict for resource in tiltd.snapshot().resources]


def _until(reached: Callable[[], bool]) -> None:
    limit, never = time.monotonic() + _PATIENCE, threading.Event()
    while not reached():
        if time.monotonic() > limit:
            raise TimeoutError("what is measured never came about")
        never.wait(0.1)


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """MiB that a process has in memory (proc(5))."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


def _kubectl(*args: str) -> str:
    return subprocess.run(["kubectl", *args], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
