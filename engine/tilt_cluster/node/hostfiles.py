"""The files that a node gives every container: hosts, resolv.conf, and one for its last words.

They are written into the pod's folder and mounted, because several containers share one network
and hostname, and the Engine's own files know nothing of the cluster's DNS.
"""

from collections.abc import Sequence
from pathlib import Path

from tilt_cluster import fields
from tilt_cluster.node import spec
from tilt_cluster.node.spec import Mount
from tilt_cluster.node.world import Network
from tilt_cluster.objects import Object

_HOST_RESOLV = Path("/etc/resolv.conf")
_TERMINATION = "/dev/termination-log"
_MESSAGE_MAX = 4096


def hosts(pod: Object, ip: str, domain: str) -> str:
    """`/etc/hosts` of a pod."""
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    name = spec.hostname(pod)
    subdomain = fields.get(pod, "spec", "subdomain")
    if ip:
        full = f"{name}.{subdomain}.{fields.namespace(pod)}.svc.{domain}\t" if subdomain else ""
        lines.append(f"{ip}\t{full}{name}")
    aliases: Sequence[Object] = fields.get(pod, "spec", "hostAliases", default=())
    if aliases:
        lines.append("\n# Entries added by HostAliases.")
        lines += [f"{one['ip']}\t" + "\t".join(one.get("hostnames") or ()) for one in aliases]
    return "\n".join(lines) + "\n"


def resolv(pod: Object, network: Network, host: str) -> str:
    """`/etc/resolv.conf` of a pod, by its `dnsPolicy` and `dnsConfig`.

    Args:
        pod: the pod.
        network: whose DNS it asks.
        host: the host's own file.
    """
    policy = fields.get(pod, "spec", "dnsPolicy", default="ClusterFirst")
    own = policy == "ClusterFirstWithHostNet" or not spec.on_host_network(pod)
    servers, search, options = _of_host(host)
    if policy == "None":
        servers, search, options = [], [], []
    elif policy.startswith("ClusterFirst") and own and network.dns is not None:
        servers = [network.dns]
        local = f"svc.{network.domain}"
        search = [f"{fields.namespace(pod)}.{local}", local, network.domain, *search]
        options = ["ndots:5"]
    config = fields.get(pod, "spec", "dnsConfig", default={})
    servers = [*servers, *(config.get("nameservers") or ())]
    search = [*search, *(config.get("searches") or ())]
    for one in config.get("options") or ():
        text = f"{one['name']}:{one['value']}" if one.get("value") else str(one["name"])
        options = [*(o for o in options if o.partition(":")[0] != one["name"]), text]
    lines = [f"search {' '.join(dict.fromkeys(search))}"] if search else []
    lines += [f"nameserver {server}" for server in dict.fromkeys(servers)]
    if options:
        lines.append(f"options {' '.join(options)}")
    return "\n".join(lines) + "\n"


def _of_host(text: str) -> tuple[list[str], list[str], list[str]]:
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        key, _, rest = line.strip().partition(" ")
        match key:
            case "nameserver":
                servers.append(rest.strip())
            case "search":
                search = rest.split()
            case "options":
                options += rest.split()
            case _:
                pass
    return servers, search, options


def write(folder: Path, pod: Object, ip: str, network: Network) -> None:
    """Write both files into the pod's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts").write_text(hosts(pod, ip, network.domain))
    host = _HOST_RESOLV.read_text() if _HOST_RESOLV.exists() else ""
    (folder / "resolv.conf").write_text(resolv(pod, network, host))


def mounts(folder: Path, container: Object, attempt: int, taken: Sequence[Mount]) -> list[Mount]:
    """The mounts of these files, except where the container mounts something itself."""
    log = message_file(folder, str(container["name"]), attempt)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    log.chmod(0o666)
    target = str(container.get("terminationMessagePath") or _TERMINATION)
    ours = [
        Mount(str(folder / "hosts"), "/etc/hosts"),
        Mount(str(folder / "resolv.conf"), "/etc/resolv.conf"),
        Mount(str(log), target),
    ]
    targets = {mount.target for mount in taken}
    return [mount for mount in ours if mount.target not in targets]


def message_file(folder: Path, container: str, attempt: int) -> Path:
    """The file in which an instance of a container may say why it ended."""
    return folder / "messages" / f"{container}-{attempt}"


def message(folder: Path, container: str, attempt: int) -> str:
    """What it said."""
    path = message_file(folder, container, attempt)
    try:
        with path.open("rb") as file:
            return file.read(_MESSAGE_MAX).decode(errors="replace")
    except OSError:
        return ""
