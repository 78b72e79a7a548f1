"""What the builtins give and declare when they are used well."""

import json
import os

import pytest

from tests.tiltfile.conftest import BUILD, POD, Workspace
from tiltd.model.desired import (
    CustomBuild,
    DockerBuild,
    Exec,
    HttpGet,
    ImagePath,
    KubernetesTarget,
    Link,
    LocalTarget,
    PodReadiness,
    PortForward,
    Registry,
    TriggerMode,
)
from tiltd.model.names import ImageName, ResourceName
from tiltd.model.state import Mode
from tiltd.ports import Loaded

FILTER = (
    "a, b = filter_yaml(blob('{apiVersion: v1, kind: A, metadata: {name: x}}'), kind='b')\n"
    "print(str(a) == '', str(b))"
)


def docker_build(loaded: Loaded) -> DockerBuild:
    build = loaded.project.images[0].build
    assert isinstance(build, DockerBuild)
    return build


def kubernetes(loaded: Loaded, number: int = 0) -> KubernetesTarget:
    target = loaded.project.resources[number].target
    assert isinstance(target, KubernetesTarget)
    return target


def local(loaded: Loaded, number: int = 0) -> LocalTarget:
    target = loaded.project.resources[number].target
    assert isinstance(target, LocalTarget)
    return target


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("print('a', 1, [True, None], sep='-')", ["a-1-[True, None]"]),
        ("print(blob('x'), repr(blob('x')), type(blob('x')))", ["x x blob"]),
        ("print(read_file('f.txt'))", ["content"]),
        ("print(read_file('nope', 'default'))", ["default"]),
        ("print(read_json('f.json'))", ['{"a": [1, 2.5]}']),
        ("print(read_json('nope', default={}))", ["{}"]),
        ("print(read_yaml('f.yaml'))", ['{"a": True, "b": 8}']),
        ("print(read_yaml('nope', default=3))", ["3"]),
        ("print(read_yaml_stream('s.yaml'))", ['[{"a": 1}, {"b": 2}]']),
        ("print(read_yaml_stream('nope', default=[1]))", ["[1]"]),
        ("print(decode_yaml('a: [1, yes]'))", ['{"a": [1, True]}']),
        ("print(decode_yaml(blob('')))", ["None"]),
        ("print(decode_yaml_stream('a: 1\\n---\\nb: 2'))", ['[{"a": 1}, {"b": 2}]']),
        ("print(decode_json('[1, 2.0, -0, null]'))", ["[1, 2.0, 0, None]"]),
        ("print(encode_yaml({'b': 1, 'a': ['x', 'yes']}))", ["a:", "- x", "- 'yes'", "b: 1"]),
        ("print(encode_yaml_stream([1, 'a']))", ["1", "---", "a"]),
        ("print(encode_json({'b': 1, 'a': []}))", ["{", '  "a": [],', '  "b": 1', "}"]),
        ("x = struct(a=1, b='y')\nprint(x.a, x)", ['1 struct(a = 1, b = "y")']),
        ("print(os.path.join('a', '/b', 'c/..'))", ["a/b"]),
        ("print(os.path.join('', ''), os.path.join('a'))", [" a"]),
        ("print(os.path.basename('/a/b/'), os.path.basename(''))", ["b ."]),
        ("print(os.path.dirname('/a/b'), os.path.dirname('a'))", ["/a ."]),
        ("print(os.path.exists('f.txt'), os.path.exists('nope'))", ["True False"]),
        ("print(os.path.relpath('/a/b/c', '/a/d'))", ["../b/c"]),
        ("print(os.path.abspath('x') == os.getcwd() + '/x')", ["True"]),
        ("print(os.path.realpath('f.txt') == os.getcwd() + '/f.txt')", ["True"]),
        ("print(os.name, os.getenv('X'), os.getenv('NO'), os.getenv('NO', 1))", ["posix x None 1"]),
        ("os.environ['X'] = 'y'\nprint(os.getenv('X'), local('echo $X', True, echo_off=True))",
         ["y y"]),
        ("os.putenv('Z', 'z')\nprint(os.environ['Z'], os.environ.get('Z'))", ["z z"]),
        ("os.unsetenv('X')\nos.unsetenv('NO')\nprint('X' in os.environ)", ["False"]),
        ("print(os.environ.pop('X'), os.getenv('X'))", ["x None"]),
        ("print(shlex.quote(\"a b'c\"))", ["'a b'\"'\"'c'"]),
        ("print(sys.argv[1:], config.main_dir == os.getcwd())", ['["ci"] True']),
        ("print(config.main_path == __file__, __name__)", ["True __main__"]),
        ("print([os.path.basename(f) for f in listdir('sub')])", ['["b"]']),
        ("print([os.path.basename(f) for f in listdir('sub', recursive=True)])", ['["b", "c"]']),
        ("print(listdir('nowhere'))", ["[]"]),
        ("print(k8s_context(), k8s_namespace())", ["kind-fake default"]),
        ("print(link('a.b', 'n').url, type(link('a.b')))", ["http://a.b link"]),
        ("print(TRIGGER_MODE_AUTO, type(TRIGGER_MODE_MANUAL))", ["TRIGGER_MODE_AUTO TriggerMode"]),
        ("print(probe(exec=exec_action(['x'])).exec.command)", ['["x"]']),
        ("print(local(['echo', 'a  b'], quiet=True, echo_off=True))", ["a  b"]),
        ("print(local('cat', stdin='in', quiet=True, echo_off=True))", ["in"]),
        ("print(local('cat', stdin=blob('in'), quiet=True, echo_off=True))", ["in"]),
        ("print(local('pwd', dir='sub', quiet=True, echo_off=True) == blob('x'))", ["False"]),
        ("print(local('echo $A', env={'A': 'b'}, quiet=True, echo_off=True))", ["b"]),
        ("local('echo hi; echo ho >&2')", ["local: echo hi; echo ho >&2", "hi", "ho"]),
        ("local('true')", ["local: true", " → [no output]"]),
        ("exit('bye')\nprint('never')", ["bye"]),
        ("exit()\nprint('never')", []),
        (FILTER, ["True apiVersion: v1", "kind: A", "metadata:", "  name: x"]),
    ],
)  # fmt: skip
async def test_a_builtin_gives(text: str, printed: list[str], workspace: Workspace) -> None:
    workspace.write(
        {
            "f.txt": "content",
            "f.json": '{"a": [1, 2.5]}',
            "f.yaml": "a: yes\nb: 010\n",
            "s.yaml": "a: 1\n---\nb: 2\n",
            "sub/b": "",
            "sub/d/c": "",
        }
    )
    found = await workspace.printed(text, env={"X": "x"})
    assert [line for line in found if line] == printed


async def test_docker_build_takes_all_its_arguments(workspace: Workspace) -> None:
    workspace.write({"ctx/Df": "FROM scratch\n", "ctx/a": ""})
    loaded = await workspace.load(
        POD + "docker_build('i', 'ctx', {'A': '1', 'E': ''}, 'ctx/Df', ignore='x', only=['a'],"
        "entrypoint='go', container_args=['-v'], target='', ssh='default', secret=['id=a'],"
        "network='host', extra_tag='i:x', cache_from='c', pull=True, platform='linux/arm64',"
        "extra_hosts=['h:1'], match_in_env_vars=True)"
    )
    image = loaded.project.images[0]
    assert docker_build(loaded) == DockerBuild(
        context=workspace.path("ctx"),
        dockerfile=workspace.path("ctx/Df"),
        contents="FROM scratch\n",
        build_args={"A": "1", "E": None},
        platform="linux/arm64",
        only=("a",),
        ignore=("x",),
        extra_tags=("i:x",),
        network="host",
        secret=("id=a",),
        ssh=("default",),
        cache_from=("c",),
        extra_hosts=("h:1",),
        pull=True,
    )
    assert image.match_in_env_vars
    assert (image.entrypoint, image.container_args) == (("sh", "-c", "go"), ("-v",))
    assert str(image.place) == "Tiltfile:2:1"


async def test_the_platform_comes_from_dockers_own_variable(workspace: Workspace) -> None:
    loaded = await workspace.load(POD + BUILD + ")", env={"DOCKER_DEFAULT_PLATFORM": "linux/amd64"})
    assert docker_build(loaded).platform == "linux/amd64"


async def test_the_tiltfile_and_git_are_not_part_of_an_image(workspace: Workspace) -> None:
    workspace.write({".git/HEAD": ""})
    loaded = await workspace.load(POD + BUILD + ", ignore=['x'])")
    assert docker_build(loaded).ignore == ("Tiltfile", ".git", "x")


async def test_custom_build_takes_a_command_and_deps(workspace: Workspace) -> None:
    loaded = await workspace.load(
        POD + "custom_build('i', ['make', 'x'], ['a', 'b'], disable_push=True, dir='d',"
        " env={'A': 'b'})"
    )
    build = loaded.project.images[0].build
    assert isinstance(build, CustomBuild)
    assert build.command.argv == ("make", "x")
    assert (build.command.dir, build.command.env) == (workspace.path("d"), {"A": "b"})
    assert build.deps == (workspace.path("a"), workspace.path("b"))
    assert build.disable_push


async def test_images_carry_what_they_are_built_on(workspace: Workspace) -> None:
    loaded = await workspace.load(
        POD + "docker_build('base', '.', dockerfile_contents='FROM scratch')\n"
        "docker_build('tool', '.', dockerfile_contents='FROM scratch')\n"
        "docker_build('i', '.', build_args={'B': 'base'},"
        " dockerfile_contents='ARG B\\nFROM ${B}\\nCOPY --from=tool /a /a')"
    )
    assert {i.name: i.bases for i in loaded.project.images} == {
        "base": (),
        "tool": (),
        "i": ("base", "tool"),
    }
    assert not loaded.project.warnings


async def test_an_unused_image_is_left_out_with_a_warning(workspace: Workspace) -> None:
    loaded = await workspace.load(POD + "docker_build('ii', '.', dockerfile_contents='FROM x')")
    assert not loaded.project.images
    ((place, text),) = loaded.project.warnings
    assert str(place) == "Tiltfile:2:1"
    assert "'ii' is used by nothing" in text


@pytest.mark.parametrize("suppressed", ["'ii'", "['a', 'ii']", "'*'"])
async def test_the_warning_can_be_suppressed(suppressed: str, workspace: Workspace) -> None:
    loaded = await workspace.load(
        POD + "docker_build('ii', '.', dockerfile_contents='FROM x')\n"
        f"update_settings(suppress_unused_image_warnings={suppressed})"
    )
    assert not loaded.project.warnings


async def test_an_untagged_image_steps_back_where_a_tagged_one_shares_its_name(
    workspace: Workspace,
) -> None:
    objects = "\n---\n".join(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name},
                "spec": {"containers": [{"name": "c", "image": image}]},
            }
        )
        for name, image in (("a", "i"), ("b", "i:v1"), ("c", "i:v2"))
    )
    workspace.write({"o.yaml": objects})
    loaded = await workspace.load(
        "k8s_yaml('o.yaml')\n" + BUILD + ")\n" + BUILD.replace("'i'", "'i:v1'") + ")"
    )
    used = [kubernetes(loaded, n).manifests[0].images for n in range(3)]
    assert used == [("i",), ("i:v1",), ()]


async def test_k8s_kind_makes_a_custom_resource_a_workload(workspace: Workspace) -> None:
    loaded = await workspace.load(
        "k8s_yaml(blob('{apiVersion: e.com/v1, kind: W, metadata: {name: w}, spec: {x: i}}'))\n"
        "k8s_kind('^W$', image_json_path='{.spec.x}', pod_readiness='ignore')\n" + BUILD + ")"
    )
    target = kubernetes(loaded)
    assert target.pod_readiness is PodReadiness.IGNORE
    assert target.manifests[0].images == (ImageName("i"),)
    assert target.manifests[0].image_paths == (ImagePath("{.spec.x}"),)


async def test_k8s_resource_collects_what_its_calls_say(workspace: Workspace) -> None:
    loaded = await workspace.load(
        POD + "k8s_resource('p', new_name='q', port_forwards=['1:2', 3], labels='b',"
        " links=['x.y', link('z', 'Z')], trigger_mode=TRIGGER_MODE_MANUAL)\n"
        "k8s_resource('q', port_forwards=port_forward(4, name='n'), labels=['a'], auto_init=False,"
        " extra_pod_selectors={'a': 'b'}, discovery_strategy='selectors-only')"
    )
    resource = loaded.project.resources[0]
    target = kubernetes(loaded)
    assert resource.name == "q"
    assert target.port_forwards == (PortForward(1, 2), PortForward(3), PortForward(4, name="n"))
    assert resource.labels == ("a", "b")
    assert resource.links == (Link("http://x.y"), Link("http://z", "Z"))
    assert (resource.trigger_mode, resource.auto_init) == (TriggerMode.MANUAL, False)
    assert target.extra_pod_selectors == ({"a": "b"},)
    assert target.discovery_strategy == "selectors-only"


async def test_local_resource_takes_all_its_arguments(workspace: Workspace) -> None:
    workspace.write({"lib/.git/HEAD": ""})
    loaded = await workspace.load(
        "local_resource('a', 'c', ['d', 'lib'], TRIGGER_MODE_MANUAL, ['b'], ['i'], False,"
        " ['s', '1'], allow_parallel=True, links='x', labels='l', env={'A': '1'},"
        " serve_env={'B': '2'}, dir='x', serve_dir='y',"
        " readiness_probe=probe(period_secs=3, http_get=http_get_action(80, path='/h')))\n"
        "local_resource('b', 'x')"
    )
    resource, target = loaded.project.resources[0], local(loaded)
    assert target.cmd
    assert target.serve
    assert target.readiness_probe
    assert (target.cmd.argv, target.cmd.dir) == (("sh", "-c", "c"), workspace.path("x"))
    assert (target.cmd.env, target.serve.env) == ({"A": "1"}, {"B": "2"})
    assert (target.serve.argv, target.serve.dir) == (("s", "1"), workspace.path("y"))
    assert target.deps == (workspace.path("d"), workspace.path("lib"))
    assert [(i.base, i.patterns) for i in target.ignore] == [
        (workspace.path("lib/.git"), ()),
        (str(workspace.root), ("i",)),
    ]
    assert target.readiness_probe.check == HttpGet(80, path="/h")
    assert (target.readiness_probe.period, target.readiness_probe.timeout) == (3, 1)
    assert target.allow_parallel
    assert resource.resource_deps == ("b",)
    assert (resource.trigger_mode, resource.auto_init) == (TriggerMode.MANUAL, False)
    assert (resource.labels, resource.links) == (("l",), (Link("http://x"),))


async def test_a_probe_without_a_server_is_dropped_with_a_warning(workspace: Workspace) -> None:
    loaded = await workspace.load(
        "local_resource('a', 'x', readiness_probe=probe(exec=exec_action(['y'])))"
    )
    assert local(loaded).readiness_probe is None
    assert "no serve_cmd" in loaded.project.warnings[0][1]


async def test_an_exec_probe_keeps_its_arguments(workspace: Workspace) -> None:
    loaded = await workspace.load(
        "local_resource('a', serve_cmd='x', readiness_probe=probe(exec=exec_action(['y', 'z'])))"
    )
    made = local(loaded).readiness_probe
    assert made
    assert made.check == Exec(("y", "z"))
    assert local(loaded).allow_parallel


async def test_settings_reach_the_project(workspace: Workspace) -> None:
    loaded = await workspace.load(
        "update_settings(max_parallel_updates=7, k8s_upsert_timeout_secs=9)\n"
        "ci_settings('3s', '9m', '1m')\n"
        "default_registry('localhost:5000', host_from_cluster='r:5000', single_name='x/y')\n"
        "secret_settings(disable_scrub=True)\n"
        "watch_settings(ignore=['a'])\n"
    )
    settings = loaded.project.settings
    assert (settings.max_parallel_updates, settings.apply_timeout) == (7, 9)
    assert settings.k8s_grace_period == 3
    assert (settings.ci_timeout, settings.ci_readiness_timeout) == (540, 60)
    assert settings.default_registry == Registry("localhost:5000", "r:5000", "x/y")
    assert not settings.scrub_secrets
    assert loaded.project.watch_ignores[0].patterns == ("a",)


SECRET = (
    "k8s_yaml(blob('{apiVersion: v1, kind: Secret, metadata: {name: s}, "
    "stringData: {a: hunter22}}'))\n"
)


async def test_values_of_secrets_are_told_to_be_hidden(workspace: Workspace) -> None:
    assert (await workspace.load(SECRET)).secrets == ("aHVudGVyMjI=", "hunter22")


async def test_scrubbing_can_be_switched_off(workspace: Workspace) -> None:
    assert (await workspace.load(SECRET + "secret_settings(disable_scrub=True)")).secrets == ()


PARSE = "config.define_string_list('x', True)\nconfig.parse()"


@pytest.mark.parametrize(
    ("tiltfile", "args", "names"),
    [
        pytest.param("", (), {"a", "b", "c"}, id="all"),
        pytest.param("", ("b",), {"a", "b"}, id="args with deps"),
        pytest.param(PARSE, ("b",), {"a", "b", "c"}, id="parse takes the args"),
        pytest.param("config.set_enabled_resources(['c'])", ("b",), {"c"}, id="set"),
        pytest.param("config.set_enabled_resources([])", ("b",), {"a", "b", "c"}, id="set to all"),
        pytest.param("config.clear_enabled_resources()", (), set[str](), id="none"),
    ],
)  # fmt: skip
async def test_the_resources_that_take_part(
    tiltfile: str, args: tuple[str, ...], names: set[str], workspace: Workspace
) -> None:
    text = (
        "local_resource('a', 'x')\nlocal_resource('b', 'x', resource_deps=['a'])\n"
        "local_resource('c', 'x')\n"
    )
    loaded = await workspace.load(text + tiltfile, args=args)
    assert loaded.project.enabled == {ResourceName(name) for name in names}


@pytest.mark.parametrize(
    ("define", "args", "parsed"),
    [
        ("config.define_bool('x')", ("--x",), '{"x": True}'),
        ("config.define_bool('x')", ("--x=false",), '{"x": False}'),
        ("config.define_string('x')", ("--x", "a"), '{"x": "a"}'),
        ("config.define_string('x')", (), "{}"),
        ("config.define_string('x', args=True)", ("a",), '{"x": "a"}'),
        ("config.define_string_list('x')", ("--x=a", "--x", "b"), '{"x": ["a", "b"]}'),
        ("config.define_string_list('x', True)", ("a", "--", "--b"), '{"x": ["a", "--b"]}'),
        ("config.define_object('x')", ("--x", '{"a": 1}'), '{"x": {"a": 1}}'),
    ],
)
async def test_config_reads_the_command_line(
    define: str, args: tuple[str, ...], parsed: str, workspace: Workspace
) -> None:
    await workspace.load(f"{define}\nprint(config.parse())", args=args)
    assert workspace.log.lines == [parsed]


async def test_the_command_line_goes_over_the_file(workspace: Workspace) -> None:
    workspace.write({"tilt_config.json": '{"x": "file", "y": ["f"]}'})
    text = "config.define_string('x')\nconfig.define_string_list('y')\nprint(config.parse())"
    loaded = await workspace.load(text, args=("--x", "line"))
    assert workspace.log.lines == ['{"x": "line", "y": ["f"]}']
    assert workspace.path("tilt_config.json") in loaded.project.watched


async def test_the_subcommand_is_the_mode(workspace: Workspace) -> None:
    await workspace.load("print(config.tilt_subcommand)", mode=Mode.UP)
    assert workspace.log.lines == ["up"]


async def test_what_does_nothing_here_says_so_for_debugging(workspace: Workspace) -> None:
    await workspace.load("analytics_settings(False)\nset_team('a')\ndisable_snapshots()")
    assert "analytics_settings does nothing" in workspace.log.debug
    assert not workspace.log.text


async def test_helm_is_called_as_tilt_calls_it_and_tests_are_left_out(
    workspace: Workspace,
) -> None:
    rendered = (
        "---\n# Source: c/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
        "---\n# Source: c/templates/tests/t.yaml\napiVersion: v1\nkind: Pod\nmetadata: {name: t}\n"
    )
    workspace.write(
        {
            "bin/helm": f"#!/bin/sh\necho \"$@\" > called\ncat <<'END'\n{rendered}END\n",
            "c/Chart.yaml": "dependencies: [{name: x, repository: 'file://../lib'}]",
            "v.yaml": "",
        }
    )
    (workspace.root / "bin/helm").chmod(0o700)
    loaded = await workspace.load(
        "k8s_yaml(helm('c', name='r', namespace='n', values='v.yaml', set=['a=b'],"
        " kube_version='1.30'))",
        env={"PATH": f"{workspace.path('bin')}:{os.environ['PATH']}"},
    )
    called = (workspace.root / "called").read_text().split()
    assert (
        called
        == (
            f"template r {workspace.path('c')} --namespace n --kube-version 1.30 --include-crds"
            " --values v.yaml --set a=b"
        ).split()
    )
    assert [str(m.id) for m in kubernetes(loaded).manifests] == ["ConfigMap/a (n)"]
    assert {workspace.path(p) for p in ("c", "lib", "v.yaml")} <= set(loaded.project.watched)
