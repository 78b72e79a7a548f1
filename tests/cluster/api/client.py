"""A plain HTTP client of a Kubernetes API, for tests that look at what goes over the line."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@dataclass(frozen=True)
class Answer:
    """Status code, parsed body and headers."""

    code: int
    body: Any
    headers: Mapping[str, str]

    @property
    def causes(self) -> list[tuple[str, str, str]]:
        """Field, reason and message of each cause of a Status, sorted."""
        found: list[Any] = self.body["details"]["causes"]
        return sorted((one.get("field", ""), one["reason"], one["message"]) for one in found)


class Client:
    """Speaks to the server of a kubeconfig's current context."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        context = next(
            one["context"] for one in config["contexts"] if one["name"] == config["current-context"]
        )
        cluster = next(
            one["cluster"] for one in config["clusters"] if one["name"] == context["cluster"]
        )
        user = next(one["user"] for one in config["users"] if one["name"] == context["user"])
        self.kubeconfig = kubeconfig
        self.server: str = cluster["server"]
        self.session = requests.Session()
        self.session.trust_env = False  # a CA bundle of the environment would win
        self.session.verify = str(_file(folder, "ca", cluster["certificate-authority-data"]))
        certificate = str(_file(folder, "certificate", user["client-certificate-data"]))
        self.session.cert = (certificate, str(_file(folder, "key", user["client-key-data"])))

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        accept: str = "application/json",
        **parameters: str,
    ) -> Answer:
        """One request; a body that is bytes goes as it is."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        response = self.session.request(
            method,
            self.server + path,
            params=parameters,
            data=data,
            headers={"Content-Type": media, "Accept": accept, "User-Agent": "suite/1"},
            timeout=20,
        )
        try:
            parsed = response.json()
        except ValueError:
            parsed = response.text
        return Answer(response.status_code, parsed, response.headers)

    def get(self, path: str, **parameters: str) -> Any:
        """The body of a GET that must work."""
        answer = self.call("GET", path, **parameters)
        assert answer.code == 200, answer
        return answer.body

    def create(self, path: str, body: Any, **parameters: str) -> Any:
        """The body of a POST that must work."""
        answer = self.call("POST", path, body, **parameters)
        assert answer.code == 201, answer
        return answer.body

    def apply(self, path: str, body: Any, manager: str = "a", **parameters: str) -> Answer:
        """Server-side apply."""
        parameters["fieldManager"] = manager
        return self.call("PATCH", path, body, media=APPLY, **parameters)


def _file(folder: Path, name: str, coded: str) -> Path:
    path = folder / name
    path.write_bytes(base64.b64decode(coded))
    path.chmod(0o600)
    return path
