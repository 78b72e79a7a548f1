"""Every app of the catalogue, on the real cluster: the verdict, its rule, its words, its time.

They run side by side, each in a namespace of its own, started before the first is looked at.  To
start a daemon takes more of the processor than all the rest of a run, so each place has one that
stays, for one app after the other; the other tests of this folder start theirs anew.  What a busy
machine makes slower is allowed for in the times, but never in the verdicts.
"""

import os
import queue
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.client import PATIENCE, Result, Run
from tests.e2e.conftest import kubectl
from tests.e2e.verdicts.catalogue import Case, cases

pytestmark = pytest.mark.cluster

_AT_ONCE = 4 * (os.cpu_count() or 2)
_SLOWNESS = 2.0
"""How much longer a run may take beside all the others."""
_CASES = cases()


class Place:
    """A project folder, and its daemon."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        folder.mkdir()
        self.folder = folder
        command = [sys.executable, "-m", "tiltd", "--project-dir", str(folder)]
        with (folder / "tiltd.log").open("w", encoding="utf-8") as log:
            self._daemon = subprocess.Popen(
                command, env=dict(env), stdout=subprocess.PIPE, stderr=log, text=True
            )

    def ready(self) -> None:
        """Wait until the daemon serves."""
        assert self._daemon.stdout
        told = self.folder / "tiltd.log"
        assert self._daemon.stdout.readline(), told.read_text(encoding="utf-8")

    def close(self) -> None:
        """End the daemon."""
        with self._daemon:
            self._daemon.terminate()
            self._daemon.wait(PATIENCE)


class Verdicts:
    """Runs cases, and keeps what came out."""

    def __init__(self, env: Mapping[str, str], folder: Path, chosen: list[Case]) -> None:
        self._env, self._mark = env, uuid.uuid4().hex[:6]
        # All before the first app: else the kubelet would be late for what that one is about.
        count = min(_AT_ONCE, len(chosen))
        self._places = [Place(folder / f"place-{number}", env) for number in range(count)]
        self._free = queue.SimpleQueue[Place]()
        for place in self._places:
            place.ready()
            self._free.put(place)
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        # Those that take longest begin first.
        order = sorted(chosen, key=lambda case: -case.within)
        self._results = {case.name: self._pool.submit(self._run, case) for case in order}

    def result(self, case: Case) -> Future[Result]:
        """Of one case, when it has ended."""
        return self._results[case.name]

    def namespace(self, case: Case) -> str:
        """Where it runs."""
        return f"tiltd-v-{self._mark}-{case.name}"

    def close(self) -> None:
        """Wait for all."""
        self._pool.shutdown(cancel_futures=True)
        for place in self._places:
            place.close()

    def _run(self, case: Case) -> Result:
        place = self._free.get()
        try:
            return self._in(place.folder, case)
        finally:
            self._free.put(place)

    def _in(self, folder: Path, case: Case) -> Result:
        namespace = self.namespace(case)
        case.write(folder, namespace)
        kubectl(self._env, "create", "namespace", namespace)
        try:
            run = Run(folder, "ci", "--namespace", namespace, *case.flags, env=self._env)
            try:
                return run.end()
            except BaseException:
                run.discard()
                raise
        finally:
            kubectl(self._env, "delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="session")
def verdicts(
    request: pytest.FixtureRequest,
    cluster_env: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Verdicts]:
    """All cases that this session has chosen, under way."""
    names = {item.name for item in request.session.items}
    chosen = [case for case in _CASES if any(n.endswith(f"[{case.name}]") for n in names)]
    made = Verdicts(cluster_env, tmp_path_factory.mktemp("verdicts"), chosen)
    yield made
    made.close()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in _CASES])
def test_the_verdict_is_right_in_words_and_time(case: Case, verdicts: Verdicts) -> None:
    result = verdicts.result(case).result()
    assert result.code == case.code, result.out
    for text in case.wants(verdicts.namespace(case)):
        assert result.says(text)
    for text in case.never:
        assert text not in result.out
    assert "Traceback" not in result.out
    assert result.seconds < case.within * _SLOWNESS, result.out


def test_the_catalogue_has_right_and_broken_apps_over_many_rules() -> None:
    assert len(_CASES) >= 50
    assert len({case.rule for case in _CASES} - {""}) >= 18
    assert sum(case.code == 0 for case in _CASES) >= 20
