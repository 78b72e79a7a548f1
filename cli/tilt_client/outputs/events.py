"""`--events FILE`: what happens, one JSON object a line, written when it happens.

docs/schema/events-v1.json describes them.  Like the printed lines they are told by comparing with
what was told before, so an intermediate state that a slow reader never saw is in neither.
"""

import json
from collections.abc import Iterator
from typing import Any

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.outputs import document
from tilt_client.render import report
from tilt_client.render.known import Known

SCHEMA = "tiltd.events/v1"
Event = dict[str, Any]


class Events:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, ...], object] = {}

    def of(self, answer: pb.WatchResponse, known: Known, now: float) -> Iterator[str]:
        """The lines for an answer that `known` has learned already; `now` since the epoch."""
        for event in self._of(answer, known):
            yield _line(event, now)

    def _of(self, answer: pb.WatchResponse, known: Known) -> Iterator[Event]:
        session = known.session
        if answer.HasField("session"):
            yield from self._session(session)
        for resource in answer.resources:
            if resource.enabled:
                for target in resource.targets:
                    yield from self._target(resource.name, target)
                yield from self._resource(resource, known)
        if known.ended and self._new(("ended", session.id), value=True):
            yield {
                "type": "session-ended",
                "session": session.id,
                "outcome": document.OUTCOMES[session.outcome],
                "summary": report.summary(known),
                "seconds": round(session.ended_at - session.started_at, 3),
                "problems": [document.problem(p) for p in session.problems],
                "failed": known.failed,
            }

    def _session(self, session: pb.Session) -> Iterator[Event]:
        if self._new(("session", session.id), value=True):
            yield {
                "type": "session-started",
                "schema": SCHEMA,
                "session": session.id,
                "mode": document.word(pb.Mode.Name(session.mode), "MODE"),
                "tiltfile": session.tiltfile_path,
            }
        for target in (session.tiltfile, session.cluster):
            if target.id:
                yield from self._target("", target)
        for warning in session.warnings:
            if self._new(("warning", warning.file, str(warning.line), warning.message), value=True):
                yield {"type": "warning", "problem": document.problem(warning)}

    def _target(self, resource: str, target: pb.Target) -> Iterator[Event]:
        """Once for each phase of each try; a target that several resources share, once."""
        told = document.target(target)
        state = (told["phase"], told["attempts"], told["problem"], told["reused"])
        waits = told["phase"] == "pending" and not told["problem"]
        if not waits and self._new(("target", target.id), state):
            yield {"type": "target", "resource": resource, **told}

    def _resource(self, resource: pb.Resource, known: Known) -> Iterator[Event]:
        wrong = resource.verdict in {pb.VERDICT_FAILING, pb.VERDICT_FAILED} and resource.findings
        worst = document.finding(resource.findings[0], resource.name) if wrong else None
        verdict = document.word(pb.Verdict.Name(resource.verdict), "VERDICT")
        if self._new(("resource", resource.name), (verdict, resource.status)):
            yield {
                "type": "resource",
                "resource": resource.name,
                "verdict": verdict,
                "status": resource.status,
                "result": document.result(resource, known),
                "finding": worst,
            }

    def _new(self, what: tuple[str, ...], value: object) -> bool:
        if what in self._told and self._told[what] == value:
            return False
        self._told[what] = value
        return True


def exit_line(code: int, now: float) -> str:
    """The last line: how the program ends."""
    return _line({"type": "exit", "exitCode": code}, now)


def error_line(message: str, hint: str, now: float) -> str:
    """The session broke off, or could not start."""
    return _line({"type": "error", "message": message, "hint": hint}, now)


def _line(event: Event, now: float) -> str:
    ordered = {"time": document.stamp(now), **event}
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
