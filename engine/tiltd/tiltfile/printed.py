"""Reads what the command of a `k8s_custom_deploy` printed: `ports.Reader`."""

from tiltd.model.problems import Code, Problem
from tiltd.ports import PermanentError, Printed
from tiltd.tiltfile import objects, secrets
from tiltd.tiltfile.mistakes import Mistake

_SHOWN = 500


def read(text: str) -> Printed:
    """The objects in the YAML that a deploying command printed.

    Raises:
        PermanentError: it is no YAML, or not of Kubernetes objects.
    """
    try:
        found = objects.parse(text, "the command's output")
    except Mistake as error:
        cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        problem = Problem(
            Code.COMMAND,
            f"what the command printed can't be used: {error.message}",
            hint="it must print the objects that it applied as YAML, and all else on its "
            "standard error",
            detail=cut,
        )
        raise PermanentError(problem) from error
    return Printed(tuple(entity.body for entity in found), secrets.values(found))
