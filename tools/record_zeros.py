"""What Go's encoder does with empty values: `engine/tilt_cluster/data/zeros.json.gz`.

`python3 -m tools.record_zeros API APIMACHINERY APIEXTENSIONS` reads the types of three folders of
Go modules (`go mod download k8s.io/api@v0.36.3` … names them).  A field that is no pointer and has
`omitempty` loses an empty text, a 0 or a false; a pointer keeps it; the others always have a value.
OpenAPI knows only the last (by a `default` that is empty), so the pointers are written down:

    kept      type: fields that are pointers to a text, a number or a boolean
    dropped   type: fields that are no pointers and vanish although OpenAPI gives them a default
"""

import gzip
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent.parent / "engine" / "tilt_cluster" / "data"
_PLACES = (
    ("", "io.k8s.api."),
    ("pkg/apis/meta", "io.k8s.apimachinery.pkg.apis.meta."),
    ("pkg/apis/apiextensions", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions."),
)
_STRUCT = re.compile(r"^type (\w+) struct \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(
    r'^\t(?:\w+[ \t]+)?(\*?)([\w.]+)[ \t]+`[^`\n]*?json:"([^",]+)([^"]*)"', re.MULTILINE
)
_ALIAS = re.compile(r"^type (\w+) (?:string|int32|int64|bool)\b", re.MULTILINE)
_SCALARS = frozenset({"string", "int32", "int64", "int", "bool", "float64"})


def main() -> int:
    """Record all types and say how many fields they are."""
    if len(sys.argv) != len(_PLACES) + 1:
        print(__doc__)
        return 2
    schemas = json.loads(gzip.decompress((_DATA / "schemas.json.gz").read_bytes()))
    texts: dict[str, str] = {}
    for folder, (inner, prefix) in zip(sys.argv[1:], _PLACES, strict=True):
        for path in sorted((Path(folder) / inner).glob("**/types*.go")):
            package = prefix + ".".join(path.parent.relative_to(Path(folder) / inner).parts)
            texts[package] = texts.get(package, "") + path.read_text()
    scalars = _SCALARS | {name for text in texts.values() for name in _ALIAS.findall(text)}
    found: dict[str, dict[str, list[str]]] = {"kept": {}, "dropped": {}}
    for package, text in texts.items():
        for name, body in _STRUCT.findall(text):
            schema = schemas.get(f"{package}.{name}")
            for group, key in _fields(schema, body, scalars) if schema else ():
                found[group].setdefault(f"{package}.{name}", []).append(key)
    content = json.dumps(found, separators=(",", ":"), sort_keys=True).encode()
    (_DATA / "zeros.json.gz").write_bytes(gzip.compress(content, 9, mtime=0))
    for group, types in found.items():
        print(f"{group}: {sum(map(len, types.values()))} fields")
    return 0


def _fields(
    schema: Mapping[str, Any], body: str, scalars: frozenset[str]
) -> Iterator[tuple[str, str]]:
    for pointer, kind, key, options in _FIELD.findall(body):
        field = schema.get("properties", {}).get(key)
        if field is None or kind.rpartition(".")[2] not in scalars:
            continue
        if pointer:
            yield "kept", key
        elif "omitempty" in options and "default" in field:
            yield "dropped", key


if __name__ == "__main__":
    sys.exit(main())
