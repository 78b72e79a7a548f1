"""From a manifest to the object that is sent: which images go where."""

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest

from tests.builders import project as build
from tiltd.core import inject
from tiltd.model.desired import Image, ImagePath, Manifest

WIDGET: dict[str, Any] = {
    "apiVersion": "example.com/v1",
    "kind": "Widget",
    "metadata": {"name": "w"},
}


def rendered(manifest: Manifest, **refs: str) -> dict[str, Any]:
    placements = tuple((build.image(name.replace("__", ":")), ref) for name, ref in refs.items())
    return dict(inject.render(manifest, placements, "shop").body)


def widget(spec: dict[str, Any], *paths: ImagePath) -> Manifest:
    return replace(build.manifest({**WIDGET, "spec": spec}), image_paths=paths)


def test_the_object_carries_the_projects_label_and_its_key() -> None:
    body = rendered(build.config_map("conf", a="1"))
    assert body["metadata"]["labels"] == {inject.PROJECT_LABEL: "shop"}
    assert len(body["metadata"]["annotations"][inject.KEY_ANNOTATION]) == 64


def test_the_manifest_itself_is_left_alone() -> None:
    manifest = build.deployment("web", "img")
    rendered(manifest, img="registry/img:tilt-1")
    assert manifest.body["spec"]["template"]["spec"]["containers"][0]["image"] == "img"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("img", "r/img:t1", id="no tag"),
        pytest.param("img:other", "r/img:t1", id="a tag that nothing declares"),
        pytest.param("docker.io/library/img", "r/img:t1", id="the long form of the name"),
        pytest.param("img:v1", "r/img:t2", id="the tag of a declaration of its own"),
        pytest.param("image", "image", id="another image"),
        pytest.param("Not an image!", "Not an image!", id="no reference at all"),
    ],
)
def test_an_image_is_placed_where_its_name_stands(text: str, expected: str) -> None:
    body = rendered(build.deployment("web", text), img="r/img:t1", img__v1="r/img:t2")
    assert body["spec"]["template"]["spec"]["containers"][0]["image"] == expected


def test_a_placed_image_is_pulled_only_where_it_is_missing() -> None:
    spec = {"containers": [{"name": "c", "image": "img", "imagePullPolicy": "Always"}]}
    body = rendered(build.deployment("web", spec=spec), img="r/img:t1")
    assert body["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_command_and_args_of_the_tiltfile_replace_those_of_the_manifest() -> None:
    container = {"name": "c", "image": "img", "command": ["old"], "args": ["old"]}
    manifest = build.deployment("web", spec={"containers": [container]})
    image = replace(build.image("img"), entrypoint=("new", "one"))
    body: Any = inject.render(manifest, ((image, "r/img:t1"),), "shop").body
    placed = body["spec"]["template"]["spec"]["containers"][0]
    assert placed["command"] == ["new", "one"]
    assert "args" not in placed


@pytest.mark.parametrize("matched", [True, False])
def test_values_of_the_environment_are_replaced_only_if_asked(matched: bool) -> None:  # noqa: FBT001
    container = {"name": "c", "image": "x", "env": [{"name": "SIDE", "value": "img"}]}
    manifest = build.deployment("web", spec={"containers": [container]})
    image: Image = replace(build.image("img"), match_in_env_vars=matched)
    body: Any = inject.render(manifest, ((image, "r/img:t1"),), "shop").body
    value = body["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
    assert value == ("r/img:t1" if matched else "img")


def test_an_image_is_placed_at_a_path_of_a_custom_resource() -> None:
    manifest = widget(
        {"runs": [{"image": "img"}, {"image": "other"}]}, ImagePath("{.spec.runs[*].image}")
    )
    body = rendered(manifest, img="r/img:t1")
    assert body["spec"] == {"runs": [{"image": "r/img:t1"}, {"image": "other"}]}


def test_an_image_object_gets_repository_and_tag_apart() -> None:
    path = ImagePath("{.spec.image}", repo_field="repo", tag_field="tag")
    manifest = widget({"image": {"repo": "img", "tag": "v9", "pull": True}}, path)
    body = rendered(manifest, img="localhost:5000/img:tilt-1")
    expected = {"repo": "localhost:5000/img", "tag": "tilt-1", "pull": True}
    assert body["spec"]["image"] == expected


def test_equal_manifests_have_equal_keys_and_others_other_ones() -> None:
    one, same = build.config_map("c", a="1", b="2"), build.config_map("c", b="2", a="1")
    keys = {inject.render(m, (), "shop").key for m in (one, same)}
    assert len(keys) == 1
    assert inject.render(build.config_map("c", a="1"), (), "shop").key not in keys


@pytest.mark.parametrize(
    ("path", "label"),
    [
        pytest.param("/home/me/shop/Tiltfile", "shop", id="the folder"),
        pytest.param("/other/shop/Tiltfile.ci", "shop", id="the same on another machine"),
        pytest.param("/a/My shop!/Tiltfile", "My-shop", id="only what a label may hold"),
        pytest.param("/Tiltfile", "project", id="the root"),
        pytest.param(f"/{'x' * 80}/Tiltfile", "x" * 63, id="no longer than a label may be"),
    ],
)
def test_a_project_is_labelled_by_its_folder(path: str, label: str) -> None:
    assert inject.project_label(path) == label


def test_a_rendering_is_remembered_as_long_as_its_manifest_lives() -> None:
    manifest = build.config_map("c", a="1")
    first = inject.render(manifest, (), "shop")
    assert inject.render(manifest, (), "shop") is first
    assert inject.render(manifest, (), "other").key != first.key
    gone = weakref.ref(manifest)
    del manifest
    gc.collect()
    assert gone() is None, "what a reload drops is not kept"
