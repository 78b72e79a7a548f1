"""When is it healthy, when has it failed: pure functions of cluster objects and a clock.

The engine hands in objects as the API server gives them, and gets findings: verdict, rule, chain,
Kubernetes' own reason, a sentence, and the moment at which to look again although nothing may
happen until then.

    memory = observe(memory, pods, clock, began_at=run_began)  # once per look
    context = Context(applied_at=…, memory=memory)
    scope = Scope(Objects(items, events), Clock(now, skew), Limits(), context)
    found = assess_object(deployment, scope)  # or assess_resource([(obj, scope), …])
    found.verdict, found.worst.message, found.until
    scope.warnings(found.worst.chain)  # the events to show with it

The values (verdicts, findings, limits, memory) are `model.health`.  How the parts hang together:

- `fields`, `clock`, `verdict`, `scope`: reading JSON, time, the result, what a rule may know.
- `events`, `conditions`, `containers`, `memory`, `exits`, `images`, `missing`: reading one thing
  each.
- `budgets`: grace, tolerance and deadline; beside `stability` the place where time decides.
- `crashes`, `starting`, `probes`, `scheduling`, `stability` → `pods`: all there is to say of a pod.
- `workloads`, `jobs`, `storage`, `network`, `api`: the rule of each kind; `revisions`: which pods
  count.
- `resource`: the order of evaluation.  `local`: targets that are not in the cluster.

Three principles where Kubernetes leaves it open: evidence that is older than what this run has
changed proves nothing (`Context.changed_at`); graces begin anew with each apply; and no verdict
depends on the moment of the look (`memory`).
"""

from tiltd.core.health.clock import Clock
from tiltd.core.health.memory import heard, observe
from tiltd.core.health.resource import absent, assess_object, assess_resource, unselected
from tiltd.core.health.scope import Context, Objects, Reference, Scope
from tiltd.core.health.verdict import assessment

__all__ = [
    "Clock",
    "Context",
    "Objects",
    "Reference",
    "Scope",
    "absent",
    "assess_object",
    "assess_resource",
    "assessment",
    "heard",
    "observe",
    "unselected",
]
