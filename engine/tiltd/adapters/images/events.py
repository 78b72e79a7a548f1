"""What the Engine says, in values that need no SDK."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

Event = Mapping[str, Any]
"""One JSON object of the Engine's stream (Engine API, `/build` and `/images/{name}/push`)."""

_WITH_BUILDKIT = (1, 40)


@dataclasses.dataclass(frozen=True, slots=True)
class EngineImage:
    """An image in the engine's store.

    Args:
        digests: `REPOSITORY@DIGEST` of each registry that it came from or went to.
        triggers: whether it adds instructions to what is built on it (`ONBUILD`).
    """

    id: str
    system: str
    architecture: str
    variant: str
    digests: tuple[str, ...] = ()
    triggers: bool = False


class EngineError(Exception):
    """The engine refused.

    Args:
        message: in its own words.
        status: of its HTTP answer; 0 if it failed later, in the stream.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def image(found: Mapping[str, Any]) -> EngineImage:
    """What the engine says of an image (Engine API, `/images/{name}/json`)."""
    return EngineImage(
        str(found["Id"]),
        str(found.get("Os", "")),
        str(found.get("Architecture", "")),
        str(found.get("Variant", "")),
        tuple(map(str, found.get("RepoDigests") or ())),
        bool(cast("dict[str, Any]", found.get("Config") or {}).get("OnBuild")),
    )


def platform(found: Mapping[str, Any]) -> str:
    """What the engine itself runs on, as `linux/amd64` (Engine API, `/version`)."""
    return f"{found['Os']}/{found['Arch']}" if found else ""


def has_buildkit(found: Mapping[str, Any]) -> bool:
    """Whether it is Docker's own engine, with BuildKit in it (Engine API, `/version`)."""
    components = cast("list[dict[str, Any]]", found.get("Components") or [])
    version = tuple(int(part) for part in str(found.get("ApiVersion", "0")).split("."))
    docker = any(each.get("Name") == "Engine" for each in components)
    return docker and found.get("Os") == "linux" and version >= _WITH_BUILDKIT


def error(event: Event) -> str:
    """The message of an event that tells of an error."""
    detail: Any = event.get("errorDetail") or {}
    return str(cast("dict[str, Any]", detail).get("message") or event["error"])
