"""Whether a live object is what would be sent."""

import copy
import json
from pathlib import Path
from typing import Any

from tiltd.core import inject
from tiltd.core.reconcile import objects

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "applied.jsonl").read_text("utf-8").splitlines()
]
ROW = next(r for r in RECORDED if not r["shows"] and r["sent"]["kind"] == "Deployment")


def found(version: str, manager: str = "tiltd") -> dict[str, Any]:
    """The live object in one of its versions; another manager may have taken its fields."""
    live: dict[str, Any] = copy.deepcopy(ROW["live"])
    live["metadata"]["resourceVersion"] = version
    live["metadata"].setdefault("annotations", {})[inject.KEY_ANNOTATION] = "key"
    for entry in live["metadata"]["managedFields"]:
        entry["manager"] = manager if entry["manager"] == "tiltd" else entry["manager"]
    return live


def test_what_is_remembered_of_one_version_is_not_believed_of_another() -> None:
    rendered = inject.Rendered(ROW["sent"], "key")
    assert objects.same(rendered, found("1"))
    assert objects.same(rendered, found("1"))
    assert not objects.same(rendered, found("2", "kubectl"))
    assert objects.same(rendered, found("3"))


def test_another_rendering_is_compared_anew() -> None:
    assert objects.same(inject.Rendered(ROW["sent"], "key"), found("1"))
    more = {**ROW["sent"], "spec": {**ROW["sent"]["spec"], "minReadySeconds": 7}}
    assert not objects.same(inject.Rendered(more, "key"), found("1"))


def test_an_object_without_a_version_is_compared_each_time() -> None:
    rendered = inject.Rendered(ROW["sent"], "key")
    assert objects.same(rendered, found(""))
    assert not objects.same(rendered, found("", "kubectl"))
