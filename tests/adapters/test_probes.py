import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.virtual import VirtualLoop
from tiltd.adapters import probes, process_group
from tiltd.model.desired import Exec, HttpGet, Probe, TcpSocket

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def prober() -> AsyncIterator[probes.Prober]:
    guardian = process_group.Guardian()
    made = probes.Prober(guardian)
    yield made
    made.close()
    await guardian.close()


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def pages(**answers: str) -> tuple[Answer, list[str]]:
    """Answers by path; gives the requests, too."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(request)
        writer.write(answers[request.split()[1].strip("/").partition("?")[0]].encode())
        writer.close()

    return answer, asked


def status(code: int, *headers: str) -> str:
    return "\r\n".join((f"HTTP/1.1 {code} Word", "Content-Length: 0", *headers, "", ""))


async def check(prober: probes.Prober, probe: Probe) -> probes.Outcome:
    return await prober.check(probe, "/", {"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize("code", [200, 204, 304, 399])
async def test_http_passes_from_200_to_399(prober: probes.Prober, code: int) -> None:
    answer, _ = pages(x=status(code))
    async with serving(answer) as port:
        assert (await check(prober, Probe(HttpGet(port, path="/x")))).passed


@pytest.mark.parametrize("code", [400, 404, 503])
async def test_http_fails_from_400_on(prober: probes.Prober, code: int) -> None:
    answer, _ = pages(x=status(code))
    async with serving(answer) as port:
        outcome = await check(prober, Probe(HttpGet(port, path="/x")))
    assert not outcome.passed
    assert outcome.message == f"HTTP {code} from http://localhost:{port}/x"


async def test_http_skips_interim_answers(prober: probes.Prober) -> None:
    answer, _ = pages(x=status(103).replace("Content-Length: 0\r\n", "") + status(200))
    async with serving(answer) as port:
        assert (await check(prober, Probe(HttpGet(port, path="/x")))).passed


async def test_http_asks_for_the_path_as_a_client_should(prober: probes.Prober) -> None:
    answer, asked = pages(**{"a%20b": status(200)})
    async with serving(answer) as port:
        assert (await check(prober, Probe(HttpGet(port, "127.0.0.1", path="a b?c=d")))).passed
    assert asked[0].startswith(
        f"GET /a%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: tiltd-probe\r\n"
    )


async def test_http_follows_redirects_to_the_same_host(prober: probes.Prober) -> None:
    answer, asked = pages(a=status(302, "Location: /b"), b=status(500))
    async with serving(answer) as port:
        outcome = await check(prober, Probe(HttpGet(port, path="/a")))
    assert outcome == probes.Outcome(
        passed=False, message=f"HTTP 500 from http://localhost:{port}/b"
    )
    assert len(asked) == 2


async def test_http_takes_a_redirect_to_another_host_for_a_pass(prober: probes.Prober) -> None:
    answer, _ = pages(a=status(302, "Location: http://login.invalid/"))
    async with serving(answer) as port:
        assert (await check(prober, Probe(HttpGet(port, path="/a")))).passed


async def test_http_gives_up_on_a_circle(prober: probes.Prober) -> None:
    answer, asked = pages(a=status(302, "Location: /a"))
    async with serving(answer) as port:
        outcome = await check(prober, Probe(HttpGet(port, path="/a")))
    assert "more than 10 redirects" in outcome.message
    assert len(asked) == 11


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("SSH-2.0-x\r\n", "status line", id="another protocol"),
        pytest.param("", "closed", id="nothing"),
        pytest.param("x" * 100_000, "limit", id="no line end"),
        pytest.param("HTTP/1.1 200 OK\r\n" + "a: b\r\n" * 300, "headers", id="many headers"),
    ],
)
async def test_what_is_not_http_fails(prober: probes.Prober, text: str, message: str) -> None:
    answer, _ = pages(x=text)
    async with serving(answer) as port:
        outcome = await check(prober, Probe(HttpGet(port, path="/x")))
    assert not outcome.passed
    assert message in outcome.message


async def test_https_does_not_verify(prober: probes.Prober, certificate: tuple[Path, Path]) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    answer, _ = pages(x=status(200))
    async with serving(answer, tls) as port:
        assert (await check(prober, Probe(HttpGet(port, scheme="HTTPS", path="/x")))).passed


async def test_a_server_that_never_answers_fails_in_time(prober: probes.Prober) -> None:
    done = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with serving(answer) as port:
        outcome = await check(prober, Probe(HttpGet(port), timeout=0.05))
        done.set()
    assert outcome == probes.Outcome(passed=False, message="no answer within 0.05 s")


async def test_tcp_passes_with_a_connection_and_fails_without(prober: probes.Prober) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.close()

    async with serving(hang_up) as port:
        assert (await check(prober, Probe(TcpSocket(port)))).passed
    outcome = await check(prober, Probe(TcpSocket(port)))
    assert outcome == probes.Outcome(passed=False, message="connection refused")


async def test_a_host_without_an_address_fails(prober: probes.Prober) -> None:
    outcome = await check(prober, Probe(TcpSocket(1, host="no-such-host.invalid"), timeout=10))
    assert "can't be found" in outcome.message


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("exit 0", probes.Outcome(passed=True), id="passes"),
        pytest.param(
            "echo a; echo b; exit 2",
            probes.Outcome(passed=False, message="sh exited with code 2: b"),
            id="fails",
        ),
        pytest.param(
            "exit 1", probes.Outcome(passed=False, message="sh exited with code 1"), id="silent"
        ),
        pytest.param(
            "kill -9 $$",
            probes.Outcome(passed=False, message="sh was ended by signal 9"),
            id="dies",
        ),
        pytest.param("sleep 100 & exit 0", probes.Outcome(passed=True), id="leaves a child"),
    ],
)
async def test_exec_goes_by_the_exit_code(
    prober: probes.Prober, script: str, expected: probes.Outcome
) -> None:
    assert await check(prober, Probe(Exec(("sh", "-c", script)), timeout=5)) == expected


def test_exec_is_killed_when_its_time_is_up(tmp_path: Path) -> None:
    script = f"echo $$ >{tmp_path}/pid; trap '' TERM; while :; do sleep 1; done"

    async def run() -> probes.Outcome:
        guardian = process_group.Guardian()
        try:
            probe = Probe(Exec(("sh", "-c", script)), timeout=0.3)
            return await check(probes.Prober(guardian), probe)
        finally:
            await guardian.close()

    assert asyncio.run(run()).message == "no answer within 0.3 s"
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.parametrize(
    ("success", "failure", "outcomes", "expected"),
    [
        pytest.param(1, 3, "+", "r", id="one pass is enough by default"),
        pytest.param(1, 3, "--", "??", id="two failures are not"),
        pytest.param(1, 3, "---", "??u", id="three are"),
        pytest.param(1, 3, "+--+", "rrrr", id="a ready one stays so for two failures"),
        pytest.param(1, 3, "+---+", "rrrur", id="and comes back"),
        pytest.param(2, 1, "+-++-", "?uuru", id="passes in a row"),
        pytest.param(2, 2, "+-+-", "????", id="to and fro decides nothing"),
    ],
)
def test_thresholds_count_outcomes_in_a_row(
    success: int, failure: int, outcomes: str, expected: str
) -> None:
    probe = Probe(TcpSocket(1), success_threshold=success, failure_threshold=failure)
    readiness, seen = probes.Readiness(), ""
    for outcome in outcomes:
        readiness = readiness.after(probe, passed=outcome == "+")
        seen += {None: "?", True: "r", False: "u"}[readiness.ready]
    assert seen == expected


class Timed(probes.Prober):
    """A prober whose probes take the given seconds; notes when each began."""

    def __init__(self, *seconds: float) -> None:
        super().__init__(process_group.Guardian())
        self.begun: list[float] = []
        self._seconds = iter(seconds)

    async def check(self, probe: Probe, cwd: str, env: object) -> probes.Outcome:
        del probe, cwd, env
        self.begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(next(self._seconds))
        return probes.Outcome(passed=True)


@pytest.mark.parametrize(
    ("delay", "period", "seconds", "expected"),
    [
        pytest.param(0, 10, (0, 0, 0), [0, 10, 20], id="every period"),
        pytest.param(5, 10, (0, 0, 0), [5, 15, 25], id="after the delay"),
        pytest.param(0, 10, (3, 4, 0), [0, 10, 20], id="from start to start"),
        pytest.param(0, 1, (2.5, 0, 0), [0, 2.5, 3.5], id="a slow one delays the next"),
    ],
)
def test_probes_begin_when_they_should(
    delay: float, period: float, seconds: tuple[float, ...], expected: list[float]
) -> None:
    timed = Timed(*seconds)
    probe = Probe(TcpSocket(1), initial_delay=delay, period=period)
    came = 0

    async def run() -> None:
        done = asyncio.Event()

        def tell(ready: bool | None, message: str) -> None:  # noqa: FBT001 - as `Tell`
            nonlocal came
            assert (ready, message) == (True, "")
            came += 1
            if came == len(seconds):
                done.set()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(timed.watch(probe, "/", {}, tell))
            await done.wait()
            task.cancel()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
    assert timed.begun == expected
