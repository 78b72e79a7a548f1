"""What builders and registries say, and what becomes of it."""

from pathlib import Path
from typing import Any

import pytest

from tests.adapters.images.logs import Lines
from tiltd import ports
from tiltd.adapters.images import buildx, context, failures, steps
from tiltd.core import dockerignore
from tiltd.model.desired import DockerBuild, Image
from tiltd.model.names import ImageName
from tiltd.model.problems import Place

WEB = ImageName("web")
FILE = """\
FROM busybox:1 AS build
ARG A
RUN echo one && \\
    exit 3

COPY --from=build /x /y
FROM docker.io/other/base
COPY a b/
RUN make
RUN make
"""


def prepared(folder: Path, **options: Any) -> context.Prepared:
    build = DockerBuild(str(folder), str(folder / "Dockerfile"), FILE, **options)
    place = Place("Tiltfile", 7, 1)
    return context.prepare(Image(WEB, build, place=place), build, {}, {})


def problem(folder: Path, message: str, output: str = "", line: int = 0) -> ports.PermanentError:
    error = failures.build(prepared(folder), message, output, line)
    assert isinstance(error, ports.PermanentError)
    return error


@pytest.mark.parametrize(
    ("message", "clause"),
    [
        ("The command '/bin/sh -c make all' returned a non-zero code: 2", "`make all` exited"),
        (
            (
                'failed to solve: process "/bin/sh -c make" did not complete successfully: '
                "exit code: 2"
            ),
            "`make` exited with code 2",
        ),
        (
            (
                "failed to solve: rpc error: code = Unknown desc = executor failed running "
                "[/bin/sh -c a\nb]: exit code: 1"
            ),
            "`a\nb` exited with code 1",
        ),
        ("write /x: no space left on device", "disk of the Docker Engine is full"),
        ("dockerfile parse error on line 3: unknown instruction: FOO", "unknown instruction: FOO"),
        (
            (
                "pull access denied for private/x, repository does not exist or may require "
                "'docker login': denied: requested access to the resource is denied"
            ),
            "the base image private/x does not exist, or needs credentials",
        ),
        (
            (
                "failed to solve: gcr.io/x: pull access denied, repository does not exist or may "
                "require authorization: server message: insufficient_scope"
            ),
            "the base image gcr.io/x does not exist",
        ),
        (
            (
                "failed to solve: failed to compute cache key: failed to calculate checksum of ref "
                'abc::def: "/gone.txt": not found'
            ),
            "'gone.txt' is not in the build context",
        ),
        ("something new", "something new"),
    ],
)
def test_a_builders_words_become_a_sentence(tmp_path: Path, message: str, clause: str) -> None:
    error = problem(tmp_path, message)
    assert error.problem.message.startswith("building web failed: ")
    assert clause in error.problem.message


def test_a_full_disk_is_told_even_if_a_command_met_it(tmp_path: Path) -> None:
    message = "The command '/bin/sh -c cp a b' returned a non-zero code: 1"
    error = problem(tmp_path, message, "cp: write error: No space left: no space left on device")
    assert "disk of the Docker Engine is full" in error.problem.message
    assert "prune" in error.problem.hint


def test_a_kill_hints_at_memory(tmp_path: Path) -> None:
    error = problem(tmp_path, "The command '/bin/sh -c make' returned a non-zero code: 137")
    assert "memory" in error.problem.hint


def test_an_inline_dockerfile_points_at_the_tiltfile(tmp_path: Path) -> None:
    inline = prepared(tmp_path, inline=True)
    error = failures.build(inline, "dockerfile parse error line 3: unknown instruction: X", "", 0)
    assert error.problem.place == Place("Tiltfile", 7, 1)
    assert "line 3 of dockerfile_contents" in error.problem.message


@pytest.mark.parametrize(
    "message",
    [
        'Get "https://r/v2/": net/http: TLS handshake timeout',
        "read tcp 1.2.3.4:5->6.7.8.9:443: read: connection reset by peer",
        "toomanyrequests: You have reached your pull rate limit",
        "received unexpected HTTP status: 503 Service Unavailable",
        "failed to do request: dial tcp 127.0.0.1:5000: connect: connection refused",
        "unexpected EOF",
        "errors:\ndigest invalid\nmanifest blob unknown: blob unknown to registry\n",
    ],
)
def test_a_busy_registry_is_worth_another_try(tmp_path: Path, message: str) -> None:
    assert isinstance(failures.build(prepared(tmp_path), message, "", 0), ports.TransientError)
    assert isinstance(failures.push(WEB, "r/web:1", message), ports.TransientError)


def test_a_command_that_met_a_busy_registry_has_failed_for_good(tmp_path: Path) -> None:
    message = "The command '/bin/sh -c curl r # 503 timeout' returned a non-zero code: 22"
    assert "exited with code 22" in problem(tmp_path, message).problem.message


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("denied: requested access to the resource is denied", "`docker login r.io`"),
        ("no basic auth credentials", "`docker login r.io`"),
        ("unauthorized: authentication required", "`docker login r.io`"),
        ("name unknown: The repository with name 'x' does not exist", "create the repository"),
        ("http: server gave HTTP response to HTTPS client", "insecure-registries"),
        ("x509: certificate signed by unknown authority", "/etc/docker/certs.d/r.io/ca.crt"),
        ("dial tcp: lookup r.io: no such host", "does not resolve"),
    ],
)
def test_a_registry_that_refuses_is_told_with_what_to_do(message: str, hint: str) -> None:
    error = failures.push(WEB, "r.io/web:1", message)
    assert isinstance(error, ports.PermanentError)
    assert hint in error.problem.hint
    assert message in error.problem.message


@pytest.mark.parametrize(
    ("number", "instruction", "line"),
    [
        (1, "FROM busybox:1 AS build", 1),
        (3, "RUN echo one &&     exit 3", 3),
        (4, "COPY --from=build /x /y", 6),
        (99, "COPY --from=build /x /y", 6),
        (99, "EXPOSE 1", 0),
    ],
)
def test_a_classic_step_has_a_line(number: int, instruction: str, line: int) -> None:
    assert steps.by_number(FILE, number, instruction) == line


@pytest.mark.parametrize(
    ("instruction", "line"),
    [
        ("RUN echo one &&     exit 3", 3),
        ("COPY a b/", 8),
        ("ARG B", 2),
        ("RUN make", 9),
        ("RUN unheard of", 0),
        ("WORKDIR /", 0),
    ],
)
def test_a_buildkit_step_has_a_line(instruction: str, line: int) -> None:
    assert steps.by_text(FILE, instruction) == line


@pytest.mark.parametrize(
    ("image", "line"),
    [
        ("docker.io/library/busybox:1", 1),
        ("docker.io/other/base:latest", 7),
        ("docker.io/library/nope:1", 0),
    ],
)
def test_a_base_image_has_a_line(image: str, line: int) -> None:
    assert steps.by_base(FILE, image) == line


PLAIN = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from .tiltd.Dockerfile
#1 transferring dockerfile: 91B done
#1 DONE 0.0s

#4 [build 1/3] FROM docker.io/library/busybox:1
#4 CACHED

#5 [build 2/3] RUN echo one &&     exit 3
#5 0.210 one
#5 0.211
#5 0.212   indented
#5 ERROR: process "/bin/sh -c echo one &&     exit 3" did not complete successfully: exit code: 3
------
 > [build 2/3] RUN echo one &&     exit 3:
0.210 one
------
.tiltd.Dockerfile:3
--------------------
   3 | >>> RUN echo one && \\
--------------------
ERROR: failed to build: failed to solve: process "x" did not complete successfully: exit code: 3
"""


def test_buildx_output_is_cleaned_for_people() -> None:
    log = Lines()
    output = buildx.Output(log)
    for line in PLAIN.splitlines():
        output.take(line)
    shown = log.text.splitlines()
    assert shown[:6] == [
        "[build 1/3] FROM docker.io/library/busybox:1",
        "[build 1/3] CACHED",
        "[build 2/3] RUN echo one &&     exit 3",
        "one",
        "",
        "  indented",
    ]
    assert len(shown) == 7
    assert output.line(FILE) == 3
    assert output.printed().startswith("one\n")
    assert output.error.endswith("exit code: 3")


def test_an_error_before_any_step_is_the_error() -> None:
    output = buildx.Output(Lines())
    output.take("ERROR: failed to connect to the docker API")
    assert output.error == "failed to connect to the docker API"


NAMES = ["a", "b c", "#x", "!y", "[z]", "st*r", "q?", "d/e.log", "d/f", "g/h/i", "g/k", "back\\s"]


@pytest.mark.parametrize(
    "options",
    [
        {"only": ("d",)},
        {"only": ("g/h", "a")},
        {"ignore": ("g", "!g/k")},
        {"ignore": ("*.log", "**/*.log", "#x", "\\!y", "?z?", "back*")},
        {"only": ("d", "g"), "ignore": ("d/*.log",)},
    ],
)
def test_the_ignore_list_for_buildkit_says_what_the_filters_say(
    tmp_path: Path, options: dict[str, tuple[str, ...]]
) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("q*\n")
    made = prepared(tmp_path, **options)
    patterns = dockerignore.parse(made.ignore_list())
    for name in NAMES:
        assert patterns.matches(name) == made.left_out.filter.excludes(name), name


def test_a_sole_ignore_file_is_handed_on_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("q*\n!q1\n")
    assert prepared(tmp_path).ignore_list().endswith("\nq*\n!q1\n")
