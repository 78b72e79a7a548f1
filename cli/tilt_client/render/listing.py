"""Resources as tables, as kubectl lists objects: one line each, in the Tiltfile's order."""

from collections.abc import Iterable, Sequence

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import report, style, times, waiting
from tilt_client.render.known import Known
from tilt_client.render.style import Style, Tone

_VERDICTS = {
    pb.VERDICT_UNSPECIFIED: "-",
    pb.VERDICT_HEALTHY: "Healthy",
    pb.VERDICT_PROGRESSING: "Progressing",
    pb.VERDICT_FAILING: "Failing",
    pb.VERDICT_FAILED: "Failed",
}
_KINDS = {
    pb.RESOURCE_KIND_KUBERNETES: "kubernetes",
    pb.RESOURCE_KIND_LOCAL: "local",
    pb.RESOURCE_KIND_COMPOSE: "compose",
}
_NONE = "-"


def head(known: Known, now: float, look: Style) -> list[str]:
    """What the session is, and how it stands."""
    session = known.session
    what = f"{pb.Mode.Name(session.mode).removeprefix('MODE_').lower()} of {session.tiltfile_path}"
    where = [f"context {session.context}"] if session.context else []
    where += [f"namespace {session.namespace}"] if where and session.namespace else []
    out = [what, *([", ".join(where)] if where else [])]
    if known.ended:
        ago = style.duration(now - session.ended_at)
        return [*out, f"{report.summary(known, look)}, {ago} ago"]
    healthy = sum(r.verdict == pb.VERDICT_HEALTHY for r in known.counted)
    took = style.duration(now - session.started_at)
    total = style.count(len(known.counted), "resource")
    out.append(f"running for {took}, {healthy} of {total} healthy")
    for target in (session.tiltfile, session.cluster):
        if target.phase == pb.TARGET_PHASE_FAILED:
            out += report.problem(target.attempt.problem, look)
    return out


def table(
    resources: Iterable[pb.Resource], known: Known, now: float, look: Style, *, wide: bool
) -> list[str]:
    """A line for each resource."""
    titles = ["NAME", "VERDICT", "PODS", "RESTARTS", "BEGAN"]
    titles += ["KIND", "LABELS", "BUILD", "PUSH", "APPLY", "READY-AFTER", "LINKS"] if wide else []
    shown = list(resources)
    rows = [[*titles, "STATUS"], *(_row(r, known, now, wide=wide) for r in shown)]
    first, *rest = style.columns(rows)
    return [first, *(look.paint(_tone(r), row) for r, row in zip(shown, rest, strict=True))]


def verdict(resource: pb.Resource, known: Known) -> str:
    """`Healthy`; of what does not take part, why."""
    if not resource.enabled:
        return "Disabled"
    return "Waiting" if known.asleep(resource) else _VERDICTS[resource.verdict]


def kind(resource: pb.Resource) -> str:
    """`kubernetes`, `local` or `compose`."""
    return _KINDS.get(resource.kind, "")


def pods_ready(pods: Sequence[pb.Pod]) -> str:
    """`2/3`, as kubectl counts: those that go do not count, those that are done are ready."""
    there = [pod for pod in pods if pod.phase != "Terminating"]
    return f"{sum(map(_ready, there))}/{len(there)}" if there else _NONE


def _row(resource: pb.Resource, known: Known, now: float, *, wide: bool) -> list[str]:
    there = [pod for pod in resource.pods if pod.phase != "Terminating"]
    restarts = sum(c.restarts for pod in there for c in pod.containers)
    first = times.first(resource)
    row = [
        resource.name,
        verdict(resource, known),
        pods_ready(resource.pods),
        str(restarts) if there else _NONE,
        _NONE if first is None else f"{style.duration(now - first)} ago",
    ]
    if wide:
        took = times.of(resource)
        row += [kind(resource) or _NONE, ",".join(resource.labels) or _NONE]
        row += [_cell(seconds) for seconds in (took.build, took.push, took.apply, took.ready)]
        row.append(",".join(link.url for link in resource.links) or _NONE)
    well = resource.verdict == pb.VERDICT_HEALTHY
    return [*row, "" if well else " ".join(waiting.why(resource).split())]


def _ready(pod: pb.Pod) -> bool:
    main = [c for c in pod.containers if not c.init]
    return pod.phase == "Succeeded" or (bool(main) and all(c.ready for c in main))


def _tone(resource: pb.Resource) -> Tone:
    match resource.verdict:
        case pb.VERDICT_HEALTHY:
            return Tone.GOOD
        case pb.VERDICT_FAILED:
            return Tone.BAD
        case pb.VERDICT_FAILING:
            return Tone.WARN
        case _:
            return Tone.PLAIN


def _cell(seconds: float | None) -> str:
    return _NONE if seconds is None else style.duration(seconds)
