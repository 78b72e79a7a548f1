"""Files that load files, what is watched, and how a reading is stopped."""

import asyncio
import contextlib
import os
import threading
from pathlib import Path

import psutil
import pytest

from tests.tiltfile.conftest import BUILD, LOCAL, Recorder, Workspace
from tiltd.model.desired import KubernetesTarget, Manifest
from tiltd.ports import Loaded
from tiltd.runtime.threads import Pool
from tiltd.tiltfile import yaml_text
from tiltd.tiltfile.loader import TiltfileLoader


async def test_relative_paths_begin_in_the_folder_of_the_running_file(
    workspace: Workspace,
) -> None:
    workspace.write(
        {
            "a/b/lib.star": "here = os.path.basename(os.getcwd())\n"
            "def f():\n  return os.getcwd()\n",
            "a/Tiltfile": "load('b/lib.star', 'here', 'f')\nprint(here, os.path.basename(f()))",
        }
    )
    assert await workspace.printed("include('a/Tiltfile')") == ["b a"]


async def test_a_file_is_executed_once_and_shared_frozen(workspace: Workspace) -> None:
    workspace.write({"l.star": "print('once')\nx = [1]\n"})
    text = (
        "load('l.star', 'x')\nload('./l.star', y='x')\ninclude('l.star')\n"
        "z = load_dynamic('l.star')\nprint(x == y, z['x'])"
    )
    assert await workspace.printed(text) == ["once", "True [1]"]
    problem = await workspace.problem("load('l.star', 'x')\nx.append(2)")
    assert "frozen" in problem.message


async def test_names_that_a_file_loaded_are_not_its_own(workspace: Workspace) -> None:
    workspace.write({"a.star": "x = 1", "b.star": "load('a.star', 'x')"})
    assert (
        "x not found in module b.star" in (await workspace.problem("load('b.star', 'x')")).message
    )


async def test_the_environment_stays_live_in_every_file(workspace: Workspace) -> None:
    workspace.write({"l.star": "env = os.environ\ndef put():\n  env['A'] = 'b'\n"})
    text = (
        "load('l.star', 'put')\nput()\nos.putenv('C', 'd')\n"
        "print(local('echo $A$C', True, echo_off=True))"
    )
    assert await workspace.printed(text) == ["bd", ""]


async def test_a_mistake_in_a_loaded_file_has_the_whole_traceback(workspace: Workspace) -> None:
    workspace.write({"lib/l.star": "def f():\n  fail('no')\n"})
    problem = await workspace.problem("load('lib/l.star', 'f')\n\ndef g():\n  f()\ng()")
    assert str(problem) == "lib/l.star:2:3: no"
    assert problem.detail.splitlines() == [
        "Traceback (most recent call last):",
        "  Tiltfile:5:1: in <toplevel>",
        "  Tiltfile:4:3: in g",
        "  lib/l.star:2:3: in f",
    ]


async def test_a_circle_of_loads_is_told(workspace: Workspace) -> None:
    workspace.write({"a.star": "load('b.star', 'x')", "b.star": "load('a.star', 'x')"})
    problem = await workspace.problem("load('a.star', 'x')")
    assert "Tiltfile -> a.star -> b.star -> a.star" in problem.message


async def test_exit_in_a_loaded_file_ends_it_all(workspace: Workspace) -> None:
    workspace.write({"l.star": "exit()"})
    loaded = await workspace.load("local_resource('a', 'x')\ninclude('l.star')\nfail('no')")
    assert [r.name for r in loaded.project.resources] == ["a"]


async def test_everything_that_was_read_is_watched_also_what_is_missing(
    workspace: Workspace,
) -> None:
    workspace.write({"l.star": "x = 1", "f": "", "d/e": ""})
    text = (
        "load('l.star', 'x')\nread_file('f')\nread_file('nope', '')\nlistdir('d', True)\n"
        "watch_file('w')\n"
        "local_resource('a', 'x')"
    )
    loaded = await workspace.load(text)
    assert set(workspace.relative(loaded.project.watched)) == {
        "Tiltfile",
        "l.star",
        "f",
        "nope",
        "d",
        "w",
        ".tiltignore",
    }


async def test_after_an_error_what_was_read_until_then_is_watched(workspace: Workspace) -> None:
    error = await workspace.error("read_file('nope', '')\nread_file('there')\nread_file('never')")
    assert workspace.relative(error.watched) == ["Tiltfile", "nope", "there"]


async def test_a_missing_tiltfile_is_one_sentence(workspace: Workspace) -> None:
    spec = workspace.spec()
    with pytest.raises(Exception, match="the Tiltfile Tiltfile can't be read: No such file"):
        await workspace.loader.load(spec, LOCAL, workspace.log)


async def test_a_changed_file_is_read_anew(workspace: Workspace) -> None:
    assert await workspace.printed("print(1)") == ["1"]
    assert await workspace.printed("print(2)") == ["1", "2"]


class Telling(Recorder):
    """A log that tells when something has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def write(self, text: str, *, level: str = "info") -> None:
        super().write(text, level=level)
        if "begun" in self.lines:
            self._loop.call_soon_threadsafe(self.begun.set)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("print('begun')\nwhile True:\n  pass", id="endless loop"),
        pytest.param("local('echo begun; sleep 1000')", id="command"),
        pytest.param("local('echo begun; exec >&- 2>&-; sleep 1000')", id="silent command"),
        pytest.param("local('sleep 1000 & echo begun; sleep 1000')", id="group"),
    ],
)
async def test_a_cancelled_load_ends_at_once_and_leaves_no_process(
    text: str, workspace: Workspace
) -> None:
    workspace.write({"Tiltfile": text})
    log = Telling()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        load = group.create_task(workspace.loader.load(workspace.spec(), LOCAL, log))
        await log.begun.wait()
        load.cancel()
    assert load.cancelled()
    assert not processes_in(workspace.root)


def processes_in(folder: Path) -> list[psutil.Process]:
    """The processes that run in a folder; those that are just dying may take a moment."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(folder):
                found.append(process)
    _, alive = psutil.wait_procs(found, timeout=5)
    return alive


async def test_a_load_that_is_cancelled_before_it_starts_leaves_nothing_open(
    workspace: Workspace,
) -> None:
    pool = Pool("busy", 1)
    loop, busy, go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def block() -> None:
        loop.call_soon_threadsafe(busy.set)
        go.wait()

    workspace.write({"Tiltfile": "local('touch ran')"})
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        blocker = group.create_task(pool.run(block))
        await busy.wait()
        before = open_files()
        loader = TiltfileLoader(pool)
        load = group.create_task(loader.load(workspace.spec(), LOCAL, workspace.log))
        await asyncio.sleep(0)
        load.cancel()
        await asyncio.wait([load])
        assert open_files() == before
        go.set()
        await blocker
    pool.close()
    assert not (workspace.root / "ran").exists()


def open_files() -> int:
    return psutil.Process().num_fds()


async def test_a_bug_in_a_builtin_is_no_mistake_of_the_user(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tiltd.tiltfile.files.Files.watch", broken)
    with pytest.raises(ZeroDivisionError):
        await workspace.load("watch_file('x')")


async def test_two_readings_at_once_know_nothing_of_each_other(workspace: Workspace) -> None:
    pool = Pool("two", 2)
    loader = TiltfileLoader(pool)
    workspace.write({"Tiltfile": "os.putenv('X', 'y')\nlocal_resource('a', 'x')\nlocal('true')"})
    async with asyncio.TaskGroup() as group:
        loads = [
            group.create_task(loader.load(workspace.spec(), LOCAL, workspace.log)) for _ in range(2)
        ]
    pool.close()
    assert loads[0].result().project == loads[1].result().project
    assert "X" not in os.environ


async def test_a_reload_parses_only_what_changed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    decode = yaml_text.decode

    def note(text: str) -> list[yaml_text.Document]:
        parsed.append(text)
        return decode(text)

    monkeypatch.setattr(yaml_text, "decode", note)
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {0}}}\ndata: {{a: '{0}'}}\n"
    texts = {f"{name}.yaml": config_map.format(name) for name in ("only-once", "changing")}
    workspace.write(texts)
    tiltfile = "k8s_yaml(['only-once.yaml', 'changing.yaml'])"
    first = await workspace.load(tiltfile)
    changed = texts["changing.yaml"] + "# changed\n"
    workspace.write({"changing.yaml": changed})
    second = await workspace.load(tiltfile)
    assert parsed == [*texts.values(), changed]
    (before, old), (after, new) = (_manifests(loaded) for loaded in (first, second))
    assert after is before, "what is computed from it is remembered by it"
    assert new is not old


def _manifests(loaded: Loaded) -> tuple[Manifest, ...]:
    target = loaded.project.resources[0].target
    assert isinstance(target, KubernetesTarget)
    return target.manifests


async def test_the_same_text_from_elsewhere_or_with_other_images_is_another_manifest(
    workspace: Workspace,
) -> None:
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{image: i}]}}\n"
    workspace.write(dict.fromkeys(("a.yaml", "b.yaml"), pod))
    first = await workspace.load("k8s_yaml('a.yaml')")
    elsewhere = await workspace.load("k8s_yaml('b.yaml')")
    with_image = await workspace.load(f"k8s_yaml('b.yaml')\n{BUILD})\n")
    manifests = [_manifests(loaded)[0] for loaded in (first, elsewhere, with_image)]
    assert len({id(m) for m in manifests}) == 3
    assert [bool(m.images) for m in manifests] == [False, False, True]
    assert [m.source for m in manifests] == ["a.yaml", "b.yaml", "b.yaml"]


async def test_the_same_object_twice_is_still_two(workspace: Workspace) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twin}\n"
    loaded = await workspace.load(f"k8s_yaml([blob({text!r})] * 2, allow_duplicates=True)")
    target = loaded.project.resources[0].target
    assert isinstance(target, KubernetesTarget)
    assert len(target.manifests) == len({id(m) for m in target.manifests}) == 2


async def test_a_path_that_can_not_be_is_not_there(workspace: Workspace) -> None:
    text = "print([os.path.exists(p) for p in ['x' * 300, 'a\\0b', '.']])"
    assert await workspace.printed(text) == ["[False, False, True]"]


async def test_content_given_as_a_path_is_told_what_to_do(workspace: Workspace) -> None:
    problem = await workspace.problem("k8s_yaml('apiVersion: v1\\nkind: ConfigMap\\n' * 20)")
    assert problem.hint == "content is no path: put it into blob()"
