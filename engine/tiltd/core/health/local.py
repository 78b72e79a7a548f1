"""Targets on this machine: local commands and served processes.

The same verdicts, so that one report and one exit code cover all of an app.
"""

from dataclasses import replace
from enum import Enum
from typing import Final

from tiltd.core.health import exits
from tiltd.model.health import Finding, ObjectRef, Verdict

STABILISING: Final = "serve.stabilising"
"""The rule of the wait that ends when a process has run for long enough."""


class Probe(Enum):
    """How the readiness probe of a process stands."""

    NONE = "none"  # it has none
    WAITING = "waiting"  # has not passed yet
    PASSING = "passing"
    FAILING = "failing"  # has failed `failure_threshold` times in a row


def command(name: str, exit_code: int | None) -> Finding:
    """A `local_resource` command.

    Args:
        name: of the resource.
        exit_code: None while it runs; negative if a signal ended it (as `subprocess` tells it).
    """
    if exit_code is None:
        return _about(name, Verdict.PROGRESSING, "command.running", "is running")
    if exit_code == 0:
        return _about(name, Verdict.HEALTHY, "command.done", "has succeeded")
    return _ended(name, "command.failed", "has failed", exit_code)


def serve(
    name: str,
    exit_code: int | None,
    probe: Probe,
    *,
    said: str = "",
    stable: tuple[float, float] = (0.0, 0.0),
) -> Finding:
    """A `serve_cmd`: it runs and its `readiness_probe` passes; any exit is a failure.

    As a container, it has to run for a while before it counts: what dies at once did not start.

    Args:
        name: of the resource.
        exit_code: None while it runs; negative if a signal ended it.
        probe: how its readiness probe stands.
        said: the probe's newest message.
        stable: the present, and the moment from which it has run for long enough.
    """
    if exit_code is not None:
        return _ended(name, "serve.exited", "has ended, though it must keep running", exit_code)
    found = _probed(name, probe, said)
    now, until = stable
    if found.verdict is not Verdict.HEALTHY or now >= until:
        return found
    message = "is up; waiting to see that it stays up"
    return replace(_about(name, Verdict.PROGRESSING, STABILISING, message), until=until)


def free(name: str, exit_code: int | None) -> Finding:
    """A process that nothing waits for (`v1alpha1.cmd`): it may run or have ended, as it likes.

    Args:
        name: of the resource.
        exit_code: None while it runs; negative if a signal ended it.
    """
    if exit_code is None:
        return _about(name, Verdict.HEALTHY, "cmd.running", "is running")
    ended = {"exitCode": exit_code if exit_code >= 0 else 128 - exit_code}
    message = f"has ended: {exits.words(ended)}" if exit_code else "has succeeded"
    return _about(name, Verdict.HEALTHY, "cmd.ended", message)


def _probed(name: str, probe: Probe, said: str) -> Finding:
    told = f": {said}" if said else ""
    match probe:
        case Probe.NONE:
            return _about(name, Verdict.HEALTHY, "serve.running", "is running")
        case Probe.PASSING:
            return _about(name, Verdict.HEALTHY, "serve.ready", "is running and ready")
        case Probe.WAITING:
            message = f"is running, its probe doesn't pass yet{told}"
            return _about(name, Verdict.PROGRESSING, "serve.probe", message, exits.hint(said))
        case Probe.FAILING:
            message = f"is running, but its probe fails{told}"
            return _about(name, Verdict.FAILING, "serve.probe", message, exits.hint(said))


def _about(name: str, verdict: Verdict, rule: str, message: str, hint: str = "") -> Finding:
    subject = ObjectRef("Local", "", name)
    return Finding(verdict, rule, (subject,), message=f"{name} {message}", hint=hint)


def _ended(name: str, rule: str, message: str, exit_code: int) -> Finding:
    ended = {"exitCode": exit_code if exit_code >= 0 else 128 - exit_code}
    return Finding(
        Verdict.FAILED,
        rule,
        (ObjectRef("Local", "", name),),
        message=f"{name} {message}: {exits.words(ended)}",
        exit_code=exit_code,
        signal=exits.signal(ended),
        hint=exits.advice(ended, ""),
    )
