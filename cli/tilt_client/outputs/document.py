"""A session as plain data: the JSON report, and what the other reports are made of.

docs/schema/report-v1.json describes it.  It is made only of what the daemon says,
which has taken secrets out of it, and of log lines.  The arguments of the Tiltfile are left out:
people put passwords there.  Within a version of the schema fields are added, never renamed or
removed.
"""

import json
from datetime import UTC, datetime
from typing import Any

from tilt_api.v1 import tilt_pb2 as pb
from tilt_api.version import VERSION
from tilt_client.render import report, style, times, waiting
from tilt_client.render.known import Known
from tilt_client.render.tails import Tails

SCHEMA = "tiltd.report/v1"
Document = dict[str, Any]

_PLACES = 3
OUTCOMES = {
    pb.OUTCOME_UNSPECIFIED: "running",
    pb.OUTCOME_HEALTHY: "healthy",
    pb.OUTCOME_FAILED: "failed",
    pb.OUTCOME_TILTFILE_ERROR: "tiltfile-error",
    pb.OUTCOME_TIMEOUT: "timeout",
    pb.OUTCOME_CANCELLED: "cancelled",
}
BROKEN = "error"
"""The outcome of a session that has none: the daemon could not be started, or broke off."""


def of(
    known: Known, tails: Tails, code: int | None = None, removal: Known | None = None
) -> Document:
    """The document of a session, with the exit code once there is one.

    `removal` is the session that removed everything afterwards (`ci --down`).
    """
    session = known.session
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "outcome": OUTCOMES[session.outcome],
        "exitCode": code,
        "summary": report.summary(known) if known.ended else "",
        "session": _session(session),
        "problems": [problem(p) for p in session.problems],
        "warnings": [problem(p) for p in session.warnings],
        "resources": [resource(r, known, tails) for r in known.all],
        "cancelled": [_cancelled(c) for c in session.cancelled],
        "removal": None if removal is None else _removal(removal.session),
        "removals": [_removed(r) for r in session.removals],
    }


def broken(known: Known, tails: Tails, code: int, message: str, hint: str) -> Document:
    """The document of a session that broke off, or could not start."""
    out = of(known, tails, code)
    trouble = pb.Problem(code="internal", message=message, hint=hint)
    return out | {
        "outcome": BROKEN,
        "summary": f"✘ {message}",
        "problems": [*out["problems"], problem(trouble)],
    }


def resource(r: pb.Resource, known: Known, tails: Tails | None = None) -> Document:
    """One resource; without tails no lines that its culprits printed."""
    spent = times.of(r)
    return {
        "name": r.name,
        "kind": word(pb.ResourceKind.Name(r.kind), "RESOURCE_KIND"),
        "labels": list(r.labels),
        "dependsOn": list(r.resource_deps),
        "enabled": r.enabled,
        "result": result(r, known),
        "verdict": word(pb.Verdict.Name(r.verdict), "VERDICT"),
        "status": waiting.why(r) if known.asleep(r) or not _well(r) else r.status,
        "waitingFor": list(r.hold.on),
        "startedAt": stamp(r.started_at) if r.HasField("started_at") else None,
        "readyAt": stamp(r.ready_at) if r.HasField("ready_at") else None,
        "seconds": _seconds(r, known),
        "times": {name: _rounded(value) for name, value in spent._asdict().items()},
        "findings": [finding(f, r.name, tails) for f in r.findings],
        "targets": [target(t) for t in r.targets],
        "pods": [_pod(p) for p in r.pods],
        "links": [{"url": link.url, "name": link.name} for link in r.links],
    }


def result(r: pb.Resource, known: Known) -> str:
    """What became of a resource: healthy, failed, timed-out, unfinished or not-started."""
    if known.asleep(r) or not r.enabled:
        return "not-started"
    if known.has_failed(r):
        return "failed"
    if _well(r):
        return "healthy"
    return "timed-out" if known.session.outcome == pb.OUTCOME_TIMEOUT else "unfinished"


def finding(f: pb.Finding, owner: str, tails: Tails | None = None) -> Document:
    """One finding, with the last lines of its culprit."""
    who, printed = tails.of(owner, f) if tails is not None and not _fine(f) else ("", [])
    plain = style.Style()
    return {
        "verdict": word(pb.Verdict.Name(f.verdict), "VERDICT"),
        "rule": f.rule,
        "reason": f.reason,
        "message": f.message,
        "observed": f.observed,
        "chain": [_ref(ref) for ref in f.chain],
        "exitCode": f.exit_code if f.HasField("exit_code") else None,
        "signal": f.signal if f.HasField("signal") else None,
        "since": stamp(f.since) if f.HasField("since") else None,
        "hint": f.hint,
        "warnings": list(f.warnings),
        "events": [_event(e) for e in f.events],
        "lastLines": {"of": who, "lines": [plain.log_text(text) for text in printed]},
    }


def events(told: Document) -> list[str]:
    """The events of a finding, for people."""
    return [
        f"{e['reason']}: {e['message']}" + (f" ({e['count']} times)" if e["count"] > 1 else "")
        for e in told["events"]
    ]


def evidence(r: Document, rule: str = "") -> Document | None:
    """The finding of a resource that tells most: that of the rule, else the worst."""
    found: list[Document] = r["findings"]
    return next((f for f in found if f["rule"] == rule), found[0] if found else None)


def unremoved(told: Document) -> list[Document]:
    """What went wrong with the removal after the verdict (`ci --down`)."""
    removal = told["removal"]
    if removal is None or removal["outcome"] == "healthy":
        return []
    message = f"what was applied was not removed: {removal['outcome']}"
    return removal["problems"] or [problem(pb.Problem(code="removal", message=message))]


def target(t: pb.Target) -> Document:
    """An image, object or command of a resource."""
    attempt = t.attempt
    ended = attempt.HasField("ended_at")
    return {
        "id": t.id,
        "kind": word(pb.TargetKind.Name(t.kind), "TARGET_KIND"),
        "name": t.name,
        "phase": word(pb.TargetPhase.Name(t.phase), "TARGET_PHASE"),
        "reused": t.reused,
        "key": t.key,
        "attempts": attempt.number,
        "work": attempt.work,
        "startedAt": stamp(attempt.started_at) if attempt.started_at else None,
        "seconds": _rounded(attempt.ended_at - attempt.started_at) if ended else None,
        "phases": {name: _rounded(took) for name, took in sorted(attempt.phases.items())},
        "spent": {name: _rounded(took) for name, took in sorted(t.spent.items())},
        "problem": problem(attempt.problem) if attempt.HasField("problem") else None,
    }


def problem(p: pb.Problem) -> Document:
    """A problem or warning; `resources` in the Tiltfile's order."""
    named = list(p.resources) or [name for name in (p.resource,) if name]
    return {
        "code": p.code,
        "rule": p.rule,
        "message": p.message,
        "detail": p.detail,
        "hint": p.hint,
        "file": p.file,
        "line": p.line,
        "column": p.column,
        "resources": named,
    }


def log_line(line: pb.LogLine) -> str:
    """A line of the log as JSON, in one line."""
    told = {
        "time": stamp(line.time),
        "resource": line.resource,
        "span": line.span,
        "level": word(pb.LogLevel.Name(line.level), "LOG_LEVEL"),
        "text": line.text,
    }
    return json.dumps(told, ensure_ascii=False)


def stamp(seconds: float) -> str:
    """`2026-01-31T12:00:00.123Z` of seconds since the epoch."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def word(name: str, prefix: str) -> str:
    """`tiltfile-error` of `OUTCOME_TILTFILE_ERROR`; empty for what is not specified."""
    text = name.removeprefix(f"{prefix}_").lower().replace("_", "-")
    return "" if text == "unspecified" else text


def _session(s: pb.Session) -> Document:
    end = s.ended_at if s.HasField("ended_at") else None
    return {
        "id": s.id,
        "mode": word(pb.Mode.Name(s.mode), "MODE"),
        "tiltfile": s.tiltfile_path,
        "context": s.context,
        "namespace": s.namespace,
        "startedAt": stamp(s.started_at) if s.started_at else None,
        "endedAt": None if end is None else stamp(end),
        "seconds": None if end is None else _rounded(end - s.started_at),
        "keepGoing": s.keep_going,
        "limits": _limits(s.limits),
        "tiltfileLoad": target(s.tiltfile),
        "cluster": target(s.cluster),
    }


def _limits(limits: pb.Limits) -> Document:
    given = {field.name: value for field, value in limits.ListFields()}
    names = ("timeout", "readiness_timeout", "stable_for", "crash_budget", "grace")
    return {_camel(name): given.get(name) for name in names}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _removal(s: pb.Session) -> Document:
    return {
        "outcome": OUTCOMES[s.outcome],
        "seconds": _rounded(s.ended_at - s.started_at) if s.HasField("ended_at") else None,
        "problems": [problem(p) for p in s.problems],
        "removals": [_removed(r) for r in s.removals],
    }


def _removed(r: pb.Removal) -> Document:
    fate = word(pb.Fate.Name(r.fate), "FATE")
    return {"object": _ref(r.object), "resource": r.resource, "fate": fate}


def _cancelled(c: pb.Cancelled) -> Document:
    return {
        "id": c.id,
        "name": c.name,
        "work": c.work,
        "resource": c.resource,
        "seconds": _rounded(c.seconds),
    }


def _ref(ref: pb.ObjectRef) -> Document:
    return {
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "uid": ref.uid,
        "container": ref.container,
    }


def _event(e: pb.ClusterEvent) -> Document:
    return {
        "reason": e.reason,
        "message": e.message,
        "object": _ref(e.object),
        "count": e.count,
        "firstSeen": stamp(e.first_seen) if e.HasField("first_seen") else None,
        "lastSeen": stamp(e.last_seen) if e.HasField("last_seen") else None,
    }


def _pod(p: pb.Pod) -> Document:
    return {
        "namespace": p.namespace,
        "name": p.name,
        "phase": p.phase,
        "node": p.node,
        "createdAt": stamp(p.created_at) if p.HasField("created_at") else None,
        "containers": [
            {
                "name": c.name,
                "image": c.image,
                "init": c.init,
                "ready": c.ready,
                "restarts": c.restarts,
                "state": c.state,
                "reason": c.reason,
            }
            for c in p.containers
        ],
    }


def _seconds(r: pb.Resource, known: Known) -> float | None:
    """From the first work for it until it was ready, or the session's end."""
    began = times.began(r)
    end = known.session.ended_at if known.ended else None
    if r.HasField("ready_at"):
        end = r.ready_at
    return None if began is None or end is None else _rounded(max(end - began, 0.0))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, _PLACES)


def _well(r: pb.Resource) -> bool:
    return r.verdict == pb.VERDICT_HEALTHY


def _fine(f: pb.Finding) -> bool:
    return f.verdict in {pb.VERDICT_HEALTHY, pb.VERDICT_PROGRESSING}
