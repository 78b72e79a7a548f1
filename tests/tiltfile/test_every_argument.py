"""Each builtin with the least that it takes, and each of its arguments with what can't be meant."""

import inspect

import pytest

from tests.tiltfile.conftest import Workspace
from tiltd.tiltfile.builtins import predeclared
from tiltd.tiltfile.registry import Declared

LEAST = {
    "allow_k8s_contexts": "contexts='c'",
    "analytics_settings": "enable=False",
    "blob": "input='x'",
    "ci_settings": "",
    "config.define_bool": "name='n'",
    "config.define_object": "name='n'",
    "config.define_string": "name='n'",
    "config.define_string_list": "name='n'",
    "config.set_enabled_resources": "resources=[]",
    "custom_build": "ref='i', command='c', deps=['.']",
    "dc_resource": "name='n'",
    "decode_json": "json='1'",
    "decode_yaml": "yaml='1'",
    "decode_yaml_stream": "yaml='1'",
    "default_registry": "host='localhost:5000'",
    "disable_feature": "msg='snapshots'",
    "docker_build": "ref='i', context='.'",
    "docker_compose": "configPaths='compose.yaml'",
    "enable_feature": "msg='snapshots'",
    "encode_json": "obj=1",
    "encode_yaml": "obj=1",
    "encode_yaml_stream": "objs=[1]",
    "exec_action": "command=['x']",
    "experimental_analytics_report": "tags={}",
    "experimental_telemetry_cmd": "cmd='x'",
    "fall_back_on": "paths='x'",
    "filter_yaml": "yaml=blob('')",
    "helm": "paths='.'",
    "http_get_action": "port=80",
    "k8s_custom_deploy": "name='n', apply_cmd='a', delete_cmd='d', deps=[]",
    "k8s_image_json_path": "paths='{.x}', kind='K'",
    "k8s_kind": "kind='K'",
    "k8s_resource": "workload='p'",
    "k8s_yaml": "yaml=POD",
    "kustomize": "paths='.'",
    "link": "url='http://x'",
    "listdir": "dir='.'",
    "local": "command='true'",
    "local_git_repo": "paths='.'",
    "local_resource": "name='r', cmd='true'",
    "os.getenv": "key='K'",
    "os.path.abspath": "path='p'",
    "os.path.basename": "path='p'",
    "os.path.dirname": "path='p'",
    "os.path.exists": "path='p'",
    "os.path.join": "path='p'",
    "os.path.realpath": "path='.'",
    "os.path.relpath": "targpath=os.getcwd()",
    "os.putenv": "key='K', value='v'",
    "os.unsetenv": "key='K'",
    "port_forward": "local_port=80",
    "probe": "exec=exec_action(['x'])",
    "read_file": "paths='file.json'",
    "read_json": "paths='file.json'",
    "read_yaml": "paths='file.json'",
    "read_yaml_stream": "paths='file.json'",
    "run": "cmd='x'",
    "secret_settings": "disable_scrub=True",
    "set_team": "team_id='t'",
    "shlex.quote": "s='a b'",
    "sync": "local_path='a', remote_path='/a'",
    "tcp_socket_action": "port=80",
    "test": "name='r', cmd='true'",
    "trigger_mode": "trigger_mode=TRIGGER_MODE_MANUAL",
    "v1alpha1.cmd": "name='n', args=['x']",
    "v1alpha1.config_map": "name='n'",
    "v1alpha1.extension": "name='n', repo_name='r', repo_path='p'",
    "v1alpha1.extension_repo": "name='n', url='https://x'",
    "v1alpha1.file_watch": "name='n', watched_paths=['.']",
    "v1alpha1.kubernetes_apply": "name='n'",
    "v1alpha1.kubernetes_discovery": "name='n'",
    "v1alpha1.ui_button": (
        "name='n', text='t', location={'component_id': 'c', 'component_type': 'Global'}"
    ),
    "warn": "msg='x'",
    "watch_file": "paths='x'",
    "workload_to_resource_function": "func=lambda id: id.name",
}
"""The arguments of the least call that is accepted, where there must be some."""
BEFORE = {"k8s_resource": "k8s_yaml(POD)\n"}
STEPS = ("fall_back_on", "initial_sync", "restart_container", "run", "sync")
STEP_USED = "docker_build('i', '.', dockerfile_contents='FROM x', live_update=[x])\n"
PRELUDE = (
    "POD = blob('{apiVersion: v1, kind: Pod, metadata: {name: p}, "
    "spec: {containers: [{image: i}]}}')\n"
)
ENDS = {"fail", "v1alpha1.kubernetes_apply", "v1alpha1.kubernetes_discovery"}
"""They always fail."""
ELSEWHERE = {"dc_resource", "docker_compose", "helm", "kustomize", "v1alpha1.extension"}
"""They need a program, or a repository."""

BUILTINS = {d.name: d for d in predeclared.declared()}


def prepare(workspace: Workspace) -> None:
    workspace.write({"file.json": "[1]", ".git/HEAD": "", "Dockerfile": "FROM scratch"})


@pytest.mark.parametrize("name", sorted(BUILTINS.keys() - ENDS - ELSEWHERE))
async def test_the_least_call_is_accepted(name: str, workspace: Workspace) -> None:
    prepare(workspace)
    given = LEAST.get(name, "")
    before, after = BEFORE.get(name, ""), STEP_USED if name in STEPS else ""
    await workspace.load(f"{PRELUDE}{before}x = {name}({given})\n{after}")


def required(declared: Declared) -> list[str]:
    parameters = declared.signature.parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]


@pytest.mark.parametrize("name", sorted(n for n, d in BUILTINS.items() if required(d)))
async def test_what_must_be_given_is_asked_for(name: str, workspace: Workspace) -> None:
    problem = await workspace.problem(f"\n{name}()")
    assert problem.message == f"{name}: missing argument for {required(BUILTINS[name])[0]}"
    assert str(problem.place) == "Tiltfile:2:1"


TAKE_ANY_NAME = {"experimental_metrics_settings"}


@pytest.mark.parametrize("name", sorted(BUILTINS.keys() - TAKE_ANY_NAME))
async def test_an_unknown_argument_is_refused(name: str, workspace: Workspace) -> None:
    problem = await workspace.problem(f"\n{name}(nobody_knows=1)")
    assert problem.message == f'{name}: unexpected keyword argument "nobody_knows"'
    assert str(problem.place) == "Tiltfile:2:1"


TAKE_ANY_NUMBER = {"experimental_metrics_settings", "os.path.join"}


@pytest.mark.parametrize("name", sorted(BUILTINS.keys() - TAKE_ANY_NUMBER))
async def test_too_many_arguments_are_refused(name: str, workspace: Workspace) -> None:
    problem = await workspace.problem(f"\n{name}(*[None] * 99)")
    assert problem.message.startswith(f"{name}: got 99 arguments, want at most ")
    assert str(problem.place) == "Tiltfile:2:1"


TAKE_ANYTHING = {
    ("exit", "code"),
    ("fail", "msg"),
    ("os.getenv", "default"),
    ("read_json", "default"),
    ("read_yaml", "default"),
    ("experimental_telemetry_cmd", "period"),
    ("docker_build", "cache"),
}
"""Arguments of which any value will do."""
ARGUMENTS = [
    (name, argument)
    for name, declared in sorted(BUILTINS.items())
    if name != "dc_resource"  # it looks for its service first; `test_compose` has what it refuses
    for argument, parameter in declared.signature.parameters.items()
    if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    and (name, argument) not in TAKE_ANYTHING
    and not (name in ENDS and argument in {"name", "labels", "annotations"})
]


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
async def test_a_value_that_can_not_be_meant_is_refused_by_builtin_argument_and_value(
    name: str, argument: str, workspace: Workspace
) -> None:
    prepare(workspace)
    others = f"dict({LEAST.get(name, '')})"
    call = f"{name}(**dict({others}, {argument}=len))"
    problem = await workspace.problem(f"{PRELUDE}{BEFORE.get(name, '')}{call}")
    assert problem.message.startswith(f"{name}: ")
    assert argument in problem.message
    assert "len" in problem.message
    assert problem.place is not None
    assert problem.place.column
