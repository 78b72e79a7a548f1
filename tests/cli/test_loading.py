"""`lint` and `alpha tiltfile-result`: what they print, and how they end."""

import json

import pytest

from tests.cli.conftest import Place, tiltfile

GOOD = """
print('hello')
set_team('nobody sees this line')
docker_build('img', '.', dockerfile_contents='FROM scratch', live_update=[sync('.', '/x')])
k8s_yaml(encode_yaml_stream([
  {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'web'},
   'spec': {'containers': [
     {'name': 'c', 'image': 'img', 'env': [{'name': 'P', 'value': 'sesame'}]}]}},
  {'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': 's'},
   'stringData': {'pw': 'sesame'}}]))
k8s_resource('web', port_forwards='8080:80', labels=['l'])
local_resource('job', 'echo $X', env={'X': 'y'}, resource_deps=['web', 'nobody'], auto_init=False)
"""
UNUSED = "docker_build('img', '.', dockerfile_contents='FROM scratch')\n"


def test_lint_tells_warnings_and_touches_nothing(real: Place) -> None:
    tiltfile(real, GOOD)
    done = real.run("lint")
    assert (done.returncode, done.stderr) == (0, "hello\n")
    warning, summary = done.stdout.splitlines()
    assert warning.startswith("warning: Tiltfile:12:1: The resource 'job' depends on 'nobody'")
    assert summary == "No errors, 1 warning: 3 resources, 1 image"
    assert real.run("daemon", "status").returncode == 1


def test_an_unused_image_is_a_warning_and_strict_makes_it_fail(real: Place) -> None:
    tiltfile(real, UNUSED)
    for flags, code in (((), 0), (("--strict",), 1)):
        done = real.run("lint", *flags)
        assert done.returncode == code
        assert "warning: Tiltfile:1:1: The image 'img' is used by nothing" in done.stdout
    tiltfile(real, "local_resource('a', 'x')")
    done = real.run("lint", "--strict")
    assert (done.returncode, done.stdout) == (0, "No errors, no warnings: 1 resource, no images\n")


def test_lint_tells_an_error_with_its_place_and_what_to_do(real: Place) -> None:
    tiltfile(real, "\ndocker_bild('x', '.')\n")
    done = real.run("lint")
    assert (done.returncode, done.stdout) == (2, "")
    assert "tilt-client: Tiltfile:2:1: undefined: docker_bild" in done.stderr
    assert "hint: did you mean docker_build?" in done.stderr


def test_arguments_reach_the_tiltfile(real: Place) -> None:
    text = "config.define_string('to')\nprint(config.parse(), config.tilt_subcommand)\n"
    tiltfile(real, f"{text}local_resource('a', 'x')\n")
    for verb in (("lint",), ("alpha", "tiltfile-result")):
        assert real.run(*verb, "--", "--to=you").stderr == '{"to": "you"} ci\n'


def test_the_result_is_the_whole_project_without_its_secrets(real: Place) -> None:
    tiltfile(real, GOOD)
    done = real.run("alpha", "tiltfile-result")
    assert (done.returncode, done.stderr) == (0, "hello\n")
    assert "sesame" not in done.stdout
    found = json.loads(done.stdout)
    resources = {r["name"]: r for r in found["resources"]}
    assert list(resources) == ["web", "job", "uncategorized"]
    web = resources["web"]
    assert web["target"]["type"] == "kubernetes"
    assert web["target"]["port_forwards"][0]["local_port"] == 8080
    assert (web["labels"], web["enabled"], web["place"]) == (["l"], True, "Tiltfile:5:1")
    pod = web["target"]["manifests"][0]
    assert (pod["id"], pod["images"]) == ("Pod/web", ["img"])
    (env,) = pod["body"]["spec"]["containers"][0]["env"]
    assert env == {"name": "P", "value": "[redacted secret]"}
    job = resources["job"]
    assert job["target"]["cmd"] == {
        "argv": ["sh", "-c", "echo $X"],
        "dir": str(real.project),
        "env": {"X": "y"},
    }
    assert (job["auto_init"], job["resource_deps"]) == (False, ["web"])
    secret = resources["uncategorized"]["target"]["manifests"][0]["body"]
    assert secret["stringData"] == {"pw": "(masked)"}
    assert [(i["name"], i["build"]["type"]) for i in found["images"]] == [("img", "docker")]
    assert found["settings"]["max_parallel_updates"] == 3
    assert str(real.project / "Tiltfile") in found["watched"]
    assert found["warnings"][0]["place"] == "Tiltfile:12:1"


def test_bytes_that_are_no_text_are_no_trouble(real: Place) -> None:
    (real.project / "file").write_bytes(b"a\xffb\n")
    tiltfile(real, "x = read_file('file')\nprint(x)\nwarn(x)\nlocal_resource('r', ['echo', x])\n")
    done = real.run("alpha", "tiltfile-result")
    assert (done.returncode, done.stderr) == (0, "a\ufffdb\n\n")
    found = json.loads(done.stdout)
    assert found["resources"][0]["target"]["cmd"]["argv"] == ["echo", "a\ufffdb\n"]
    assert "warning: Tiltfile:3:1: a\ufffdb" in real.run("lint").stdout


def test_the_result_of_a_wrong_tiltfile_is_the_error(real: Place) -> None:
    tiltfile(real, "\nfail('no')\n")
    done = real.run("alpha", "tiltfile-result")
    assert done.returncode == 5
    error = json.loads(done.stdout)["error"]
    assert (error["message"], error["file"], error["line"]) == ("no", "Tiltfile", 2)
    assert done.stderr.startswith("Tiltfile:2:1: no\n")


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        pytest.param(["alpha"], 2, "alpha takes one of: tiltfile-result", id="no verb"),
        pytest.param(["alpha", "nope"], 2, "alpha takes one of: tiltfile-result", id="another"),
        pytest.param(["alpha", "tiltfile-result", "--nope"], 2, "--nope", id="flag"),
        pytest.param(["lint", "--nope"], 2, "--nope", id="flag of lint"),
        pytest.param(["lint", "-f", "missing"], 2, "missing", id="no Tiltfile"),
    ],
)
def test_the_command_line_is_checked(argv: list[str], code: int, said: str, real: Place) -> None:
    done = real.run(*argv)
    assert done.returncode == code
    assert said in done.stderr
