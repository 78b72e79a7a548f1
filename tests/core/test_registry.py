import json
import pathlib
from typing import Any

import pytest

from tiltd.core import reference, registry

CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (pathlib.Path(__file__).parent / "data" / "default-registry.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


def answer(case: dict[str, Any]) -> registry.Names:
    place = registry.Registry(case["host"], case["host_from_cluster"], case["single_name"])
    return registry.names(place, reference.parse(case["ref"]))


@pytest.mark.parametrize("case", CASES)
def test_images_are_renamed_as_tilt_renames_them(case: dict[str, Any]) -> None:
    if case.get("error"):
        with pytest.raises(registry.InvalidRegistryError):
            answer(case)
        return
    names = answer(case)
    assert names.local.familiar() == case["local"]
    assert names.in_cluster.familiar() == case["in_cluster"]


def test_the_data_has_all_its_cases() -> None:
    assert len(CASES) == 180


@pytest.mark.parametrize(
    ("host", "said"),
    [
        pytest.param("team", "write docker.io/team for Docker Hub", id="no host"),
        pytest.param("http://x.io", "write 'x.io/image'", id="scheme"),
        pytest.param("x.io/Team", "upper-case", id="upper case"),
        pytest.param("x.io/", "is no image name", id="trailing slash"),
    ],
)
def test_a_registry_that_is_none_is_refused_before_any_image_is_named(host: str, said: str) -> None:
    with pytest.raises(registry.InvalidRegistryError) as caught:
        registry.Registry(host)
    assert said in str(caught.value)


def test_a_name_that_only_the_cluster_knows_is_refused() -> None:
    with pytest.raises(registry.InvalidRegistryError, match="without host"):
        registry.Registry("", "reg:5000")


def test_a_single_name_carries_no_tag() -> None:
    with pytest.raises(registry.InvalidRegistryError, match="carries a tag"):
        registry.Registry("x.io", single_name="a:b")


def test_an_image_that_is_in_the_registry_already_keeps_its_name() -> None:
    names = registry.names(registry.Registry("x.io/team"), reference.parse("x.io/team/web:v1"))
    assert str(names.local) == "x.io/team/web"
