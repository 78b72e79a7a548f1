"""A local resource: its command, then its served process."""

from tiltd.core import holds, keys, manual
from tiltd.model.actions import RunCommand, Serve
from tiltd.model.decisions import Act, Decision, Done, Hold
from tiltd.model.desired import LocalTarget, Resource
from tiltd.model.names import command_node, resource_node, serve_node
from tiltd.model.state import AttemptOutcome, State


def command(resource: Resource, s: State, now: float) -> Decision:
    """Run `cmd` once for each generation (a change in `deps`, a trigger).

    A write that leaves `deps` as they were makes a generation too: who runs it looks at that.
    """
    target = resource.target
    node = command_node(resource.name)
    if not isinstance(target, LocalTarget) or target.cmd is None:
        return Done()
    if hold := holds.not_wanted(node, s) or holds.dependencies(resource.resource_deps, s):
        return hold
    wanted = keys.command_key(target.cmd, s.resources[resource.name].generation)
    if s.resources[resource.name].command_done == wanted:
        return manual.hold((resource.name,), s) or Done()
    before = s.resources[resource.name].command_parts
    action = RunCommand(resource.name, target.cmd, wanted, before)
    decision = holds.unless_failed(node, action, s, now)
    return (_alone(resource, target, s) or decision) if isinstance(decision, Act) else decision


def serve(resource: Resource, s: State, now: float) -> Decision:
    """Keep `serve_cmd` running, restarted for each generation; after its `cmd`, if it has one."""
    target = resource.target
    node = serve_node(resource.name)
    if not isinstance(target, LocalTarget) or target.serve is None:
        return Done()
    if hold := holds.not_wanted(node, s) or holds.dependencies(resource.resource_deps, s):
        return hold
    known = s.resources[resource.name]
    first = keys.command_key(target.cmd, known.generation) if target.cmd else ""
    if first != known.command_done and target.cmd:
        on = (command_node(resource.name),)
        return Hold("waiting-for-command", "waiting for its own command", on=on)
    wanted = keys.command_key(target.serve, known.generation)
    progress = s.progress.get(node)
    last = progress.last if progress else None
    over = last is not None and last.wanted == wanted and last.outcome is AttemptOutcome.SUCCEEDED
    if over:
        return Done()  # it has ended by itself: the verdict says so, and nothing restarts it
    action = Serve(resource.name, target.serve, target.readiness_probe, wanted)
    return holds.unless_failed(node, action, s, now)


def _alone(resource: Resource, target: LocalTarget, s: State) -> Hold | None:
    """Commands without `allow_parallel` run one after the other (Tiltfile API)."""
    if target.allow_parallel:
        return None
    for name, other in s.graph.resources.items():
        running = s.progress.get(command_node(name))
        if name == resource.name or running is None or running.running is None:
            continue
        if isinstance(other.target, LocalTarget) and not other.target.allow_parallel:
            reason = f"waiting for {name}: local commands run one at a time"
            on = (resource_node(name),)
            return Hold("waiting-for-local", f"{reason} unless allow_parallel is set", on=on)
    return None
