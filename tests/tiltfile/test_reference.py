"""Every name of the public reference is known: it works, or is refused by name."""

import inspect

import pytest

from tests.tiltfile.conftest import Workspace
from tiltd.tiltfile.builtins import predeclared, refused

_TEXT = """
allow_k8s_contexts analytics_settings blob ci_settings custom_build dc_resource decode_json
decode_yaml decode_yaml_stream default_registry disable_snapshots docker_build docker_compose
docker_prune_settings enable_feature encode_json encode_yaml encode_yaml_stream exec_action exit
fail fall_back_on filter_yaml helm http_get_action include initial_sync k8s_context
k8s_custom_deploy k8s_image_json_path k8s_kind k8s_namespace k8s_resource k8s_yaml kustomize link
listdir load_dynamic local local_git_repo local_resource module port_forward print probe read_file
read_json read_yaml read_yaml_stream restart_container run secret_settings set_team struct sync
tcp_socket_action test trigger_mode update_settings version_settings warn watch_file
watch_settings workload_to_resource_function disable_feature experimental_analytics_report
experimental_metrics_settings experimental_telemetry_cmd
TRIGGER_MODE_AUTO TRIGGER_MODE_MANUAL __file__ __name__
config.clear_enabled_resources config.define_bool config.define_object config.define_string
config.define_string_list config.main_dir config.main_path config.parse
config.set_enabled_resources config.tilt_subcommand
os.environ os.getcwd os.getenv os.name os.putenv os.unsetenv
os.path.abspath os.path.basename os.path.dirname os.path.exists os.path.join os.path.realpath
os.path.relpath shlex.quote sys.argv sys.executable
v1alpha1.cmd v1alpha1.config_map v1alpha1.config_map_disable_source v1alpha1.disable_source
v1alpha1.exec_action v1alpha1.extension v1alpha1.extension_repo v1alpha1.file_watch
v1alpha1.forward v1alpha1.handler v1alpha1.http_get_action v1alpha1.http_header
v1alpha1.ignore_def v1alpha1.kubernetes_apply v1alpha1.kubernetes_apply_cmd
v1alpha1.kubernetes_discovery v1alpha1.kubernetes_discovery_template_spec
v1alpha1.kubernetes_image_locator v1alpha1.kubernetes_image_object_descriptor
v1alpha1.kubernetes_watch_ref v1alpha1.label_selector v1alpha1.label_selector_requirement
v1alpha1.object_selector v1alpha1.pod_log_stream_template_spec
v1alpha1.port_forward_template_spec v1alpha1.probe v1alpha1.restart_on_spec
v1alpha1.start_on_spec v1alpha1.tcp_socket_action v1alpha1.ui_bool_input_spec v1alpha1.ui_button
v1alpha1.ui_component_location v1alpha1.ui_hidden_input_spec v1alpha1.ui_input_spec
v1alpha1.ui_text_input_spec
"""
REFERENCE = _TEXT.split()


async def test_every_name_of_the_reference_is_known(workspace: Workspace) -> None:
    lines = [f"x = [{name}]" for name in REFERENCE]
    await workspace.load("\n".join(lines))


@pytest.mark.parametrize("name", refused.NAMES)
async def test_what_is_not_supported_yet_is_refused_by_name(
    name: str, workspace: Workspace
) -> None:
    problem = await workspace.problem(f"\n{name}('x', a=1)")
    assert problem.message == f"{name}() is not supported yet"
    assert str(problem.place) == "Tiltfile:2:1"


def test_every_builtin_has_a_docstring_with_its_source() -> None:
    for builtin in predeclared.declared():
        if builtin.name not in refused.NAMES:
            text = inspect.getdoc(builtin.function) or ""
            assert "reference: `" in text or "Tilt 0.37's `" in text, builtin.name


async def test_a_users_own_names_may_shadow_builtins(workspace: Workspace) -> None:
    text = "k8s_context = k8s_context()\ndef warn(x):\n  print('mine', x)\nwarn(k8s_context)"
    assert await workspace.printed(text) == ["mine kind-fake"]
