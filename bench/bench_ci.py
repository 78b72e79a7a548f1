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
from collections import defaultdict
from pathlib import Path

from bench import cluster, measure, phases, resident, services

_LIMITS = {"unchanged": 1.3, resident.CASE: 0.4}
_SETTINGS = {"stable for 0": ("--stable-for", "0"), "default": ()}


def main() -> int:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs: int = parser.parse_args().runs
    cluster.required()
    result: dict[str, object] = {"bench": "ci", "services": services.COUNT, "runs": runs}
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
        services.write(project, services.BUSYBOX)
        for case in ("cold", "unchanged"):
            measured[case].append(measure.run(cluster.ours(name, *flags), project))
        measured[resident.CASE].append(resident.run(cluster.ours(name, *flags), project))
    with cluster.namespace() as name:
        if command := cluster.theirs(name):
            services.write(project, services.BUSYBOX)
            for case in ("tilt, cold", "tilt, unchanged"):
                measured[case].append(measure.run(command, project))


def _phases(project: Path) -> dict[str, object]:
    with cluster.namespace() as name:
        services.write(project, services.BUSYBOX)
        command = cluster.ours(name, "--stable-for", "0")
        return {case: phases.watched(command, project) for case in ("cold", "unchanged")}


if __name__ == "__main__":
    sys.exit(main())
