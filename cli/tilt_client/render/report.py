"""How it ended: for each failure what is known about it, then one line for the whole.

Per failed resource, as docs/health.md promises: the sentence and the rule's id, the chain from the
applied object to the culprit, reason, exit code and signal, the last lines that it printed, the
warning events, the hint.  After these, what was still waiting and on what.  Each cause stands here
once: the daemon names it as a finding of the resource, as the problem of the attempt and as the
session's, with more or less detail each time.
"""

import signal
from collections.abc import Iterable

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import news, style, waiting
from tilt_client.render.known import Known
from tilt_client.render.style import Style, Tone
from tilt_client.render.tails import Tails

_FINDINGS = 5
_EVENTS = 10
_CANCELLED = 10
_HINTS = (
    (
        "exec format error",
        "it is for another CPU architecture, or a script without #!: see docker build --platform",
    ),
)


def lines(known: Known, tails: Tails, look: Style) -> list[str]:
    """What a session that has ended leaves to tell: failures, then the summary."""
    return [*failures(known, tails, look), summary(known, look)]


def failures(known: Known, tails: Tails, look: Style) -> list[str]:
    """A block for each failure of a session that has ended, and what it held up."""
    session = known.session
    out: list[str] = []
    if session.outcome not in {pb.OUTCOME_HEALTHY, pb.OUTCOME_CANCELLED}:
        report = _Report(known, tails, look)
        out += report.failures()
        out += report.problems()
        if session.outcome == pb.OUTCOME_TIMEOUT:
            out += report.unhealthy()
        elif known.failed and (still := waiting.still(known)):
            out += ["still waiting:", *(f"  {item}" for item in still)]
        if session.cancelled:
            told = [f"{cut.work} {cut.name}" for cut in session.cancelled]
            out.append(f"cancelled: {style.some(told, _CANCELLED)}")
    return out


def summary(known: Known, look: Style = style.Style()) -> str:  # noqa: B008 - it is a value
    """How a session ended, in one line."""
    session = known.session
    if session.outcome == pb.OUTCOME_HEALTHY and session.mode == pb.MODE_DOWN:
        return look.paint(Tone.GOOD, f"✔ {_removed(session)} in {_elapsed(session)}")
    if session.outcome == pb.OUTCOME_HEALTHY:
        return look.paint(Tone.GOOD, _success(known))
    return _summary(known, look)


def failure(resource: pb.Resource, tails: Tails, look: Style) -> list[str]:
    """The block about one resource that failed, or is not healthy yet."""
    known = Known()
    known.learn(pb.WatchResponse(resources=[resource]))
    told = _Report(known, tails, look)
    return told.failures() or told.unhealthy()


def problem(trouble: pb.Problem, look: Style) -> list[str]:
    """The block about one problem that is no resource's."""
    code = f" [{trouble.code}]" if trouble.code else ""
    named = f"{trouble.resource}: " if trouble.resource else ""
    first, *more = trouble.message.splitlines() or [""]
    head = look.paint(Tone.BAD, f"✘ {named}{news.place(trouble)}{first}")
    below = [*more, *trouble.detail.splitlines()]
    return [f"{head}{code}", *_indented(below), *_hint(trouble.hint)]


class _Report:
    """Writes the blocks, and remembers which causes it has told."""

    def __init__(self, known: Known, tails: Tails, look: Style) -> None:
        self._known, self._tails, self._look = known, tails, look
        self._told: set[str] = set()

    def failures(self) -> list[str]:
        """A block for each failed resource."""
        return [
            line
            for resource in self._known.resources
            if resource.verdict == pb.VERDICT_FAILED
            for line in self._resource(resource, pb.VERDICT_FAILED)
        ]

    def unhealthy(self) -> list[str]:
        """A block for each resource that ran out of time."""
        out: list[str] = []
        for resource in self._known.counted:
            if resource.verdict in {pb.VERDICT_PROGRESSING, pb.VERDICT_FAILING}:
                out += self._resource(resource, resource.verdict)
            elif resource.verdict == pb.VERDICT_UNSPECIFIED:
                out.append(f"{resource.name}: {waiting.why(resource)}")
        return out

    def problems(self) -> list[str]:
        """What ended the session and is in no block yet."""
        out: list[str] = []
        for trouble in self._known.session.problems:
            if self._is_new(trouble.message):
                out += problem(trouble, self._look)
        return out

    def _is_new(self, message: str) -> bool:
        """A cause may come with its place in front, or without."""
        if any(message in told or told in message for told in self._told):
            return False
        self._told.add(message)
        return True

    def _resource(self, resource: pb.Resource, verdict: "pb.Verdict.ValueType") -> list[str]:
        out: list[str] = []
        findings = [f for f in resource.findings if f.verdict == verdict]
        for finding in _distinct(findings)[:_FINDINGS]:
            if elsewhere := self._told_elsewhere(resource, finding):
                mark = self._look.paint(Tone.BAD, f"✘ {resource.name}: as {elsewhere}")
                out.append(f"{mark} [{finding.rule}]")
            elif finding.message and self._is_new(finding.message):
                out += self._finding(resource, finding, verdict)
        for target in resource.targets:
            trouble = target.attempt.problem
            if target.phase == pb.TARGET_PHASE_FAILED and self._is_new(trouble.message):
                block = pb.Problem()
                block.CopyFrom(trouble)
                block.resource = resource.name
                out += problem(block, self._look)
        if not findings and not out and self._is_new(f"{resource.name}: {resource.status}"):
            out.append(self._look.paint(Tone.BAD, f"✘ {resource.name}: {resource.status}"))
        return out

    def _finding(
        self, resource: pb.Resource, finding: pb.Finding, verdict: "pb.Verdict.ValueType"
    ) -> list[str]:
        final = verdict == pb.VERDICT_FAILED
        mark, tone = ("✘", Tone.BAD) if final else ("•", Tone.WARN)
        first, *more = finding.message.splitlines()
        head = self._look.paint(tone, f"{mark} {resource.name}: {first}")
        out = [f"{head} [{finding.rule}]" if finding.rule else head, *_indented(more)]
        if len(finding.chain) > 1:
            out.append(f"  {' → '.join(map(_name, finding.chain))}")
        if facts := _facts(finding):
            out.append(f"  {', '.join(facts)}")
        out += self._tail(resource, finding)
        warnings = [*finding.warnings, *map(_event, finding.events)][-_EVENTS:]
        if warnings:
            out += ["  events:", *_indented(warnings)]
        return out + _hint(finding.hint or self._printed_hint(resource, finding))

    def _printed_hint(self, resource: pb.Resource, finding: pb.Finding) -> str:
        """What the last lines give away that no field of the cluster's objects says."""
        _, printed = self._tails.of(resource.name, finding)
        text = "\n".join(printed)
        return next((hint for words, hint in _HINTS if words in text), "")

    def _told_elsewhere(self, resource: pb.Resource, finding: pb.Finding) -> str:
        """The resource whose block tells the cause that this one shares; mostly none."""
        for trouble in self._known.session.problems:
            first, *others = trouble.resources or [""]
            if trouble.rule == finding.rule and resource.name in others:
                return first
        return ""

    def _tail(self, resource: pb.Resource, finding: pb.Finding) -> list[str]:
        """What the culprit printed; else what the daemon kept of it."""
        who, printed = self._tails.of(resource.name, finding)
        if not printed:
            return _indented(self._detail(resource, finding).splitlines())
        head = f"  last {style.count(len(printed), 'line')} of {who}:"
        return [head, *_indented(map(self._look.log_text, printed))]

    def _detail(self, resource: pb.Resource, finding: pb.Finding) -> str:
        attempts = [target.attempt.problem for target in resource.targets]
        for trouble in [*attempts, *self._known.session.problems]:
            if trouble.message and trouble.message in finding.message:
                return trouble.detail
        return ""


def _distinct(findings: Iterable[pb.Finding]) -> list[pb.Finding]:
    """Replicas fail alike: one of each rule and container."""
    seen: dict[tuple[str, str, str], pb.Finding] = {}
    for finding in findings:
        last = finding.chain[-1] if finding.chain else pb.ObjectRef()
        who = "" if last.kind == "Pod" else f"{last.kind}/{last.name}"
        seen.setdefault((finding.rule, who, last.container), finding)
    return list(seen.values())


def _event(event: pb.ClusterEvent) -> str:
    times = f" ({event.count} times)" if event.count > 1 else ""
    return f"{event.reason}: {event.message}{times}"


def _removed(session: pb.Session) -> str:
    """`3 objects deleted, 1 kept`."""
    fates = [removal.fate for removal in session.removals]
    kept = fates.count(pb.FATE_KEPT) + fates.count(pb.FATE_NAMESPACE_KEPT)
    told = f"{style.count(fates.count(pb.FATE_DELETED), 'object')} deleted"
    return f"{told}, {kept} kept" if kept else told


def _left(session: pb.Session) -> list[str]:
    return [_object(r.object) for r in session.removals if r.fate == pb.FATE_FAILED]


def _facts(finding: pb.Finding) -> list[str]:
    out = [finding.reason] if finding.reason else []
    if finding.HasField("exit_code"):
        out.append(f"exit code {finding.exit_code}")
    if finding.HasField("signal") and finding.signal:
        out.append(f"signal {_signal(finding.signal)}")
    return [*out, finding.observed] if finding.observed else out


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _name(subject: pb.ObjectRef) -> str:
    return f"container {subject.container}" if subject.container else _object(subject)


def _object(subject: pb.ObjectRef) -> str:
    return f"{subject.kind}/{subject.name}"


def _indented(texts: Iterable[str]) -> list[str]:
    return [f"    {text}" for text in texts]


def _hint(text: str) -> list[str]:
    return [f"  hint: {text}"] if text else []


def _elapsed(session: pb.Session) -> str:
    return style.duration(session.ended_at - session.started_at)


def _amounts(known: Known) -> str:
    """`3 images built, 0 reused; 9 objects applied, 2 unchanged`."""
    parts: list[str] = []
    images = list(known.targets(pb.TARGET_KIND_IMAGE))
    objects = list(known.targets(pb.TARGET_KIND_OBJECT))
    for targets, noun, done, spared in (
        (images, "image", "built", "reused"),
        (objects, "object", "applied", "unchanged"),
    ):
        ready = [t for t in targets if t.phase == pb.TARGET_PHASE_DONE]
        reused = sum(bool(t.reused) for t in ready)
        if targets:
            parts.append(f"{style.count(len(ready) - reused, noun)} {done}, {reused} {spared}")
    return f" ({'; '.join(parts)})" if parts else ""


def _success(known: Known) -> str:
    amount = style.count(len(known.counted), "resource")
    return f"✔ {amount} healthy in {_elapsed(known.session)}{_amounts(known)}"


def _summary(known: Known, look: Style) -> str:
    session, counted = known.session, known.counted
    took = _elapsed(session)
    failed = known.failed
    unhealthy = [r.name for r in counted if r.verdict != pb.VERDICT_HEALTHY]
    total = style.count(len(counted), "resource")
    match session.outcome:
        case pb.OUTCOME_FAILED if left := _left(session):
            what = f"{style.count(len(left), 'object')} not deleted: {style.some(left, 5)}"
            text = f"✘ {what} ({_removed(session)} in {took})"
        case pb.OUTCOME_FAILED if failed:
            text = f"✘ {len(failed)} of {total} failed in {took}: {style.some(failed, 5)}"
        case pb.OUTCOME_TILTFILE_ERROR:
            text = f"✘ the Tiltfile could not be loaded ({took})"
        case pb.OUTCOME_TIMEOUT:
            names = f": {style.some(unhealthy, 5)}" if unhealthy else ""
            text = f"✘ timed out after {took}, {len(unhealthy)} of {total} not healthy{names}"
        case pb.OUTCOME_CANCELLED:
            return look.paint(Tone.WARN, f"stopped after {took}")
        case _:
            text = f"✘ failed in {took}"
    return look.paint(Tone.BAD, text)
