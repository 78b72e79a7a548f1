"""What every object may say about itself: on its way out, not yet seen, stalled, ready.

The first steps of the order of evaluation, the same for all kinds.  Sources: the Kubernetes
API conventions (`observedGeneration`) and kstatus (`Stalled`, `Reconciling`).
"""

from collections.abc import Sequence
from typing import Final

from tiltd.core.health import fields
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import Scope
from tiltd.core.health.verdict import ref
from tiltd.model.health import Finding, Verdict

_POSITIVE: Final[Sequence[str]] = ("Ready", "Available", "Succeeded")


def condition(obj: Obj, kind: str) -> Obj:
    """The condition of that type; empty if there is none."""
    found = fields.rows(obj, "status", "conditions")
    return next((c for c in found if fields.text(c, "type") == kind), fields.NOTHING)


def is_true(obj: Obj, kind: str) -> bool:
    """Whether the condition of that type is there and True."""
    return fields.text(condition(obj, kind), "status") == "True"


def words(found: Obj) -> str:
    """`Reason: message` of a condition, as far as it has them."""
    parts = (fields.text(found, "reason"), " ".join(fields.text(found, "message").split()))
    return ": ".join(part for part in parts if part)


def report(
    obj: Obj, verdict: Verdict, rule: str, message: str, found: Obj | None = None
) -> Finding:
    """A finding about `obj` itself; a condition `found` adds its reason and words."""
    subject, told = ref(obj), words(found) if found else ""
    return Finding(
        verdict,
        rule,
        (subject,),
        reason=fields.text(found, "reason") if found else "",
        message=f"{subject} {message}" + (f": {told}" if told else ""),
    )


def preliminary(obj: Obj, scope: Scope) -> Finding | None:
    """Steps 1 to 3; None, if the rule of the object's kind is to decide."""
    if fields.has(obj, "metadata", "deletionTimestamp"):
        return _deleting(obj, scope)
    seen, wanted = ("status", "observedGeneration"), ("metadata", "generation")
    if fields.has(obj, *seen) and fields.number(obj, *seen) < fields.number(obj, *wanted):
        message = "has a change that its controller hasn't looked at yet"
        return report(obj, Verdict.PROGRESSING, "object.unobserved", message)
    if is_true(obj, "Stalled"):
        stalled = condition(obj, "Stalled")
        return report(obj, Verdict.FAILED, "object.stalled", "is stalled", stalled)
    if is_true(obj, "Reconciling"):
        found = condition(obj, "Reconciling")
        return report(obj, Verdict.PROGRESSING, "object.reconciling", "is being reconciled", found)
    return None


def _deleting(obj: Obj, scope: Scope) -> Finding:
    finalizers = fields.section(obj, "metadata").get("finalizers")
    held = f", held by its finalizers {finalizers}" if finalizers else ""
    return Finding(
        Verdict.PROGRESSING,
        "object.deleting",
        (ref(obj),),
        message=f"{ref(obj)} is being deleted{held}",
        since=scope.at(obj, "metadata", "deletionTimestamp"),
    )


def positive(obj: Obj) -> Finding:
    """Step 4, for kinds without a rule: `Ready`, `Available` or `Succeeded`; without, it exists.

    A condition that tells of an earlier generation decides nothing yet.
    """
    found = next((c for kind in _POSITIVE if (c := condition(obj, kind))), None)
    if found is None:
        return report(obj, Verdict.HEALTHY, "object.exists", "exists")
    kind = fields.text(found, "type")
    current = fields.number(obj, "metadata", "generation")
    if fields.number(found, "observedGeneration", default=current) < current:
        message = f"has a change that its condition {kind} doesn't reflect yet"
        return report(obj, Verdict.PROGRESSING, "object.unobserved", message)
    if fields.text(found, "status") == "True":
        return report(obj, Verdict.HEALTHY, "object.condition", f"is {kind}")
    message = f"is not {kind} yet"
    return report(obj, Verdict.PROGRESSING, "object.condition", message, found)
