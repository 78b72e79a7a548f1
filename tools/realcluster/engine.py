"""The Docker Engine: the one that answers, or Debian's; by systemd, or by hand where there is none.

Where systemd is, the package has it start the Engine, maybe already while it is installed. A file
among those of the processes tells that it was not there before.
"""

import os
import time
from pathlib import Path

from tools.realcluster import binaries, console, packages, process, settings

NAME = "dockerd"
_BY_SYSTEMD = "engine-by-systemd"
_SYSTEMD = Path("/run/systemd/system")
"""There if and only if systemd runs this machine: sd_booted(3)."""
_PATIENCE, _AGAIN = 30.0, 0.1


def there() -> bool:
    """Whether there is a docker command line and an engine that it reaches."""
    return packages.there("docker") and answers()


def answers() -> bool:
    """Whether an engine answers where the docker command line looks for one."""
    return process.succeeds("docker", "version", "--format", "{{.Server.Version}}")


def ensure(folders: settings.Folders) -> None:
    """Have an engine: leave one that answers alone, otherwise start Debian's.

    Raises:
        console.Failure: DOCKER_HOST names an engine elsewhere that doesn't answer, or it can't
            be installed or started.
    """
    if there():
        return
    if host := os.environ.get("DOCKER_HOST"):
        raise console.Failure(
            f"DOCKER_HOST is {host}, and no engine answers there. Start that one, or unset it "
            "to have one started here."
        )
    packages.ensure(packages.ENGINE)
    if not packages.there("docker"):
        packages.install("docker-cli")  # since Debian 13 a package of its own
    if _SYSTEMD.is_dir():
        _by_systemd(folders)
        return
    process.ensure(
        folders,
        process.Service(NAME, [packages.find("dockerd") or "dockerd"], ready=answers),
    )


def started(folders: settings.Folders) -> bool:
    """Whether `ensure` has started the engine that runs now."""
    return bool(process.running(folders, NAME)) or (folders.state / _BY_SYSTEMD).exists()


def stop(folders: settings.Folders) -> None:
    """End the engine if `ensure` has started it; images and volumes stay on its disk."""
    process.stop(folders, NAME)
    mark = folders.state / _BY_SYSTEMD
    if mark.exists():
        console.say("stop docker.service")
        process.run("systemctl", "stop", "docker.socket", "docker.service")
        mark.unlink()


def _by_systemd(folders: settings.Folders) -> None:
    (folders.state / _BY_SYSTEMD).touch()
    console.say("start docker.service")
    process.run("systemctl", "start", "docker.service")
    deadline = time.monotonic() + _PATIENCE
    while not answers():
        if time.monotonic() > deadline:
            raise console.Failure(
                f"docker.service has been started, and no engine answers after {_PATIENCE:.0f} s: "
                "`journalctl -u docker` may tell why."
            )
        time.sleep(_AGAIN)


def ensure_plugin(folders: settings.Folders, module: binaries.Module) -> None:
    """Give the docker command line a plugin (buildx, compose), if it has none of that name.

    The binary stays in the cache; a link to it goes where Docker's documentation says that a
    user's plugins are: $DOCKER_CONFIG/cli-plugins, or ~/.docker/cli-plugins.

    Raises:
        console.Failure: it can't be built, or docker does not take it.
    """
    if process.succeeds("docker", module.name, "version"):
        return
    program = f"docker-{module.name}"
    binary = binaries.built(folders, module) / program
    config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    link = config / "cli-plugins" / program
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(binary)
    console.say(f"{link} -> {binary}: {process.run('docker', module.name, 'version').strip()}")
