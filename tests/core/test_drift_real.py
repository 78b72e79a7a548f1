"""Applied by us, looked at again: is it untouched, and does a diff show just what was changed?

On a real cluster, whose account of fields is the measure.  With `TILTD_RECORD` set, what it says is
written to `data/applied.jsonl`, which `test_drift.py` reads.
"""

import asyncio
import base64
import copy
import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kubernetes import worlds
from tests.adapters.kubernetes.worlds import World
from tests.core import corpus, other_kinds
from tiltd.adapters.kubernetes import wire
from tiltd.core import diff, drift, inject
from tiltd.model.desired import Manifest
from tiltd.model.names import ObjectId
from tiltd.model.observed import Scope

pytestmark = pytest.mark.cluster
RECORD = Path(__file__).parent / "data" / "applied.jsonl"
Obj = dict[str, Any]

# name in the corpus, what kubectl does, what the diff then shows
EDITS = [
    ("a bare Deployment", ["scale", "--replicas=2"], "spec.replicas 2 → 0"),
    (
        "a StatefulSet with claims",
        ["patch", "--type=merge", '-p={"spec":{"replicas":3}}'],
        "spec.replicas 3 → 0",
    ),
    (
        "env from everywhere",
        ["set", "env", "PLAIN=2"],
        "spec.template.spec.containers.main.env.PLAIN.value 2 → 1",
    ),
    (
        "ports in all spellings",
        [
            "patch",
            "--type=json",
            '-p=[{"op":"replace","path":"/spec/template/spec/containers/0/ports/2/name","value":"x"}]',
        ],
        "spec.template.spec.containers.main.ports.53/UDP.name x → dns-udp",
    ),
    (
        "quantities that are not canonical",
        ["set", "resources", "--limits=cpu=3"],
        "spec.template.spec.containers.main.resources.limits.cpu 3 → 2.0",
    ),
    (
        "probes",
        [
            "patch",
            "--type=json",
            '-p=[{"op":"replace","path":"/spec/template/spec/containers/0/readinessProbe/httpGet/path","value":"/x"}]',
        ],
        "spec.template.spec.containers.main.readinessProbe.httpGet.path /x → /",
    ),
    (
        "volumes of all kinds",
        [
            "patch",
            "--type=json",
            '-p=[{"op":"replace","path":"/spec/template/spec/volumes/2/configMap/name","value":"x"}]',
        ],
        "spec.template.spec.volumes.conf.configMap.name x → some",
    ),
    (
        "empty maps and lists",
        [
            "patch",
            "--type=merge",
            '-p={"spec":{"template":{"spec":{"nodeSelector":{"a":"b"}}}}}',
        ],
        None,
    ),
    (
        "a Service",
        ["patch", "--type=json", '-p=[{"op":"replace","path":"/spec/ports/0/port","value":81}]'],
        None,
    ),
    ("a ConfigMap", ["patch", "--type=merge", '-p={"data":{"a":"2"}}'], "data.a 2 → 1"),
    (
        "a ConfigMap with binary data",
        ["patch", "--type=merge", '-p={"binaryData":{"b":null}}'],
        "binaryData.b (none) → aGVsbG8=",
    ),
    (
        "a Secret",
        ["patch", "--type=merge", '-p={"data":{"a":"eA=="}}'],
        "data.a (secret) → (secret, changed)",
    ),
    (
        "a Secret with stringData",
        ["patch", "--type=merge", '-p={"data":{"a":"eA=="}}'],
        "data.a (secret) → (secret, changed)",
    ),
    (
        "labels and annotations",
        ["label", "--overwrite", "a/b=d"],
        "metadata.labels.a/b d → c",
    ),
    (
        "a Role",
        ["patch", "--type=merge", '-p={"rules":[]}'],
        None,
    ),
    (
        "an autoscaler",
        ["patch", "--type=merge", '-p={"spec":{"maxReplicas":4}}'],
        "spec.maxReplicas 4 → 3",
    ),
    (
        "a custom resource with defaults",
        ["patch", "--type=merge", '-p={"spec":{"tags":["a"]}}'],
        None,
    ),
    (
        "a custom resource with all sorts",
        ["patch", "--type=merge", '-p={"spec":{"size":"huge"}}'],
        "spec.size huge → big",
    ),
]


def rendered(body: Obj, world: World) -> inject.Rendered:
    body = copy.deepcopy(body)
    if body["kind"] != "CustomResourceDefinition":
        body["metadata"]["namespace"] = world.namespace
    group = body["apiVersion"].rpartition("/")[0]
    name = ObjectId(group, body["kind"], world.namespace, body["metadata"]["name"])
    return inject.render(Manifest(name, body["apiVersion"], body), (), world.label)


def of_kind(body: Obj, world: World) -> inject.Rendered:
    group = body["apiVersion"].rpartition("/")[0]
    namespace = body["metadata"].get("namespace", "")
    name = ObjectId(group, body["kind"], namespace, body["metadata"]["name"])
    return inject.render(Manifest(name, body["apiVersion"], body), (), world.label)


async def request_for(folder: Path) -> str:
    """A certificate request, as the API takes it."""
    curve = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=x",
    )
    files = ("-keyout", folder / "key", "-out", folder / "request")
    asked = ("openssl", "req", *curve, *files)
    process = await asyncio.create_subprocess_exec(*asked, stderr=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    return base64.b64encode((folder / "request").read_bytes()).decode()


async def look(sent: inject.Rendered, world: World) -> Obj:
    body = sent.body
    group, _, version = body["apiVersion"].rpartition("/")
    scope = Scope(group, version, body["kind"], world.namespace, ours=True)
    found = await world.cluster.look(frozenset({scope}))
    same = (f.body for f in found if f.body["metadata"]["name"] == body["metadata"]["name"])
    return dict(next(same))


async def kubectl(verb: list[str], body: Any) -> None:
    kind, meta = body["kind"], body["metadata"]
    at = 2 if verb[0] == "set" else 1
    what = f"{kind}.{body['apiVersion'].partition('/')[0]}" if "." in body["apiVersion"] else kind
    arguments = [*verb[:at], what, meta["name"], *verb[at:], "-n", meta["namespace"]]
    process = await asyncio.create_subprocess_exec("kubectl", *arguments)
    assert await process.wait() == 0


@asynccontextmanager
async def defined(world: World) -> AsyncGenerator[None]:
    """With the definition of the corpus's custom resource."""
    crd = rendered(corpus.CRD, world)
    await world.apply(crd.body)
    try:
        yield
    finally:
        name = corpus.CRD["metadata"]["name"]
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        async with worlds.somebody_else() as other:
            await other.ask(wire.Request("DELETE", path))


@pytest.fixture
async def real() -> AsyncGenerator[World]:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    async with worlds.real_world() as made, defined(made):
        yield made


def record(rows: list[Obj]) -> None:
    if os.environ.get("TILTD_RECORD"):
        with RECORD.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row, sort_keys=True) + "\n" for row in rows)


async def test_what_was_applied_is_untouched_and_shows_no_difference(real: World) -> None:
    touched: list[str] = []
    different: dict[str, list[str]] = {}
    rows: list[Obj] = []
    for name, body in {"a definition": corpus.CRD, **corpus.OBJECTS}.items():
        sent = rendered(body, real)
        await real.apply(sent.body)
        live = await look(sent, real)
        rows.append({"name": name, "sent": sent.body, "live": live, "shows": []})
        if not drift.untouched(sent.body, live):
            touched.append(name)
        if changes := diff.between(live, sent.body):
            different[name] = [str(c) for c in changes]
    assert (touched, different) == ([], {})
    record(rows)


async def test_a_change_of_one_field_is_noticed_and_shows_as_that_field(real: World) -> None:
    rows: list[Obj] = []
    wrong: dict[str, list[str]] = {}
    for name, verb, shows in EDITS:
        sent = rendered(corpus.OBJECTS[name], real)
        await real.apply(sent.body)
        await kubectl(verb, sent.body)
        live = await look(sent, real)
        changes = [str(c) for c in diff.between(live, sent.body)]
        rows.append({"name": f"{name}, edited", "sent": sent.body, "live": live, "shows": changes})
        if drift.untouched(sent.body, live) or (shows is not None and changes != [shows]):
            wrong[name] = [str(drift.untouched(sent.body, live)), *changes]
    assert wrong == {}
    record(rows)


async def test_kinds_that_few_people_write_are_untouched_too(real: World, tmp_path: Path) -> None:
    bodies = other_kinds.manifests(real.namespace, real.namespace, await request_for(tmp_path))
    different: dict[str, list[str]] = {}
    rows: list[Obj] = []
    try:
        for body in bodies:
            sent = of_kind(body, real)
            await real.apply(sent.body)
            live = await look(sent, real)
            name = f"a {body['kind']} as short as can be"
            rows.append({"name": name, "sent": sent.body, "live": live, "shows": []})
            if changes := diff.between(live, sent.body):
                different[body["kind"]] = [str(c) for c in changes]
            elif not drift.untouched(sent.body, live):
                different[body["kind"]] = ["is not untouched"]
    finally:
        await real.cluster.delete(bodies, worlds.PATIENCE)
    assert different == {}
    record(rows)


async def test_every_built_in_kind_is_tried() -> None:
    worlds.need_a_cluster()
    asked = ("kubectl", "api-resources", "--verbs=create,patch", "--no-headers", "--cached=false")
    process = await asyncio.create_subprocess_exec(*asked, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    built_in: set[str] = set()
    for line in told.decode().splitlines():
        *_, api, _, kind = line.split()
        group = api.rpartition("/")[0]
        if "." not in group or group.endswith(".k8s.io"):
            built_in.add(kind)
    tried = {body["kind"] for body in (corpus.CRD, *corpus.OBJECTS.values())}
    tried |= {body["kind"] for body in other_kinds.manifests("a", "a", "")}
    assert built_in - tried - set(other_kinds.NOT_TRIED) == set()


async def test_putting_it_right_makes_it_untouched_again(real: World) -> None:
    for name in ("a bare Deployment", "a ConfigMap", "a Secret with stringData", "a Role"):
        sent = rendered(corpus.OBJECTS[name], real)
        await real.apply(sent.body)
        await kubectl(next(verb for n, verb, _ in EDITS if n == name), sent.body)
        await real.apply(sent.body)
        live = await look(sent, real)
        assert drift.untouched(sent.body, live), name
        assert diff.between(live, sent.body) == (), name


async def test_a_key_that_goes_from_string_data_goes_from_the_cluster(real: World) -> None:
    body = copy.deepcopy(corpus.OBJECTS["a Secret with stringData"])
    await real.apply(rendered(body, real).body)
    del body["stringData"]["b"]
    sent = rendered(body, real)
    await real.apply(sent.body)
    assert (await look(sent, real))["data"].keys() == {"a"}
