"""Secrets of a build are read as buildx reads them, and of a key only a change is told."""

import pytest

from tests.builders import project as build
from tiltd.core import keys, parts, secret
from tiltd.core.parts import Part, Past
from tiltd.model.desired import DockerBuild, Image
from tiltd.model.observed import Grounds

DIGEST = secret.digest(b"hunter2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("id=a,src=/x/y", secret.Secret("a", path="/x/y"), id="a file"),
        pytest.param("id=a,source=y", secret.Secret("a", path="y"), id="a file in full"),
        pytest.param('id=a,"src=x,y"', secret.Secret("a", path="x,y"), id="a comma"),
        pytest.param("id=a,env=B", secret.Secret("a", env="B"), id="a variable"),
        pytest.param("type=env,id=a,src=B", secret.Secret("a", env="B"), id="a variable by type"),
        pytest.param("id=A", secret.Secret("A", path="A", env="A"), id="whichever there is"),
        pytest.param("src=/x/y", secret.Secret("y", path="/x/y"), id="no id"),
    ],
)
def test_a_secret_is_read_as_buildx_reads_it(text: str, expected: secret.Secret) -> None:
    assert secret.parse(text) == expected


def shown(content: str | None, before: str | None) -> Part:
    """How `keys` and `why` tell of a secret, which was another one, or unreadable, before."""

    def told(found: str | None) -> dict[str, str]:
        docker = DockerBuild("/a", "/a/D", "FROM scratch", secret=("id=npm,src=x",))
        made = Image(build.image("img").name, docker)
        grounds = Grounds(secrets={"npm": found})
        return dict(parts.of_image(keys.image_parts(made, "f", {}, {}, grounds)))

    now, then = told(content), told(before)
    assert content is None or all(content not in value for value in now.values())
    found = parts.compared(now, then, Past())
    return next(part for part in found if part.name == "secret npm")


def test_of_a_secret_only_a_change_is_told() -> None:
    other = secret.digest(b"hunter3")
    assert shown(DIGEST, DIGEST) == Part("secret npm", "hidden", "hidden")
    assert shown(DIGEST, other) == Part("secret npm", "hidden", "hidden", changed=True)
    assert shown(None, other) == Part("secret npm", "missing", "hidden", changed=True)
    assert parts.told((shown(DIGEST, other),)) == "secret npm"
    assert parts.compared({"secret npm": "abcd"}, None, Past())[0].value == "hidden"
