"""Ten services as a project: each an image, a Service, and a Deployment with a readiness probe."""

import uuid
from pathlib import Path

COUNT = 10

BUSYBOX = """\
FROM localhost:5000/base/busybox:1
COPY index.html /var/www/
CMD ["httpd", "-f", "-p", "8000", "-h", "/var/www"]
"""
PYTHON = """\
FROM localhost:5000/base/python:3
WORKDIR /app
COPY index.html ./
USER 65532
CMD ["python3", "-m", "http.server", "8000"]
"""
_YAML = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: bench-{name}
          ports: [{{name: http, containerPort: 8000}}]
          readinessProbe: {{httpGet: {{path: /, port: http}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{port: 80, targetPort: http}}]
"""


def write(project: Path, dockerfile: str) -> None:
    """The project, with contents that none before had.

    Args:
        project: an existing folder; what this has written there before is replaced.
        dockerfile: of each service, listening on port 8000.
    """
    lines: list[str] = []
    for number in range(COUNT):
        name = f"svc-{number}"
        folder = project / name
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile)
        (folder / "index.html").write_text(uuid.uuid4().hex)
        (project / f"{name}.yaml").write_text(_YAML.format(name=name))
        lines += [f"docker_build('bench-{name}', '{name}')", f"k8s_yaml('{name}.yaml')"]
    (project / "Tiltfile").write_text("\n".join([*lines, ""]))
