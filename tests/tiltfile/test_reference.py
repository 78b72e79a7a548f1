"""Every name of the public reference is known: it works, or is refused by name."""

import inspect

import pytest

from tests.tiltfile.conftest import Workspace
from tiltd.tiltfile.builtins import predeclared

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

_SIGNATURES = """
port_forward local_port container_port name link_path host
link url name
fall_back_on files
set_team team_id
sync local_path remote_path
run cmd trigger echo_off
docker_build ref context build_args dockerfile dockerfile_contents live_update match_in_env_vars
  ignore only entrypoint target ssh network secret extra_tag container_args cache_from pull
  platform extra_hosts
docker_compose configPaths env_file project_name profiles wait
k8s_yaml yaml allow_duplicates
k8s_custom_deploy name apply_cmd delete_cmd deps image_selector live_update apply_dir apply_env
  apply_cmd_bat delete_dir delete_env delete_cmd_bat container_selector image_deps
trigger_mode trigger_mode
dc_resource name trigger_mode resource_deps links labels auto_init project_name new_name
  infer_links
k8s_resource workload new_name port_forwards extra_pod_selectors trigger_mode resource_deps
  objects auto_init pod_readiness links labels discovery_strategy
filter_yaml yaml labels name namespace kind api_version
include path
load_dynamic path
local command quiet command_bat echo_off env dir stdin
read_file file_path default
watch_file file_path
kustomize pathToDir kustomize_bin flags
helm pathToChartDir name namespace values set kube_version skip_crds
blob contents
listdir directory recursive
k8s_kind kind api_version image_json_path image_object_json_path pod_readiness
decode_json json
encode_json obj
read_json path default
read_yaml path default
read_yaml_stream path default
decode_yaml yaml
decode_yaml_stream yaml
encode_yaml obj
encode_yaml_stream objs
default_registry host host_from_cluster single_name
custom_build ref command deps tag disable_push skips_local_docker live_update match_in_env_vars
  ignore entrypoint command_bat_val outputs_image_ref_to command_bat image_deps env dir
workload_to_resource_function fn
allow_k8s_contexts contexts
enable_feature feature_name
local_resource name cmd deps trigger_mode resource_deps ignore auto_init serve_cmd cmd_bat
  serve_cmd_bat allow_parallel links labels env serve_env readiness_probe dir serve_dir
docker_prune_settings disable max_age_mins num_builds interval_hrs keep_recent
analytics_settings enable
version_settings check_updates constraint
struct **kwargs
secret_settings disable_scrub
update_settings max_parallel_updates k8s_upsert_timeout_secs suppress_unused_image_warnings
  k8s_server_side_apply
ci_settings k8s_grace_period timeout readiness_timeout
watch_settings ignore
warn msg
fail msg
exit code
probe initial_delay_secs timeout_secs period_secs success_threshold failure_threshold exec
  http_get tcp_socket
exec_action command
http_get_action port host scheme path
tcp_socket_action port host
config.define_string_list name args usage
config.define_string name args usage
config.define_bool name args usage
config.set_enabled_resources resources
os.getenv key default
os.putenv key value
os.unsetenv key value
os.path.abspath path
os.path.relpath targpath basepath
os.path.basename path
os.path.dirname path
os.path.exists path
os.path.join path *paths
os.path.realpath path
shlex.quote s
v1alpha1.cmd name labels annotations args dir env readiness_probe restart_on start_on
  disable_source
v1alpha1.config_map name labels annotations data
v1alpha1.extension name labels annotations repo_name repo_path args
v1alpha1.extension_repo name labels annotations url ref
v1alpha1.file_watch name labels annotations watched_paths ignores disable_source
v1alpha1.kubernetes_apply name labels annotations yaml image_maps image_locators timeout
  kubernetes_discovery_template_spec port_forward_template_spec pod_log_stream_template_spec
  discovery_strategy disable_source cmd restart_on
v1alpha1.kubernetes_discovery name labels annotations watches extra_selectors
  port_forward_template_spec pod_log_stream_template_spec
v1alpha1.ui_button name labels annotations location text icon_name icon_svg disabled
  requires_confirmation inputs
v1alpha1.config_map_disable_source name key
v1alpha1.disable_source config_map
v1alpha1.exec_action command
v1alpha1.forward local_port container_port host
v1alpha1.http_get_action path port host scheme http_headers
v1alpha1.http_header name value
v1alpha1.handler exec http_get tcp_socket
v1alpha1.ignore_def base_path patterns
v1alpha1.kubernetes_apply_cmd args dir env
v1alpha1.kubernetes_discovery_template_spec extra_selectors
v1alpha1.kubernetes_image_locator object_selector path object
v1alpha1.kubernetes_image_object_descriptor repo_field tag_field
v1alpha1.kubernetes_watch_ref uid namespace name
v1alpha1.label_selector match_labels match_expressions
v1alpha1.label_selector_requirement key operator values
v1alpha1.object_selector api_version_regexp kind_regexp name_regexp namespace_regexp
v1alpha1.pod_log_stream_template_spec only_containers ignore_containers
v1alpha1.port_forward_template_spec forwards
v1alpha1.probe handler initial_delay_seconds timeout_seconds period_seconds success_threshold
  failure_threshold
v1alpha1.restart_on_spec file_watches ui_buttons
v1alpha1.start_on_spec ui_buttons
v1alpha1.tcp_socket_action port host
v1alpha1.ui_bool_input_spec default_value true_string false_string
v1alpha1.ui_component_location component_id component_type
v1alpha1.ui_hidden_input_spec value
v1alpha1.ui_input_spec name label text bool hidden
v1alpha1.ui_text_input_spec default_value placeholder
"""
"""The arguments that the reference names, function by function."""
_ELSEWHERE = {"include", "load_dynamic", "struct"}
_NOT_TILTS = {("os.unsetenv", "value")}
"""Arguments that the reference names and Tilt refuses, too."""


def signatures() -> dict[str, list[str]]:
    lines = _SIGNATURES.strip().replace("\n  ", " ").splitlines()
    return {words[0]: words[1:] for words in map(str.split, lines)}


def test_every_argument_of_the_reference_is_known() -> None:
    declared = {d.name: {*d.signature.parameters, *d.aliases} for d in predeclared.declared()}
    for name, arguments in signatures().items():
        if name not in _ELSEWHERE:
            given = {(name, a.lstrip("*")) for a in arguments} - _NOT_TILTS
            assert {a for _, a in given} <= declared[name], name


ALIASES = [
    (declared.name, own, alias)
    for declared in predeclared.declared()
    for alias, own in declared.aliases.items()
]


@pytest.mark.parametrize(("name", "own", "alias"), ALIASES)
async def test_an_argument_that_tilt_and_its_reference_call_differently_has_one_value(
    name: str, own: str, alias: str, workspace: Workspace
) -> None:
    first = "kind='Widget', " if name == "k8s_kind" else ""
    problem = await workspace.problem(f"{name}({first}{own}='x', {alias}='y')")
    assert problem.message == f"{name}: {alias}= and {own}= are two names of one argument"
    assert str(problem.place) == "Tiltfile:1:1"


async def test_the_references_names_do_what_tilts_do(workspace: Workspace) -> None:
    workspace.write({"a.json": "[1]", "folder/x": ""})
    text = (
        "watch_file(file_path='w')\n"
        "print(read_file(file_path='a.json'), read_json(path='a.json'), read_yaml(path='a.json'))\n"
        "print(read_yaml_stream(path='a.json'), blob(contents='b'))\n"
        "print([os.path.basename(p) for p in listdir(directory='folder')])\n"
        "enable_feature(feature_name='snapshots')\n"
        "docker_build('i', '.', dockerfile_contents='FROM x', "
        "live_update=[fall_back_on(files='y')])"
    )
    printed = ["[1] [1] [1]", "[[1]] b", '["x"]']
    assert await workspace.printed(text) == printed


async def test_every_name_of_the_reference_is_known(workspace: Workspace) -> None:
    lines = [f"x = [{name}]" for name in REFERENCE]
    await workspace.load("\n".join(lines))


def test_every_builtin_has_a_docstring_with_its_source() -> None:
    for builtin in predeclared.declared():
        text = inspect.getdoc(builtin.function) or ""
        assert "reference: `" in text or "Tilt 0.37's `" in text, builtin.name


async def test_a_users_own_names_may_shadow_builtins(workspace: Workspace) -> None:
    text = "k8s_context = k8s_context()\ndef warn(x):\n  print('mine', x)\nwarn(k8s_context)"
    assert await workspace.printed(text) == ["mine kind-fake"]
