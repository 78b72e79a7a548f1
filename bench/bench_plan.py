"""How long does it take to say that nothing is to be done, and what one change would do?

    python -m bench.bench_plan [--objects 1000] [--runs 3]

So many ConfigMaps in resources of five, applied once.  Then `plan`, `plan --offline`, `plan` with
one changed field, and `ci` with nothing changed, each with a daemon of its own; and such a `ci`
with a daemon that has been there before.  Medians.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench import cluster, measure, resident

_EACH = 5
_LIMITS = {"unchanged": 1.2, resident.CASE: 0.3}


def main() -> int:
    """Print the medians as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    cluster.required()
    measured: dict[str, list[measure.Run]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="tiltd-bench-") as folder, cluster.namespace() as name:
        project = Path(folder)
        _write(project, options.objects, "1")
        client, *_ = command = cluster.ours(name)
        plan = [client, "plan", "--namespace", name]
        measure.run(command, project)
        for _ in range(options.runs):
            measured["unchanged"].append(measure.run(command, project))
            measured[resident.CASE].append(resident.run(command, project))
            measured["plan"].append(measure.run(plan, project))
            measured["plan --offline"].append(measure.run([*plan, "--offline"], project))
            _write(project, 1, "2")
            measured["plan of one change"].append(measure.run(plan, project))
            _write(project, 1, "1")
    limits = _LIMITS if options.objects == 1000 else {}  # noqa: PLR2004 - what they are for
    result = {case: measure.told(found, limits.get(case)) for case, found in measured.items()}
    print(json.dumps({"bench": "plan", "objects": options.objects, **result}, indent=2))
    return 0


def _write(project: Path, objects: int, value: str) -> None:
    """Write the first objects; the Tiltfile has all that there are."""
    for number in range(objects):
        meta = f"metadata: {{name: cm-{number}}}"
        data = f'data: {{one: "{value}", two: "{number}"}}'
        text = f"apiVersion: v1\nkind: ConfigMap\n{meta}\n{data}\n"
        (project / f"{number}.yaml").write_text(text, encoding="utf-8")
    count = len(list(project.glob("*.yaml")))
    lines = [f"k8s_yaml(['%d.yaml' % n for n in range({count})])"]
    for first in range(0, count, _EACH):
        names = [f"cm-{n}" for n in range(first, min(first + _EACH, count))]
        lines.append(f"k8s_resource(new_name='r{first}', objects={names!r})")
    (project / "Tiltfile").write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
