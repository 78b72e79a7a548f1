"""Volumes: folders of the host that a pod's containers see, and the files that belong in them.

ConfigMaps, Secrets, downward API and tokens are written as the kubelet writes them: into a new
folder, then a symlink `..data` is replaced at once, so that a reader never sees half of a change,
and a running container sees the next version under the same path.  Everything is in the pod's
own folder, which goes with the pod; claims' folders belong to their PersistentVolume.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tilt_cluster import fields
from tilt_cluster.node import environment
from tilt_cluster.node.spec import Mount
from tilt_cluster.objects import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    Cluster,
    Object,
    Resource,
)

_MODE = 0o644
_WRITTEN = ("configMap", "secret", "downwardAPI", "projected")
_KINDS = {CONFIG_MAPS: "config", SECRETS: "secret"}


class NotMountedError(Exception):
    """A volume can't be set up now; the text is the kubelet's message."""


@dataclass(frozen=True, slots=True)
class File:
    """Content and mode of a file in a volume."""

    data: bytes
    mode: int


@dataclass(slots=True)
class Volume:
    """One volume of a pod, set up.

    Args:
        path: on the host.
        read_only: whatever the mount says.
    """

    path: Path
    read_only: bool = False


class Volumes:
    """The volumes of one pod.

    Args:
        cluster: for the objects in them.
        folder: of the pod; made when needed.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self.folder = folder
        self._ready: dict[str, Volume] = {}
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    def set_up(self, pod: Object, facts: environment.Facts) -> None:
        """Set up every volume, or bring those that are written up to date.

        Raises:
            NotMountedError: one can't be set up now.
        """
        for volume in fields.get(pod, "spec", "volumes", default=()):
            name = str(volume["name"])
            if name in self._ready and not any(kind in volume for kind in _WRITTEN):
                continue
            try:
                self._ready[name] = self._set_up(pod, volume, facts)
            except (environment.ConfigError, OSError, ValueError) as error:
                raise NotMountedError(
                    f'MountVolume.SetUp failed for volume "{name}" : {error}'
                ) from error

    def renew_at(self) -> float | None:
        """When the first token has to be renewed (Unix seconds)."""
        return min((at for _, at in self._tokens.values()), default=None)

    def mounts(self, pod: Object, container: Object, variables: Mapping[str, str]) -> list[Mount]:
        """The mounts of a container.

        Raises:
            environment.ConfigError: a `subPath` leads outside.
        """
        found: list[Mount] = []
        for mount in fields.get(container, "volumeMounts", default=()):
            volume = self._ready[str(mount["name"])]
            path = volume.path
            sub = str(mount.get("subPath") or "")
            if mount.get("subPathExpr"):
                sub = environment.expand(str(mount["subPathExpr"]), variables)
            if sub:
                path = _inside(volume, sub, _group(pod))
            found.append(
                Mount(
                    source=str(path),
                    target=str(mount["mountPath"]),
                    read_only=bool(mount.get("readOnly")) or volume.read_only,
                    propagation=_PROPAGATION.get(str(mount.get("mountPropagation")), ""),
                )
            )
        return found

    def remove(self) -> None:
        """Delete the pod's folder; claims' folders stay."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _set_up(self, pod: Object, volume: Object, facts: environment.Facts) -> Volume:
        path = self.folder / "volumes" / str(volume["name"])
        for kind in _WRITTEN:
            if kind in volume:
                source: Object = volume[kind] or {}
                listed: Sequence[Object] = source.get("sources") or ()
                sources = listed if kind == "projected" else ({kind: source},)
                mode = int(source.get("defaultMode") or _MODE)
                files: dict[str, File] = {}
                for one in sources:
                    files |= self._files(pod, one, mode, facts, str(volume["name"]))
                write(path, files, _group(pod))
                return Volume(path, read_only=True)
        if "emptyDir" in volume:
            _folder(path, _group(pod))
            return Volume(path)
        if "hostPath" in volume:
            return Volume(_host_path(volume["hostPath"]))
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]
            found = self._claim(pod, str(claim["claimName"]))
            return Volume(found, read_only=bool(claim.get("readOnly")))
        if "ephemeral" in volume:
            return Volume(self._claim(pod, f"{fields.name(pod)}-{volume['name']}"))
        kinds = ", ".join(key for key in volume if key != "name")
        raise ValueError(f"volumes of type {kinds} are not supported by the embedded cluster")

    def _files(
        self, pod: Object, source: Object, mode: int, facts: environment.Facts, volume: str
    ) -> dict[str, File]:
        if (one := source.get("configMap")) is not None:
            return self._of_object(pod, CONFIG_MAPS, str(one.get("name", "")), one, mode)
        if (one := source.get("secret")) is not None:
            name = str(one.get("secretName") or one.get("name") or "")
            return self._of_object(pod, SECRETS, name, one, mode)
        if (one := source.get("downwardAPI")) is not None:
            return {
                str(item["path"]): File(
                    _downward(pod, item, facts).encode(), int(item.get("mode") or mode)
                )
                for item in one.get("items") or ()
            }
        if (one := source.get("serviceAccountToken")) is not None:
            return {str(one["path"]): File(self._token(pod, one, volume).encode(), mode)}
        kinds = ", ".join(source)
        raise ValueError(f"{kinds} is not supported in projected volumes of the embedded cluster")

    def _of_object(
        self, pod: Object, resource: Resource, name: str, source: Object, mode: int
    ) -> dict[str, File]:
        found = self._cluster.find(resource, name, fields.namespace(pod))
        if found is None:
            if source.get("optional"):
                return {}
            kind = "configmap" if resource == CONFIG_MAPS else "secret"
            raise environment.ConfigError(f'{kind} "{name}" not found')
        data = environment.content(resource, found)
        items: Sequence[Object] | None = source.get("items")
        if items is None:
            return {key: File(value, mode) for key, value in data.items()}
        chosen: dict[str, File] = {}
        for item in items:
            key = str(item["key"])
            if key in data:
                chosen[_safe(str(item["path"]))] = File(data[key], int(item.get("mode") or mode))
            elif not source.get("optional"):
                raise environment.ConfigError(
                    f"references non-existent {_KINDS[resource]} key: {key}"
                )
        return chosen

    def _token(self, pod: Object, source: Object, volume: str) -> str:
        """A token, renewed when four fifths of its life are over."""
        key = (volume, str(source["path"]))
        known = self._tokens.get(key)
        now = time.time()
        if known is not None and now < known[1]:
            return known[0]
        seconds = int(source.get("expirationSeconds") or 3600)
        audience = source.get("audience")
        token = self._cluster.issue_token(
            fields.namespace(pod),
            str(fields.get(pod, "spec", "serviceAccountName", default="default")),
            seconds=seconds,
            audiences=(str(audience),) if audience else (),
            pod=pod,
        )
        self._tokens[key] = (token.text, now + 0.8 * max(60.0, token.expires - now))
        return token.text

    def _claim(self, pod: Object, name: str) -> Path:
        claim = self._cluster.find(PERSISTENT_VOLUME_CLAIMS, name, fields.namespace(pod))
        if claim is None:
            raise ValueError(f'persistentvolumeclaim "{name}" not found')
        volume_name = fields.get(claim, "spec", "volumeName")
        volume = self._cluster.find(PERSISTENT_VOLUMES, str(volume_name)) if volume_name else None
        if volume is None or fields.get(claim, "status", "phase") != "Bound":
            raise ValueError(f'PVC "{fields.namespace(pod)}/{name}" is not bound')
        local = fields.get(volume, "spec", "local", "path")
        if local is not None and str(local).startswith(str(self._cluster.facts.folder)):
            path = Path(str(local))
            _folder(path, _group(pod))
            return path
        if local is not None:
            return _host_path({"path": local, "type": "Directory"})
        host = fields.get(volume, "spec", "hostPath")
        if host is None:
            raise ValueError(f"volume {volume_name} is of a type that the embedded cluster lacks")
        return _host_path({"type": "DirectoryOrCreate", **host})


def forget(cluster: Cluster, volume: Object) -> None:
    """Delete the folder of a volume that is gone and was to be deleted with its claim."""
    path = Path(str(fields.get(volume, "spec", "local", "path", default="")))
    ours = cluster.facts.folder / "volumes"
    deletes = fields.get(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete"
    if deletes and path.parent == ours:
        shutil.rmtree(path, ignore_errors=True)


_PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}


def _group(pod: Object) -> int | None:
    found = fields.get(pod, "spec", "securityContext", "fsGroup")
    return None if found is None else int(found)


def _safe(path: str) -> str:
    if path.startswith("/") or ".." in Path(path).parts:
        raise ValueError(f"invalid path {path}")
    return path


def _downward(pod: Object, item: Object, facts: environment.Facts) -> str:
    if item.get("fieldRef"):
        return environment.field_value(pod, str(item["fieldRef"]["fieldPath"]), facts)
    return environment.resource_value(pod, {}, item["resourceFieldRef"], facts)


def _folder(path: Path, group: int | None) -> None:
    """A folder that everybody in the pod may write to."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
    if group is not None:
        with contextlib.suppress(PermissionError):
            os.chown(path, -1, group)
            path.chmod(0o2777)


def _inside(volume: Volume, sub: str, group: int | None) -> Path:
    """A path below a volume, made if it isn't there."""
    parts = Path(sub).parts
    if sub.startswith("/") or ".." in parts:
        raise environment.ConfigError(f"subPath {sub!r} must be below the volume")
    path = volume.path / sub
    if not path.exists():
        if volume.read_only:
            raise environment.ConfigError(f'failed to prepare subPath for volumeMount "{sub}"')
        _folder(path, group)
    resolved = path.resolve()
    if not resolved.is_relative_to(volume.path.resolve()):
        raise environment.ConfigError(f"subPath {sub!r} must be below the volume")
    return resolved


def _is_any(_path: Path) -> bool:
    return True


_CHECKS: Mapping[str, tuple[Callable[[Path], bool], str]] = {
    "": (_is_any, ""),
    "DirectoryOrCreate": (Path.is_dir, "is not a directory"),
    "Directory": (Path.is_dir, "is not a directory"),
    "FileOrCreate": (Path.is_file, "is not a file"),
    "File": (Path.is_file, "is not a file"),
    "Socket": (Path.is_socket, "is not a socket file"),
    "CharDevice": (Path.is_char_device, "is not a character device"),
    "BlockDevice": (Path.is_block_device, "is not a block device"),
}


def _host_path(source: Object) -> Path:
    path, kind = Path(str(source["path"])), str(source.get("type") or "")
    if kind in {"DirectoryOrCreate", ""} and not path.exists():
        path.mkdir(parents=True, mode=0o755)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    holds, complaint = _CHECKS[kind]
    if not holds(path):
        raise ValueError(f"hostPath type check failed: {path} {complaint}")
    return path


def write(folder: Path, files: Mapping[str, File], group: int | None) -> bool:
    """Make a folder show exactly these files, all at once.

    Args:
        folder: of the volume.
        files: by path below it.
        group: that owns the files and may read them (`fsGroup`).

    Returns:
        Whether anything had to be changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    data = folder / "..data"
    print_of = json.dumps({p: [f.data.hex(), f.mode, group] for p, f in sorted(files.items())})
    mark = folder.parent / f".{folder.name}.mark"
    if data.is_symlink() and mark.exists() and mark.read_text() == print_of:
        return False
    old = data.readlink() if data.is_symlink() else None
    fresh = folder / f"..{time.time_ns()}"
    fresh.mkdir()
    for path, file in files.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data)
        mode = file.mode
        if group is not None:
            with contextlib.suppress(PermissionError):
                os.chown(target, -1, group)
                mode |= 0o440
        target.chmod(mode)
    link = folder / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.replace(data)
    tops = {Path(path).parts[0] for path in files}
    for top in tops:
        shown = folder / top
        if not shown.is_symlink():
            shown.symlink_to(Path("..data") / top)
    for shown in folder.iterdir():
        if not shown.name.startswith("..") and shown.name not in tops:
            shown.unlink()
    if old is not None:
        shutil.rmtree(folder / old, ignore_errors=True)
    mark.write_text(print_of)
    mark.chmod(0o600)
    return True
