"""The parts of a key, by name: what people see of a digest, and how two of them differ.

A part's value is a short text.  What may be secret (values from the environment, the environment of
a command) stands as a digest: equal or changed can be told, and nothing else.

`Past` is what is remembered of earlier runs: the parts of each node's key, and for the files of a
build a listing by their digest, so that the files that changed can be named.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from tiltd.core import foreign, keys, podspec
from tiltd.model.desired import Command, ComposeTarget, KubernetesTarget, LocalTarget, Resource
from tiltd.model.names import NodeName

FILES = "files"
HIDDEN = "hidden"
UNREADABLE = "(can't be read)"
_SECRET = "secret "  # noqa: S105 - how such a part is called
_HINT = 4
_LIST = 3
_DIGITS = 16

Listing = Mapping[str, str]
"""Of the files of a build, by path: kind, mode and content."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a key.

    Args:
        before: its value when the key was last used; `None`: not known, or not there.
        changed: whether it is known to be another one now.
        detail: what of it has changed.
    """

    name: str
    value: str
    before: str | None = None
    changed: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """A node's key when it was last used, and its parts."""

    key: str
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered; `listings` by the digest of the files."""

    nodes: Mapping[NodeName, Used] = field(default_factory=dict[NodeName, Used])
    listings: Mapping[str, Listing] = field(default_factory=dict[str, Listing])


def of_image(given: Mapping[str, object], hidden: Collection[str] = ()) -> Mapping[str, str]:
    """The parts of an image's key (`keys.image_parts`); those that say nothing are left out.

    Args:
        given: as the key is made of them.
        hidden: the build args whose values come from the environment.
    """
    named = {"contents": "Dockerfile", "inputs": FILES, "argv": "command"}
    found: dict[str, str] = {}
    for name, value in given.items():
        match name:
            case "contents":
                found[named[name]] = _short(value)
            case "args" | "env" | "bases":
                fields = cast("Mapping[str, object]", value)
                label = {"args": "build arg", "env": "env", "bases": "base"}[name]
                found |= {
                    f"{label} {k}": _short(v) if k in hidden else _text(name, v)
                    for k, v in fields.items()
                }
            case "foreign":
                told = cast("Mapping[str, str]", value).items()
                found |= {
                    f"{foreign.BASE}{k}": v if v != k else f"{k}{foreign.UNKNOWN}" for k, v in told
                }
            case "secret":
                contents = cast("Mapping[str, str]", value).items()
                found |= {f"{_SECRET}{k}": _hint(v) for k, v in contents}
            case _ if value:
                found[named.get(name, name)] = _text(name, value)
            case _:
                pass
    return found


def of_resource(resource: Resource) -> tuple[Part, ...]:
    """Those of a resource's own command."""
    match resource.target:
        case LocalTarget(cmd=cmd, serve=serve, deps=deps):
            commands = {"command": cmd, "serve": serve}
        case ComposeTarget() as target:
            return tuple(_of_service(target))
        case KubernetesTarget(custom=custom):
            commands = {"command": custom.apply if custom else None}
            deps = custom.deps if custom else ()
    told = [Part(k, v) for k, c in commands.items() if c for k, v in _command(k, c)]
    return (*told, *(Part("dep", path) for path in deps))


def of_local(target: LocalTarget, inputs: str) -> Mapping[str, str]:
    """What a local resource's command and server depend on.

    Args:
        target: the resource's.
        inputs: digest of its `deps`; empty: they can't be read.
    """
    commands = {"command": target.cmd, "serve": target.serve}
    found = {k: v for name, c in commands.items() if c for k, v in _command(name, c)}
    return found | ({FILES: inputs or UNREADABLE} if target.deps else {})


def _of_service(target: ComposeTarget) -> Iterator[Part]:
    """Those of a service, as Docker Compose resolved it; values may be secrets, so not these."""
    services = podspec.section(target.project.body, "services")
    yield Part("project", target.project.name)
    for name, value in podspec.section(services, target.service).items():
        if value is not None:
            yield Part(name, value if name == "image" else keys.digest(value)[:_DIGITS])


def compared(
    now: Mapping[str, str], before: Mapping[str, str] | None, past: Past
) -> tuple[Part, ...]:
    """The parts, each with its former value; parts that are gone have an empty one."""
    if before is None:
        return tuple(Part(name, _shown(name, value)) for name, value in now.items())
    names = dict.fromkeys((*now, *before))
    return tuple(_compared(n, now.get(n, ""), before.get(n), past) for n in names)


def told(found: tuple[Part, ...]) -> str:
    """What has changed, in a line."""
    return ", ".join(f"{p.name} ({p.detail})" if p.detail else p.name for p in found if p.changed)


def differences(before: Listing, now: Listing) -> Iterator[str]:
    """`+ path`, `- path`, `~ path`, in the order of paths."""
    for path in sorted({*before, *now}):
        if path not in before:
            yield f"+ {path}"
        elif path not in now:
            yield f"- {path}"
        elif before[path] != now[path]:
            yield f"~ {path}"


def _compared(name: str, value: str, before: str | None, past: Past) -> Part:
    changed = value != (before or "")
    detail = _files(before or "", value, past) if changed and name == FILES else ""
    if changed and name.startswith("build arg "):
        detail = f"{before or '(none)'} → {value or '(none)'}"
    known = None if before is None else _shown(name, before)
    return Part(name, _shown(name, value), known, changed, detail)


def _shown(name: str, value: str) -> str:
    """Of a secret nobody is told more than that it is there."""
    return HIDDEN if name.startswith(_SECRET) and value not in {"", keys.MISSING} else value


def _hint(secret: str) -> str:
    """What is remembered of a secret's digest: enough to see a change, too little to find it."""
    return secret if secret == keys.MISSING else secret[:_HINT]


def _files(before: str, now: str, past: Past) -> str:
    old, new = past.listings.get(before), past.listings.get(now)
    if old is None or new is None:
        return ""
    found = list(differences(old, new))
    more = f" and {len(found) - _LIST} more" if found[_LIST:] else ""
    return f"{', '.join(found[:_LIST])}{more}"


def _text(name: str, value: object) -> str:
    if name == "env":
        return _short(value)
    if isinstance(value, list | tuple):
        return " ".join(map(str, cast("list[object]", value)))
    return "(not set)" if value is None else str(value)


def _command(name: str, command: Command) -> Iterator[tuple[str, str]]:
    yield name, " ".join(command.argv)
    yield f"{name} folder", command.dir
    for key, value in command.env.items():
        yield f"{name} env {key}", _short(value)


def _short(value: object) -> str:
    return keys.digest(value)[:_DIGITS]
