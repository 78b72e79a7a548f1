"""The field numbers of Kubernetes' protobuf messages: `engine/tilt_cluster/data/wire.json.gz`.

`python3 -m tools.record_wire API APIMACHINERY` reads the `generated.proto` files of two checkouts
(or bare repositories) of k8s.io/api and k8s.io/apimachinery.  Some of kubectl's commands (`create
namespace`, `drain` …) send protobuf only, and OpenAPI doesn't know the numbers.

Each message becomes `{number: [field, type, shape]}`; `type` is a scalar's name or a message's
OpenAPI name, `shape` is `""`, `"list"` or `"map"` (with string keys).
"""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_DATA = Path(__file__).parent.parent / "engine" / "tilt_cluster" / "data"
_GROUPS = (
    "admissionregistration/v1",
    "apps/v1",
    "authentication/v1",
    "authorization/v1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "certificates/v1",
    "coordination/v1",
    "core/v1",
    "discovery/v1",
    "events/v1",
    "flowcontrol/v1",
    "networking/v1",
    "node/v1",
    "policy/v1",
    "rbac/v1",
    "scheduling/v1",
    "storage/v1",
)
_MACHINERY = ("pkg/apis/meta/v1", "pkg/api/resource", "pkg/util/intstr", "pkg/runtime")
_MESSAGE = re.compile(r"^message (\w+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(
    r"^  (?:(optional|repeated) )?(map<string, ([\w.]+)>|[\w.]+) (\w+) = (\d+)", re.MULTILINE
)


def main() -> int:
    """Record all messages and say how many they are."""
    if len(sys.argv) != 3:  # noqa: PLR2004 - the two repositories
        print(__doc__)
        return 2
    found: dict[str, dict[str, list[str]]] = {}
    for repository, folders in ((sys.argv[1], _GROUPS), (sys.argv[2], _MACHINERY)):
        for folder in folders:
            text = subprocess.run(
                ["git", "-C", repository, "show", f"HEAD:{folder}/generated.proto"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            found.update(_messages(text))
    packed = gzip.compress(json.dumps(found, separators=(",", ":")).encode(), 9, mtime=0)
    (_DATA / "wire.json.gz").write_bytes(packed)
    print(f"{len(found)} messages, {len(packed):,} bytes")
    return 0


def _messages(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    package = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
    if package is None:
        raise SystemExit("a file without a package")
    own = package[1]
    plain = re.sub(r"//.*", "", text)
    for message in _MESSAGE.finditer(plain):
        numbers: dict[str, list[str]] = {}
        for field in _FIELD.finditer(message[2]):
            kind = _named(field[3] or field[2], own)
            shape = "map" if field[3] else "list" if field[1] == "repeated" else ""
            numbers[field[5]] = [field[4], kind, shape]
        yield _open(f"{own}.{message[1]}"), numbers


def _named(kind: str, own: str) -> str:
    if kind.startswith((".", "k8s.io.")):
        return _open(kind.removeprefix("."))
    return _open(f"{own}.{kind}") if kind[0].isupper() else kind


def _open(name: str) -> str:
    """The OpenAPI name of a message."""
    return name.replace("k8s.io.", "io.k8s.", 1)


if __name__ == "__main__":
    sys.exit(main())
