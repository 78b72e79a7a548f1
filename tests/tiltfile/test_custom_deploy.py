"""`k8s_custom_deploy`: what it declares and what it refuses; the engine has tests of its own."""

import pytest

from tests.tiltfile.conftest import BUILD, Workspace
from tiltd.model.desired import (
    Command,
    CustomDeploy,
    Ignore,
    KubernetesTarget,
    PodReadiness,
    PortForward,
    Resource,
)
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Code

CD = "k8s_custom_deploy('cd', 'apply', 'delete', ['chart'])\n"


async def resource(workspace: Workspace, tiltfile: str) -> Resource:
    (made,) = (await workspace.load(tiltfile)).project.resources
    return made


def deploy(made: Resource) -> CustomDeploy:
    assert isinstance(made.target, KubernetesTarget)
    assert made.target.custom is not None
    return made.target.custom


async def test_the_least_that_it_takes(workspace: Workspace) -> None:
    made = await resource(workspace, CD)
    shell = ("sh", "-c")
    assert deploy(made) == CustomDeploy(
        apply=Command((*shell, "apply"), str(workspace.root)),
        delete=Command((*shell, "delete"), str(workspace.root)),
        deps=(workspace.path("chart"),),
    )
    assert isinstance(made.target, KubernetesTarget)
    assert made.target.pod_readiness is PodReadiness.WAIT
    assert made.target.manifests == ()


async def test_all_that_it_takes(workspace: Workspace) -> None:
    made = await resource(
        workspace,
        BUILD
        + ")\n"
        "k8s_custom_deploy('cd', apply_cmd=['a', 'b'], apply_dir='x', apply_env={'A': '1'}, "
        "apply_cmd_bat='w', delete_cmd=['d'], delete_dir='y', delete_env={'D': '2'}, "
        "delete_cmd_bat='v', deps=[], image_deps=['i'], container_selector='main', "
        "live_update=[sync('x/src', '/src')])".replace("deps=[]", "deps=['x']"),
    )
    found = deploy(made)
    assert found.apply == Command(("a", "b"), workspace.path("x"), {"A": "1"})
    assert found.delete == Command(("d",), workspace.path("y"), {"D": "2"})
    assert found.images == ("i",)
    assert found.container_selector == "main"
    assert [step.kind for step in found.live_update] == ["sync"]
    assert found.ignore == (Ignore(str(workspace.root), ("x/src",), "live_update"),)


async def test_k8s_resource_configures_it(workspace: Workspace) -> None:
    made = await resource(
        workspace,
        CD + "k8s_resource('cd', new_name='redis', port_forwards=80, labels='l', "
        "extra_pod_selectors={'app': 'r'}, pod_readiness='ignore')",
    )
    assert (made.name, made.labels) == ("redis", ("l",))
    assert isinstance(made.target, KubernetesTarget)
    assert made.target.port_forwards == (PortForward(80),)
    assert made.target.extra_pod_selectors == ({"app": "r"},)
    assert made.target.pod_readiness is PodReadiness.IGNORE


async def test_its_images_are_built_though_no_object_names_them(workspace: Workspace) -> None:
    loaded = await workspace.load(
        BUILD + ")\nk8s_custom_deploy('cd', 'a', 'd', [], image_deps=['i'])"
    )
    assert [image.name for image in loaded.project.images] == ["i"]
    assert loaded.project.warnings == ()


@pytest.mark.parametrize(
    ("tiltfile", "said"),
    [
        pytest.param("k8s_custom_deploy('', 'a', 'd', [])", "name= is empty", id="no name"),
        pytest.param("k8s_custom_deploy('c', '', 'd', [])", "apply_cmd= is empty", id="no apply"),
        pytest.param("k8s_custom_deploy('c', 'a', [], [])", "delete_cmd= is empty", id="no delete"),
        pytest.param("k8s_custom_deploy('c', 'a', 'd')", "deps", id="no deps"),
        pytest.param(CD * 2, "a resource 'cd' already", id="twice"),
        pytest.param(CD + "local_resource('cd', 'x')", "a local_resource of that name", id="local"),
        pytest.param(
            "k8s_custom_deploy('c', 'a', 'd', [], image_deps=['nope'])",
            "'nope', which nothing builds",
            id="image",
        ),
        pytest.param(
            "k8s_custom_deploy('c', 'a', 'd', [], image_deps=['A B'])", "is no image", id="ref"
        ),
        pytest.param(
            "k8s_custom_deploy('c', 'a', 'd', ['.'], live_update=[sync('.', '/x')])",
            "and there is none",
            id="no selector",
        ),
        pytest.param(
            "k8s_custom_deploy('c', 'a', 'd', ['.'], live_update=[sync('.', '/x')], "
            "image_selector='i', container_selector='c')",
            "and there are both",
            id="two selectors",
        ),
        pytest.param(
            "k8s_custom_deploy('c', 'a', 'd', ['x'], live_update=[sync('y', '/x')], "
            "image_selector='i')",
            "not in what the build watches",
            id="outside",
        ),
        pytest.param(
            CD + "k8s_yaml(blob('{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}'))\n"
            "k8s_resource('cd', objects=['c'])",
            "is deployed by a command, and can't take the object",
            id="objects",
        ),
    ],
)
async def test_what_can_not_work_is_refused(tiltfile: str, said: str, workspace: Workspace) -> None:
    problem = await workspace.problem(tiltfile)
    assert said in problem.message
    assert problem.place is not None


async def test_nothing_is_deployed_to_a_cluster_that_is_not_allowed(workspace: Workspace) -> None:
    problem = await workspace.problem(CD, context=KubeContext("prod", "prod"))
    assert problem.code is Code.CONTEXT_NOT_ALLOWED
