"""From a manifest to the object that is sent: images, labels and the key put in.

A container's image is replaced where it matches an image of the project, its pull policy set so
that the node pulls what was pushed and nothing older, and its command and args where the
Tiltfile overrides them.  The object carries this project's label, by which it is found again, and
an annotation with its key, by which the next run sees that nothing has to be done.
"""

import posixpath
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

from tiltd.core import jsonpath, keys, podspec, reference
from tiltd.model.desired import JSON, Image, ImagePath, Manifest

PROJECT_LABEL = "tilt.dev/project"
KEY_ANNOTATION = "tilt.dev/key"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is sent to the cluster, and its key.

    Args:
        body: the object.
        key: of it.
        untouched: what was found out about versions of the live object (uid, resourceVersion):
            whether it still is this. One version never becomes another.
    """

    body: JSON
    key: str
    untouched: dict[tuple[str, str], bool] = field(
        default_factory=dict[tuple[str, str], bool], compare=False, repr=False
    )


def project_label(tiltfile: str) -> str:
    """The value of the project's label: the name of the folder that the Tiltfile is in.

    The same on every machine, so that one finds again what another applied.
    """
    folder = posixpath.basename(posixpath.dirname(tiltfile))
    return re.sub(r"[^A-Za-z0-9._-]", "-", folder)[:63].strip("-._") or "project"


Placed = tuple[tuple[Image, str], ...]

_newest: WeakKeyDictionary[Manifest, tuple[Placed, str, Rendered]] = WeakKeyDictionary()
"""The newest rendering of each manifest; it goes with the manifest, when a reload drops that."""


def render(manifest: Manifest, placements: Placed, label: str) -> Rendered:
    """The object to send; remembered, as a manifest never changes.

    Args:
        manifest: as the Tiltfile gives it.
        placements: its images, each with the reference to put in.
        label: the value of the project's label.
    """
    known = _newest.get(manifest)
    if known is not None and known[:2] == (placements, label):
        return known[2]
    rendered = _render(manifest, placements, label)
    _newest[manifest] = (placements, label, rendered)
    return rendered


def _render(manifest: Manifest, placements: Placed, label: str) -> Rendered:
    body = _copy(manifest.body)
    if placements:
        _place(body, manifest, _Placements(placements))
    if body.get("kind") == "Secret":
        _encode(body)
    metadata = body.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), PROJECT_LABEL: label}
    key = keys.digest(body)
    metadata["annotations"] = {**(metadata.get("annotations") or {}), KEY_ANNOTATION: key}
    return Rendered(body, key)


def _encode(body: dict[str, Any]) -> None:
    """Put `stringData` into `data`, as the API server does.

    Done here because the server's account of fields knows `stringData` and not what became of it:
    a key that goes from it would stay in `data`, and somebody else's change would not show.  What
    is no text is left for the server to refuse.
    """
    plain: object = body.get("stringData")
    data: object = body.get("data") or {}
    if not isinstance(plain, dict) or not isinstance(data, dict):
        return
    texts = cast("dict[object, object]", plain)
    encoded = {k: b64encode(v.encode()).decode() for k, v in texts.items() if isinstance(v, str)}
    if len(encoded) == len(texts):
        body["data"] = {**cast("dict[object, object]", data), **encoded}
        del body["stringData"]


def _copy(value: Any) -> Any:
    """A deep copy of JSON-like data (`copy.deepcopy` takes four times as long)."""
    if isinstance(value, str):
        return value  # as most values are
    if isinstance(value, podspec.MAPPINGS):
        return {k: _copy(v) for k, v in cast("JSON", value).items()}
    if isinstance(value, list):
        return [_copy(v) for v in cast("list[object]", value)]
    return value


class _Placements:
    """Which of the images a text of a manifest means, and what to write instead.

    A declaration with a tag means exactly that tag, one without means every tag that no other
    declaration names (Tilt's rule).
    """

    def __init__(self, placements: tuple[tuple[Image, str], ...]) -> None:
        declared = [(reference.parse(image.name), image, ref) for image, ref in placements]
        self._declared = sorted(declared, key=lambda d: d[0].tag is None)

    def find(self, text: object) -> tuple[Image, str] | None:
        """The image that `text` names, and the reference to put there."""
        if not isinstance(text, str):
            return None
        try:
            named = reference.parse(text)
        except reference.InvalidReferenceError:
            return None  # the API server will say so, in its own words
        for declared, image, ref in self._declared:
            if reference.matches(declared, named):
                return image, ref
        return None

    def in_env(self, text: object) -> str | None:
        """Likewise for the value of an environment variable."""
        found = self.find(text)
        return found[1] if found is not None and found[0].match_in_env_vars else None


def _place(body: dict[str, Any], manifest: Manifest, placements: _Placements) -> None:
    for template in podspec.templates(body):
        spec = podspec.section(template, "spec")
        for container in podspec.containers(spec):
            _place_in_container(cast("dict[str, Any]", container), placements)
        for volume in podspec.rows(spec.get("volumes")):
            source = cast("dict[str, Any]", podspec.section(volume, "image"))
            if found := placements.find(source.get("reference")):
                source["reference"] = found[1]
    for path in manifest.image_paths:
        change = partial(_placed_at, path=path, placements=placements)
        jsonpath.replace(body, jsonpath.parse(path.path), change)


def _placed_at(value: Any, *, path: ImagePath, placements: _Placements) -> Any:
    """What stands at a path of `k8s_kind`: a reference, or an object with repository and tag."""
    if not path.repo_field:
        found = placements.find(value)
        return found[1] if found else value
    if not isinstance(value, Mapping):
        return value
    fields = cast("JSON", value)
    repository, tag = fields.get(path.repo_field), fields.get(path.tag_field)
    found = placements.find(f"{repository}:{tag}" if tag else repository)
    if found is None:
        return fields
    placed = reference.parse(found[1])
    written = {path.repo_field: placed.without_tag().familiar()}
    if path.tag_field:
        written[path.tag_field] = placed.tag or ""
    else:
        written[path.repo_field] = found[1]
    return {**fields, **written}


def _place_in_container(container: dict[str, Any], placements: _Placements) -> None:
    if found := placements.find(container.get("image")):
        image, container["image"] = found
        # The tag names the content: what is on the node under this tag is the same image.
        container["imagePullPolicy"] = "IfNotPresent"
        if image.entrypoint is not None:
            container["command"] = list(image.entrypoint)
            container.pop("args", None)
        if image.container_args is not None:
            container["args"] = list(image.container_args)
    for env in podspec.rows(container.get("env")):
        if ref := placements.in_env(env.get("value")):
            cast("dict[str, Any]", env)["value"] = ref
