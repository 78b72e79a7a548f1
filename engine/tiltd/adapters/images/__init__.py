"""Images: found, built, pushed.

`ensure` is the way that an image takes; the other modules are its stations.  `endpoint`,
`dockerconfig` and `credentials` read what the user set up for Docker; `registry` (over `web`)
asks registries; `engine` (over `sdk`, the Docker SDK's home, and `stoppable`) asks the Docker
Engine; `context` sends what is built to `buildx` or to the `classic` builder; `custom` runs the
user's own builders; `pushing` pushes; `failures` says what went wrong, `steps` at which line.
"""

from tiltd.adapters.images.ensure import DockerImages

__all__ = ["DockerImages"]
