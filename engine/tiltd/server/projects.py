"""A project as one JSON object: what `tilt-client alpha tiltfile-result` prints.

The names are the model's own (`model.desired`), so that there is one description of them.  What may
be one of several things says in `type` which.  Nothing secret is in it: values of Secrets are
masked, and known secret values are taken out of every other text.
"""

import dataclasses
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from tiltd.core.scrub import Scrubber
from tiltd.model import desired
from tiltd.model.names import ObjectId
from tiltd.model.problems import Place
from tiltd.ports import Loaded

_TYPES: Mapping[type[Any], str] = {
    desired.ComposeTarget: "compose",
    desired.CustomBuild: "custom",
    desired.DockerBuild: "docker",
    desired.Exec: "exec",
    desired.HttpGet: "http",
    desired.KubernetesTarget: "kubernetes",
    desired.LocalTarget: "local",
    desired.TcpSocket: "tcp",
}
_SECRET_FIELDS = frozenset({"data", "stringData"})
_MASK = "(masked)"


def document(loaded: Loaded, scrubber: Scrubber) -> str:
    """The whole project.

    Args:
        loaded: what was read.
        scrubber: knows the secrets.
    """
    project, context = loaded.project, loaded.kube_context
    plain = _plain(project, scrubber)
    resources = [
        {**resource, "enabled": resource["name"] in project.enabled}
        for resource in plain["resources"]
    ]
    del plain["enabled"]
    whole = {
        **plain,
        "context": context.name,
        "namespace": context.namespace,
        "resources": resources,
        "warnings": [
            {"place": str(place) if place else "", "message": scrubber.scrub(text)}
            for place, text in project.warnings
        ],
    }
    return json.dumps(whole, ensure_ascii=False)


def _plain(value: Any, scrubber: Scrubber) -> Any:
    match value:
        case Place() | ObjectId():
            return str(value)
        case Enum():
            return value.value
        case str():
            return scrubber.scrub(value)
        case desired.Manifest():
            return {**_fields(value, scrubber), "body": _plain(_masked(value.body), scrubber)}
        case Mapping():
            return {str(k): _plain(v, scrubber) for k, v in cast("desired.JSON", value).items()}
        case frozenset():
            return sorted(_plain(item, scrubber) for item in cast("frozenset[object]", value))
        case tuple() | list():
            return [_plain(item, scrubber) for item in cast("list[Any]", value)]
        case _ if dataclasses.is_dataclass(value):
            return _fields(value, scrubber)
        case _:
            return value


def _fields(value: Any, scrubber: Scrubber) -> dict[str, Any]:
    kind = _TYPES.get(cast("type[object]", type(value)))
    return {
        **({"type": kind} if kind else {}),
        **{
            field.name: _plain(getattr(value, field.name), scrubber)
            for field in dataclasses.fields(value)
            if field.repr  # what is not for people is long, or may be secret
        },
    }


def _masked(body: desired.JSON) -> desired.JSON:
    if body.get("kind") != "Secret":
        return body
    return {k: _hidden(v) if k in _SECRET_FIELDS else v for k, v in body.items()}


def _hidden(values: Any) -> Any:
    if not isinstance(values, Mapping):
        return _MASK
    return dict.fromkeys(cast("desired.JSON", values), _MASK)
