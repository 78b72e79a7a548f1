"""Builds without buildx: which they are, what is sent, and that nobody can tell the difference."""

import base64
import dataclasses
import io
import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.images.logs import Lines
from tests.adapters.images.workshop import Workshop, docker
from tiltd import ports
from tiltd.adapters.images import context, events, straight, trace
from tiltd.model.desired import DockerBuild, Image
from tiltd.model.names import ImageName

FROM = "FROM busybox:1\n"


def prepared(folder: Path, text: str = FROM, **options: Any) -> context.Prepared:
    build = DockerBuild(str(folder), str(folder / "Dockerfile"), text, **options)
    return context.prepare(Image(ImageName("web"), build), build, {}, {})


@pytest.mark.parametrize(
    ("text", "options", "env", "fits"),
    [
        pytest.param(FROM, {}, {}, True, id="plain"),
        pytest.param(
            f"ARG A=1\n{FROM}COPY --chown=1 a /b\nCOPY --from=x /y /\nADD a b/\nRUN x\n"
            "HEALTHCHECK --interval=1s CMD x\n",
            {"build_args": {"A": "2"}, "target": "", "extra_tags": ("a:b",)},
            {"PATH": "/bin", "DOCKER_CONFIG": "/x"},
            True,
            id="much that is fine",
        ),
        pytest.param(FROM, {"secret": ("id=a,src=b",)}, {}, False, id="secret"),
        pytest.param(FROM, {"ssh": ("default",)}, {}, False, id="ssh"),
        pytest.param(FROM, {"cache_from": ("a:1",)}, {}, False, id="cache_from"),
        pytest.param(FROM, {"pull": True}, {}, False, id="pull"),
        pytest.param(FROM, {"platform": "linux/arm64"}, {}, False, id="platform"),
        pytest.param(FROM, {"network": "host"}, {}, False, id="network"),
        pytest.param(FROM, {"extra_hosts": ("a:1.2.3.4",)}, {}, False, id="hosts"),
        pytest.param(FROM, {"build_args": {"BUILDKIT_SYNTAX": "a"}}, {}, False, id="argument"),
        pytest.param(FROM, {}, {"BUILDX_BUILDER": "b"}, False, id="builder"),
        pytest.param(FROM, {}, {"SOURCE_DATE_EPOCH": "0"}, False, id="epoch"),
        pytest.param(f"# syntax=docker/dockerfile:1\n{FROM}", {}, {}, False, id="syntax"),
        pytest.param(f"{FROM}RUN <<E\nx\nE\n", {}, {}, False, id="heredoc"),
        pytest.param(f"{FROM}RUN --mount=type=ssh x\n", {}, {}, False, id="mount"),
        pytest.param("FROM --platform=linux/arm64 a\n", {}, {}, False, id="platform of a base"),
        pytest.param(f"{FROM}COPY --link a b\n", {}, {}, False, id="link"),
        pytest.param(f"{FROM}ADD https://a.test/b /\n", {}, {}, False, id="address"),
        pytest.param(f"{FROM}ADD git@a.test:b /\n", {}, {}, False, id="repository"),
        pytest.param(f"{FROM}ARG U\nADD $U /\n", {}, {}, False, id="anything"),
        pytest.param(f"{FROM}ONBUILD COPY . .\n", {}, {}, False, id="trigger"),
        pytest.param(f"{FROM}RUN a  b\nRUN a b\n", {}, {}, False, id="which of two"),
    ],
)
def test_only_what_asks_for_nothing_goes_straight(
    tmp_path: Path, text: str, options: dict[str, Any], env: dict[str, str], *, fits: bool
) -> None:
    build = DockerBuild(str(tmp_path), str(tmp_path / "Dockerfile"), text, **options)
    args = {name: str(value) for name, value in build.build_args.items()}
    image, ignores = Image(ImageName("web"), build), prepared(tmp_path).left_out
    made = context.Prepared(image, build, text, args, ignores, None)
    assert straight.fits(made, env) is fits


def sent(made: context.Prepared, largest: int = 1000) -> dict[str, tarfile.TarInfo]:
    found = straight.request(made, largest)
    assert found is not None
    with tarfile.open(fileobj=io.BytesIO(found.body)) as tar:
        return {**{each.name: each for each in tar}, "dockerfile": tar.getmember(found.dockerfile)}


def test_a_dockerfile_of_the_contexts_own_is_sent_as_the_file_that_it_is(tmp_path: Path) -> None:
    text = f"{FROM}COPY . /w\n"
    (tmp_path / "Dockerfile").write_text(text)
    (tmp_path / "left.log").write_text("x")
    (tmp_path / ".dockerignore").write_text("*.log\n")
    (tmp_path / "tool").write_text("x")
    (tmp_path / "tool").chmod(0o755)
    os.utime(tmp_path / "tool", (1_700_000_000, 1_700_000_000))
    found = sent(prepared(tmp_path, text))
    assert sorted(found) == [".dockerignore", "Dockerfile", "dockerfile", "tool"]
    assert found["dockerfile"].name == "Dockerfile"
    assert (found["tool"].mode, found["tool"].mtime) == (0o755, 1_700_000_000)
    assert found["tool"].uid == 0


@pytest.mark.parametrize("source", [".", "./", "/", "x/..", "*", "[a-z]", '["a", "/b"]', "$A"])
def test_a_dockerfile_from_outside_must_not_be_seen(tmp_path: Path, source: str) -> None:
    (tmp_path / "a").write_text("x")
    text = f"{FROM}COPY {source} /w\n"
    assert straight.request(prepared(tmp_path, text, inline=True), 1000) is None


def test_a_dockerfile_from_outside_stands_beside_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    text = f"{FROM}COPY a ./a /w/\nCOPY --from=x . /\n"
    assert sent(prepared(tmp_path, text, inline=True))["dockerfile"].name == context.DOCKERFILE


def test_a_large_context_is_sent_by_who_knows_what_has_changed(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(FROM)
    (tmp_path / "a").write_bytes(b"x" * 1000)
    assert straight.request(prepared(tmp_path), 1000) is None
    assert straight.request(prepared(tmp_path), 2000) is not None


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes((number << 3, value))
    return bytes((number << 3 | 2, len(value))) + value


def vertex(key: str, name: str, *, cached: bool = False, error: str = "") -> bytes:
    made = field(1, key.encode()) + field(3, name.encode()) + field(5, field(1, 7))
    made += field(4, 1) if cached else b""
    return field(1, made + (field(7, error.encode()) if error else b""))


def printed(key: str, text: str) -> bytes:
    return field(3, field(1, key.encode()) + field(3, 1) + field(4, text.encode()))


def told(*parts: bytes) -> events.Event:
    return {"id": trace.ID, "aux": base64.b64encode(b"".join(parts)).decode()}


def test_nothing_is_told_before_it_is_sure_that_it_counts() -> None:
    log = Lines()
    output = straight.Output(log)
    output.take(told(vertex("b", "[1/3] FROM a"), vertex("b", "[1/3] FROM a", cached=True)))
    output.take(told(vertex("c", "[2/3] COPY a b"), vertex("x", "copy /context /")))
    assert log.text == ""
    output.take(told(vertex("r", "[3/3] RUN x"), printed("r", "one\ntw"), printed("r", "o\n\n")))
    assert log.text.splitlines() == [
        "[1/3] FROM a",
        "[1/3] CACHED",
        "[2/3] COPY a b",
        "[3/3] RUN x",
        "one",
        "two",
        "",
    ]
    output.take(told(vertex("c", "[2/3] COPY a b", error="context canceled")))
    output.take(told(vertex("r", "[3/3] RUN x", error="it failed: exit code: 3")))
    output.take({"error": "solve: it failed: exit code: 3"})
    assert log.text.endswith("ERROR: it failed: exit code: 3\n")
    assert (output.made, output.has_run) == (False, True)
    assert output.printed().startswith("one\ntwo")
    assert output.line("FROM a\nCOPY a b\n\nRUN x\n") == 4


def test_what_fails_before_a_program_runs_is_for_buildx_to_tell() -> None:
    log = Lines()
    output = straight.Output(log)
    output.take(told(vertex("c", "[2/3] COPY a b", error='"/a" not found')))
    output.take({"errorDetail": {"message": '"/a" not found'}, "error": ""})
    assert (output.made, output.has_run, log.text) == (False, False, "")


@pytest.mark.parametrize("text", ["!", "gA==", "CgU=", "Cw=="])
def test_what_is_no_trace_is_an_error(text: str) -> None:
    with pytest.raises(trace.TraceError):
        list(trace.read(text))


def without_buildx(workshop: Workshop, folder: Path) -> None:
    """A plugin that can't build: what is built has gone straight."""
    plugin = folder / "without" / "cli-plugins" / "docker-buildx"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("#!/bin/sh\necho ERROR: by buildx\nexit 9\n")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    workshop.env["DOCKER_CONFIG"] = str(folder / "without")


@pytest.mark.docker
async def test_a_plain_build_needs_no_buildx(straight: Workshop, tmp_path: Path) -> None:
    without_buildx(straight, tmp_path)
    (straight.folder / "a").write_text("x")
    action = straight.action("COPY a /a\nRUN cat /a")
    await straight.ensure(action)
    assert straight.run(action, "cat", "/a") == "x"
    with pytest.raises(ports.PermanentError):
        await straight.ensure(straight.action("COPY nothing /a"))


@pytest.mark.docker
async def test_a_base_that_the_engine_lacks_is_buildxs(straight: Workshop) -> None:
    base = straight.good()
    await straight.ensure(base)
    straight.drop_from_engine(base)
    action = straight.action("ENV A=1", first=base.refs.local)
    await straight.ensure(action)
    assert straight.engine_has(action)


@pytest.mark.docker
async def test_the_image_is_the_one_that_buildx_makes(
    straight: Workshop, buildkit_beside: Workshop
) -> None:
    for workshop in (straight, buildkit_beside):
        folder = workshop.folder
        (folder / "d").mkdir()
        (folder / "d" / "tool").write_text("x")
        (folder / "d" / "tool").chmod(0o750)
        (folder / "d" / "link").symlink_to("tool")
        (folder / "d" / "inner").mkdir()
        for name in ("tool", "link", "inner"):
            os.utime(folder / "d" / name, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
        (folder / "Dockerfile").write_text("")
    found = [await looks(w) for w in (straight, buildkit_beside)]
    assert found[0] == found[1]
    # BuildKit says of what others build too, as a base, that it was there, or does not get to it.
    logs = (w.log.text.splitlines() for w in (straight, buildkit_beside))
    shown = [[line for line in log if not line.endswith("] CACHED")] for log in logs]
    assert shown[0] == shown[1]
    assert {"[4/5] RUN echo one; echo; echo two", "one", "", "two"} <= set(shown[0])


async def looks(workshop: Workshop) -> tuple[Any, list[str]]:
    """What the engine says of an image that is built without the builder's cache, and its files."""
    steps = (
        'ENV A="b c"\nWORKDIR /w\nCOPY --chown=1:2 d e/\nRUN echo one; echo; echo two\n'
        'COPY Dockerfile /\nUSER 5\nCMD ["x"]\nEXPOSE 80'
    )
    action = dataclasses.replace(workshop.action(steps), rebuild=True)
    await workshop.ensure(action)
    told = json.loads(docker("image", "inspect", action.refs.local))[0]
    listed = workshop.run(action, "sh", "-c", "cd /w && stat -c '%n %a %u %g %Y %F' e/*")
    return told["Config"], sorted(listed.splitlines())
