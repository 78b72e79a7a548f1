"""Equal inputs have equal keys on every machine; other inputs have other ones."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import project as build
from tiltd.core import inject, keys
from tiltd.model.desired import DockerBuild, Image
from tiltd.model.names import ImageName
from tiltd.model.observed import Grounds

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def image(**changes: Any) -> Image:
    made = build.image("img")
    assert isinstance(made.build, DockerBuild)
    return replace(made, build=replace(made.build, **changes))


def key(made: Image, inputs: str = "x", base: str = "b", **env: str) -> str:
    return keys.image_key(made, inputs, {ImageName("base"): base}, env, Grounds())


@given(st.dictionaries(st.text(), JSON, min_size=2))
def test_the_order_of_fields_does_not_count(value: dict[str, Any]) -> None:
    assert keys.digest(value) == keys.digest(dict(reversed(list(value.items()))))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"context": "/a"}, {"context": "/b"}, id="where the context is"),
        pytest.param({"dockerfile": "/a/D"}, {"dockerfile": "/b/D"}, id="where the Dockerfile is"),
        pytest.param(
            {"secret": ("id=t,src=/home/a/t",)}, {"secret": ("id=t,src=/b/t",)}, id="a secret"
        ),
        pytest.param({"secret": ("src=/a/t",)}, {"secret": ("src=/b/t",)}, id="a nameless secret"),
        pytest.param({"ssh": ("default=/a.sock",)}, {"ssh": ("default=/b.sock",)}, id="a socket"),
        pytest.param({"extra_tags": ("a",)}, {"extra_tags": ("b",)}, id="further tags"),
        pytest.param({"cache_from": ("a",)}, {"cache_from": ("b",)}, id="caches"),
    ],
)
def test_these_do_not_count(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key(image(**one)) == key(image(**other))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"contents": "FROM other"}, id="the Dockerfile"),
        pytest.param({"target": "x"}, id="the target"),
        pytest.param({"platform": "linux/arm64"}, id="the platform"),
        pytest.param({"build_args": {"a": "1"}}, id="a build argument"),
        pytest.param({"secret": ("id=t",)}, id="a secret's id"),
        pytest.param({"network": "host"}, id="the network"),
    ],
)
def test_these_count(change: dict[str, Any]) -> None:
    assert key(image()) != key(image(**change))


def test_inputs_bases_and_the_environment_of_an_argument_count() -> None:
    made = image(build_args={"TOKEN": None})
    found = {key(made), key(made, "y"), key(made, "x", "c"), key(made, "x", "b", TOKEN="1")}
    assert len(found) == 4


def test_a_manifests_key_covers_the_images_and_says_nothing_of_itself() -> None:
    web = build.deployment("web", "img")
    made = build.image("img")
    one = inject.render(web, ((made, "img:a"),), "shop")
    other = inject.render(web, ((made, "img:b"),), "shop")
    assert one.key != other.key
    assert one.key == inject.render(build.deployment("web", "img"), ((made, "img:a"),), "shop").key


def test_string_data_is_sent_as_data_unless_it_is_no_text() -> None:
    def secret(value: object) -> Any:
        meta = {"name": "s"}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"a": "eA=="}}
        return inject.render(build.manifest({**body, "stringData": {"a": value}}), (), "shop").body

    assert secret("hi")["data"] == {"a": "aGk="}
    assert "stringData" not in secret("hi")
    assert secret(1)["stringData"] == {"a": 1}
