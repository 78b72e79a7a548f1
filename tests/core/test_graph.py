"""The graph of a project: no circles, and nothing dropped but advice."""

import time
from random import Random

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import project as build
from tests.core import playing
from tiltd.core import graph as graphs
from tiltd.model.graph import ResourceNode
from tiltd.model.names import (
    ImageName,
    NodeName,
    ResourceName,
    image_node,
    object_node,
    resource_node,
)


@given(st.integers(0, 2**32))
def test_there_is_never_a_circle_and_every_given_dependency_stands(seed: int) -> None:
    project = playing.project(Random(seed))  # noqa: S311 - a game, no secret
    graph = graphs.build(project, "default")
    edges = [(a, b) for b, above in graph.dependencies.items() for a in above]
    digraph: nx.DiGraph[NodeName] = nx.DiGraph(edges)
    assert nx.is_directed_acyclic_graph(digraph)
    for image in project.images:
        for base in image.bases:
            assert image_node(base) in graph.dependencies[image_node(image.name)]
    for name, ids in graph.objects_of.items():
        for part in ids:
            above = graph.dependencies[object_node(part)]
            assert {resource_node(d) for d in graph.resources[name].resource_deps} <= set(above)
            assert {image_node(i) for i in graph.manifests[part].images} <= set(above)
            assert object_node(part) in graph.dependencies[resource_node(name)]


@given(st.integers(0, 2**32))
def test_who_works_for_whom_is_the_inverse_of_what_is_made_of_what(seed: int) -> None:
    graph = graphs.build(playing.project(Random(seed)), "default")  # noqa: S311 - a game, no secret
    made = {n: graphs.made_of(graph, n) for n in graph.resources}
    for node, part in graph.nodes.items():
        if not isinstance(part, ResourceNode):
            assert graphs.works_for(graph, node) == {
                n for n, parts in made.items() if node in parts
            }


def test_advice_gives_way_to_the_users_word() -> None:
    uses = {"volumes": [{"name": "v", "configMap": {"name": "late"}}]}
    first = build.kubernetes("first", build.deployment("d", spec=uses))
    second = build.kubernetes("second", build.config_map("late"), deps=["first"])
    graph = graphs.build(build.project(first, second), "default")
    late, user = (
        object_node(m)
        for m in (
            *graph.objects_of[ResourceName("second")],
            *graph.objects_of[ResourceName("first")],
        )
    )
    assert late not in graph.dependencies[user]
    assert resource_node(ResourceName("first")) in graph.dependencies[late]


def test_a_circle_of_bases_shows_the_way_around() -> None:
    images = [build.image("a", "b"), build.image("b", "a")]
    with pytest.raises(graphs.CircleError) as caught:
        graphs.build(build.project(images=images), "default")
    assert caught.value.path[0] == caught.value.path[-1]
    assert {image_node(ImageName(n)) for n in "ab"} == set(caught.value.path)


def test_what_is_not_active_is_waited_for_but_not_needed() -> None:
    db = build.local("db", "db", auto_init=False)
    web = build.local("web", "web", deps=["db"])
    graph = graphs.build(build.project(db, web), "default")
    assert graphs.needed(graph, [ResourceName("web")]) == {"resource/web", "command/web"}


def test_advice_against_the_users_own_order_is_dropped_without_looking_at_all_for_each() -> None:
    """One circle after the other in the whole graph took 30 s here."""
    count = 1000
    mounts = [
        {"volumes": [{"name": "v", "configMap": {"name": f"c{i - 1}"}}]} for i in range(count)
    ]
    resources = [
        build.kubernetes(
            f"r{i}",
            build.config_map(f"c{i}"),
            build.deployment(f"d{i}", spec=mounts[i]),
            deps=[f"r{i + 1}"] if i + 1 < count else [],
        )
        for i in range(count)
    ]
    began = time.process_time()
    made = graphs.build(build.project(*resources), "default")
    assert time.process_time() - began < 5
    first = made.dependencies[object_node(made.objects_of[ResourceName("r5")][1])]
    assert resource_node(ResourceName("r6")) in first
    assert not any("ConfigMap" in name for name in first), "c4 comes after r5"
