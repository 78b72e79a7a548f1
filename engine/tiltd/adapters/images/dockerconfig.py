"""The user's Docker configuration: `config.json` in `DOCKER_CONFIG`, or in `~/.docker`.

It is read anew for each image: it is small, and `docker login` may have changed it since.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from tiltd import ports
from tiltd.model.problems import Code, Place, Problem

_PROXY_VARIABLES = {
    "httpProxy": ("HTTP_PROXY", "http_proxy"),
    "httpsProxy": ("HTTPS_PROXY", "https_proxy"),
    "ftpProxy": ("FTP_PROXY", "ftp_proxy"),
    "noProxy": ("NO_PROXY", "no_proxy"),
    "allProxy": ("ALL_PROXY", "all_proxy"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """What `config.json` says, as far as images are concerned.

    Args:
        folder: where the file lies (it need not exist).
        auths: entries by registry, as `docker login` writes them.
        helpers: credential helper by registry.
        store: the credential helper for all other registries.
        proxies: `proxies` by engine address, or `default`.
        plugins: folders of command line plugins, before all others.
    """

    folder: Path
    auths: Mapping[str, Mapping[str, str]] = dataclasses.field(
        default_factory=dict[str, Mapping[str, str]], repr=False
    )
    helpers: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    store: str = ""
    current_context: str = ""
    proxies: Mapping[str, Mapping[str, str]] = dataclasses.field(
        default_factory=dict[str, Mapping[str, str]], repr=False
    )
    plugins: tuple[str, ...] = ()

    def proxy_build_args(self, endpoint_url: str) -> dict[str, str]:
        """Build args that `docker build` adds for this engine (`proxies` in the file)."""
        chosen = self.proxies.get(endpoint_url) or self.proxies.get("default") or {}
        return {
            variable: value
            for key, variables in _PROXY_VARIABLES.items()
            if (value := chosen.get(key))
            for variable in variables
        }


def read(env: Mapping[str, str]) -> Config:
    """The configuration of the session's user; a missing file is an empty one.

    Raises:
        PermanentError: the file can't be read, or is no JSON (with its line).
    """
    home = env.get("HOME", "")
    folder = Path(env.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else "/.docker"))
    file = folder / "config.json"
    try:
        document: Any = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return Config(folder)
    except json.JSONDecodeError as error:
        place = Place(str(file), error.lineno, error.colno)
        raise _broken(place, f"is no JSON: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(Place(str(file)), f"can't be read: {error}") from error
    if not isinstance(document, dict):
        raise _broken(Place(str(file), 1, 1), "holds no JSON object")
    table = cast("dict[str, Any]", document)
    return Config(
        folder,
        auths=_tables(table.get("auths")),
        helpers=_strings(table.get("credHelpers")),
        store=str(table.get("credsStore") or ""),
        current_context=str(table.get("currentContext") or ""),
        proxies=_tables(table.get("proxies")),
        plugins=_list(table.get("cliPluginsExtraDirs")),
    )


def _broken(place: Place, reason: str) -> ports.PermanentError:
    return ports.PermanentError(
        Problem(
            Code.INPUT,
            f"the Docker configuration {reason}",
            place=place,
            hint="mend the file, or point DOCKER_CONFIG at another folder",
        )
    )


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {
        str(key): item
        for key, item in cast("dict[object, object]", value).items()
        if isinstance(item, str)
    }


def _list(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(each for each in cast("list[object]", value) if isinstance(each, str))


def _tables(value: object) -> dict[str, Mapping[str, str]]:
    if not isinstance(value, dict):
        return {}
    return {str(key): _strings(item) for key, item in cast("dict[object, object]", value).items()}
