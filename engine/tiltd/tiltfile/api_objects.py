"""The shapes of Tilt's own API objects (`v1alpha1.*`): which fields they have, and of what type.

A shape is a table; one function reads any dict by it, because a constructor's result is a dict in
Tilt too, and a dict with the same keys may stand for it.  What is read is the object's content as
Tilt's API writes it: field names in camel case, nothing that is empty.

Source of names, order and types: the Tiltfile API reference (tilt-dev/tilt.build, `v1alpha1`).
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tiltd.starlark import values as starlark
from tiltd.starlark.values import Value
from tiltd.tiltfile import durations
from tiltd.tiltfile.arguments import Arguments, shown
from tiltd.tiltfile.files import Files
from tiltd.tiltfile.mistakes import Mistake


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Args:
        name: as an argument.
        kind: `text`, `flag`, `integer`, `texts`, `map`, `path`, `paths`, `duration`; or the name
            of a shape; or that in brackets, for a list of them.
    """

    name: str
    kind: str

    @property
    def json(self) -> str:
        """As Tilt's API writes it."""
        first, *rest = self.name.split("_")
        return first + "".join(_CAPITALS.get(part, part.capitalize()) for part in rest)


_CAPITALS = {"id": "ID", "svg": "SVG"}


def _shape(text: str) -> tuple[Field, ...]:
    return tuple(Field(*word.split(":")) for word in text.split())


SHAPES: Mapping[str, tuple[Field, ...]] = {
    name: _shape(text)
    for name, text in {
        "config_map_disable_source": "name:text key:text",
        "disable_source": "config_map:config_map_disable_source "
        "every_config_map:[config_map_disable_source]",
        "exec_action": "command:texts",
        "forward": "local_port:integer container_port:integer host:text name:text path:text",
        "http_get_action": "path:text port:integer host:text scheme:text "
        "http_headers:[http_header]",
        "http_header": "name:text value:text",
        "handler": "exec:exec_action http_get:http_get_action tcp_socket:tcp_socket_action",
        "ignore_def": "base_path:path patterns:texts",
        "kubernetes_apply_cmd": "args:texts dir:path env:texts",
        "kubernetes_discovery_template_spec": "extra_selectors:[label_selector]",
        "kubernetes_image_locator": "object_selector:object_selector path:text "
        "object:kubernetes_image_object_descriptor",
        "kubernetes_image_object_descriptor": "repo_field:text tag_field:text",
        "kubernetes_watch_ref": "uid:text namespace:text name:text",
        "label_selector": "match_labels:map match_expressions:[label_selector_requirement]",
        "label_selector_requirement": "key:text operator:text values:texts",
        "object_selector": "api_version_regexp:text kind_regexp:text name_regexp:text "
        "namespace_regexp:text",
        "pod_log_stream_template_spec": "since_time:text only_containers:texts "
        "ignore_containers:texts",
        "port_forward_template_spec": "forwards:[forward]",
        "probe": "handler:handler initial_delay_seconds:integer timeout_seconds:integer "
        "period_seconds:integer success_threshold:integer failure_threshold:integer",
        "restart_on_spec": "file_watches:texts ui_buttons:texts",
        "start_on_spec": "start_after:text ui_buttons:texts",
        "tcp_socket_action": "port:integer host:text",
        "ui_bool_input_spec": "default_value:flag true_string:text false_string:text",
        "ui_choice_input_spec": "choices:texts",
        "ui_component_location": "component_id:text component_type:text",
        "ui_hidden_input_spec": "value:text",
        "ui_input_spec": "name:text label:text text:ui_text_input_spec bool:ui_bool_input_spec "
        "hidden:ui_hidden_input_spec choice:ui_choice_input_spec",
        "ui_text_input_spec": "default_value:text placeholder:text",
    }.items()
}
"""The parts of objects, each made by the constructor of its name."""

OBJECTS: Mapping[str, tuple[Field, ...]] = {
    name: _shape(text)
    for name, text in {
        "cmd": "args:texts dir:path env:texts readiness_probe:probe restart_on:restart_on_spec "
        "start_on:start_on_spec disable_source:disable_source",
        "config_map": "data:map",
        "extension": "repo_name:text repo_path:text args:texts",
        "extension_repo": "url:text ref:text load_host:text git_subpath:text",
        "file_watch": "watched_paths:paths ignores:[ignore_def] disable_source:disable_source",
        "kubernetes_apply": "yaml:text image_maps:texts image_locators:[kubernetes_image_locator] "
        "timeout:duration kubernetes_discovery_template_spec:kubernetes_discovery_template_spec "
        "port_forward_template_spec:port_forward_template_spec "
        "pod_log_stream_template_spec:pod_log_stream_template_spec discovery_strategy:text "
        "disable_source:disable_source cmd:kubernetes_apply_cmd restart_on:restart_on_spec "
        "apply_cmd:kubernetes_apply_cmd delete_cmd:kubernetes_apply_cmd cluster:text "
        "server_side_apply:text",
        "kubernetes_discovery": "watches:[kubernetes_watch_ref] extra_selectors:[label_selector] "
        "port_forward_template_spec:port_forward_template_spec "
        "pod_log_stream_template_spec:pod_log_stream_template_spec cluster:text",
        "ui_button": "location:ui_component_location text:text icon_name:text icon_svg:text "
        "disabled:flag requires_confirmation:flag inputs:[ui_input_spec]",
    }.items()
}
"""The objects themselves, without `name`, `labels` and `annotations`, which all have."""


def read(fields: tuple[Field, ...], args: Arguments, files: Files) -> dict[str, Any]:
    """The content that arguments give.

    Raises:
        Mistake: one is of another type, or not known.
    """
    read_all = {f.json: _READERS.get(f.kind, _read_parts)(f, args, files) for f in fields}
    return {name: value for name, value in read_all.items() if value not in _NOTHING}


_NOTHING: tuple[Any, ...] = ("", None, False, 0, [], ())
"""What Tilt's API leaves out.  An empty part stays: that it is there says what is meant."""


def _text(field: Field, args: Arguments, files: Files) -> Any:
    del files
    return args.stringable(field.name) if args.has(field.name) else ""


def _flag(field: Field, args: Arguments, files: Files) -> Any:
    del files
    return args.flag(field.name) if args.has(field.name) else False


def _integer(field: Field, args: Arguments, files: Files) -> Any:
    del files
    return args.integer(field.name) if args.has(field.name) else 0


def _texts(field: Field, args: Arguments, files: Files) -> Any:
    del files
    return list(args.text_list(field.name))


def _map(field: Field, args: Arguments, files: Files) -> Any:
    del files
    return args.string_map(field.name) or None


def _path(field: Field, args: Arguments, files: Files) -> Any:
    return args.path(field.name) if args.has(field.name) else files.folder


def _paths(field: Field, args: Arguments, files: Files) -> Any:
    del files
    return list(args.paths(field.name))


def _duration(field: Field, args: Arguments, files: Files) -> Any:
    del files
    if not args.has(field.name):
        return None
    return args.checked(field.name, durations.parse, args.text(field.name))


_READERS: Mapping[str, Callable[[Field, Arguments, Files], Any]] = {
    "text": _text,
    "flag": _flag,
    "integer": _integer,
    "texts": _texts,
    "map": _map,
    "path": _path,
    "paths": _paths,
    "duration": _duration,
}


def _read_parts(field: Field, args: Arguments, files: Files) -> Any:
    if not args.has(field.name):
        return None
    kind = field.kind.strip("[]")
    if kind == field.kind:
        return _part(field.name, kind, args.value(field.name), args, files)
    value = args.value(field.name)
    if not starlark.is_iterable(value) or isinstance(value, starlark.Dict):
        raise args.refuse(field.name, f"a list of v1alpha1.{kind}()", value)
    return [_part(field.name, kind, item, args, files) for item in starlark.elements(value)]


def _part(name: str, kind: str, value: Value, args: Arguments, files: Files) -> dict[str, Any]:
    if not isinstance(value, starlark.Dict):
        raise args.refuse(name, f"a v1alpha1.{kind}()", value)
    known = [field.name for field in SHAPES[kind]]
    given: dict[str, Value] = {}
    for key, item in value.items():
        if not isinstance(key, str) or key not in known:
            raise Mistake(
                f"{args.call}: {name}= has a field {shown(key)}, which no v1alpha1.{kind}() has",
                hint=f"its fields are {', '.join(known)}",
            )
        given[key] = item
    return read(SHAPES[kind], Arguments(f"{args.call}: {name}", given, files), files)
