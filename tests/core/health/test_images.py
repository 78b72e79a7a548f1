"""Pull messages of real runtimes and registries: which of them can pass?"""

import pytest

from tiltd.core.health import images

PULL = 'failed to pull and unpack image "docker.io/library/nope:1": failed to resolve reference '
HEAD = 'failed to do request: Head "https://registry-1.docker.io/v2/library/nope/manifests/1": '
NAMED = f'{PULL}"docker.io/library/nope:1": '


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        pytest.param(
            f"rpc error: code = NotFound desc = {NAMED}docker.io/library/nope:1: not found",
            images.NOT_FOUND,
            id="containerd, tag not found",
        ),
        pytest.param(
            'Back-off pulling image "nope:1": ErrImagePull: '
            f"{NAMED}docker.io/library/nope:1: not found",
            images.NOT_FOUND,
            id="containerd, not found, in the words of the back-off",
        ),
        pytest.param(
            "Error response from daemon: manifest for nope:1 not found: manifest unknown",
            images.NOT_FOUND,
            id="docker, manifest unknown",
        ),
        pytest.param(
            "reading manifest 1 in docker.io/library/nope: manifest unknown",
            images.NOT_FOUND,
            id="cri-o, manifest unknown",
        ),
        pytest.param(
            "unexpected status code [manifests 1]: 404 Not Found", images.NOT_FOUND, id="404"
        ),
        pytest.param(
            f"{NAMED}pull access denied, repository does not exist or may require authorization: "
            "server message: insufficient_scope: authorization failed",
            images.UNAUTHORIZED,
            id="containerd, access denied",
        ),
        pytest.param(
            "Error response from daemon: pull access denied for nope, repository does not exist or "
            "may require 'docker login': denied: requested access to the resource is denied",
            images.UNAUTHORIZED,
            id="docker, access denied",
        ),
        pytest.param(
            f"{PULL}: failed to authorize: failed to fetch anonymous token: unexpected status from "
            "GET request to https://ghcr.io/token?scope=repository%3Ax%3Apull: 401 Unauthorized",
            images.UNAUTHORIZED,
            id="token server says 401",
        ),
        pytest.param(
            "no basic auth credentials", images.UNAUTHORIZED, id="ECR without credentials"
        ),
        pytest.param(
            'couldn\'t parse image reference "UPPER:1": invalid reference format',
            images.INVALID,
            id="invalid reference",
        ),
        pytest.param(
            "no match for platform in manifest: not found",
            images.PLATFORM,
            id="platform, containerd",
        ),
        pytest.param(
            "no matching manifest for linux/arm64/v8 in the manifest list entries",
            images.PLATFORM,
            id="platform, docker",
        ),
        pytest.param("pull QPS exceeded", images.THROTTLED, id="the kubelet's own limit"),
        pytest.param(
            "failed to copy: httpReadSeeker: failed open: unexpected status code "
            "https://registry-1.docker.io/v2/library/nope/manifests/1: 429 Too Many Requests - "
            "Server message: toomanyrequests: You have reached your unauthenticated limit.",
            images.THROTTLED,
            id="Docker Hub's rate limit, which speaks of authentication too",
        ),
        pytest.param(
            f"{NAMED}{HEAD}dial tcp 10.0.0.1:443: i/o timeout", images.UNREACHABLE, id="timeout"
        ),
        pytest.param(
            f"{HEAD}dial tcp [::1]:5000: connect: connection refused",
            images.UNREACHABLE,
            id="registry not up yet",
        ),
        pytest.param(
            f"{HEAD}dial tcp: lookup registry-1.docker.io on 10.96.0.10:53: no such host",
            images.UNREACHABLE,
            id="name unknown",
        ),
        pytest.param(f"{HEAD}net/http: TLS handshake timeout", images.UNREACHABLE, id="slow TLS"),
        pytest.param(
            "failed to copy: read: connection reset by peer", images.UNREACHABLE, id="reset"
        ),
        pytest.param("failed to copy: unexpected EOF", images.UNREACHABLE, id="cut off"),
        pytest.param(
            f"{NAMED}unexpected status from HEAD request to http://localhost:5000/v2/nope: "
            "503 Service Unavailable",
            images.UNREACHABLE,
            id="registry is starting up",
        ),
        pytest.param(
            f"{HEAD}http: server gave HTTP response to HTTPS client",
            images.TLS,
            id="plain registry",
        ),
        pytest.param(
            f"{HEAD}tls: failed to verify: x509: certificate signed by unknown authority",
            images.TLS,
            id="own CA",
        ),
        pytest.param(
            "failed to extract layer: write /x: no space left on device",
            images.DISK,
            id="disk full",
        ),
        pytest.param("something that nobody has seen before", images.UNKNOWN, id="unknown words"),
    ],
)
def test_a_pull_message_has_a_cause(message: str, cause: images.Cause) -> None:
    assert images.classify(message, "nope:1") == cause


@pytest.mark.parametrize(
    "image",
    ["example.com/not-found:1", "example.com/unauthorized/denied:404", "manifest-unknown:401"],
)
def test_the_image_s_own_name_decides_nothing(image: str) -> None:
    message = (
        f'failed to pull image "{image}": failed to resolve reference "{image}": {image}: '
        f'failed to do request: Head "https://{image}": EOF'
    )
    assert images.classify(message, image) == images.UNREACHABLE
    assert images.classify(f"{image}: what now", image) == images.UNKNOWN


def test_only_what_no_retry_can_mend_is_permanent() -> None:
    passing = (images.THROTTLED, images.UNREACHABLE, images.DISK, images.UNKNOWN)
    lasting = (images.NOT_FOUND, images.UNAUTHORIZED, images.INVALID, images.PLATFORM, images.TLS)
    assert not any(cause.permanent for cause in passing)
    assert all(cause.permanent for cause in lasting)


def test_the_detail_is_freed_from_what_kubelet_and_grpc_put_before_it() -> None:
    message = (
        'Back-off pulling image "nope:1": ErrImagePull: rpc error: code = NotFound desc = '
        "nope:1:\n not found"
    )
    assert images.detail(message) == "nope:1: not found"
    assert images.says_why(message)
    assert not images.says_why('Back-off pulling image "nope:1"')
