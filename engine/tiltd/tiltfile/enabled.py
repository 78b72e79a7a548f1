"""Which resources take part in a session.

`config.set_enabled_resources` decides; else the arguments after `--`, unless `config.parse` has
taken them; else all.  What a chosen resource depends on comes with it, and `uncategorized` always.
"""

import difflib
from collections.abc import Mapping, Sequence

from tiltd.model.desired import Resource
from tiltd.model.names import ResourceName
from tiltd.model.problems import Code
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import ConfigPart

_ALWAYS = ResourceName("uncategorized")


def choose(
    resources: Sequence[Resource], config: ConfigPart, args: Sequence[str]
) -> frozenset[ResourceName]:
    """The names of the resources that take part.

    Raises:
        Mistake: a name that was asked for is no resource.
    """
    if config.all_disabled:
        return frozenset()
    wanted = _wanted(config, args)
    by_name = {resource.name: resource for resource in resources}
    if not wanted:
        return frozenset(by_name)
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        raise _unknown(unknown, by_name, config)
    chosen = {_ALWAYS} & by_name.keys()
    due = list(wanted)
    while due:
        name = due.pop()
        if name not in chosen:
            chosen.add(name)
            due += by_name[name].resource_deps
    return frozenset(chosen)


def _wanted(config: ConfigPart, args: Sequence[str]) -> list[ResourceName]:
    if config.enabled is not None:
        return [ResourceName(name) for name in config.enabled]
    return [] if config.parsed_in else [ResourceName(name) for name in args]


def _unknown(
    names: Sequence[str], known: Mapping[ResourceName, Resource], config: ConfigPart
) -> Mistake:
    from_args = config.enabled is None
    listed = ", ".join(repr(name) for name in names)
    close = [c for name in names for c in difflib.get_close_matches(name, list(known), n=2)]
    hint = (
        f"did you mean {', '.join(repr(name) for name in close)}?"
        if close
        else f"the resources are: {', '.join(known) or 'none'}"
    )
    source = "on the command line" if from_args else "by config.set_enabled_resources"
    return Mistake(
        f"no resource is called {listed} (asked for {source})",
        hint=hint,
        place=config.chosen_at,
        code=Code.USAGE if from_args else Code.TILTFILE,
    )
