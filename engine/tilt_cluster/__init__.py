"""The embedded cluster: a small Kubernetes API server whose node is the Docker Engine.

It imports nothing of `tiltd` and is useful alone (`python -m tilt_cluster`).  `objects` is the
interface between its three parts: the API (everything at the top), `controllers` and `node`.
"""
