"""`custom_build`: what its command is told, and what is made of what it did."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.images.workshop import Workshop, docker, has
from tiltd import ports
from tiltd.adapters import processes
from tiltd.adapters.images import custom
from tiltd.model.actions import EnsureImage, ImageRefs
from tiltd.model.desired import Command, CustomBuild, Image
from tiltd.model.names import ImageName
from tiltd.model.problems import Code, Place


def action(name: str, local: str, build: CustomBuild, in_cluster: str = "") -> EnsureImage:
    refs = ImageRefs(local, in_cluster or local, push=True)
    base = ImageName("base")
    image = Image(ImageName(name), build, bases=(base,))
    return EnsureImage(image, "0" * 64, refs, {base: "localhost:5000/base:tilt-1"})


def command(script: str = "true", folder: str = "/") -> Command:
    return Command(("sh", "-c", script), folder, {"OWN": "1"})


def test_the_command_is_told_what_is_expected() -> None:
    build = CustomBuild(command(), ())
    given = custom.environment(action("shop/web", "localhost:5000/shop_web:tilt-1", build), build)
    assert given == {
        "EXPECTED_REF": "localhost:5000/shop_web:tilt-1",
        "EXPECTED_IMAGE": "shop_web",
        "EXPECTED_TAG": "tilt-1",
        "EXPECTED_REGISTRY": "localhost:5000",
        "REGISTRY_HOST": "localhost:5000",
        "TILT_IMAGE_0": "localhost:5000/base:tilt-1",
    }


def test_a_fixed_tag_is_one_of_the_declared_name() -> None:
    build = CustomBuild(command(), (), tag="dev")
    given = custom.environment(action("shop/web", "localhost:5000/shop_web:tilt-1", build), build)
    assert (given["EXPECTED_REF"], given["EXPECTED_TAG"]) == ("shop/web:dev", "dev")


def test_without_a_registry_none_is_named() -> None:
    build = CustomBuild(command(), ())
    assert "EXPECTED_REGISTRY" not in custom.environment(action("web", "web:t", build), build)


def test_who_writes_the_reference_is_told_none(tmp_path: Path) -> None:
    build = CustomBuild(command(), (), outputs_image_ref_to=str(tmp_path / "ref"))
    given = custom.environment(action("web", "localhost:5000/web:t", build), build)
    assert sorted(given) == ["EXPECTED_REGISTRY", "REGISTRY_HOST", "TILT_IMAGE_0"]


def writes(text: str, file: Path) -> CustomBuild:
    """A build whose command writes a reference."""
    argv = ("/bin/sh", "-c", 'printf %s "$1" > "$2"', "sh", text, str(file))
    return CustomBuild(Command(argv, "/"), (), outputs_image_ref_to=str(file))


@pytest.fixture
async def local() -> AsyncGenerator[processes.LocalProcesses]:
    running = processes.LocalProcesses()
    yield running
    await running.close()


@pytest.mark.parametrize(
    ("text", "in_cluster"),
    [
        pytest.param("localhost:5000/web:v1\n", "registry:5000/web:v1", id="same registry"),
        pytest.param("other.io/web:v1", "other.io/web:v1", id="another registry"),
    ],
)
async def test_a_written_reference_is_what_is_deployed(
    tmp_path: Path, local: processes.LocalProcesses, text: str, in_cluster: str
) -> None:
    file = tmp_path / "ref"
    build = writes(text, file)
    asked = action("web", "localhost:5000/web:t", build, "registry:5000/web:t")
    refs = await custom.run(asked, build, local, {}, Silent())
    assert refs == ImageRefs(text.strip(), in_cluster, push=True)


@pytest.mark.parametrize("text", ["", "web/Case:1", "localhost:5000/web"])
async def test_a_written_text_that_is_no_tagged_reference_is_refused(
    tmp_path: Path, local: processes.LocalProcesses, text: str
) -> None:
    file = tmp_path / "ref"
    build = writes(text, file)
    asked = action("web", "localhost:5000/web:t", build)
    with pytest.raises(ports.PermanentError) as caught:
        await custom.run(asked, build, local, {}, Silent())
    assert caught.value.problem.place == Place(str(file))


class Silent:
    def write(self, text: str, *, level: str = "info") -> None:
        del text, level


@pytest.mark.docker
class TestRealCommands:
    def build(self, workshop: Workshop, script: str, **options: Any) -> CustomBuild:
        (workshop.folder / "Dockerfile").write_text(f"FROM {workshop.base}\nENV A=1\n")
        folder = str(workshop.folder)
        return CustomBuild(command(script, folder), (folder,), **options)

    @pytest.fixture
    def shop(self, buildkit: Workshop) -> Workshop:
        """One with docker on its PATH."""
        return buildkit

    async def test_what_it_made_is_found_and_pushed(self, shop: Workshop) -> None:
        build = self.build(shop, "echo $OWN for $EXPECTED_REF; docker build -q -t $EXPECTED_REF .")
        asked = shop.named(build, push=True)
        assert (await shop.ensure(asked)).reused == ""
        assert f"1 for {asked.refs.local}\n" in shop.log.text
        assert shop.registry_has(asked)
        assert (await shop.ensure(asked)).reused == "registry"

    async def test_a_fixed_tag_is_tagged_anew(self, shop: Workshop) -> None:
        build = self.build(shop, "docker build -q -t $EXPECTED_REF .", tag="dev")
        asked = shop.named(build)
        await shop.ensure(asked)
        assert shop.engine_has(asked)
        assert has(f"{asked.image.name}:dev")

    async def test_a_command_that_fails_is_told_with_its_output(self, shop: Workshop) -> None:
        asked = shop.named(self.build(shop, "echo the cause >&2; exit 4"))
        with pytest.raises(ports.PermanentError) as caught:
            await shop.ensure(asked)
        problem = caught.value.problem
        assert problem.code is Code.BUILD
        assert "exited with code 4" in problem.message
        assert "the cause" in problem.detail

    async def test_a_command_that_makes_nothing_is_an_error(self, shop: Workshop) -> None:
        asked = shop.named(self.build(shop, "true"))
        with pytest.raises(ports.PermanentError) as caught:
            await shop.ensure(asked)
        assert asked.refs.local in caught.value.problem.message
        assert "$EXPECTED_REF" in caught.value.problem.hint

    async def test_who_pushes_by_itself_is_believed_only_by_the_registry(
        self, shop: Workshop
    ) -> None:
        build = self.build(shop, "docker build -q -t $EXPECTED_REF .", disable_push=True)
        asked = shop.named(build, push=True)
        await shop.ensure(asked)
        assert not shop.registry_has(asked)
        assert (await shop.ensure(asked)).reused == ""
        docker("push", asked.refs.local)
        assert (await shop.ensure(asked)).reused == "registry"

    async def test_who_uses_no_docker_needs_no_engine(self, shop: Workshop, tmp_path: Path) -> None:
        shop.env["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
        asked = shop.named(self.build(shop, "true", skips_local_docker=True), push=True)
        assert (await shop.ensure(asked)).refs == asked.refs
