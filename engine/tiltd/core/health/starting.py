"""Containers that wait to be started: the kubelet's waiting reasons, as a table.

| reason | rule |
| --- | --- |
| `ErrImagePull` and its like | by the message (`images`) |
| `InvalidImageName`, `ErrImageNeverPull` | Failed |
| `CreateContainerConfigError` | a missing object: the grace; anything else: Failed |
| `RunContainerError`, `CreateContainerError`, `StartError` | Failed |
| `CrashLoopBackOff`, `PostStartHookError` | not here: `crashes` |
| anything else (`ContainerCreating`, `PodInitializing`) | nothing is wrong |

Two refinements keep a slow machine from being called a broken image: a runtime that ran into its
own deadline, or finds the name of its previous attempt still taken, is retried by the kubelet and
is Failing; and evidence older than what this run has changed is Failing until it is renewed.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from tiltd.core.health import budgets, events, exits, fields, images, missing
from tiltd.core.health.case import Case
from tiltd.core.health.containers import Container
from tiltd.core.health.events import Event
from tiltd.core.health.fields import Obj
from tiltd.model.health import Finding, Verdict

_PASSING = re.compile(
    r"context deadline exceeded|context canceled|name .* is reserved"
    r"|resource temporarily unavailable"
    r"|is not ready|failed to sync .* cache",
    re.IGNORECASE,
)


def judge(container: Container, case: Case) -> Finding | None:
    """What keeps `container` from starting: None, if nothing is wrong."""
    rule = _REASONS.get(fields.text(container.waiting, "reason"))
    return rule(container, case) if rule else None


def broken(container: Container, case: Case, state: Obj | None = None) -> Finding:
    """The runtime could not create or start it.

    Args:
        container: the one.
        case: its pod.
        state: whose `reason` and `message` tell; by default the waiting state.
    """
    told = container.waiting if state is None else state
    message = fields.text(told, "message") or fields.text(container.exit, "message")
    failed = _newest_failure(container, case)
    made = case.scope.made(case.pod)
    stale = case.scope.stale(failed.last if failed else made)
    passing = bool(_PASSING.search(message)) or stale
    return Finding(
        Verdict.FAILING if passing else Verdict.FAILED,
        "pod.start",
        case.of(container),
        reason=fields.text(told, "reason"),
        message=f"The {container.title} of pod {case.name} cannot be started: {_tail(message)}",
        since=case.track(container).waiting_since,
        exit_code=exits.code(container.exit),
        life=container.ended_life,
        hint=exits.hint(message),
    )


def _pull(container: Container, case: Case) -> Finding:
    waiting = container.waiting
    failed = events.newest(
        (e for e in case.events if e.message.startswith("Failed to pull image")),
        "Failed",
        container=container.name,
    )
    told = fields.text(waiting, "message")
    if failed and not images.says_why(told):
        told = failed.message.partition('": ')[2] or failed.message
    cause = images.classify(f"{told} {_by_reason(waiting)}", container.image)
    made = case.scope.made(case.pod)
    stale = case.scope.stale(failed.last if failed else made)
    return Finding(
        Verdict.FAILED if cause.permanent and not stale else Verdict.FAILING,
        f"image.{cause.id}",
        case.of(container),
        reason=fields.text(waiting, "reason"),
        message=f"The image {container.image} of {container.title} {cause.words}: "
        f"{images.detail(told) or 'no reason given'}"
        + (" (seen before this run's changes; the next attempt decides)" if stale else ""),
        since=failed.first if failed else case.track(container).waiting_since,
        hint=cause.hint,
    )


def _by_reason(waiting: Obj) -> str:
    """Words for the reasons that say by themselves what is the matter."""
    return {
        "RegistryUnavailable": "service unavailable",
        "SignatureValidationFailed": "signature validation failed",
    }.get(fields.text(waiting, "reason"), "")


def _bad_name(container: Container, case: Case) -> Finding:
    return Finding(
        Verdict.FAILED,
        f"image.{images.INVALID.id}",
        case.of(container),
        reason="InvalidImageName",
        message=f"The image {container.image} of {container.title} {images.INVALID.words}",
        hint=images.INVALID.hint,
    )


def _never_pulled(container: Container, case: Case) -> Finding:
    failed = events.newest(case.events, "ErrImageNeverPull", container=container.name)
    made = case.scope.made(case.pod)
    stale = case.scope.stale(failed.last if failed else made)
    return Finding(
        Verdict.FAILING if stale else Verdict.FAILED,
        "image.never-pull",
        case.of(container),
        reason="ErrImageNeverPull",
        message=f"The image {container.image} of {container.title} is not on the node, "
        "and its pull policy forbids pulling it",
        hint="load the image into the node, or set imagePullPolicy: IfNotPresent",
    )


def _config(container: Container, case: Case) -> Finding:
    message = fields.text(container.waiting, "message")
    context = case.scope.context
    wanted = missing.reference(message, case.namespace)
    absent = missing.names_something(message)
    finding = Finding(
        Verdict.FAILED,
        "pod.config",
        case.of(container),
        reason="CreateContainerConfigError",
        message=f"The {container.title} of pod {case.name} cannot be configured: {_tail(message)}",
        hint=exits.hint(message) or (advice(message) if absent else ""),
    )
    if missing.awaited(wanted, context):
        return awaiting(finding)
    if not absent and not _PASSING.search(message):
        return finding
    first = _newest_failure(container, case)
    track = case.track(container)
    began = min(m for m in (first and first.first, track.waiting_since, case.scope.now) if m)
    return budgets.graced(
        finding, case.scope, missing.since(wanted, context, began), "unconfigured"
    )


def awaiting(finding: Finding) -> Finding:
    """`finding`, where what is missing is about to be applied: no fault at all."""
    return Finding(
        Verdict.PROGRESSING,
        finding.rule,
        finding.chain,
        reason=finding.reason,
        message=f"{finding.message} (about to be applied)",
        since=finding.since,
    )


def advice(message: str) -> str:
    """What to do about a missing object or key."""
    if key := missing.key(message):
        return f"add the key {key}, correct its name in the pod, or mark the reference optional"
    return "add the object to the Tiltfile, correct its name, or mark the reference optional"


def _newest_failure(container: Container, case: Case) -> Event | None:
    return events.newest(case.events, "Failed", "BackOff", container=container.name)


def _tail(message: str) -> str:
    """A runtime's message from where it gets to the point."""
    line = " ".join(message.split())
    point = line.rfind("unable to start container process: ")
    line = line[point + len("unable to start container process: ") :] if point >= 0 else line
    return line.removesuffix(": unknown") or "no reason given"


_REASONS: Final[Mapping[str, Callable[[Container, Case], Finding]]] = {
    "ErrImagePull": _pull,
    "ImagePullBackOff": _pull,
    "ImageInspectError": _pull,
    "RegistryUnavailable": _pull,
    "SignatureValidationFailed": _pull,
    "InvalidImageName": _bad_name,
    "ErrImageNeverPull": _never_pulled,
    "CreateContainerConfigError": _config,
    "CreateContainerError": broken,
    "RunContainerError": broken,
    "StartError": broken,
    "PreCreateHookError": broken,
    "PreStartHookError": broken,
}
