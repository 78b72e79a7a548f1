"""What a real API server says of its kinds: `engine/tilt_cluster/data`, which the package ships.

`python3 -m tools.record_api` asks the cluster of the current context, through `kubectl`, for its
discovery documents, its OpenAPI schemas and the columns of its tables.  Paths are left out (the
embedded server makes them from discovery), and so are descriptions: kinds are facts, sentences are
their authors'.  Schemas are written once, however many groups refer to them.
"""

import contextlib
import gzip
import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol

import requests

_DATA = Path(__file__).parent.parent / "engine" / "tilt_cluster" / "data"
_LEFT_OUT = ("apiregistration.k8s.io", "resource.k8s.io")
"""Groups whose kinds would be stored and mean nothing: other API servers, special devices."""
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class _Ask(Protocol):
    def __call__(self, path: str, accept: str = "application/json") -> Any: ...


def main() -> int:
    """Record everything and say how much it is."""
    with _proxied() as server, requests.Session() as session:

        def ask(path: str, accept: str = "application/json") -> Any:
            answer = session.get(f"{server}{path}", headers={"Accept": accept}, timeout=30)
            answer.raise_for_status()
            return answer.json()

        groups = _groups(ask)
        _write("discovery", groups)
        _write("schemas", _schemas(ask, groups))
        _write("columns", _columns(ask, groups))
        _write("version", ask("/version"))
    for path in sorted(_DATA.glob("*.gz")):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    return 0


def _groups(ask: _Ask) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in ("/api", "/apis"):
        found += ask(path, _DISCOVERY)["items"]
    kept: list[dict[str, Any]] = []
    for group in found:
        name: str = group["metadata"].get("name", "")
        if name in _LEFT_OUT or ("." in name and not name.endswith(".k8s.io")):
            continue
        versions = [
            {"version": version["version"], "resources": version["resources"]}
            for version in group["versions"]
        ]
        kept.append({"name": name, "versions": versions})
    return kept


def _schemas(ask: _Ask, groups: list[dict[str, Any]]) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for base in [_base(group["name"], v["version"]) for group in groups for v in group["versions"]]:
        document = ask(f"/openapi/v3{base}")
        for name, schema in document["components"]["schemas"].items():
            # Two schemas list the kinds that use them, which differ from group to group.
            if "apimachinery" in name:
                schema.pop("x-kubernetes-group-version-kind", None)
            schemas[name] = _wordless(schema)
    return dict(sorted(schemas.items()))


def _wordless(schema: dict[str, Any]) -> dict[str, Any]:
    fields = schema.get("properties", {}).values()
    for one in (schema, *fields, *(f["items"] for f in fields if "items" in f)):
        one.pop("description", None)
    return schema


def _columns(ask: _Ask, groups: list[dict[str, Any]]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for group in groups:
        for version in group["versions"]:
            base = _base(group["name"], version["version"])
            for resource in version["resources"]:
                if "list" in resource["verbs"]:
                    path = f"{base}/{resource['resource']}"
                    table = ask(f"{path}?limit=1", _TABLE)
                    columns[path] = [{**c, "description": ""} for c in table["columnDefinitions"]]
    return columns


def _base(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


@contextlib.contextmanager
def _proxied() -> Generator[str]:
    """`kubectl get --raw` can't set headers, so a proxy of kubectl's carries the requests."""
    with subprocess.Popen(
        ["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True
    ) as proxy:
        try:
            said = next(proxy.stdout or iter(()))  # "Starting to serve on 127.0.0.1:PORT"
            yield f"http://{said.split()[-1]}"
        finally:
            proxy.terminate()


def _write(name: str, content: object) -> None:
    _DATA.mkdir(exist_ok=True)
    text = json.dumps(content, separators=(",", ":"), sort_keys=False)
    (_DATA / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    sys.exit(main())
