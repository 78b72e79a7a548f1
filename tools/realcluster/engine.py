"""The Docker Engine: the one that answers, or Debian's, started by hand (no systemd needed)."""

import os
from pathlib import Path

from tools.realcluster import binaries, console, packages, process, settings

NAME = "dockerd"


def there() -> bool:
    """Whether there is a docker command line and an engine that it reaches."""
    return packages.there("docker") and answers()


def answers() -> bool:
    """Whether an engine answers where the docker command line looks for one."""
    return process.succeeds("docker", "version", "--format", "{{.Server.Version}}")


def ensure(folders: settings.Folders) -> None:
    """Have an engine: leave one that answers alone, otherwise start `dockerd`.

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
    process.ensure(
        folders,
        process.Service(NAME, [packages.find("dockerd") or "dockerd"], ready=answers),
    )


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
