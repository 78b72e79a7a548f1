"""All that is known about a resource, as `kubectl describe` tells it: for people."""

from collections.abc import Iterable, Iterator, Sequence

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import listing, report, style, times, waiting
from tilt_client.render.known import Known
from tilt_client.render.style import Style
from tilt_client.render.tails import Tails

_WIDTH = 14


def lines(
    resource: pb.Resource, known: Known, log: Sequence[pb.LogLine], now: float, look: Style
) -> Iterator[str]:
    """The description; `log` has its last lines."""
    yield from _row("Name", resource.name)
    yield from _row("Kind", listing.kind(resource))
    yield from _row("Labels", ", ".join(resource.labels))
    yield from _row("Depends on", ", ".join(resource.resource_deps))
    yield from _row("Verdict", listing.verdict(resource, known))
    yield from _row("Status", waiting.why(resource))
    yield from _row("Waiting for", ", ".join(resource.hold.on))
    took = times.of(resource)._asdict().items()
    told = [f"{name} {style.duration(seconds)}" for name, seconds in took if seconds is not None]
    yield from _row("Times", ", ".join(told).replace("ready ", "until ready "))
    yield from _row("Links", ", ".join(link.url for link in resource.links))
    yield from _targets(resource, now)
    yield from _pods(resource.pods, now)
    yield from _forwards(resource.port_forwards)
    yield from _findings(resource, log, look)
    if log:
        yield f"Last {style.count(len(log), 'line')} of the log:"
        wide = max(len(line.span) for line in log)
        yield from (f"  {line.span:<{wide}} | {look.log_text(line.text)}" for line in log)


def _row(name: str, text: str) -> list[str]:
    return [f"{name + ':':<{_WIDTH}}{text}"] if text else []


def _targets(resource: pb.Resource, now: float) -> Iterator[str]:
    if resource.targets:
        yield "Parts:"
        rows = [["PART", "PHASE", "TRIES", "TOOK", "NOTE"]]
        rows += [_target(target, now) for target in resource.targets]
        yield from _indented(style.columns(rows))


def _target(target: pb.Target, now: float) -> list[str]:
    attempt = target.attempt
    began = target.HasField("attempt")
    end = attempt.ended_at if attempt.HasField("ended_at") else now
    took = style.duration(end - attempt.started_at) if began else "-"
    note = f"found in the {target.reused}" if target.reused else target.hold.message
    return [
        f"{_kind(target)} {target.name}",
        pb.TargetPhase.Name(target.phase).removeprefix("TARGET_PHASE_").lower(),
        str(attempt.number) if began else "-",
        took,
        " ".join((attempt.problem.message or note).split()),
    ]


def _kind(target: pb.Target) -> str:
    return pb.TargetKind.Name(target.kind).removeprefix("TARGET_KIND_").lower()


def _pods(pods: Sequence[pb.Pod], now: float) -> Iterator[str]:
    if pods:
        yield "Pods:"
        rows = [["POD", "PHASE", "READY", "AGE", "NODE"]]
        for pod in pods:
            age = style.duration(now - pod.created_at) if pod.HasField("created_at") else "-"
            rows.append([pod.name, pod.phase, listing.pods_ready([pod]), age, pod.node])
            rows += [_container(c) for c in pod.containers]
        yield from _indented(style.columns(rows))


def _container(container: pb.Container) -> list[str]:
    state = f"{container.state} {container.reason}".strip()
    ready = "ready" if container.ready else "not ready"
    name = f"  {'init ' if container.init else ''}{container.name}"
    restarts = style.count(container.restarts, "restart")
    return [name, state, ready, restarts, container.image]


def _forwards(forwards: Sequence[pb.PortForward]) -> Iterator[str]:
    if forwards:
        yield "Port forwards:"
        rows = [["HERE", "STATE", "POD", "PORT", "NOTE"], *map(_forward, forwards)]
        yield from _indented(style.columns(rows))


def _forward(forward: pb.PortForward) -> list[str]:
    return [
        f"{forward.host}:{forward.local_port}",
        "open" if forward.open else "closed",
        forward.pod or "-",
        str(forward.container_port or "-"),
        forward.problem or forward.name,
    ]


def _findings(resource: pb.Resource, log: Iterable[pb.LogLine], look: Style) -> Iterator[str]:
    tails = Tails()
    for line in log:
        tails.add(line)
    if resource.verdict == pb.VERDICT_HEALTHY:
        yield "Findings:"
        yield from _indented(f"{f.message} [{f.rule}]" for f in resource.findings)
    elif why := report.failure(resource, tails, look):
        yield "Why:"
        yield from _indented(why)


def _indented(texts: Iterable[str]) -> Iterator[str]:
    return (f"  {text}" for text in texts)
