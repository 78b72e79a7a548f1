"""What the reference has and this version has not: known by name, refused with one sentence."""

from tiltd.starlark import Value
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()
NAMES = (
    "dc_resource",
    "docker_compose",
    "k8s_custom_deploy",
    *(
        f"v1alpha1.{name}"
        for name in (
            "cmd",
            "config_map",
            "config_map_disable_source",
            "disable_source",
            "exec_action",
            "extension",
            "extension_repo",
            "file_watch",
            "forward",
            "handler",
            "http_get_action",
            "http_header",
            "ignore_def",
            "kubernetes_apply",
            "kubernetes_apply_cmd",
            "kubernetes_discovery",
            "kubernetes_discovery_template_spec",
            "kubernetes_image_locator",
            "kubernetes_image_object_descriptor",
            "kubernetes_watch_ref",
            "label_selector",
            "label_selector_requirement",
            "object_selector",
            "pod_log_stream_template_spec",
            "port_forward_template_spec",
            "probe",
            "restart_on_spec",
            "start_on_spec",
            "tcp_socket_action",
            "ui_bool_input_spec",
            "ui_button",
            "ui_choice_input_spec",
            "ui_component_location",
            "ui_hidden_input_spec",
            "ui_input_spec",
            "ui_text_input_spec",
        )
    ),
)


def refuse_extension(path: str) -> Mistake:
    """The refusal of `load('ext://…')`."""
    return Mistake(
        f"{path}: extensions are not supported yet",
        hint="copy the extension's Tiltfile into the project and load it by its path",
    )


def _refuse(reading: Reading, args: Arguments) -> Value:
    del reading
    raise Mistake(f"{args.call}() is not supported yet")


for _name in NAMES:
    BUILTINS.add(_name, "*args **kwargs")(_refuse)
