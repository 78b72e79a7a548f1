"""`v1alpha1.*`: what each constructor gives, keeps and refuses."""

import pytest

from tests.tiltfile.conftest import LOCAL, Workspace
from tiltd.model.desired import (
    ApiObject,
    Command,
    Exec,
    HttpGet,
    Ignore,
    LocalTarget,
    Probe,
    Resource,
    TcpSocket,
)
from tiltd.tiltfile import api_objects


async def objects(workspace: Workspace, tiltfile: str) -> tuple[ApiObject, ...]:
    return (await workspace.load(tiltfile)).project.api_objects


async def resource(workspace: Workspace, tiltfile: str) -> Resource:
    (made,) = (await workspace.load(tiltfile)).project.resources
    return made


def target(made: Resource) -> LocalTarget:
    assert isinstance(made.target, LocalTarget)
    return made.target


@pytest.mark.parametrize("name", api_objects.SHAPES)
async def test_a_part_is_a_dict_of_what_was_given(name: str, workspace: Workspace) -> None:
    printed = await workspace.printed(f"x = v1alpha1.{name}()\nprint(type(x), x)")
    assert printed == ["dict {}"]


@pytest.mark.parametrize("name", api_objects.SHAPES)
async def test_a_part_refuses_fields_that_it_has_not(name: str, workspace: Workspace) -> None:
    problem = await workspace.problem(f"v1alpha1.{name}(nope=1)")
    assert "nope" in problem.message
    assert str(problem.place) == "Tiltfile:1:1"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        pytest.param("forward(local_port='x')", "local_port= must be an integer", id="integer"),
        pytest.param("http_header(name=1)", "name= must be a string", id="text"),
        pytest.param("ui_bool_input_spec(default_value=1)", "True or False", id="flag"),
        pytest.param("exec_action(command='ls')", "a list of strings", id="texts"),
        pytest.param("label_selector(match_labels=['x'])", "a dict of strings", id="map"),
        pytest.param("handler(exec='ls')", "a v1alpha1.exec_action()", id="part"),
        pytest.param("port_forward_template_spec(forwards={})", "a list of", id="parts"),
        pytest.param("handler(exec={'cmd': []})", 'has a field the string "cmd"', id="field"),
        pytest.param("handler(exec={'command': 1})", "command= must be", id="field's value"),
    ],
)
async def test_a_value_of_another_type_is_refused(
    call: str, said: str, workspace: Workspace
) -> None:
    problem = await workspace.problem(f"v1alpha1.{call}")
    assert said in problem.message


async def test_none_is_not_given(workspace: Workspace) -> None:
    text = "v1alpha1.config_map(name='c', data=None, labels=None, annotations=None)"
    (made,) = await objects(workspace, text)
    assert (made.spec, made.labels, made.annotations) == ({}, {}, {})


async def test_a_button_is_kept_as_tilts_api_writes_it(workspace: Workspace) -> None:
    (made,) = await objects(
        workspace,
        "v1alpha1.ui_button(\n"
        "  'b', labels={'l': '1'}, annotations={'a': '2'}, text='T', icon_name='i', "
        "icon_svg='<svg/>', disabled=True, requires_confirmation=True,\n"
        "  location=v1alpha1.ui_component_location(component_id='nav', component_type='Global'),\n"
        "  inputs=[v1alpha1.ui_input_spec(name='x', text=v1alpha1.ui_text_input_spec()),\n"
        "          {'name': 'y', 'choice': {'choices': ['1']}}])",
    )
    assert (made.kind, made.name) == ("UIButton", "b")
    assert (made.labels, made.annotations) == ({"l": "1"}, {"a": "2"})
    assert made.spec == {
        "location": {"componentID": "nav", "componentType": "Global"},
        "text": "T",
        "iconName": "i",
        "iconSVG": "<svg/>",
        "disabled": True,
        "requiresConfirmation": True,
        "inputs": [{"name": "x", "text": {}}, {"name": "y", "choice": {"choices": ["1"]}}],
    }
    assert str(made.place) == "Tiltfile:1:1"


PLACE = "location={'component_id': 'a', 'component_type': 'b'}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param("'', text='T'", "name= is empty", id="no name"),
        pytest.param("'a/b', text='T'", "may not contain '/'", id="slash"),
        pytest.param(f"'b', {PLACE}", "text= is empty", id="no text"),
        pytest.param("'b', text='T'", "has no component_id", id="no place"),
        pytest.param(
            "'b', text='T', location={'component_id': 'x'}", "has no component_type", id="half"
        ),
        pytest.param(f"'b', text='T', {PLACE}, icon_svg='a.svg'", "is no SVG", id="svg"),
        pytest.param(
            f"'b', text='T', {PLACE}, inputs=[{{'name': 'i'}}]", "'i' has 0 types", id="no type"
        ),
        pytest.param(
            f"'b', text='T', {PLACE}, inputs=[{{'name': 'i', 'text': {{}}, 'bool': {{}}}}]",
            "'i' has 2 types",
            id="two types",
        ),
        pytest.param(
            f"'b', text='T', {PLACE}, inputs=[{{'name': 'i', 'choice': {{}}}}]",
            "'i' has no choices=",
            id="no choices",
        ),
        pytest.param(
            f"'b', text='T', {PLACE}, inputs=[{{'name': 'i', 'text': {{}}}}] * 2",
            "two inputs 'i'",
            id="twice",
        ),
    ],
)
async def test_a_button_that_would_not_work_is_refused(
    arguments: str, said: str, workspace: Workspace
) -> None:
    found = await workspace.problem(f"v1alpha1.ui_button({arguments})")
    assert said in found.message
    assert str(found.place) == "Tiltfile:1:1"


async def test_the_same_object_may_be_declared_twice_and_another_of_its_name_not(
    workspace: Workspace,
) -> None:
    same = "v1alpha1.config_map(name='c', data={'a': 'b'})\n"
    (made,) = await objects(workspace, same * 2)
    assert made.spec == {"data": {"a": "b"}}
    problem = await workspace.problem(same + "v1alpha1.config_map(name='c')")
    assert "another ConfigMap 'c' already" in problem.message
    assert "Tiltfile:1:1" in problem.hint


@pytest.mark.parametrize("name", ["kubernetes_apply", "kubernetes_discovery"])
async def test_what_needs_more_is_refused_by_name_after_its_arguments(
    name: str, workspace: Workspace
) -> None:
    problem = await workspace.problem(f"v1alpha1.{name}(name='x')")
    assert problem.message == f"v1alpha1.{name}() is not supported here"
    assert problem.hint
    wrong = await workspace.problem(f"v1alpha1.{name}(name='x', nope=1)")
    assert "nope" in wrong.message


async def test_a_cmd_runs_as_a_resource_that_may_end(workspace: Workspace) -> None:
    made = await resource(
        workspace,
        "v1alpha1.cmd(name='c', args=['serve', '--x'], dir='sub', env=['A=1', 'B=x=y'])",
    )
    assert made.name == "cmd:c"
    found = target(made)
    env = {"A": "1", "B": "x=y"}
    assert found.serve == Command(("serve", "--x"), workspace.path("sub"), env)
    assert (found.cmd, found.may_end, found.allow_parallel) == (None, True, True)


async def test_a_cmd_runs_in_the_current_folder_by_default(workspace: Workspace) -> None:
    found = target(await resource(workspace, "v1alpha1.cmd(name='c', args=['x'])"))
    assert found.serve == Command(("x",), str(workspace.root))


async def test_a_cmd_restarts_when_a_watched_file_changes(workspace: Workspace) -> None:
    found = target(
        await resource(
            workspace,
            "v1alpha1.file_watch(name='w', watched_paths=['src', '/abs'],\n"
            "  ignores=[v1alpha1.ignore_def(base_path='src', patterns=['*.tmp'])])\n"
            "v1alpha1.cmd(name='c', args=['x'],\n"
            "  restart_on=v1alpha1.restart_on_spec(file_watches=['w']))",
        )
    )
    assert found.deps == (workspace.path("src"), "/abs")
    assert found.ignore == (Ignore(workspace.path("src"), ("*.tmp",), "file_watch w"),)


async def test_a_cmd_that_restarts_on_what_nothing_declares_is_refused(
    workspace: Workspace,
) -> None:
    problem = await workspace.problem(
        "\nv1alpha1.cmd(name='c', args=['x'], restart_on={'file_watches': ['w']})"
    )
    assert "the file watch 'w', which nothing declares" in problem.message
    assert str(problem.place) == "Tiltfile:2:1"


async def test_a_cmd_that_waits_for_a_button_is_kept_and_not_run(workspace: Workspace) -> None:
    loaded = await workspace.load(
        "v1alpha1.cmd(name='c', args=['x'], start_on=v1alpha1.start_on_spec(ui_buttons=['b']))"
    )
    assert loaded.project.resources == ()
    (made,) = loaded.project.api_objects
    assert made.spec["startOn"] == {"uiButtons": ["b"]}


@pytest.mark.parametrize(
    ("value", "enabled"),
    [
        pytest.param("{'on': 'false'}", {"cmd:c"}, id="false"),
        pytest.param("{'on': 'true'}", set[str](), id="true"),
        pytest.param("{}", set[str](), id="unset"),
    ],
)
async def test_a_config_map_switches_a_cmd_off(
    value: str, enabled: set[str], workspace: Workspace
) -> None:
    text = (
        f"v1alpha1.config_map(name='s', data={value})\n"
        "v1alpha1.cmd(name='c', args=['x'], disable_source=v1alpha1.disable_source(\n"
        "  config_map=v1alpha1.config_map_disable_source(name='s', key='on')))"
    )
    project = (await workspace.load(text)).project
    assert project.enabled == enabled


async def test_every_config_map_has_to_say_so(workspace: Workspace) -> None:
    text = (
        "v1alpha1.config_map(name='s', data={'a': 'true', 'b': 'false'})\n"
        "v1alpha1.cmd(name='c', args=['x'], disable_source={'every_config_map': [\n"
        "  {'name': 's', 'key': 'a'}, {'name': 's', 'key': 'b'}]})"
    )
    assert (await workspace.load(text)).project.enabled == {"cmd:c"}


@pytest.mark.parametrize(
    ("handler", "check"),
    [
        pytest.param("{'exec': {'command': ['true']}}", Exec(("true",)), id="exec"),
        pytest.param(
            "{'http_get': {'port': 80, 'path': '/x', 'scheme': 'HTTPS', 'host': 'h'}}",
            HttpGet(80, "h", "https", "/x"),
            id="http",
        ),
        pytest.param("{'tcp_socket': {'port': 81}}", TcpSocket(81), id="tcp"),
    ],
)
async def test_a_cmd_has_a_readiness_probe(
    handler: str, check: Exec | HttpGet | TcpSocket, workspace: Workspace
) -> None:
    text = (
        "v1alpha1.cmd(name='c', args=['x'], readiness_probe=v1alpha1.probe(\n"
        f"  handler={handler}, period_seconds=2))"
    )
    assert target(await resource(workspace, text)).readiness_probe == Probe(check, period=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param("name='c'", "args= is empty", id="no args"),
        pytest.param("name='c', args=['x'], env=['A']", "'A', which sets no variable", id="env"),
        pytest.param("name='c', args=['x'], env=['=b']", "sets no variable", id="no variable"),
        pytest.param(
            "name='c', args=['x'], readiness_probe={}", "exactly one of exec", id="no handler"
        ),
        pytest.param("name='c', args='x'", "args= must be a list of strings", id="shell"),
    ],
)
async def test_a_cmd_that_can_not_run_is_refused(
    arguments: str, said: str, workspace: Workspace
) -> None:
    assert said in (await workspace.problem(f"v1alpha1.cmd({arguments})")).message


async def test_a_file_watch_without_paths_is_refused(workspace: Workspace) -> None:
    problem = await workspace.problem("v1alpha1.file_watch(name='w')")
    assert "watched_paths= is empty" in problem.message


async def test_a_cmd_runs_also_where_resources_were_chosen(workspace: Workspace) -> None:
    text = "local_resource('a', 'x')\nlocal_resource('b', 'x')\nv1alpha1.cmd('c', args=['x'])"
    project = (await workspace.load(text, args=("a",), context=LOCAL)).project
    assert project.enabled == {"a", "cmd:c"}
