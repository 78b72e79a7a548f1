"""The node's rules without an Engine: order, back-off, environment, files, images, statuses."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilt_cluster import fields
from tilt_cluster.node import (
    containers,
    environment,
    hostfiles,
    images,
    order,
    pause,
    spec,
    status,
    volumes,
    world,
)
from tilt_cluster.node.backoff import BackOff, show
from tilt_cluster.node.containers import Run, Slot

NOW = 1_000_000.0


def _slot(kind: containers.Kind, name: str, code: int | None = None, **parts: Any) -> Slot:
    """A container that has exited with a code, or runs (-1), or was never started (None)."""
    slot = Slot(kind, name, **parts)
    if code == -1:
        slot.current = Run(name, 0, "running", NOW - 10)
        slot.started = slot.ready = True
    elif code is not None:
        reason = "Error" if code else "Completed"
        slot.current = Run(name, 0, "exited", NOW - 10, NOW, code, reason)
    return slot


@pytest.mark.parametrize(
    ("slots", "policy", "started", "phase"),
    [
        pytest.param(
            [_slot("init", "i"), _slot("main", "m")], "Always", ["i"], "Pending", id="init-first"
        ),
        pytest.param(
            [_slot("init", "i", -1), _slot("main", "m")], "Always", [], "Pending", id="init-runs"
        ),
        pytest.param(
            [_slot("init", "i", 0), _slot("main", "m"), _slot("main", "n")],
            "Always",
            ["m", "n"],
            "Pending",
            id="mains-together",
        ),
        pytest.param(
            [_slot("init", "i", 1), _slot("main", "m")], "Never", [], "Failed", id="init-fails"
        ),
        pytest.param(
            [_slot("init", "i", 1), _slot("main", "m")], "Always", ["i"], "Pending", id="init-again"
        ),
        pytest.param([_slot("main", "m", 0)], "OnFailure", [], "Succeeded", id="success"),
        pytest.param([_slot("main", "m", 1)], "OnFailure", ["m"], "Running", id="on-failure"),
        pytest.param([_slot("main", "m", 1)], "Never", [], "Failed", id="failure"),
        pytest.param([_slot("main", "m", 0)], "Always", ["m"], "Running", id="always"),
        pytest.param(
            [_slot("main", "m", 0), _slot("main", "n", -1)], "Never", [], "Running", id="one-left"
        ),
        pytest.param(
            [_slot("sidecar", "s"), _slot("main", "m")], "Always", ["s"], "Pending", id="sidecar"
        ),
        pytest.param(
            [_slot("sidecar", "s", -1), _slot("main", "m")], "Always", ["m"], "Pending", id="after"
        ),
        pytest.param(
            [_slot("sidecar", "s", 1), _slot("main", "m", -1)],
            "Never",
            ["s"],
            "Running",
            id="sidecar-again",
        ),
    ],
)
def test_what_starts_next(
    slots: list[Slot], policy: order.Policy, started: list[str], phase: str
) -> None:
    plan = order.plan(slots, policy, NOW)
    assert ([slot.name for slot in plan.start], plan.phase) == (started, phase)


def test_sidecars_stop_when_the_work_is_done() -> None:
    slots = [_slot("sidecar", "a", -1), _slot("sidecar", "b", -1), _slot("main", "m", 0)]
    assert [slot.name for slot in order.plan(slots, "Never", NOW).stop] == ["b", "a"]


def test_a_crash_waits_for_its_back_off() -> None:
    slot = _slot("main", "m", 1, back_off=BackOff(20))
    plan = order.plan([slot], "Always", NOW)
    assert (list(plan.start), plan.wait_until) == ([], NOW + 20)
    assert order.plan([slot], "Always", NOW + 20).start == [slot]


def test_the_back_off_doubles_up_to_five_minutes_and_forgets_after_ten() -> None:
    waits = [BackOff()]
    for _ in range(7):
        waits.append(waits[-1].next(1))
    assert [one.delay for one in waits] == [0, 10, 20, 40, 80, 160, 300, 300]
    assert waits[-1].next(600).delay == 10


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert show(seconds) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("$(A)", "1", id="known"),
        pytest.param("$(B)", "$(B)", id="unknown"),
        pytest.param("$$(A)", "$(A)", id="escaped"),
        pytest.param("$A $ $(", "$A $ $(", id="not-one"),
        pytest.param("x$(A)y$(A)", "x1y1", id="twice"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert environment.expand(text, {"A": "1"}) == expected


def test_variables_of_services_follow_the_names_of_ports() -> None:
    ports = [{"name": "http-api", "port": 80, "protocol": "TCP"}]
    service = {
        "metadata": {"name": "my-web", "namespace": "ns"},
        "spec": {"clusterIP": "10.96.0.7", "ports": ports},
    }
    found = environment.of_services("ns", [service], links=True)
    assert found["MY_WEB_SERVICE_HOST"] == "10.96.0.7"
    assert found["MY_WEB_SERVICE_PORT_HTTP_API"] == "80"
    assert found["MY_WEB_PORT_80_TCP"] == "tcp://10.96.0.7:80"
    assert environment.of_services("other", [service], links=True) == {}
    assert environment.of_services("ns", [service], links=False) == {}


@pytest.mark.parametrize(
    ("reference", "valid"),
    [
        ("busybox", True),
        ("localhost:5000/base/busybox:1", True),
        ("registry.example.com/a/b@sha256:" + "a" * 64, True),
        ("a/b_c__d-e.f:tag", True),
        ("UPPER//x", False),
        ("", False),
        ("a b", False),
        ("a:", False),
        (":a", False),
    ],
)
def test_image_references(reference: str, valid: bool) -> None:  # noqa: FBT001 - a table
    assert images.valid(reference) is valid


@pytest.mark.parametrize(
    ("container", "policy"),
    [
        ({"image": "a"}, "Always"),
        ({"image": "a:latest"}, "Always"),
        ({"image": "h:5000/a"}, "Always"),
        ({"image": "a:1"}, "IfNotPresent"),
        ({"image": "a@sha256:00"}, "IfNotPresent"),
        ({"image": "a:1", "imagePullPolicy": "Never"}, "Never"),
    ],
)
def test_pull_policies(container: dict[str, str], policy: str) -> None:
    assert images.policy(container) == policy


def test_a_volume_changes_all_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "v"

    def files(**found: str) -> dict[str, volumes.File]:
        return {key: volumes.File(text.encode(), 0o640) for key, text in found.items()}

    assert volumes.write(folder, files(a="1", b="2"), None)
    assert not volumes.write(folder, files(a="1", b="2"), None)
    first = (folder / "..data").readlink()
    assert volumes.write(folder, files(a="3"), None)
    assert (folder / "a").read_text() == "3"
    assert (folder / "a").stat().st_mode & 0o777 == 0o640
    assert not (folder / "b").exists()
    assert not (folder / first).exists()


def test_the_resolver_of_a_pod_searches_its_namespace() -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns"}, "spec": {}}
    network = world.Network("n", "10.0.0.1", dns="10.0.0.1")
    host = "nameserver 8.8.8.8\nsearch corp\n"
    assert hostfiles.resolv(pod, network, host) == (
        "search ns.svc.cluster.local svc.cluster.local cluster.local corp\n"
        "nameserver 10.0.0.1\noptions ndots:5\n"
    )
    outside = {**pod, "spec": {"dnsPolicy": "Default"}}
    assert hostfiles.resolv(outside, network, host) == "search corp\nnameserver 8.8.8.8\n"


def _pod(**container: Any) -> dict[str, Any]:
    one = {"name": "m", "image": "a:1", **container}
    metadata = {"name": "p", "namespace": "ns", "uid": "u"}
    return {"metadata": metadata, "spec": {"containers": [one]}}


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], quality: str) -> None:
    assert status.quality(_pod(resources=resources)) == quality


def test_the_engine_is_told_all_that_it_can_enforce() -> None:
    pod = _pod(
        command=["sh", "-c", "$(A)"],
        args=["x"],
        resources={"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}},
        securityContext={
            "runAsUser": 1000,
            "runAsGroup": 3000,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        },
    )
    body = spec.container(
        pod,
        pod["spec"]["containers"][0],
        image="a:1",
        image_user="",
        variables={"A": "1"},
        mounts=[spec.Mount("/src", "/dst", read_only=True)],
        sandbox_id="box",
        target_id="",
        labels={},
    )
    host = body["HostConfig"]
    assert (body["Entrypoint"], body["Cmd"], body["User"]) == (
        ["sh", "-c", "1"],
        ["x"],
        "1000:3000",
    )
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
    assert (host["CpuQuota"], host["CpuPeriod"], host["CpuShares"]) == (50_000, 100_000, 256)
    assert host["NetworkMode"] == host["IpcMode"] == "container:box"
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"]) == (
        True,
        ["ALL"],
        ["NET_ADMIN"],
    )
    assert host["SecurityOpt"] == ["no-new-privileges", "seccomp=unconfined"]
    assert host["Mounts"][0]["ReadOnly"] is True


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_pause_program_is_a_small_elf_file(machine: str) -> None:
    found = pause.program(machine)
    assert found[:4] == b"\x7fELF"
    assert len(found) < 200


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(ValueError, match="riscv64"):
        pause.program("riscv64")


@pytest.mark.parametrize(
    ("text", "number"),
    [("100m", 0.1), ("1Gi", 2.0**30), ("1e3", 1000.0), ("2", 2.0), ("1.5k", 1500.0), (None, 0.0)],
)
def test_quantities(text: str | None, number: float) -> None:
    assert fields.quantity(text) == pytest.approx(number)


@given(st.floats(min_value=0, max_value=4e9))
def test_a_time_that_was_written_is_read_again(seconds: float) -> None:
    assert fields.parse(fields.stamp(seconds)) == int(seconds)
    assert fields.parse(fields.micro_stamp(seconds)) == pytest.approx(seconds, abs=1e-5)
