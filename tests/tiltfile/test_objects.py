"""Kubernetes objects: parsed, named, ordered, selected; and the values of Secrets."""

import pytest

from tiltd.tiltfile import object_selectors, objects, secrets
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.object_selectors import Pattern


def entity(kind: str, name: str, namespace: str = "", group: str = "") -> objects.Entity:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    version = f"{group}/v1" if group else "v1"
    return objects.Entity({"apiVersion": version, "kind": kind, "metadata": metadata}, "test")


@pytest.mark.parametrize(
    ("entities", "names"),
    [
        pytest.param([("Deployment", "a", "", "apps")], ["a"], id="alone"),
        pytest.param(
            [("Deployment", "a", "", "apps"), ("Pod", "a", "", "")],
            ["a:deployment", "a:pod"],
            id="kind",
        ),
        pytest.param(
            [("Pod", "a", "n1", ""), ("Pod", "a", "n2", "")],
            ["a:pod:n1", "a:pod:n2"],
            id="namespace",
        ),
        pytest.param(
            [("Job", "a", "", "batch"), ("Job", "a", "", "x.io")],
            ["a:job:default:batch", "a:job:default:x.io"],
            id="group",
        ),
        pytest.param(
            [("Pod", "a", "", ""), ("Pod", "a", "", ""), ("Pod", "b", "", "")],
            ["a:pod:default:core:0", "a:pod:default:core:1", "b"],
            id="equal",
        ),
        pytest.param([("Pod", "a:b", "", "")], ["a\\:b"], id="escape"),
    ],
)
def test_each_object_gets_the_shortest_name_of_its_own(
    entities: list[tuple[str, str, str, str]], names: list[str]
) -> None:
    assert objects.unique_names([entity(*e) for e in entities]) == names


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a", ["a"]), ("a:B:n", ["a", "B", "n"]), (r"a\:b:c", ["a:b", "c"]), ("a:", ["a", ""])],
)
def test_a_fragment_is_split_at_its_colons(text: str, parts: list[str]) -> None:
    assert object_selectors.split_fragment(text) == parts


@pytest.mark.parametrize("text", ["", "a:b:c:d:e"])
def test_a_fragment_with_too_few_or_too_many_parts_is_refused(text: str) -> None:
    with pytest.raises(Mistake, match="object selector"):
        object_selectors.check_fragment(text)


def test_a_pattern_matches_anywhere_in_any_case() -> None:
    pod = entity("Deployment", "web-1", "shop", "apps")
    assert Pattern(kind="deploy", name="EB").matches(pod)
    assert not Pattern(kind="^deploy$").matches(pod)
    assert not Pattern(namespace="other").matches(pod)


def test_a_broken_pattern_is_refused() -> None:
    with pytest.raises(Mistake, match="no regular expression"):
        Pattern(kind="(")


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        pytest.param("a: 1", "has no apiVersion", 1, id="no version"),
        pytest.param("apiVersion: v1\n", "has no kind", 1, id="no kind"),
        pytest.param("- 1", "a list where a Kubernetes object", 1, id="list"),
        pytest.param("\n\ntext", "a text where a Kubernetes object", 3, id="text"),
        pytest.param("{apiVersion: v1, kind: A, metadata: x}", "metadata", 1, id="metadata"),
        pytest.param("{apiVersion: v1, kind: A, metadata: {name: 1}}", "number 1", 1, id="number"),
        pytest.param("{apiVersion: v1, kind: A, metadata: {name: y}}", "boolean", 1, id="boolean"),
        pytest.param("a: 1\nb: c: d", "can't be read", 2, id="yaml"),
    ],
)
def test_what_is_no_object_is_told_with_its_place(text: str, said: str, line: int) -> None:
    with pytest.raises(Mistake) as caught:
        objects.parse(text, "a.yaml", "/p/a.yaml")
    assert said in caught.value.message
    assert caught.value.place
    assert (caught.value.place.file, caught.value.place.line) == ("/p/a.yaml", line)


def test_lists_are_flattened_and_what_only_a_cluster_writes_is_left_out() -> None:
    text = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a, creationTimestamp: null}, status: {phase: X}}
- {apiVersion: v1, kind: Pod, metadata: {name: b}}
"""
    found = objects.parse(text, "test")
    assert [e.name for e in found] == ["a", "b"]
    assert found[0].body == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}


def test_secrets_are_known_plain_in_base64_and_line_by_line() -> None:
    text = """
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {a: hunter22, pem: "first-line\\nsecond-line\\n", short: abc}
data: {b: aGVsbG93b3JsZA==, bin: //79/A==}
"""
    found = secrets.values(objects.parse(text, "test"))
    assert {"hunter22", "aHVudGVyMjI=", "helloworld", "aGVsbG93b3JsZA==", "//79/A=="} <= set(found)
    assert {"first-line", "second-line"} <= set(found)
    assert "abc" not in found
    assert list(found) == sorted(found, key=lambda value: (-len(value), value))


def test_other_objects_hold_no_secrets() -> None:
    text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: s}, data: {a: hunter22}}"
    assert secrets.values(objects.parse(text, "test")) == ()
