"""Docker Compose: services brought up by its command line, watched through the Docker Engine.

`compose` is the implementation of `ports.Composes`.  What is done, `docker compose` does
(`running`); what is seen, the Engine's own API tells (`engine`, `containers`, `watching`): one
connection a service, where the command line would take a process for each stream.
"""

from tiltd.adapters.compose.compose import DockerCompose
from tiltd.adapters.compose.engine import Address

__all__ = ["Address", "DockerCompose"]
