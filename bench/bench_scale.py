"""A thousand ConfigMaps in two hundred resources: first apply, and again with nothing changed.

`unchanged` has a daemon of its own in each run; `unchanged, daemon running` one that has been
there before and has had a session like it.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench import cluster, measure, phases, resident

_RESOURCES = 200
_EACH = 5
_LIMITS = {"first": 3.0, "unchanged": 1.2, resident.CASE: 0.3}
_YAML = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}}}
data: {{one: "1", two: "{name}"}}
"""


def main() -> int:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs: int = parser.parse_args().runs
    cluster.required()
    measured: dict[str, list[measure.Run]] = defaultdict(list)
    result: dict[str, object] = {"bench": "scale", "objects": _RESOURCES * _EACH, "runs": runs}
    with tempfile.TemporaryDirectory(prefix="tiltd-bench-") as folder:
        project = Path(folder)
        _write(project)
        for _ in range(runs):
            _pair(project, measured)
        result |= {case: measure.told(found, _LIMITS.get(case)) for case, found in measured.items()}
        if "tilt, first" in measured:
            result["tilt takes times"] = {
                case: measure.ratios(
                    measure.median(measured[f"tilt, {case}"]), measure.median(measured[case])
                )
                for case in ("first", "unchanged")
            }
        with cluster.namespace() as name:
            command = cluster.ours(name)
            result["phases"] = {
                case: phases.watched(command, project) for case in ("first", "unchanged")
            }
    print(json.dumps(result, indent=2))
    return 0


def _pair(project: Path, measured: dict[str, list[measure.Run]]) -> None:
    with cluster.namespace() as name:
        for case in ("first", "unchanged"):
            measured[case].append(measure.run(cluster.ours(name), project))
        measured[resident.CASE].append(resident.run(cluster.ours(name), project))
    with cluster.namespace() as name:
        if command := cluster.theirs(name):
            for case in ("tilt, first", "tilt, unchanged"):
                measured[case].append(measure.run(command, project))


def _write(project: Path) -> None:
    lines = ["k8s_yaml('all.yaml')"]
    documents: list[str] = []
    for number in range(_RESOURCES):
        names = [f"cm-{number}-{index}" for index in range(_EACH)]
        documents += [_YAML.format(name=name) for name in names]
        selected = [f"{name}:configmap" for name in names]
        lines.append(f"k8s_resource(new_name='group-{number}', objects={selected})")
    (project / "all.yaml").write_text("---\n".join(documents))
    (project / "Tiltfile").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    sys.exit(main())
