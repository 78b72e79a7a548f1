"""What happened, as one line each: the Tiltfile, images, commands, verdicts.

Compared with what was told before, not with the last answer: a slow reader is allowed to miss
states in between, and two resources may share an image.  An applied object has no line here,
because the daemon's own log of the apply says it, and what it changed.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import style
from tilt_client.render.known import Known
from tilt_client.render.style import Tone

_OVER = {pb.TARGET_PHASE_DONE, pb.TARGET_PHASE_FAILED}


class Item(NamedTuple):
    """A line about a resource, or (no resource) about the session."""

    resource: str
    text: str
    tone: Tone = Tone.PLAIN


class News:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._told: set[tuple[object, ...]] = set()
        self._verdicts: dict[str, tuple[object, ...]] = {}

    def items(self, answer: pb.WatchResponse, known: Known, now: float) -> list[Item]:
        """What is new in an answer that `known` has learned already."""
        found: list[Item] = []
        if answer.HasField("session"):
            found.extend(self._session(answer.session, known))
        for resource in answer.resources:
            if resource.enabled:
                for target in resource.targets:
                    found.extend(self._target(resource, target))
                found.extend(self._verdict(resource, known.session, now))
        return found

    def _first(self, *what: object) -> bool:
        if what in self._told:
            return False
        self._told.add(what)
        return True

    def _session(self, session: pb.Session, known: Known) -> Iterator[Item]:
        for warning in session.warnings:
            if self._first("warning", warning.message):
                yield Item("", f"warning: {place(warning)}{warning.message}", Tone.WARN)
        yield from self._source(session.cluster, f"Cluster {session.cluster.name} answers")
        amount = style.count(len(known.resources), "resource")
        yield from self._source(session.tiltfile, f"Tiltfile loaded: {amount}")

    def _source(self, target: pb.Target, done: str) -> Iterator[Item]:
        attempt = target.attempt
        # The cluster has further tries: after it was found, it is looked at.
        which = target.name if target.kind == pb.TARGET_KIND_CLUSTER else attempt.number
        if target.phase == pb.TARGET_PHASE_DONE and self._first(target.kind, which):
            yield Item("", f"{done}{_took(attempt)}", Tone.QUIET)
        failed = attempt.outcome == pb.ATTEMPT_OUTCOME_FAILED
        if failed and target.phase not in _OVER and self._first(target.kind, _said(attempt)):
            yield Item("", f"{_said(attempt)}; it is tried again", Tone.WARN)

    def _target(self, resource: pb.Resource, target: pb.Target) -> Iterator[Item]:
        attempt = target.attempt
        failed = attempt.outcome == pb.ATTEMPT_OUTCOME_FAILED
        if failed and target.phase not in _OVER:
            # It will be tried again, so no report is going to say why it failed.
            if self._first(target.id, attempt.number, "again"):
                text = f"{target.name}: {attempt.problem.message}; it is tried again"
                yield Item(resource.name, text, Tone.WARN)
        elif target.phase == pb.TARGET_PHASE_DONE:
            text = _done(target)
            if text and self._first(target.id, attempt.number, target.key):
                yield Item(resource.name, text, Tone.QUIET)

    def _verdict(self, resource: pb.Resource, session: pb.Session, at: float) -> Iterator[Item]:
        finding = resource.findings[0] if resource.findings else pb.Finding()
        now = (resource.verdict, finding.rule, finding.message if _failing(resource) else "")
        if self._verdicts.get(resource.name) == now:
            return
        before = self._verdicts.get(resource.name)
        self._verdicts[resource.name] = now
        for warning in (w for f in resource.findings for w in f.warnings):
            if resource.verdict == pb.VERDICT_HEALTHY and self._first(resource.name, warning):
                yield Item(resource.name, f"warning: {warning}", Tone.WARN)
        match resource.verdict:
            case pb.VERDICT_HEALTHY if before is None or before[0] != pb.VERDICT_HEALTHY:
                after = self._first(resource.name, "healthy")
                took = style.duration(at - session.started_at)
                told = f"{f' after {took}' if after else ' again'}{_pages(resource, session)}"
                yield Item(resource.name, f"✔ healthy{told}", Tone.GOOD)
            case pb.VERDICT_FAILING:
                yield Item(resource.name, _sentence(resource, finding), Tone.WARN)
            case _:
                pass


def _pages(resource: pb.Resource, session: pb.Session) -> str:
    """Where to look at it, while there will be something to see."""
    urls = [link.url for link in resource.links] if session.mode == pb.MODE_UP else []
    return f": {' '.join(urls)}" if urls else ""


def place(problem: pb.Problem) -> str:
    """`Tiltfile:3:5: `, as editors and terminals link it."""
    if not problem.file:
        return ""
    return ":".join([problem.file, *(str(n) for n in (problem.line, problem.column) if n)]) + ": "


def _said(attempt: pb.Attempt) -> str:
    return f"{place(attempt.problem)}{attempt.problem.message}"


def _failing(resource: pb.Resource) -> bool:
    return resource.verdict == pb.VERDICT_FAILING


def _sentence(resource: pb.Resource, finding: pb.Finding) -> str:
    observed = f" ({finding.observed})" if finding.observed else ""
    return f"{finding.message or resource.status or 'failing'}{observed}"


def _took(attempt: pb.Attempt) -> str:
    """` in 3.2s (build 2.9s, push 0.3s)`."""
    if not attempt.HasField("ended_at"):
        return ""
    told = [(name, took) for name, took in attempt.phases.items() if took >= 0.05]  # noqa: PLR2004
    phases = ", ".join(f"{name} {style.duration(took)}" for name, took in sorted(told))
    parts = f" ({phases})" if len(told) > 1 else ""
    return f" in {style.duration(attempt.ended_at - attempt.started_at)}{parts}"


def _succeeded(attempt: pb.Attempt) -> bool:
    """A command came to its end; a served process has none, only a session that is over."""
    return attempt.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED and attempt.work != "serve"


def _done(target: pb.Target) -> str:
    match target.kind:
        case pb.TARGET_KIND_IMAGE if target.reused:
            return f"image {target.name} is there already ({target.reused})"
        case pb.TARGET_KIND_IMAGE if target.attempt.work == "read":
            return ""  # what has changed goes into its containers
        case pb.TARGET_KIND_IMAGE:
            return f"image {target.name} built{_took(target.attempt)}"
        case pb.TARGET_KIND_COMMAND if _succeeded(target.attempt):
            return f"command succeeded{_took(target.attempt)}"
        case pb.TARGET_KIND_LIVE_UPDATE if (
            _succeeded(target.attempt) and target.attempt.work != "read"
        ):
            return f"containers updated{_took(target.attempt)}"
        case _:
            return ""
