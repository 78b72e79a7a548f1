"""The tar as the real classic builder takes it."""

import io
import os
import pathlib
import tarfile
import uuid
from collections.abc import Iterator
from typing import cast

import docker
import pytest

from tiltd.core import dockerignore
from tiltd.runtime import buildcontext

pytestmark = pytest.mark.docker
DOCKERFILE = b'FROM scratch\nCOPY . /ctx/\nCMD ["none"]\n'


@pytest.fixture
def engine(docker_engine: str) -> Iterator[docker.DockerClient]:
    assert docker_engine
    client = docker.from_env()
    yield client
    client.close()


def image_files(
    engine: docker.DockerClient, context: pathlib.Path, excludes: dockerignore.ContextFilter
) -> dict[str, str]:
    """Build the context and list what `COPY .` found, with modes."""
    found = list(buildcontext.entries(str(context), excludes))
    shown = context / ".dockerignore" if ".dockerignore" in [e.path for e in found] else None
    sent = io.BytesIO()
    extra = buildcontext.builder_files(DOCKERFILE, shown.read_bytes() if shown else None)
    buildcontext.write_tar(sent, found, extra)
    sent.seek(0)
    tag = f"tiltd-test:{uuid.uuid4().hex}"
    # Without the cache: what stands there, another run of this test may be about to remove.
    engine.images.build(
        fileobj=sent,
        custom_context=True,
        dockerfile=buildcontext.DOCKERFILE,
        tag=tag,
        nocache=True,
        rm=True,
    )
    try:
        container = engine.containers.create(tag)
        try:
            exported = io.BytesIO(b"".join(cast("Iterator[bytes]", container.export())))
        finally:
            container.remove()
    finally:
        engine.images.remove(tag)
    with tarfile.open(fileobj=exported, errors="surrogateescape") as tar:
        return {
            member.name.removeprefix("ctx/"): oct(member.mode & 0o7777)
            for member in tar
            if member.name.startswith("ctx/") and member.name != "ctx/"
        }


def test_the_builder_finds_the_context_and_hides_its_own_files(
    engine: docker.DockerClient, tmp_path: pathlib.Path
) -> None:
    odd = os.fsdecode(b"caf\xe9")
    for name in ["Dockerfile", "a", "x.log", odd]:
        (tmp_path / name).write_text(name, encoding="utf-8", errors="surrogateescape")
        (tmp_path / name).chmod(0o640)
    (tmp_path / ".dockerignore").write_text("*.log\n", encoding="utf-8")
    (tmp_path / "d").mkdir(mode=0o700)
    (tmp_path / "d" / "link").symlink_to("../a")
    excludes = dockerignore.context_filter(str(tmp_path), dockerignore="*.log\n")
    files = image_files(engine, tmp_path, excludes)
    assert {name.rstrip("/") for name in files} == {
        "Dockerfile", ".dockerignore", "a", odd, "d", "d/link",
    }  # fmt: skip
    assert files["a"] == "0o640"
    only = dockerignore.context_filter(str(tmp_path), only_paths=["a"])
    assert list(image_files(engine, tmp_path, only)) == ["a"]
