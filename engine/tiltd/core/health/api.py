"""What extends or divides the API: definitions, API services, namespaces."""

from tiltd.core.health import conditions, fields
from tiltd.core.health.conditions import report
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import Scope
from tiltd.model.health import Finding, Verdict


def definition(obj: Obj, _: Scope) -> Finding:
    """A CustomResourceDefinition: its names may clash with those of another."""
    names = conditions.condition(obj, "NamesAccepted")
    if fields.text(names, "status") == "False":
        message = "has names that another definition has already"
        return report(obj, Verdict.FAILED, "definition.names", message, names)
    if conditions.is_true(obj, "Established"):
        return report(obj, Verdict.HEALTHY, "definition.established", "is established")
    found = conditions.condition(obj, "Established")
    message = "is not established yet"
    return report(obj, Verdict.PROGRESSING, "definition.established", message, found)


def service(obj: Obj, _: Scope) -> Finding:
    """An APIService: Available once the server behind it answers."""
    if conditions.is_true(obj, "Available"):
        return report(obj, Verdict.HEALTHY, "api-service.available", "is available")
    found = conditions.condition(obj, "Available")
    message = "is not available yet"
    return report(obj, Verdict.PROGRESSING, "api-service.available", message, found)


def namespace(obj: Obj, _: Scope) -> Finding:
    """A Namespace."""
    phase = fields.text(obj, "status", "phase")
    verdict = Verdict.HEALTHY if phase == "Active" else Verdict.PROGRESSING
    return report(obj, verdict, "namespace.active", f"is {phase or 'not active yet'}")
