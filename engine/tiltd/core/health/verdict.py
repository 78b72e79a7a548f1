"""Making judgements: references to objects, and the order of findings."""

from collections.abc import Iterable

from tiltd.core.health import fields
from tiltd.core.health.fields import Obj
from tiltd.model.health import Assessment, Finding, ObjectRef, Verdict


def ref(obj: Obj, container: str | None = None, *, kind: str = "") -> ObjectRef:
    """The reference to `obj`; `kind` is for list items, which come without theirs."""
    return ObjectRef(
        kind=fields.text(obj, "kind") or kind,
        namespace=fields.text(obj, "metadata", "namespace"),
        name=fields.named(obj),
        uid=fields.uid(obj),
        container=container,
    )


def assessment(findings: Iterable[Finding]) -> Assessment:
    """Order `findings` by weight: worse, then deeper (if healthy: shallower), then as given.

    Raises:
        ValueError: there are none; having nothing to say is not a verdict.
    """
    ordered = sorted(findings, key=_weight)
    if not ordered:
        raise ValueError("an assessment needs at least one finding")
    return Assessment(tuple(ordered))


def _weight(finding: Finding) -> tuple[int, int]:
    """Trouble is told best by the deepest, health by the whole."""
    depth = len(finding.chain)
    well = finding.verdict is Verdict.HEALTHY
    return -finding.verdict.value, depth if well else -depth
