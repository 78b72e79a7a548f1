"""Keys and names of images, as far as they are known."""

from dataclasses import replace

import pytest

from tests.builders import project as build
from tests.builders import state
from tiltd.core import keys, naming
from tiltd.model.desired import Image, Project, Registry, Settings
from tiltd.model.events import Connected, FilesChanged, ImageBuilt, InputsRead
from tiltd.model.names import ImageName
from tiltd.model.observed import ClusterInfo
from tiltd.model.state import ImageReady, State

BASE, APP = ImageName("base"), ImageName("app")


def project(settings: Settings | None = None) -> Project:
    web = build.kubernetes("web", build.deployment("web", "app"))
    return build.project(
        web, images=[build.image("base"), build.image("app", "base")], settings=settings
    )


def read(s: State, **digests: str) -> State:
    facts = (
        InputsRead(ImageName(n), s.images[ImageName(n)].generation, d) for n, d in digests.items()
    )
    return state.after(s, *facts)


def built(s: State, *names: ImageName) -> State:
    for name in names:
        key = naming.key(name, s)
        ready = ImageReady(key, naming.refs(s.graph.images[name], key, s))
        s = state.after(s, ImageBuilt(name, ready))
    return s


def app(s: State) -> Image:
    return s.graph.images[APP]


def test_a_key_follows_the_files_of_its_own_and_of_its_bases() -> None:
    s = read(state.loaded(project()), base="1", app="1")
    same = read(state.loaded(project()), base="1", app="1")
    assert naming.key(APP, s) == naming.key(APP, same)
    assert naming.key(APP, read(s, app="2")) != naming.key(APP, s)
    assert naming.key(APP, read(s, base="2")) != naming.key(APP, s)
    assert naming.key(BASE, read(s, app="2")) == naming.key(BASE, s)


def test_an_image_is_ready_when_the_one_of_its_newest_files_is_there() -> None:
    s = read(state.loaded(project()), base="1", app="1")
    assert not naming.ready(APP, s)
    s = built(s, BASE, APP)
    assert naming.ready(BASE, s)
    assert naming.ready(APP, s)
    assert not naming.ready(APP, state.after(s, FilesChanged(("/src/app/x",)))), "not read yet"
    assert not naming.ready(APP, read(s, base="2")), "its base is another one"
    assert not naming.ready(ImageName("unknown"), s)


@pytest.mark.parametrize(
    ("given", "info", "local", "in_cluster"),
    [
        pytest.param(None, {}, "app:TAG", "app:TAG", id="no registry"),
        pytest.param(
            None,
            {"registry_host": "localhost:5000", "registry_host_from_cluster": "reg:5000"},
            "localhost:5000/app:TAG",
            "reg:5000/app:TAG",
            id="the cluster's own",
        ),
        pytest.param(
            Registry("x.example/team"),
            {"registry_host": "localhost:5000"},
            "x.example/team/app:TAG",
            "x.example/team/app:TAG",
            id="the Tiltfile's beats it",
        ),
        pytest.param(
            Registry("x.example", single_name="all"),
            {},
            "x.example/all:library_app-TAG",
            "x.example/all:library_app-TAG",
            id="one repository for all",
        ),
    ],
)
def test_where_an_image_goes(
    given: Registry | None, info: dict[str, str], local: str, in_cluster: str
) -> None:
    s = state.loaded(project(Settings(default_registry=given)))
    s = state.after(s, Connected(ClusterInfo(state.CONTEXT, "v1", **info)))  # type: ignore[arg-type] # names of its fields
    refs, tag = naming.refs(app(s), "0123456789abcdef99", s), keys.tag("0123456789abcdef99")
    assert (refs.local, refs.in_cluster) == (
        local.replace("TAG", tag),
        in_cluster.replace("TAG", tag),
    )
    assert refs.push


def test_only_what_is_deployed_is_pushed_and_not_into_a_cluster_that_shares_the_engine() -> None:
    s = state.loaded(project())
    base = s.graph.images[BASE]
    assert not naming.refs(base, "0" * 64, s).push
    assert naming.refs(app(s), "0" * 64, s).push
    shared = replace(ClusterInfo(state.CONTEXT, "v1"), shares_engine=True)
    assert not naming.refs(app(s), "0" * 64, state.after(s, Connected(shared))).push


def test_where_images_go_is_known_from_the_tiltfile_or_once_the_cluster_was_asked() -> None:
    s = state.loaded(project())
    assert not naming.registry_known(s)
    assert naming.registry_known(state.after(s, Connected(ClusterInfo(state.CONTEXT, "v1"))))
    given = Settings(default_registry=Registry("x.example"))
    assert naming.registry_known(state.loaded(project(given)))
