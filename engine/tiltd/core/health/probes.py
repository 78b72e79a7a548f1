"""Containers that run but aren't ready: waiting, in the words of their own probe."""

from tiltd.core.health import events, exits, fields
from tiltd.core.health.case import Case
from tiltd.core.health.containers import Container, Role
from tiltd.model.health import Finding, Verdict


def judge(container: Container, case: Case) -> Finding | None:
    """What a running `container` still lacks; None, if nothing or if it doesn't run."""
    if not container.running:
        return None
    if container.role is Role.INIT:
        return _finding(container, case, "init.running", f"The {container.title} is running")
    starting = fields.has(container.spec, "startupProbe") and not fields.flag(
        container.status, "started"
    )
    # A sidecar holds back the next container until it has started, the pod until it is ready.
    if container.ready and not starting:
        return None
    kind = "startup" if starting else "readiness"
    said = _said(container, case, kind.capitalize())
    message = f"The {container.title} of pod {case.name} is up, its {kind} probe doesn't pass yet"
    return _finding(container, case, f"pod.{kind}-probe", message, said)


def _said(container: Container, case: Case, kind: str) -> str:
    """The probe's newest message about this instance of the container."""
    failed = [e for e in case.events if e.message.startswith(f"{kind} probe")]
    newest = events.newest(failed, "Unhealthy", container=container.name)
    started = case.scope.at(container.running, "startedAt")
    if newest is None or (started is not None and newest.at < started):
        return ""
    return " ".join(newest.message.split()).partition(": ")[2] or newest.message


def _finding(container: Container, case: Case, rule: str, message: str, said: str = "") -> Finding:
    return Finding(
        Verdict.PROGRESSING,
        rule,
        case.of(container),
        reason="Unhealthy" if said else "",
        message=message + (f": {said[:300]}" if said else ""),
        since=case.scope.at(container.running, "startedAt"),
        hint=exits.hint(said),
    )
