"""Extensions: from folders, from git repositories (by the git program, without a network)."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.tiltfile.conftest import Workspace
from tiltd.model.desired import Project
from tiltd.model.problems import Problem
from tiltd.ports import LoadError

URL = "https://git.example.invalid/team/extensions"
GREET = (
    "here = os.path.basename(os.getcwd())\n"
    "def greet(who):\n  print('hello %s from %s' % (who, here))\n"
)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A git repository with an extension `greet`: one version tagged `v1`, and a newer one."""
    folder = tmp_path / "remote"
    (folder / "greet").mkdir(parents=True)
    (folder / "nested" / "deep").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "greet" / "Tiltfile").write_text("def greet(who):\n  print('v1', who)\n")
    commit(folder, "one")
    git(folder, "tag", "v1")
    (folder / "greet" / "Tiltfile").write_text(GREET)
    (folder / "nested" / "deep" / "Tiltfile").write_text("x = 'deep'\n")
    commit(folder, "two")
    git(folder, "branch", "other")
    return folder


def git(folder: Path, *argv: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=0")
    subprocess.run(["git", *author, *argv], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def revision(folder: Path, name: str) -> str:
    shown = subprocess.run(
        ["git", "rev-parse", name], cwd=folder, check=True, capture_output=True, text=True
    )
    return shown.stdout.strip()


def take_away(folder: Path) -> None:
    folder.rename(folder.with_name("gone"))


def files(folder: str) -> list[Path]:
    return [path for path in Path(folder).rglob("*") if path.is_file()]


@pytest.fixture
def env(tmp_path: Path, remote: Path) -> dict[str, str]:
    """git finds the https address in the folder beside; everything else is as in production."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{remote}.insteadOf",
        "GIT_CONFIG_VALUE_0": URL,
    }


def repository(**fields: str) -> str:
    given = "".join(f", {key}={value!r}" for key, value in {"url": URL, **fields}.items())
    return f"v1alpha1.extension_repo(name='default'{given})\n"


LOAD = "load('ext://greet', 'greet')\ngreet('you')\n"


async def printed(workspace: Workspace, tiltfile: str, env: dict[str, str]) -> list[str]:
    workspace.log.text = ""
    await workspace.load(tiltfile, env=env)
    return [line for line in workspace.log.lines if not line.startswith("Cloning")]


async def problem(workspace: Workspace, tiltfile: str, env: dict[str, str]) -> Problem:
    with pytest.raises(LoadError) as caught:
        await workspace.load(tiltfile, env=env)
    return caught.value.problem


async def test_an_extension_is_cloned_by_git_and_runs_in_its_own_folder(
    workspace: Workspace, env: dict[str, str]
) -> None:
    assert await printed(workspace, repository() + LOAD, env) == ["hello you from greet"]
    assert f"Cloning {URL}" in workspace.log.text


@pytest.mark.parametrize("ref", ["v1", "main", "other"])
async def test_a_ref_may_be_a_tag_or_a_branch(
    workspace: Workspace, env: dict[str, str], ref: str
) -> None:
    expected = "v1 you" if ref == "v1" else "hello you from greet"
    assert await printed(workspace, repository(ref=ref) + LOAD, env) == [expected]


async def test_a_ref_may_be_a_commit(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    head = revision(remote, "HEAD~1")
    assert await printed(workspace, repository(ref=head) + LOAD, env) == ["v1 you"]


async def test_what_was_cloned_once_is_used_without_the_network(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    await printed(workspace, repository() + LOAD, env)
    take_away(remote)
    assert await printed(workspace, repository() + LOAD, env) == ["hello you from greet"]
    assert "Cloning" not in workspace.log.text


async def test_two_refs_of_one_repository_do_not_disturb_each_other(
    workspace: Workspace, env: dict[str, str]
) -> None:
    assert await printed(workspace, repository(ref="v1") + LOAD, env) == ["v1 you"]
    assert await printed(workspace, repository(ref="main") + LOAD, env) == ["hello you from greet"]
    assert await printed(workspace, repository(ref="v1") + LOAD, env) == ["v1 you"]


async def test_a_refresh_clones_anew_once_in_a_session_and_does_without_if_it_cannot(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    from tiltd.runtime.threads import Pool  # noqa: PLC0415 - a second daemon, for a second session
    from tiltd.tiltfile.loader import TiltfileLoader  # noqa: PLC0415

    await printed(workspace, repository() + LOAD, env)
    (remote / "greet" / "Tiltfile").write_text("def greet(who):\n  print('newer')\n")
    commit(remote, "three")
    fresh = {**env, "TILT_EXTENSIONS_REFRESH": "1"}
    # The session has its version; whatever becomes of the cache, it keeps that.
    assert await printed(workspace, repository() + LOAD, fresh) == ["hello you from greet"]
    pool = Pool("other", 1)
    other = Workspace(workspace.root, TiltfileLoader(pool))
    assert await printed(other, repository() + LOAD, fresh) == ["newer"]
    take_away(remote)
    last = Workspace(workspace.root, TiltfileLoader(pool))
    loaded = await last.load(repository() + LOAD, env=fresh)
    pool.close()
    assert "newer" in last.log.lines
    assert "is used as it was cloned earlier" in loaded.project.warnings[0][1]


async def test_a_folder_of_the_users_stands_for_the_default_repository(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    given = {**env, "TILT_EXTENSIONS_DIR": str(remote)}
    loaded = await workspace.load(LOAD, env=given)
    assert workspace.log.lines == ["hello you from greet"]
    assert str(remote / "greet" / "Tiltfile") in loaded.project.watched
    modules = [p for p in loaded.project.watched if "/tilt_modules/" in p]
    assert len(modules) == 1  # extensions look for a folder of that name above them


async def test_a_file_repository_is_used_where_it_is(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    text = repository(url=f"file://{remote}") + LOAD
    loaded = await workspace.load(text, env=env)
    assert workspace.log.lines == ["hello you from greet"]
    assert str(remote / "greet" / "Tiltfile") in loaded.project.watched


async def test_an_extension_may_be_named_apart_from_its_path_and_repository(
    workspace: Workspace, env: dict[str, str]
) -> None:
    text = (
        f"v1alpha1.extension_repo(name='team', url={URL!r})\n"
        "v1alpha1.extension(name='mine', repo_name='team', repo_path='nested/deep')\n"
        "load('ext://mine', 'x')\nprint(x)"
    )
    assert await printed(workspace, text, env) == ["deep"]


async def test_a_load_host_and_a_subpath_lead_into_a_repository(
    workspace: Workspace, env: dict[str, str]
) -> None:
    text = (
        f"v1alpha1.extension_repo(name='t', url={URL!r}, load_host='team', git_subpath='nested')\n"
        "load('ext://team/deep', 'x')\nprint(x)"
    )
    assert await printed(workspace, text, env) == ["deep"]


async def test_a_loaded_extension_and_its_repository_are_objects_of_the_project(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    given = {**env, "TILT_EXTENSIONS_DIR": str(remote)}
    loaded = await workspace.load(LOAD, env=given)
    found = {(o.kind, o.name): o for o in loaded.project.api_objects}
    assert found["Extension", "greet"].spec == {"repoName": "default", "repoPath": "greet"}
    assert found["Extension", "greet"].annotations == {"tilt.dev/managed-by": "tiltfile.loader"}
    url = "https://github.com/tilt-dev/tilt-extensions"
    assert found["ExtensionRepo", "default"].spec == {"url": url}


def standing(remote: Path, tiltfile: str, **fields: object) -> str:
    """A Tiltfile that registers an extension and never loads it."""
    folder = remote / "standing"
    folder.mkdir()
    (folder / "Tiltfile").write_text(tiltfile)
    given = "".join(f", {key}={value!r}" for key, value in fields.items())
    return (
        f"v1alpha1.extension_repo(name='here', url='file://{remote}')\n"
        f"v1alpha1.extension(name='st', repo_name='here', repo_path='standing'{given})\n"
    )


async def loaded(workspace: Workspace, tiltfile: str, env: dict[str, str]) -> Project:
    return (await workspace.load(tiltfile, env=env)).project


async def test_an_extension_that_is_never_loaded_runs_as_a_tiltfile_of_its_own(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    own = (
        "config.define_string('to')\n"
        "cfg = config.parse()\n"
        "local_resource('theirs', 'echo ' + cfg['to'], labels=['x'])\n"
        "v1alpha1.config_map(name='cm', data={'a': 'b'})\n"
    )
    text = standing(remote, own, args=["--to=you"]) + "local_resource('ours', 'true')\n"
    project = await loaded(workspace, text, env)
    assert [r.name for r in project.resources] == ["ours", "theirs"]
    assert project.enabled == {"ours", "theirs"}
    assert project.resources[1].labels == ("extension.st", "x")
    assert ("ConfigMap", "cm") in {(o.kind, o.name) for o in project.api_objects}
    assert str(remote / "standing" / "Tiltfile") in project.watched


async def test_objects_that_belong_to_nobody_are_one_resource_whoever_declares_them(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    yaml = "k8s_yaml(blob('{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}'))\n"
    text = standing(remote, yaml % "b") + yaml % "a"
    project = await loaded(workspace, text, env)
    (resource,) = project.resources
    assert resource.name == "uncategorized"
    assert [m.id.name for m in getattr(resource.target, "manifests", ())] == ["a", "b"]


async def test_one_resource_declared_by_the_tiltfile_and_by_an_extension_is_an_error(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    declare = "local_resource('same', 'true')\n"
    found = await problem(workspace, standing(remote, declare) + declare, env)
    assert "'st' declares the resource 'same', which is declared already" in found.message


async def test_a_mistake_in_an_extension_is_told_with_its_place(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    found = await problem(workspace, standing(remote, "\nnope()\n"), env)
    assert "undefined: nope" in found.message
    assert found.place is not None
    assert (found.place.file, found.place.line) == (str(remote / "standing" / "Tiltfile"), 2)


async def test_extensions_that_register_each_other_are_an_error(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    register = (
        f"v1alpha1.extension_repo(name='here', url='file://{remote}')\n"
        "v1alpha1.extension(name='st', repo_name='here', repo_path='standing')\n"
    )
    found = await problem(workspace, standing(remote, register), env)
    assert "register each other in a circle" in found.message


@pytest.mark.parametrize(
    ("tiltfile", "said", "hint"),
    [
        pytest.param(
            "load('ext://gret', 'x')", "no extension 'gret'", "did you mean 'greet'?", id="typo"
        ),
        pytest.param(
            "v1alpha1.extension(name='e', repo_name='default', repo_path='../out')\n"
            "load('ext://e', 'x')",
            "leads out of the repository",
            "without '..'",
            id="way out",
        ),
        pytest.param("load('ext://greet', 'nope')", "name nope not found", "", id="symbol"),
    ],
)
async def test_what_is_not_in_a_repository_is_refused(
    workspace: Workspace, env: dict[str, str], tiltfile: str, said: str, hint: str
) -> None:
    found = await problem(workspace, repository() + tiltfile, env)
    assert said in found.message
    assert hint in found.hint
    assert found.place is not None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"url": "git@host:x/y"}, "neither an https:// nor a file://", id="ssh"),
        pytest.param({"url": "file://here"}, "no absolute folder", id="relative"),
        pytest.param({"url": "file:///here", "ref": "x"}, "ref= is for git", id="ref of a folder"),
        pytest.param(
            {"url": "file:///here", "git_subpath": "x"}, "git_subpath= is for git", id="subpath"
        ),
        pytest.param({"ref": "--upload-pack=x"}, "is no branch, tag or commit", id="option"),
    ],
)
async def test_what_can_be_no_repository_is_refused_where_it_is_declared(
    workspace: Workspace, fields: dict[str, str], said: str
) -> None:
    found = await workspace.problem(repository(**fields))
    assert said in found.message
    assert found.hint
    assert str(found.place) == "Tiltfile:1:1"


async def test_a_ref_that_is_not_there_is_told_with_gits_own_words(
    workspace: Workspace, env: dict[str, str]
) -> None:
    found = await problem(workspace, repository(ref="nope") + LOAD, env)
    assert "can't be cloned: git ended with exit code" in found.message
    assert "nope" in found.detail
    assert not files(env["XDG_CACHE_HOME"])  # nothing half done stays


async def test_a_repository_that_is_away_is_told_with_what_to_do(
    workspace: Workspace, env: dict[str, str], remote: Path
) -> None:
    take_away(remote)
    found = await problem(workspace, repository() + LOAD, env)
    assert "can't be cloned" in found.message
    assert "TILT_EXTENSIONS_DIR" in found.hint


async def test_without_git_the_override_is_named(workspace: Workspace, env: dict[str, str]) -> None:
    found = await problem(workspace, repository() + LOAD, {**env, "PATH": "/nowhere"})
    assert "there is no git program" in found.message
    assert "TILT_EXTENSIONS_DIR" in found.hint


async def test_an_override_that_is_no_folder_is_refused(
    workspace: Workspace, env: dict[str, str]
) -> None:
    found = await problem(workspace, LOAD, {**env, "TILT_EXTENSIONS_DIR": "/no/such"})
    assert "TILT_EXTENSIONS_DIR names the folder /no/such, and there is none" in found.message


async def test_a_repository_that_nobody_declared_is_refused_for_an_extension_that_runs_alone(
    workspace: Workspace,
) -> None:
    found = await workspace.problem("v1alpha1.extension(name='e', repo_name='r', repo_path='p')")
    assert "there is no extension repository 'r'" in found.message
    assert "v1alpha1.extension_repo(name='r'" in found.hint
