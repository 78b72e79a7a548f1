"""Container images without any image registry to pull from: files in, docker-archive out.

`docker load` and `ctr images import` both read this format: a tar of one layer, a configuration
and a manifest. Every time stamp is zero and every entry is sorted, so that the same files give
the same image, byte for byte, wherever and whenever it is made.
"""

import dataclasses
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's names and Go's, which images use; the others are the same in both."""


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """What an image is, besides its files.

    Args:
        ref: the full name with its tag.
        entrypoint: see the OCI image specification's `Entrypoint`.
        command: see `Cmd`.
        env: see `Env`; names and values.
    """

    ref: str
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])


def layer(
    programs: Mapping[str, Path],
    links: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    folders: Sequence[str] = (),
) -> bytes:
    """A layer of a few files.

    Args:
        programs: path in the image (without the first slash), and the file to copy there.
        links: path in the image, and what the symbolic link says.
        texts: path in the image, and the file's content.
        folders: empty folders; those with other entries need not be named.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(folders):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        for name, source in sorted(programs.items()):
            _add(tar, name, source.read_bytes(), 0o755)
        for name, text in sorted((texts or {}).items()):
            _add(tar, name, text.encode(), 0o644)
        for name, target in sorted((links or {}).items()):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return out.getvalue()


def copied(names: Iterable[str], texts: Mapping[str, str]) -> bytes:
    """A layer of files of this machine, as they are.

    Args:
        names: of files, links and folders (without what is in them), without the first slash.
        texts: path in the image, and the file's content, of whatever this machine has there.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(set(names) - texts.keys()):
            tar.add(f"/{name}", arcname=name, recursive=False)
        for name, text in sorted(texts.items()):
            _add(tar, name, text.encode(), 0o644)
    return out.getvalue()


def write(path: Path, image: Image, layer_tar: bytes) -> None:
    """Write the docker-archive of an image of this one layer."""
    machine = platform.machine()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": list(image.entrypoint) or None,
                "Cmd": list(image.command) or None,
                "Env": [f"{name}={value}" for name, value in sorted(image.env.items())],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha(layer_tar)}"]},
        },
        sort_keys=True,
    ).encode()
    manifest = [
        {"Config": f"{_sha(config)}.json", "RepoTags": [image.ref], "Layers": ["layer.tar"]}
    ]
    with tarfile.open(path, mode="w") as tar:
        _add(tar, f"{_sha(config)}.json", config, 0o644)
        _add(tar, "layer.tar", layer_tar, 0o644)
        _add(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
