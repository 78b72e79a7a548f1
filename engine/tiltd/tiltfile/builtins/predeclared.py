"""All names that a Tiltfile has: builtins and constants of every theme, modules put together."""

from collections.abc import Iterator

from tiltd import starlark
from tiltd.starlark import Value
from tiltd.tiltfile.builtins import (
    compose,
    config,
    custom_deploy,
    data,
    images,
    kubernetes,
    local,
    settings,
    system,
    v1alpha1,
)
from tiltd.tiltfile.host_values import TRIGGER_MODES
from tiltd.tiltfile.reading import Reading
from tiltd.tiltfile.registry import Declared

_THEMES = (
    compose,
    config,
    custom_deploy,
    data,
    images,
    kubernetes,
    local,
    settings,
    system,
    v1alpha1,
)


def declared() -> Iterator[Declared]:
    """Every builtin of every theme."""
    for theme in _THEMES:
        yield from theme.BUILTINS


def names(reading: Reading) -> dict[str, Value]:
    """The predeclared names of one reading, but for those that differ from file to file."""
    flat: dict[str, Value] = {
        "struct": starlark.struct,
        "module": starlark.module,
        **TRIGGER_MODES,
        **system.constants(reading),
        **{builtin.name: builtin.bind(reading) for builtin in declared()},
    }
    return _gathered("", flat)


def _gathered(prefix: str, flat: dict[str, Value]) -> dict[str, Value]:
    """Dotted names as modules of modules."""
    members: dict[str, Value] = {}
    modules: dict[str, dict[str, Value]] = {}
    for name, value in flat.items():
        module, dot, rest = name.partition(".")
        if dot:
            modules.setdefault(module, {})[rest] = value
        else:
            members[name] = value
    for name, inner in modules.items():
        whole = f"{prefix}{name}"
        members[name] = starlark.Namespace(whole, _gathered(f"{whole}.", inner))
    return members
