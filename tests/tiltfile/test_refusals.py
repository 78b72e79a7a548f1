"""What each builtin refuses, and in which words."""

import pytest

from tests.tiltfile.conftest import BUILD, POD, Workspace
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Code

CIRCLE = (
    "local_resource('a', 'x', resource_deps=['b'])\nlocal_resource('b', 'x', resource_deps=['a'])"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("docker_build('I', '.', dockerfile_contents='x')", "ref: 'I' is no image"),
        (BUILD + ", dockerfile='D')", "either dockerfile= or dockerfile_contents="),
        (BUILD + ", only=['*.py'])", "not the pattern '*.py'"),
        (BUILD + ", extra_tag='A B')", "extra_tag: 'A B' is no image"),
        (BUILD + ", ignore=['a\\nb'])", "a pattern with a line's end"),
        (BUILD + ", live_update=['x'])", "must be a list of steps, but it contains the string"),
        (BUILD + ", live_update=[sync('.', 'rel')])", "'rel' of sync() is not absolute"),
        (BUILD + ", live_update=[sync('.', '/a'), fall_back_on('x')])", "must come before all"),
        (BUILD + ", live_update=[restart_container(), run('x')])", "must be the last step"),
        (BUILD + ", build_args={'a': 1})", "build_args= must be a dict of strings, not the int 1"),
        (BUILD + ", pull='yes')", "pull= must be True or False"),
        (BUILD + ", nope=1)", 'unexpected keyword argument "nope"'),
        (BUILD + ")\n" + BUILD + ")", "the image 'i' is declared twice"),
        ("docker_build('i', '.', dockerfile_contents='RUN x')", "before the first FROM"),
        ("docker_build('i', '.', dockerfile_contents='FROM a', target='b')", "no stage is called"),
        (BUILD + ", live_update=[restart_container()])\n" + POD, "can't restart a container"),
        ("custom_build('i', '', ['.'])", "command= is empty"),
        ("custom_build('i', 'x', ['.'], tag='a', outputs_image_ref_to='b')", "not both"),
        ("custom_build('i', 'x', ['.'], image_deps=['b'])\n" + POD, "which nothing builds"),
        ("default_registry('team')", "is no registry"),
        ("run('')", "cmd= is empty"),
        ("k8s_yaml('')", "can't be read"),
        ("k8s_yaml(None)", "yaml= is empty"),
        ("k8s_yaml(blob(''))", "yaml= is empty"),
        ("k8s_yaml(1)", "must be a path, a blob of YAML, or a list of these, not the int 1"),
        ("k8s_yaml(blob('a: 1'))", "a Kubernetes object in k8s_yaml(blob()) has no apiVersion"),
        ("k8s_resource()", "no resource is named"),
        ("k8s_resource(new_name='a')", "neither a workload nor objects"),
        ("k8s_resource('a')", "there is no Kubernetes resource 'a'"),
        (POD + "k8s_resource('pp')", "there is no Kubernetes resource 'pp'"),
        (POD + "k8s_resource('p', port_forwards=70000)", "the port 70000"),
        (POD + "k8s_resource('p', port_forwards=[None])", "not None"),
        (POD + "k8s_resource('p', port_forwards='a_b:1:2')", "'a_b' is no host name"),
        (POD + "k8s_resource('p', pod_readiness='x')", "pod_readiness='x' is not known"),
        (POD + "k8s_resource('p', discovery_strategy='x')", "discovery_strategy='x'"),
        (POD + "k8s_resource('p', objects=['a:b:c:d:e'])", "has 5 parts"),
        (POD + "k8s_resource('p', objects=['p'])", "belongs to another resource already"),
        (POD + "k8s_resource('p', links=[1])", "links= must be a URL, a link() or a list"),
        (POD + "k8s_resource('p', links=[''])", "url is empty"),
        (POD + "k8s_resource('p', extra_pod_selectors=[1])", "must be a dict of strings"),
        (
            POD + "k8s_resource('p', resource_deps='x')",
            "resource_deps= must be a list of strings",
        ),
        (POD + "k8s_resource('p', trigger_mode='x')", "TRIGGER_MODE_AUTO or TRIGGER_MODE_MANUAL"),
        ("k8s_kind('(')", "no regular expression"),
        ("k8s_kind('A', '{.x}')", "at most 1"),
        ("k8s_kind('A', image_json_path='{..x}')", "no JSONPath"),
        ("k8s_kind('A', image_object={'json_path': '{.x}'})", "missing: repo_field, tag_field"),
        ("k8s_image_json_path('{.x}')", "one of kind=, name= and namespace="),
        ("workload_to_resource_function(len)", "must be a function of this Tiltfile"),
        ("workload_to_resource_function(lambda a, b: a)", "must take one argument, not 2"),
        (POD + "workload_to_resource_function(lambda id: 1)", "must return a string"),
        ("local_resource('a')", "neither a cmd nor a serve_cmd"),
        ("local_resource('', 'x')", "name= is empty"),
        ('local_resource(local("printf \'\\\\377\'"), "x")', "name= is no UTF-8"),
        ("fail('')", "fail() was called without a message"),
        ("k8s_yaml('kind: Pod\\n' * 99)", "k8s_yaml: yaml: 'kind: Pod"),
        ("read_file('a\\0b')", "read_file: paths: 'a\\x00b' can't be a path: it contains a NUL"),
        ("read_file('x' * 256)", "a part of it is longer than 255 bytes"),
        ("read_file('☃' * 86)", "a part of it is longer than 255 bytes"),
        ("read_file('x/' * 2048)", "it is longer than 4095 bytes"),
        ("sync('\\0', '/x')", "sync: local_path: "),
        ("config.set_enabled_resources(['x'])", "no resource is called 'x'"),
        ("local_resource('a', 'x')\nlocal_resource('a', 'x')", "local_resource 'a' already"),
        ("local_resource('a', serve_cmd='x', dir='d')", "dir= but no cmd"),
        ("local_resource('a', 'x', serve_dir='d')", "serve_dir= but no serve_cmd"),
        ("local_resource('a', 'x', env={'': 'y'})", "empty name"),
        ("local_resource('a', [1])", "it contains the int 1"),
        ("local_resource('a', 'x', readiness_probe=1)", "must be a probe()"),
        (CIRCLE, "circle: a -> b -> a"),
        ("probe()", "exactly one of"),
        ("probe(exec=exec_action(['x']), period_secs=-1)", "must not be negative"),
        ("exec_action([])", "command= is empty"),
        ("http_get_action(port=0)", "not a number from 1 to 65535"),
        ("http_get_action(port=1, scheme='ftp')", "neither 'http' nor 'https'"),
        ("local('')", "command= is empty"),
        ("local(['no-such-program'])", "'no-such-program' was not found"),
        ("local('x', dir='nowhere')", "no such folder"),
        ("local('exit 7')", "failed with exit code 7"),
        ("local('kill -9 $$')", "signal 9"),
        ("read_file('nope')", "file nope can't be read: No such file"),
        ("read_file(blob('x'))", "must be a path"),
        ("read_json('Tiltfile')", "Tiltfile is no JSON"),
        ("decode_json('{')", "is no JSON"),
        ("decode_yaml('a: b: c')", "is no YAML"),
        ("decode_yaml('a: 1\\n---\\nb: 1')", "several"),
        ("encode_json((1,))", "obj= holds the tuple (1,), which can't be written as data"),
        ("encode_yaml({1: 2})", "the key the int 1, which is no string"),
        ("encode_yaml(blob('x'))", "can't be written as data"),
        ("encode_yaml_stream('x')", "objs= must be a list"),
        ("os.environ['a'] = 1", "holds strings only"),
        ("os.putenv('a=b', 'c')", "can't be the name of a variable"),
        ("os.path.join('a', 1)", "every part must be a string"),
        ("os.path.relpath('a')", "can't be made relative"),
        ("os.path.realpath('nope')", "can't be read"),
        ("config.define_string('')", "name= is empty"),
        ("config.define_string('a')\nconfig.define_bool('a')", "defined already"),
        ("config.parse()\nconfig.define_bool('a')", "after config.parse()"),
        ("config.define_bool('a', True)\nconfig.define_bool('b', True)", "positional arguments"),
        ("config.set_enabled_resources('x')", "must be a list of names"),
        ("trigger_mode(TRIGGER_MODE_AUTO)\ntrigger_mode(TRIGGER_MODE_AUTO)", "set already"),
        ("update_settings(max_parallel_updates=0)", "must be at least 1"),
        ("update_settings(k8s_server_side_apply='maybe')", "is not known"),
        ("ci_settings(timeout='5')", "timeout: '5' is no duration"),
        ("docker_prune_settings(num_builds=1, interval_hrs=1)", "not both"),
        ("set_team('')", "team_id= is empty"),
        ("set_team('a')\nset_team('b')", "is 'a' already"),
        ("enable_feature('x')", "there is no feature 'x'"),
        ("local_git_repo('.')", "is no git repository"),
        ("port_forward(1, host='a b')", "no host name"),
        ("link('')", "url is empty"),
        ("load('nope.star', 'x')", "nope.star can't be read"),
        ("include('Tiltfile')", "circle: Tiltfile -> Tiltfile"),
        ("helm('nope')", "there is no chart folder nope"),
        ("helm('Tiltfile')", "Tiltfile is no folder"),
        ("fail('enough')", "enough"),
    ],
)
async def test_a_builtin_refuses_with_a_sentence_and_a_place(
    text: str, said: str, workspace: Workspace
) -> None:
    problem = await workspace.problem(text)
    assert said in problem.message
    assert problem.code is Code.TILTFILE
    assert problem.place is not None or "called 'x'" in said
    assert "\n" not in problem.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (BUILD + ", dockerfil='x')", "did you mean dockerfile?"),
        (POD + "k8s_resource('pp')", "did you mean 'p'?"),
        ("read_file('Tiltfil')", "did you mean 'Tiltfile'?"),
        ("local_resurce('a', 'b')", "did you mean local_resource?"),
        ("docker_build('i', 'nowhere')", "there is no folder nowhere"),
        ("config.define_bool('flag')\nconfig.parse()", "did you mean 'flag'?"),
    ],
)
async def test_a_near_miss_is_suggested(text: str, hint: str, workspace: Workspace) -> None:
    workspace.write({"tilt_config.json": '{"flaag": true}'})
    assert (await workspace.problem(text)).hint == hint


async def test_an_unknown_argument_is_a_usage_error_with_the_near_miss(
    workspace: Workspace,
) -> None:
    problem = await workspace.problem("local_resource('web', 'x')", args=("wep",))
    assert (problem.code, problem.hint) == (Code.USAGE, "did you mean 'web'?")


PROD = KubeContext("prod", "prod")


@pytest.mark.parametrize("text", ["local('touch f')", POD])
async def test_nothing_runs_in_a_context_that_is_not_allowed(
    text: str, workspace: Workspace
) -> None:
    problem = await workspace.problem(text, context=PROD)
    assert problem.code is Code.CONTEXT_NOT_ALLOWED
    assert "allow_k8s_contexts('prod')" in problem.hint
    assert str(problem.place) == "Tiltfile:1:1"
    assert not (workspace.root / "f").exists()


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("local_resource('a', 'x')", PROD),
        ("allow_k8s_contexts('prod')\nlocal('true')\n" + POD, PROD),
        ("allow_k8s_contexts(['a', 'prod'])\n" + POD, PROD),
        (POD, KubeContext()),
    ],
)
async def test_what_touches_no_foreign_cluster_is_allowed(
    text: str, context: KubeContext, workspace: Workspace
) -> None:
    assert (await workspace.load(text, context=context)).project.resources
