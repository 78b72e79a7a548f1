"""Names, messages and routes."""

import struct
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import needs
from tests.cluster.controllers.world import World
from tilt_cluster.network import dns, names, rules
from tilt_cluster.objects import ENDPOINT_SLICES, NAMESPACES, SERVICES

_NONE: list[str] = []
_NETWORKS = ("10.213.0.0/20", "10.96.0.0/16")


def _query(name: str, kind: int = dns.A, number: int = 7) -> bytes:
    head = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0)
    return head + dns.encode_name(name) + struct.pack("!HH", kind, 1)


def _service(world: World, name: str, ip: str, **spec: Any) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    body = {"clusterIP": ip, "ports": ports, **spec}
    world.put(SERVICES, {"metadata": {"name": name}, "spec": body})


def _slice(world: World, service: str, *endpoints: dict[str, Any]) -> None:
    labels = {"kubernetes.io/service-name": service}
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    found = {"metadata": {"name": f"{service}-1", "labels": labels}, "ports": ports}
    world.put(ENDPOINT_SLICES, {**found, "endpoints": list(endpoints)})


@pytest.fixture
def world() -> World:
    found = World()
    found.put(NAMESPACES, {"metadata": {"name": "ns", "namespace": ""}})
    _service(found, "web", "10.96.0.7")
    _slice(found, "web", {"addresses": ["10.213.0.2"], "conditions": {"ready": True}})
    _service(found, "db", "None")
    _slice(
        found,
        "db",
        {"addresses": ["10.213.0.3"], "hostname": "db-0"},
        {"addresses": ["10.213.0.4"], "hostname": "db-1", "conditions": {"ready": False}},
    )
    _service(found, "out", "", type="ExternalName", externalName="example.com")
    return found


def _ask(world: World, name: str, kind: int = dns.A, *, direct: bool = False) -> Any:
    asked = dns.question(_query(name, kind))
    found = names.lookup(world, "cluster.local", _NETWORKS, asked, direct=direct)
    if found is None:
        return None
    shown = [".".join(str(b) for b in one.data) for one in found.records if one.kind == dns.A]
    return (found.code, shown)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("web.ns.svc.cluster.local", (dns.OK, ["10.96.0.7"]), id="service"),
        pytest.param("db.ns.svc.cluster.local", (dns.OK, ["10.213.0.3"]), id="headless"),
        pytest.param("db-0.db.ns.svc.cluster.local", (dns.OK, ["10.213.0.3"]), id="stateful"),
        pytest.param("db-1.db.ns.svc.cluster.local", (dns.UNKNOWN, _NONE), id="not-ready"),
        pytest.param("no.ns.svc.cluster.local", (dns.UNKNOWN, _NONE), id="no-service"),
        pytest.param("web.no.svc.cluster.local", (dns.UNKNOWN, _NONE), id="no-namespace"),
        pytest.param("ns.svc.cluster.local", (dns.OK, _NONE), id="namespace"),
        pytest.param("example.com.ns.svc.cluster.local", (dns.UNKNOWN, _NONE), id="searched"),
        pytest.param("10-213-0-9.ns.pod.cluster.local", (dns.OK, ["10.213.0.9"]), id="pod"),
        pytest.param("example.com", None, id="outside"),
        pytest.param("1.0.213.10.in-addr.arpa", (dns.UNKNOWN, _NONE), id="reverse-of-a-pod"),
        pytest.param("8.8.8.8.in-addr.arpa", None, id="reverse-outside"),
    ],
)
def test_what_names_stand_for(world: World, name: str, expected: Any) -> None:
    assert _ask(world, name) == expected


def test_there_is_no_ipv6_address_but_the_name_exists(world: World) -> None:
    assert _ask(world, "web.ns.svc.cluster.local", dns.AAAA) == (dns.OK, _NONE)


def test_without_service_addresses_a_name_gives_the_pods(world: World) -> None:
    assert _ask(world, "web.ns.svc.cluster.local", direct=True) == (dns.OK, ["10.213.0.2"])


def test_an_external_name_is_an_alias_to_follow(world: World) -> None:
    asked = dns.question(_query("out.ns.svc.cluster.local"))
    found = names.lookup(world, "cluster.local", _NETWORKS, asked, direct=False)
    assert found is not None
    assert found.follow == "example.com"
    assert [one.kind for one in found.records] == [dns.CNAME]


@pytest.mark.parametrize(
    ("name", "port"),
    [
        pytest.param("_http._tcp.web.ns.svc.cluster.local", 80, id="service"),
        pytest.param("_http._tcp.db.ns.svc.cluster.local", 8080, id="headless"),
    ],
)
def test_ports_have_srv_records(world: World, name: str, port: int) -> None:
    asked = dns.question(_query(name, dns.SRV))
    found = names.lookup(world, "cluster.local", _NETWORKS, asked, direct=False)
    assert found is not None
    (record,) = found.records
    assert struct.unpack_from("!HHH", record.data)[2] == port
    assert len(found.extra) == 1


@given(st.binary(max_size=80))
def test_any_bytes_are_a_question_or_refused(data: bytes) -> None:
    try:
        asked = dns.question(data)
    except dns.MessageError:
        return
    assert dns.answer(asked, dns.OK)[:2] == data[:2]


def test_an_answer_that_is_too_long_for_udp_says_so() -> None:
    asked = dns.question(_query("a.b"))
    many = [dns.address("a.b", "10.0.0.1")] * 200
    short, whole = dns.answer(asked, dns.OK, many), dns.answer(asked, dns.OK, many, limit=None)
    assert struct.unpack_from("!HHHH", short)[1] & 0x0200
    assert struct.unpack_from("!HHHH", short)[3] == 0
    assert struct.unpack_from("!HHHH", whole)[3] == 200


def test_routes_go_to_the_ready_pods_of_a_service(world: World) -> None:
    found = rules.routes(world.list(SERVICES), world.list(ENDPOINT_SLICES))
    assert found == [rules.Route("10.96.0.7", 80, "tcp", (("10.213.0.2", 8080),))]


@pytest.mark.parametrize(
    ("route", "rule"),
    [
        pytest.param(
            rules.Route("10.96.0.7", 80, "tcp", (("10.0.0.2", 8080),)),
            "ip daddr 10.96.0.7 tcp dport 80 dnat to 10.0.0.2:8080",
            id="one",
        ),
        pytest.param(
            rules.Route("10.96.0.7", 53, "udp", (("10.0.0.2", 5), ("10.0.0.3", 6))),
            "ip daddr 10.96.0.7 udp dport 53 dnat ip to numgen random mod 2 "
            "map { 0 : 10.0.0.2 . 5, 1 : 10.0.0.3 . 6 }",
            id="two",
        ),
        pytest.param(
            rules.Route("10.96.0.7", 1, "tcp", (("10.0.0.2", 5), ("10.0.0.3", 6)), sticky=True),
            "dnat ip to jhash ip saddr mod 2 map",
            id="sticky",
        ),
    ],
)
def test_rules_of_routes(route: rules.Route, rule: str) -> None:
    assert rule in rules.script("t", "br0", "10.0.0.0/20", "10.96.0.0/16", [route])


def test_nobody_else_is_routed() -> None:
    route = rules.Route("10.96.0.7", 80, "tcp", ())
    script = rules.script("t", "br0", "10.0.0.0/20", "10.96.0.0/16", [route])
    assert "dport 80" not in script
    hooked = [line for line in script.splitlines() if "10.96.0.0/16" in line]
    assert all('iifname "br0"' in line or "ip saddr 10.0.0.0/20" in line for line in hooked)


@needs.SERVICES
def test_nft_takes_every_kind_of_rule() -> None:
    pods = (("10.0.0.2", 5), ("10.0.0.3", 6))
    found = [
        rules.Route("10.96.0.7", 80, "tcp", pods[:1]),
        rules.Route("10.96.0.7", 53, "udp", pods),
        rules.Route("10.96.0.8", 80, "tcp", pods, sticky=True),
    ]
    script = rules.script("tilt-test-rules", "br0", "10.0.0.0/20", "10.96.0.0/16", found)
    checked = subprocess.run(
        ["nft", "--check", "-f", "-"], input=script, text=True, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
