"""What the engine relies on, asked of the fake and of a real cluster alike."""

import pytest

from tests.adapters.kubernetes.test_forwarding import Heard
from tests.adapters.kubernetes.worlds import PATIENCE, Seen, World
from tiltd import ports
from tiltd.core import inject
from tiltd.model.names import ObjectId, ResourceName
from tiltd.model.observed import Forward, ForwardStatus, PodPort


async def test_an_applied_object_is_there_with_uid_and_version(world: World) -> None:
    answer = await world.apply(world.config_map(color="red"))

    metadata = answer.body["metadata"]
    assert metadata["uid"]
    assert metadata["resourceVersion"]
    assert answer.body["data"] == {"color": "red"}
    assert "managedFields" not in metadata
    assert not answer.recreated
    assert answer.conflicts == ()


async def test_what_was_applied_is_found_again_by_the_projects_label(world: World) -> None:
    await world.apply(world.config_map("ours", color="red"))
    foreign = world.config_map("foreign")
    del foreign["metadata"]["labels"]
    await world.apply(foreign)

    ours = await world.cluster.look(frozenset({world.scope("ConfigMap")}))
    everything = await world.cluster.look(frozenset({world.scope("ConfigMap", ours=False)}))

    assert [item.id for item in ours] == [ObjectId("", "ConfigMap", world.namespace, "ours")]
    assert ours[0].body["kind"] == "ConfigMap"
    assert ours[0].body["apiVersion"] == "v1"
    assert "foreign" in {item.id.name for item in everything}


async def test_a_look_tells_which_fields_are_ours(world: World) -> None:
    await world.apply(world.config_map(color="red"))

    found = await world.cluster.look(frozenset({world.scope("ConfigMap")}))

    managed = {row["manager"]: row for row in found[0].body["metadata"]["managedFields"]}
    assert managed["tiltd"]["fieldsV1"]["f:data"].keys() >= {"f:color"}


async def test_a_look_for_an_unknown_kind_finds_nothing(world: World) -> None:
    scope = world.scope("Sprocket", group="example.test")

    assert await world.cluster.look(frozenset({scope})) == ()


async def test_applying_the_same_again_changes_nothing(world: World) -> None:
    first = await world.apply(world.config_map(color="red"))
    second = await world.apply(world.config_map(color="red"))

    assert second.body["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]


async def test_a_field_that_is_no_longer_wanted_goes_away(world: World) -> None:
    await world.apply(world.config_map(color="red", size="big"))
    answer = await world.apply(world.config_map(color="red"))

    assert answer.body["data"] == {"color": "red"}


async def test_a_field_that_others_set_stays(world: World) -> None:
    await world.apply(world.config_map(color="red"))
    await world.other_applies(world.config_map(size="big"))
    answer = await world.apply(world.config_map(color="blue"))

    assert answer.body["data"] == {"color": "blue", "size": "big"}
    assert answer.conflicts == ()


async def test_a_field_that_others_changed_is_taken_over_and_reported(world: World) -> None:
    await world.apply(world.config_map(color="red"))
    await world.other_applies(world.config_map(color="green"))
    answer = await world.apply(world.config_map(color="blue"))

    assert answer.body["data"] == {"color": "blue"}
    assert answer.conflicts == (".data.color (other)",)


async def test_a_misspelt_field_is_the_users_error(world: World) -> None:
    body = world.config_map() | {"dat": {"color": "red"}}

    with pytest.raises(ports.PermanentError) as caught:
        await world.apply(body)

    assert "ConfigMap/settings" in caught.value.problem.message
    assert ".dat" in caught.value.problem.message


async def test_an_unknown_kind_is_the_users_error(world: World) -> None:
    body = world.body("example.test/v1", "Sprocket", "one")

    with pytest.raises(ports.PermanentError, match="Sprocket"):
        await world.cluster.apply(body, 0.5)


async def test_a_missing_namespace_may_still_come(world: World) -> None:
    body = world.config_map()
    body["metadata"]["namespace"] = f"{world.namespace}-missing"

    with pytest.raises(ports.TransientError, match="-missing"):
        await world.apply(body)


async def test_a_fixed_field_takes_a_new_object(world: World) -> None:
    first = await world.apply(world.config_map(color="red") | {"immutable": True})
    second = await world.apply(world.config_map(color="blue") | {"immutable": True})

    assert second.recreated
    assert second.body["metadata"]["uid"] != first.body["metadata"]["uid"]
    assert second.body["data"] == {"color": "blue"}


async def test_an_object_with_a_generated_name_is_made_each_time(world: World) -> None:
    body = world.config_map(color="red")
    del body["metadata"]["name"]
    body["metadata"]["generateName"] = "run-"

    names = {(await world.apply(body)).body["metadata"]["name"] for _ in range(2)}

    assert len(names) == 2
    assert all(name.startswith("run-") for name in names)


async def test_the_text_of_a_secret_is_stored_encoded(world: World) -> None:
    answer = await world.apply(world.body("v1", "Secret", "keys", stringData={"a": "open sesame"}))

    assert answer.body["data"] == {"a": "b3BlbiBzZXNhbWU="}
    assert "stringData" not in answer.body


async def test_followers_see_what_is_there_then_what_changes_then_what_goes(world: World) -> None:
    seen = Seen()
    await world.apply(world.config_map("early", color="red"))
    world.cluster.follow(frozenset({world.scope("ConfigMap")}), seen)
    await seen.until(lambda s: s.named("early"))
    assert "managedFields" not in seen.named("early")["metadata"]
    assert seen.named("early")["kind"] == "ConfigMap"
    assert seen.named("early")["apiVersion"] == "v1"

    await world.apply(world.config_map("late", color="red"))
    await world.apply(world.config_map("early", color="blue"))
    await seen.until(lambda s: s.named("late") and s.named("early")["data"]["color"] == "blue")

    uid = seen.named("early")["metadata"]["uid"]
    await world.cluster.delete([world.config_map("early")], PATIENCE)
    await seen.until(lambda s: uid in s.gone)
    assert seen.names() == {"late"}


async def test_followers_of_ours_see_nothing_else(world: World) -> None:
    seen = Seen()
    foreign = world.config_map("foreign")
    foreign["metadata"]["labels"] = {inject.PROJECT_LABEL: "another"}
    await world.apply(foreign)
    world.cluster.follow(frozenset({world.scope("ConfigMap")}), seen)

    await world.apply(world.config_map("ours"))
    await seen.until(lambda s: s.named("ours"))

    assert seen.names() == {"ours"}


async def test_a_scope_can_be_added_while_others_go_on(world: World) -> None:
    seen = Seen()
    await world.apply(world.config_map("settings"))
    await world.apply(world.body("v1", "Secret", "keys", stringData={"a": "b"}))
    world.cluster.follow(frozenset({world.scope("ConfigMap")}), seen)
    await seen.until(lambda s: s.named("settings"))

    both = frozenset({world.scope("ConfigMap"), world.scope("Secret")})
    world.cluster.follow(both, seen)
    await seen.until(lambda s: s.named("keys"))
    await world.apply(world.config_map("settings", color="red"))

    await seen.until(lambda s: s.named("settings").get("data"))


async def test_deleting_waits_until_it_is_gone_and_forgives_what_is_not_there(
    world: World,
) -> None:
    await world.apply(world.config_map())

    await world.cluster.delete([world.config_map(), world.config_map("never-was")], PATIENCE)

    assert await world.cluster.look(frozenset({world.scope("ConfigMap")})) == ()


async def test_an_object_that_took_anothers_place_is_not_deleted_for_it(world: World) -> None:
    first = (await world.apply(world.config_map())).body
    await world.cluster.delete([world.config_map()], PATIENCE)
    await world.apply(world.config_map())

    await world.cluster.delete([first], PATIENCE)

    (left,) = await world.cluster.look(frozenset({world.scope("ConfigMap")}))
    assert left.body["metadata"]["uid"] != first["metadata"]["uid"]

    await world.cluster.delete([left.body], PATIENCE)
    assert await world.cluster.look(frozenset({world.scope("ConfigMap")})) == ()


async def test_a_custom_kind_can_be_used_right_after_its_definition(world: World) -> None:
    plural, kind = "widgets", "Widget"
    group = f"{world.namespace}.example.test"
    definition = world.body("apiextensions.k8s.io/v1", "CustomResourceDefinition", "")
    definition["metadata"] = {"name": f"{plural}.{group}"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "singular": "widget", "kind": kind}
    definition["spec"] = {
        "group": group,
        "scope": "Namespaced",
        "names": names,
        "versions": [version],
    }
    seen = Seen()
    world.cluster.follow(frozenset({world.scope(kind, group=group)}), seen)

    await world.apply(definition)
    await world.apply(world.body(f"{group}/v1", kind, "one", spec={"size": 1}))

    await seen.until(lambda s: s.named("one"))
    await world.cluster.delete([definition], PATIENCE)
    await seen.until(lambda s: s.gone)


async def test_forwards_are_told_open_in_use_and_closed(world: World) -> None:
    heard = Heard()
    free = Forward(ResourceName("web"), "127.0.0.1", 0, 80)
    world.cluster.forward({free: PodPort(world.namespace, "web", 80)}, heard)
    port = (await heard.status(free)).local_port
    assert port

    one, two = (Forward(ResourceName(name), "127.0.0.1", port, 80) for name in ("one", "two"))
    world.cluster.forward({one: None, two: None}, heard)
    refused = await heard.status(two)
    assert refused.local_port == 0
    assert refused.problem.startswith(f"127.0.0.1:{port} is in use by the port forward of one")
    assert await heard.status(one) == ForwardStatus(port)
    assert heard.now[free] is None

    world.cluster.forward({two: None}, heard)
    await heard.until(lambda: heard.now[two] == ForwardStatus(port))
    world.cluster.forward({}, heard)
    await heard.until(lambda: heard.now == {free: None, one: None, two: None})
