"""`docker_compose` and `dc_resource`, with Docker Compose itself reading the files."""

from pathlib import Path

import pytest

from tests import composing
from tests.tiltfile.conftest import Workspace
from tiltd.model.desired import (
    ComposeTarget,
    Link,
    Project,
    Resource,
    TriggerMode,
)
from tiltd.model.names import ImageName
from tiltd.ports import LoadError

needs_compose = pytest.mark.skipif(not composing.has_plugin(), reason=composing.WITHOUT)
FILE = {
    "compose.yml": """
services:
  api:
    image: shop/api
    depends_on: [db]
    ports: ["8080:80", "9000-9001:90-91"]
  db:
    image: redis
"""
}
ALL = "docker_compose('compose.yml')\n"


def by_name(project: Project) -> dict[str, Resource]:
    return {resource.name: resource for resource in project.resources}


def target(resource: Resource) -> ComposeTarget:
    assert isinstance(resource.target, ComposeTarget)
    return resource.target


@needs_compose
async def test_each_service_is_a_resource_with_what_it_depends_on(workspace: Workspace) -> None:
    workspace.write(FILE)
    loaded = await workspace.load(ALL)
    resources = by_name(loaded.project)
    assert list(resources) == ["api", "db"]
    assert resources["api"].resource_deps == ("db",)
    api = target(resources["api"])
    assert (api.service, api.ports, api.infer_links) == ("api", (8080, 9000, 9001), True)
    assert (api.image, api.build) == (None, None)
    assert (api.project.name, api.project.dir) == ("project", str(workspace.root))
    assert loaded.project.enabled == {"api", "db"}


@needs_compose
async def test_files_and_blobs_are_joined_in_order(workspace: Workspace) -> None:
    workspace.write(FILE)
    override = "encode_yaml({'services': {'db': {'image': 'other', 'command': ['x']}}})"
    loaded = await workspace.load(f"docker_compose(['compose.yml', {override}], project_name='p')")
    db = target(by_name(loaded.project)["db"])
    assert db.project.name == "p"
    assert db.project.body["services"]["db"]["image"] == "other"
    assert workspace.relative((db.project.files[0],)) == ["compose.yml"]
    assert db.project.files[1].startswith("<"), "a text is no file"


@needs_compose
async def test_two_calls_with_one_project_name_are_one_project(workspace: Workspace) -> None:
    workspace.write({"a.yml": "services: {a: {image: x}}", "b.yml": "services: {b: {image: y}}"})
    loaded = await workspace.load(
        "docker_compose('a.yml', project_name='p')\n"
        "dc_resource('a', new_name='first')\n"
        "docker_compose('b.yml', project_name='p')\n"
    )
    resources = by_name(loaded.project)
    assert list(resources) == ["first", "b"]
    assert target(resources["first"]).project is target(resources["b"]).project


@needs_compose
async def test_variables_come_from_the_env_file_and_from_os_environ(workspace: Workspace) -> None:
    workspace.write(
        {"c.yml": "services: {a: {image: '${A}', command: ['${B}']}}", "my.env": "A=from-file\n"}
    )
    loaded = await workspace.load(
        "os.environ['B'] = 'b'\ndocker_compose('c.yml', env_file='my.env')"
    )
    project = target(loaded.project.resources[0]).project
    assert project.body["services"]["a"]["image"] == "from-file"
    assert project.body["services"]["a"]["command"] == ["b"]
    assert project.env == {"B": "b"}
    assert workspace.path("my.env") in loaded.project.watched


@needs_compose
async def test_only_profiles_that_are_switched_on_make_resources(workspace: Workspace) -> None:
    text = "services: {a: {image: x}, b: {image: x, profiles: [p]}, c: {image: x, profiles: [q]}}"
    workspace.write({"c.yml": text})
    loaded = await workspace.load("docker_compose('c.yml', profiles='p')")
    assert list(by_name(loaded.project)) == ["a", "b"]
    assert set(target(loaded.project.resources[0]).project.body["services"]) == {"a", "b", "c"}
    loaded = await workspace.load("docker_compose('c.yml')", env={"COMPOSE_PROFILES": "q"})
    assert list(by_name(loaded.project)) == ["a", "c"]


@needs_compose
async def test_every_file_that_is_read_is_watched(workspace: Workspace) -> None:
    workspace.write(
        {
            "c.yml": "include: [sub/inc.yml]\n"
            "services:\n  a: {env_file: [a.env], extends: {file: base.yml, service: z}}\n",
            "sub/inc.yml": "services: {i: {image: x, env_file: i.env}}",
            "sub/i.env": "",
            "base.yml": "services: {z: {image: x}}",
            "a.env": "",
            ".env": "",
        }
    )
    loaded = await workspace.load("docker_compose('c.yml')")
    watched = set(workspace.relative(loaded.project.watched))
    assert {"c.yml", "sub/inc.yml", "base.yml", "a.env", "sub/i.env", ".env"} <= watched


@needs_compose
async def test_dc_resource_says_the_rest(workspace: Workspace) -> None:
    workspace.write(FILE)
    loaded = await workspace.load(
        ALL + "local_resource('seed', 'true')\n"
        "dc_resource('api', new_name='web', trigger_mode=TRIGGER_MODE_MANUAL, labels=['b', 'a'],\n"
        "  resource_deps=['seed'], links=['http://x', link('y', 'z')], auto_init=False,\n"
        "  infer_links=False, project_name='project')\n"
        "dc_resource('db', labels='a')\ndc_resource('db', labels='b', resource_deps=['seed'])\n"
    )
    resources = by_name(loaded.project)
    assert list(resources) == ["web", "db", "seed"]
    web = resources["web"]
    assert (web.trigger_mode, web.auto_init, web.labels) == (
        TriggerMode.MANUAL,
        False,
        ("a", "b"),
    )
    assert web.resource_deps == ("db", "seed")
    assert web.links == (Link("http://x"), Link("http://y", "z"))
    assert not target(web).infer_links
    assert resources["db"].labels == ("a", "b")


@needs_compose
async def test_a_renamed_service_is_waited_for_under_its_new_name(workspace: Workspace) -> None:
    workspace.write(FILE)
    loaded = await workspace.load(ALL + "dc_resource('db', new_name='cache')")
    resources = by_name(loaded.project)
    assert resources["api"].resource_deps == ("cache",)
    assert target(resources["cache"]).service == "db"


@needs_compose
@pytest.mark.parametrize(
    ("body", "ref", "more"),
    [
        pytest.param("image: shop/api", "shop/api", "", id="by its name"),
        pytest.param("image: 'shop/api:dev'", "shop/api", "", id="whatever the tag"),
        pytest.param("build: .", "project-api", "", id="by the name that it gets"),
        pytest.param("build: .", "project_api", "", id="by the name that Tilt gives it"),
        pytest.param("image: x", "shop/api", "dc_resource('api', image='shop/api')", id="named"),
    ],
)
async def test_an_image_that_the_tiltfile_builds_is_found(
    body: str, ref: str, more: str, workspace: Workspace
) -> None:
    workspace.write({"c.yml": f"services:\n  api:\n    {body}\n", "Dockerfile": "FROM scratch"})
    loaded = await workspace.load(f"docker_compose('c.yml')\ndocker_build('{ref}', '.')\n{more}")
    api = target(loaded.project.resources[0])
    assert (api.image, api.build) == (ImageName(ref), None)
    assert [image.name for image in loaded.project.images] == [ref]
    assert loaded.project.warnings == ()


@needs_compose
async def test_what_docker_compose_builds_is_its_own_and_its_context_counts(
    workspace: Workspace,
) -> None:
    workspace.write(
        {
            "c.yml": "services:\n  api:\n    build: {context: app, dockerfile: Df}\n"
            "    volumes: ['./app/src:/src']\n",
            "app/Df": "FROM scratch",
            "app/.dockerignore": "# not this\ntmp\n",
        }
    )
    loaded = await workspace.load("docker_compose('c.yml')")
    build = target(loaded.project.resources[0]).build
    assert build is not None
    assert workspace.relative((build.context, build.dockerfile)) == ["app", "app/Df"]
    assert [(i.patterns, i.base) for i in build.ignore] == [
        (("tmp",), workspace.path("app")),
        ((), workspace.path("app/src")),
    ]
    assert workspace.path("app/.dockerignore") in loaded.project.watched


@needs_compose
async def test_a_service_that_others_wait_to_end_is_known(workspace: Workspace) -> None:
    text = (
        "services:\n  job: {image: x}\n  api:\n    image: x\n"
        "    depends_on: {job: {condition: service_completed_successfully}}\n"
    )
    workspace.write({"c.yml": text})
    resources = by_name((await workspace.load("docker_compose('c.yml')")).project)
    assert target(resources["job"]).ends
    assert not target(resources["api"]).ends


@needs_compose
async def test_the_values_of_its_secrets_are_never_shown(workspace: Workspace) -> None:
    text = (
        "services: {a: {image: x, secrets: [one, two]}}\n"
        "secrets: {one: {environment: TOKEN}, two: {file: two.txt}}\n"
    )
    workspace.write({"c.yml": text, "two.txt": "second\nthird\n"})
    loaded = await workspace.load("docker_compose('c.yml')", env={"TOKEN": "sesame"})
    assert {"sesame", "second", "third"} <= set(loaded.secrets)


@needs_compose
async def test_what_docker_compose_warns_of_is_passed_on(workspace: Workspace) -> None:
    workspace.write({"c.yml": "services: {a: {image: x, command: ['${NOT_SET}']}}"})
    loaded = await workspace.load("docker_compose('c.yml')")
    ((place, words),) = loaded.project.warnings
    assert str(place) == "Tiltfile:1:1"
    assert words.startswith("Docker Compose says: The 'NOT_SET' variable is not set")


@needs_compose
async def test_restart_container_is_for_services(workspace: Workspace) -> None:
    workspace.write({**FILE, "Dockerfile": "FROM scratch"})
    loaded = await workspace.load(
        ALL + "docker_build('shop/api', '.', live_update=[sync('.', '/x'), restart_container()])"
    )
    assert loaded.project.images[0].live_update[-1].kind == "restart_container"


@needs_compose
@pytest.mark.parametrize(
    ("tiltfile", "said", "hint"),
    [
        pytest.param("docker_compose([])", "configPaths= is empty", "a blob", id="nothing"),
        pytest.param("docker_compose(1)", "configPaths= must be a path", "", id="type"),
        pytest.param("docker_compose('no.yml')", "can't read no.yml: ", "", id="no such file"),
        pytest.param("docker_compose('bad.yml')", "can't read bad.yml: ", "", id="bad file"),
        pytest.param(ALL + "dc_resource('')", "name= is empty", "a service", id="no name"),
        pytest.param(
            ALL + "dc_resource('dbb')", "no Docker Compose service 'dbb'", "'db'", id="unknown"
        ),
        pytest.param("dc_resource('db')", "no Docker Compose service", "load them", id="none"),
        pytest.param(ALL + "dc_resource('db', image='A b')", "'A b' is no image", "", id="image"),
        pytest.param(
            ALL + "dc_resource('db', new_name='api')", "a resource 'api' already", "", id="taken"
        ),
        pytest.param(
            "local_resource('db', 'true')\n" + ALL, "a resource 'db' already", "", id="local first"
        ),
        pytest.param(
            ALL + "local_resource('db', 'true')", "and a local_resource 'db'", "", id="local after"
        ),
        pytest.param(
            ALL + "default_registry('localhost:5000')",
            "does not go with docker_compose",
            "",
            id="registry",
        ),
        pytest.param(
            ALL + "docker_build('redis', '.', dockerfile_contents='FROM x', entrypoint='y')",
            "does not reach the Docker Compose service 'db'",
            "compose file",
            id="entrypoint",
        ),
        pytest.param(
            "docker_compose('a.yml', project_name='p')\ndocker_compose('a.yml', project_name='q')",
            "a resource 'a' already",
            "new_name",
            id="two projects",
        ),
    ],
)
async def test_what_can_not_work_is_refused(
    tiltfile: str, said: str, hint: str, workspace: Workspace
) -> None:
    workspace.write({**FILE, "bad.yml": "services: [", "a.yml": "services: {a: {image: x}}"})
    problem = await workspace.problem(tiltfile)
    assert said in problem.message
    assert hint in problem.hint
    assert problem.place is not None


async def test_without_docker_compose_it_is_said_what_to_install(workspace: Workspace) -> None:
    workspace.write(FILE)
    with pytest.raises(LoadError) as caught:
        await workspace.load(ALL, env={"PATH": "/nowhere"})
    problem = caught.value.problem
    assert "needs Docker Compose v2" in problem.message
    assert "install the plugin" in problem.hint
    assert str(problem.place) == "Tiltfile:1:1"


async def test_another_program_can_stand_in_for_it(workspace: Workspace) -> None:
    workspace.write(FILE)
    loaded = await workspace.load(ALL, env={"TILT_DOCKER_COMPOSE_CMD": stand_in(workspace)})
    assert list(by_name(loaded.project)) == ["made"]


async def test_a_docker_compose_that_does_not_know_every_profile_is_asked_for_those_given(
    workspace: Workspace,
) -> None:
    old = """
case "$*" in
  *--profile?p*--services*) echo a b ;;
  *--profile?p*) echo '{"services": {"a": {}, "b": {"profiles": ["p"]}}}' ;;
  *) echo '{"services": {"a": {"profiles": ["p", "q"]}}}' ;;
esac
"""
    workspace.write(FILE)
    env = {"TILT_DOCKER_COMPOSE_CMD": stand_in(workspace, old)}
    loaded = await workspace.load("docker_compose('compose.yml', profiles=['p'])", env=env)
    assert list(by_name(loaded.project)) == ["a", "b"]
    assert set(target(loaded.project.resources[0]).project.body["services"]) == {"a", "b"}


@pytest.mark.parametrize("printed", ["services: {}", "[1]", ""])
async def test_a_program_that_prints_something_else_is_named(
    printed: str, workspace: Workspace
) -> None:
    workspace.write(FILE)
    program = stand_in(workspace, f"echo '{printed}'")
    with pytest.raises(LoadError, match="prints no JSON"):
        await workspace.load(ALL, env={"TILT_DOCKER_COMPOSE_CMD": program})


ONE = """echo '{"services": {"made": {}}}'"""


def stand_in(workspace: Workspace, text: str = ONE) -> str:
    """A program that knows one project."""
    path = Path(workspace.path("mine"))
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)
