"""A registry that says yes to every tag must not keep us asking for ever."""

import pytest

from tests.adapters.images.workshop import Workshop
from tiltd.adapters.images import registry
from tiltd.core import reference

pytestmark = pytest.mark.docker


async def test_a_registry_that_has_everything_is_asked_a_bounded_number_of_times(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def yes(image: reference.Reference, *_: object) -> registry.Answer:
        asked.append(image.tag or "")
        return registry.Present("sha256:" + "0" * 64)

    monkeypatch.setattr(registry, "has", yes)
    ready = await workshop.ensure(workshop.action("", push=True))
    assert ready.reused == "registry"
    assert len(asked) < 200
