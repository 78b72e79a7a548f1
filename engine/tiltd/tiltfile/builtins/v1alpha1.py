"""Tilt's own API: `v1alpha1.*`.

Constructors of parts give dicts, as in Tilt; constructors of objects put an object into the
project.  The same object may be declared twice, another of its name may not.  Source of names,
defaults and checks: the Tiltfile API reference (tilt-dev/tilt.build, `v1alpha1`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from tiltd import starlark
from tiltd.model.desired import ApiObject
from tiltd.starlark import Value
from tiltd.tiltfile import api_objects, extensions
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()
_REFUSED = {
    "kubernetes_apply": "k8s_yaml() applies objects, and k8s_custom_deploy() runs a command "
    "that does",
    "kubernetes_discovery": "k8s_resource(extra_pod_selectors=…) says which pods belong to a "
    "resource",
}
"""What is known by name and refused, and what does the same."""
_KINDS = {
    "cmd": "Cmd",
    "config_map": "ConfigMap",
    "extension": "Extension",
    "extension_repo": "ExtensionRepo",
    "file_watch": "FileWatch",
    "ui_button": "UIButton",
}
_INPUTS = ("text", "bool", "hidden", "choice")


def _part(name: str) -> Callable[[Reading, Arguments], Value]:
    fields = api_objects.SHAPES[name]

    def make(reading: Reading, args: Arguments) -> Value:
        api_objects.read(fields, args, reading.files)
        given = [field.name for field in fields if args.was_given(field.name)]
        return starlark.Dict((key, args.value(key)) for key in given)

    make.__doc__ = f"A part of an object (reference: `v1alpha1.{name}`)."
    return make


def _object(name: str) -> Callable[[Reading, Arguments], Value]:
    def declare(reading: Reading, args: Arguments) -> Value:
        spec = api_objects.read(api_objects.OBJECTS[name], args, reading.files)
        if name in _REFUSED:
            raise Mistake(f"{args.call}() is not supported here", hint=_REFUSED[name])
        named = _name(args)
        _CHECKS.get(name, _unchecked)(args, spec)
        made = ApiObject(
            kind=_KINDS[name],
            name=named,
            spec=spec,
            labels=args.string_map("labels"),
            annotations=args.string_map("annotations"),
            place=reading.place(),
        )
        _register(reading, args, made)

    declare.__doc__ = f"Declare an object (reference: `v1alpha1.{name}`)."
    return declare


def _name(args: Arguments) -> str:
    name = args.name("name")
    if not name:
        raise Mistake(f"{args.call}: name= is empty", hint="give the object a name")
    return name


def _register(reading: Reading, args: Arguments, made: ApiObject) -> None:
    known = reading.api_objects.get((made.kind, made.name))
    if known is not None and _content(known) != _content(made):
        raise Mistake(
            f"{args.call}: there is another {made.kind} {made.name!r} already",
            hint=f"it was declared at {known.place}; give one of them another name",
        )
    if known is None:
        reading.api_objects[made.kind, made.name] = made


def _content(made: ApiObject) -> tuple[Any, ...]:
    # That an extension was loaded is noted on its object, and makes it no other.
    ours = {k: v for k, v in made.annotations.items() if k != extensions.MANAGED_BY}
    return (made.spec, dict(made.labels), ours)


def _unchecked(args: Arguments, spec: Mapping[str, Any]) -> None:
    del args, spec


def _check_cmd(args: Arguments, spec: Mapping[str, Any]) -> None:
    if not spec.get("args"):
        raise Mistake(f"{args.call}: args= is empty", hint="give program and arguments as a list")
    for pair in spec.get("env", ()):
        if not pair.partition("=")[0] or "=" not in pair:
            raise Mistake(
                f"{args.call}: env= contains {pair!r}, which sets no variable",
                hint="write NAME=VALUE",
            )
    probe = spec.get("readinessProbe")
    if probe is not None and len(probe.get("handler", ())) != 1:
        raise Mistake(
            f"{args.call}: readiness_probe= needs a handler with exactly one of exec, http_get "
            "and tcp_socket"
        )


def _check_file_watch(args: Arguments, spec: Mapping[str, Any]) -> None:
    if not spec.get("watchedPaths"):
        raise Mistake(f"{args.call}: watched_paths= is empty", hint="give at least one path")


def _check_button(args: Arguments, spec: Mapping[str, Any]) -> None:
    if not spec.get("text"):
        raise Mistake(f"{args.call}: text= is empty", hint="say what is written on the button")
    location = spec.get("location", {})
    for field, key in (("component_id", "componentID"), ("component_type", "componentType")):
        if not location.get(key):
            raise Mistake(
                f"{args.call}: location= has no {field}",
                hint="write v1alpha1.ui_component_location(component_id=…, component_type=…)",
            )
    if spec.get("iconSVG") and "<svg" not in spec["iconSVG"]:
        raise Mistake(
            f"{args.call}: icon_svg= is no SVG", hint="give the content of the file: <svg …>"
        )
    _check_inputs(args, spec.get("inputs", ()))


def _check_inputs(args: Arguments, inputs: list[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    for item in inputs:
        name = item.get("name", "")
        types = [kind for kind in _INPUTS if kind in item]
        if len(types) != 1:
            raise Mistake(
                f"{args.call}: the input {name!r} has {len(types)} types",
                hint="give exactly one of text=, bool=, hidden= and choice=",
            )
        if types == ["choice"] and not item["choice"].get("choices"):
            raise Mistake(f"{args.call}: the input {name!r} has no choices=")
        if name in seen:
            raise Mistake(f"{args.call}: there are two inputs {name!r}")
        seen.add(name)


def _check_repository(args: Arguments, spec: Mapping[str, Any]) -> None:
    extensions.check_repository(
        args.call, spec.get("url", ""), spec.get("ref", ""), spec.get("gitSubpath", "")
    )


_CHECKS: Mapping[str, Callable[[Arguments, Mapping[str, Any]], None]] = {
    "cmd": _check_cmd,
    "extension_repo": _check_repository,
    "file_watch": _check_file_watch,
    "ui_button": _check_button,
}

for _shape in api_objects.SHAPES:
    _fields = [f"{field.name}?" for field in api_objects.SHAPES[_shape]]
    BUILTINS.add(f"v1alpha1.{_shape}", " ".join(_fields))(_part(_shape))
for _shape in api_objects.OBJECTS:
    _fields = [f"{field.name}?" for field in api_objects.OBJECTS[_shape]]
    BUILTINS.add(f"v1alpha1.{_shape}", " ".join(["name", "labels?", "annotations?", *_fields]))(
        _object(_shape)
    )
