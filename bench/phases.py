"""Where a run's time goes: one run more, watched over the API like an IDE would.

Kept apart from the measured runs, because watching costs CPU on the same cores.  An attempt tells
its work (`load`, `build`, `apply` …), its start and end, and what of it went into which phase.
"""

import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench import measure
from tilt_api import address, client
from tilt_api.v1 import tilt_pb2 as pb

_LOOK = 0.01
_PATIENCE = 120.0


def watched(command: Sequence[str], folder: Path) -> dict[str, dict[str, float]]:
    """Run `tilt-client ci` once; for each kind of work, begin and end after the session's start.

    `busy` is the sum over all attempts, which may run at the same time; phases of an attempt are
    under their own names with `busy` alone.  `wait` is what came after the last piece of work.
    """
    seen: list[pb.Snapshot] = []
    observer = threading.Thread(target=_observe, args=(folder, seen))
    observer.start()
    measure.run(command, folder)
    observer.join()
    return _told(seen[-1])


def _observe(folder: Path, seen: list[pb.Snapshot]) -> None:
    home = address.home(address.project_dir(str(folder / "Tiltfile")))
    socket, never = Path(str(home.address).removeprefix("unix://")), threading.Event()
    for _ in range(int(_PATIENCE / _LOOK)):
        if socket.is_socket():
            break
        never.wait(_LOOK)
    with client.connect(str(home.address)) as tiltd:
        known = pb.Snapshot()
        resources: dict[str, pb.Resource] = {}
        for change in tiltd.watch():
            if change.HasField("session"):
                known.session.CopyFrom(change.session)
            resources.update((r.name, r) for r in change.resources)
            if known.session.settled:
                break
        known.resources.extend(resources.values())
        seen.append(known)


def _told(snapshot: pb.Snapshot) -> dict[str, dict[str, float]]:
    session = snapshot.session
    targets = {t.id: t for r in snapshot.resources for t in r.targets}
    attempts = [session.tiltfile.attempt, session.cluster.attempt]
    attempts += [t.attempt for t in targets.values()]
    found: dict[str, dict[str, float]] = defaultdict(dict)
    last = session.started_at
    for attempt in attempts:
        if not (attempt.work and attempt.HasField("ended_at")):
            continue
        last = max(last, attempt.ended_at)
        begin, end = attempt.started_at - session.started_at, attempt.ended_at - session.started_at
        work = found[attempt.work]
        work["begin"] = min(begin, work.get("begin", begin))
        work["end"] = max(end, work.get("end", end))
        work["busy"] = work.get("busy", 0.0) + end - begin
        for phase, took in attempt.phases.items():
            part = found[f"{attempt.work}: {phase}"]
            part["busy"] = part.get("busy", 0.0) + took
    found["wait"] = {"busy": session.ended_at - last}
    return {w: {k: round(v, 3) for k, v in told.items()} for w, told in found.items()}
