import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from tools.realcluster import engine

from tools import image_archive


def archive(folder: Path, name: str, ref: str = "tiltd.local/test:1") -> Path:
    program = folder / "program"
    program.write_text("#!/bin/sh\n")
    layer = image_archive.layer(
        {"bin/b": program, "bin/a": program},
        links={"bin/c": "a"},
        texts={"etc/motd": "hello\n"},
        folders=["tmp"],
    )
    path = folder / name
    image_archive.write(path, image_archive.Image(ref, command=["sh"], env={"A": "1"}), layer)
    return path


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = archive(tmp_path, "first").read_bytes()
    (tmp_path / "program").unlink()

    assert archive(tmp_path, "second").read_bytes() == first


def test_an_archive_names_its_image_and_its_command(tmp_path: Path) -> None:
    with tarfile.open(archive(tmp_path, "image")) as tar:
        manifest = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(tar.extractfile(manifest[0]["Config"]) or pytest.fail("no config"))

    assert manifest[0]["RepoTags"] == ["tiltd.local/test:1"]
    assert config["config"] == {"Cmd": ["sh"], "Entrypoint": None, "Env": ["A=1"]}


@pytest.mark.docker
def test_the_engine_loads_an_archive(tmp_path: Path) -> None:
    if not shutil.which("docker") or not engine.answers():
        pytest.skip("no Docker Engine answers: `make engine` starts one")
    ref = f"tiltd.local/{tmp_path.name.replace('_', '-')}:1"

    subprocess.run(["docker", "load", "--input", archive(tmp_path, "image", ref)], check=True)
    try:
        shown = subprocess.run(
            ["docker", "image", "inspect", ref, "--format", "{{json .Config.Cmd}}"],
            check=True,
            capture_output=True,
        )
    finally:
        subprocess.run(["docker", "image", "rm", ref], check=True)

    assert json.loads(shown.stdout) == ["sh"]
