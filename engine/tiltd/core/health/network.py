"""Services: to exist is enough, except that a load balancer gets a moment to find its address."""

from dataclasses import replace

from tiltd.core.health import fields
from tiltd.core.health.conditions import report
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import Scope
from tiltd.model.health import Finding, Verdict


def service(obj: Obj, scope: Scope) -> Finding:
    """A Service; a LoadBalancer without address is Healthy too: a CI cluster seldom has one."""
    balanced = fields.text(obj, "spec", "type") == "LoadBalancer"
    if not balanced or fields.rows(obj, "status", "loadBalancer", "ingress"):
        return report(obj, Verdict.HEALTHY, "object.exists", "exists")
    made, grace = scope.made(obj), scope.limits.grace
    if scope.now >= made + grace:
        healthy = report(obj, Verdict.HEALTHY, "service.no-address", "has no external address")
        warning = f"{healthy.chain[0]} is a LoadBalancer to which the cluster gave no address"
        return replace(healthy, warnings=(warning,))
    waits = report(obj, Verdict.PROGRESSING, "service.no-address", "waits for its external address")
    observed = f"without address {max(0.0, scope.now - made):.0f}s of {grace:g}s"
    return replace(waits, observed=observed, since=made, until=made + grace)
