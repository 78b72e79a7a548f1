"""An image of what this machine has installed; only where that is a Debian with its own Python."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from tools.realcluster import settings

from tools import installed_image

pytestmark = pytest.mark.skipif(
    not installed_image.is_possible(), reason="this is no Debian with Python 3.11 or newer"
)


def test_python_and_what_every_debian_has_are_in_it() -> None:
    assert {"python3", "coreutils", "dash", "libc6"} <= set(installed_image._packages())


def test_files_are_where_the_machine_has_them_and_its_settings_stay_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed_image, "_packages", lambda: ["base-files", "dash"])
    path = tmp_path / "image.tar"
    installed_image.archive(path)

    with tarfile.open(path) as image:
        manifest = image.extractfile("manifest.json")
        layer = image.extractfile("layer.tar")
        assert manifest
        assert layer
        assert json.load(manifest)[0]["RepoTags"] == [settings.INSTALLED_IMAGE]
        with tarfile.open(fileobj=io.BytesIO(layer.read())) as files:
            names = files.getnames()
    assert any(name.endswith("bin/dash") for name in names)
    assert "tmp" in names
    assert {name for name in names if name.startswith("etc/")} == {"etc/passwd", "etc/group"}
    assert not any(name.startswith(("usr/share/doc/", "/")) for name in names)
    for link in ("bin", "lib"):
        assert (link in names) or any(name.startswith(f"{link}/") for name in names)


def test_a_line_that_is_no_file_is_left_out() -> None:
    assert installed_image._inside("diverted by dash to: /bin/sh.distrib") == ""
    assert installed_image._inside("/.") == ""
    assert installed_image._inside("/usr/share/doc/dash/copyright") == ""
    assert installed_image._inside("/no/such/file") == ""
