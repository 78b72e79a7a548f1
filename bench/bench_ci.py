"""Ten services from sources to healthy: all new, and again with nothing changed.

Each service is an image (a few bytes on top of busybox, other bytes in each cold run), a Service,
and a Deployment with a readiness probe.  Measured with `--stable-for 0`, which is what other tools
do, and with the default, which also waits to see that everything stays up.  The last case is again
unchanged, with a daemon that has been there before.
"""

import argparse
import json
import sys
import tempfile
import uuid
from collections import defaultdict
from pathlib import Path

from bench import cluster, measure, phases, resident

_SERVICES = 10
_DOCKERFILE = """\
FROM localhost:5000/base/busybox:1
COPY index.html /var/www/
CMD ["httpd", "-f", "-p", "8080", "-h", "/var/www"]
"""
_YAML = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: bench-{name}
          ports: [{{name: http, containerPort: 8080}}]
          readinessProbe: {{httpGet: {{path: /, port: http}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{port: 80, targetPort: http}}]
"""
_LIMITS = {"unchanged": 1.3, resident.CASE: 0.4}
_SETTINGS = {"stable for 0": ("--stable-for", "0"), "default": ()}


def main() -> int:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs: int = parser.parse_args().runs
    cluster.required()
    result: dict[str, object] = {"bench": "ci", "services": _SERVICES, "runs": runs}
    with tempfile.TemporaryDirectory(prefix="tiltd-bench-") as folder:
        project = Path(folder)
        for setting, flags in _SETTINGS.items():
            measured: dict[str, list[measure.Run]] = defaultdict(list)
            for _ in range(runs):
                _pair(project, measured, flags)
            limits = _LIMITS if flags else {}
            result[setting] = {
                case: measure.told(found, limits.get(case)) for case, found in measured.items()
            }
            if "tilt, cold" in measured:
                result[f"{setting}, tilt takes times"] = {
                    case: measure.ratios(
                        measure.median(measured[f"tilt, {case}"]), measure.median(measured[case])
                    )
                    for case in ("cold", "unchanged")
                }
        result["phases (stable for 0)"] = _phases(project)
    print(json.dumps(result, indent=2))
    return 0


def _pair(project: Path, measured: dict[str, list[measure.Run]], flags: tuple[str, ...]) -> None:
    """A cold run and an unchanged one; then the same for tilt."""
    with cluster.namespace() as name:
        _write(project)
        for case in ("cold", "unchanged"):
            measured[case].append(measure.run(cluster.ours(name, *flags), project))
        measured[resident.CASE].append(resident.run(cluster.ours(name, *flags), project))
    with cluster.namespace() as name:
        if command := cluster.theirs(name):
            _write(project)
            for case in ("tilt, cold", "tilt, unchanged"):
                measured[case].append(measure.run(command, project))


def _phases(project: Path) -> dict[str, object]:
    with cluster.namespace() as name:
        _write(project)
        command = cluster.ours(name, "--stable-for", "0")
        return {case: phases.watched(command, project) for case in ("cold", "unchanged")}


def _write(project: Path) -> None:
    """The project, with contents that no run before had."""
    lines: list[str] = []
    for number in range(_SERVICES):
        name = f"svc-{number}"
        folder = project / name
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(_DOCKERFILE)
        (folder / "index.html").write_text(uuid.uuid4().hex)
        (project / f"{name}.yaml").write_text(_YAML.format(name=name))
        lines += [f"docker_build('bench-{name}', '{name}')", f"k8s_yaml('{name}.yaml')"]
    (project / "Tiltfile").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    sys.exit(main())
