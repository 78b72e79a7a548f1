"""The node: a containerd of its own, the CNI plugins, kubelet and kube-proxy.

Nothing is shared with the engine's containerd, so that neither disturbs the other: own root,
own socket, own network namespaces, all below the state folder. What a machine without systemd
and without CAP_SYS_RESOURCE needs is said beside the setting.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.realcluster import binaries, control_plane, packages, process, settings

CONTAINERD = "containerd"
KUBELET = "kubelet"
PROXY = "kube-proxy"
_CNI_PLUGINS = "/usr/lib/cni"

_CONTAINERD_CONFIG = """\
version = 2
root = "{state}/containerd"
state = "{state}/containerd-run"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE no process may lower its OOM score: every sandbox would fail.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{state}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{state}/registries"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""
_REGISTRY_HOSTS = 'server = "http://127.0.0.1:5000"\n[host."http://127.0.0.1:5000"]\n'


def services(folders: settings.Folders) -> Sequence[process.Service]:
    """The node's processes in the order of their start."""
    bin_folder = binaries.built(folders, binaries.KUBERNETES)
    return (containerd(folders), kubelet(folders, bin_folder), proxy(folders, bin_folder))


def configure(folders: settings.Folders) -> None:
    """Write the configuration of all of them; what is right already is not touched.

    kube-proxy ends when its configuration's file is written, even with the same content.
    """
    state = folders.state
    hosts = state / "registries" / settings.REGISTRY
    for folder in (
        hosts,
        state / "cni",
        state / "cni-data",
        state / "kubelet",
        state / "manifests",
    ):
        folder.mkdir(parents=True, exist_ok=True)
    containerd_config = _CONTAINERD_CONFIG.format(
        state=state,
        socket=folders.containerd_socket,
        pause=settings.PAUSE_IMAGE,
        plugins=_CNI_PLUGINS,
    )
    for path, text in (
        (hosts / "hosts.toml", _REGISTRY_HOSTS),
        (state / "containerd.toml", containerd_config),
        (state / "cni" / "10-tiltd.conflist", json.dumps(_cni(folders), indent=1)),
        (state / "kubelet.json", json.dumps(_kubelet(folders), indent=1)),
        (state / "kube-proxy.json", json.dumps(_proxy(folders), indent=1)),
    ):
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def import_images(folders: settings.Folders, *archives: Path) -> None:
    """Give the node images that it can't pull."""
    for archive in archives:
        process.run(*_ctr(folders), "images", "import", archive)


def containerd(folders: settings.Folders) -> process.Service:
    """The container runtime."""
    argv = [packages.find("containerd") or "containerd"]
    argv += ["--config", str(folders.state / "containerd.toml")]
    return process.Service(
        CONTAINERD, argv, ready=lambda: process.succeeds(*_ctr(folders), "version")
    )


def kubelet(folders: settings.Folders, bin_folder: Path) -> process.Service:
    """The node's agent."""
    argv = [
        str(bin_folder / KUBELET),
        f"--config={folders.state / 'kubelet.json'}",
        f"--kubeconfig={folders.certs / 'kubelet.kubeconfig'}",
        f"--root-dir={folders.state / 'kubelet'}",
        f"--cert-dir={folders.state / 'kubelet' / 'pki'}",
        f"--hostname-override={settings.NODE}",
        f"--node-ip={settings.NODE_IP}",
    ]
    url = f"http://127.0.0.1:{settings.KUBELET_HEALTH_PORT}/healthz"
    return process.Service(KUBELET, argv, ready=control_plane.answers(url))


def proxy(folders: settings.Folders, bin_folder: Path) -> process.Service:
    """What makes Services' addresses work."""
    argv = [str(bin_folder / PROXY), f"--config={folders.state / 'kube-proxy.json'}"]
    # Its health is that of its rules, so ready means that Services work.
    url = f"http://127.0.0.1:{settings.PROXY_HEALTH_PORT}/healthz"
    return process.Service(PROXY, argv, ready=control_plane.answers(url))


def _ctr(folders: settings.Folders) -> Sequence[str]:
    return ("ctr", "--address", str(folders.containerd_socket), "--namespace", "k8s.io")


def _cni(folders: settings.Folders) -> Mapping[str, object]:
    return {
        "cniVersion": "0.4.0",
        "name": "tiltd",
        "plugins": [
            {
                "type": "bridge",
                "bridge": settings.BRIDGE,
                "isGateway": True,
                "hairpinMode": True,  # a pod may reach itself through its Service
                "ipMasq": False,  # `network` does it, in a table that can be deleted as a whole
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": settings.POD_CIDR}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(folders.state / "cni-data"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(folders: settings.Folders) -> Mapping[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.NODE_IP,
        "port": settings.KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": settings.KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(folders.certs / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(folders.certs / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(folders.certs / "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{folders.containerd_socket}",
        "staticPodPath": str(folders.state / "manifests"),
        "podLogsDir": str(folders.state / "pod-logs"),
        "volumePluginDir": str(folders.state / "kubelet" / "volume-plugins"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [settings.DNS_SERVICE_IP],
        # No systemd, no delegation of cgroups, maybe version 1 of them, maybe swap.
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        # A test machine's disk is nobody's business: evict late, collect no images.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        # The registry is on this machine; a limit would only make "QPS exceeded" failures.
        "registryPullQPS": 0,
        "serializeImagePulls": False,
        "makeIPTablesUtilChains": False,
    }


def _proxy(folders: settings.Folders) -> Mapping[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(folders.certs / "proxy.kubeconfig")},
        "hostnameOverride": settings.NODE,
        "mode": "nftables",
        "clusterCIDR": settings.POD_CIDR,
        "healthzBindAddress": f"127.0.0.1:{settings.PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{settings.PROXY_METRICS_PORT}",
        "oomScoreAdj": 0,
        "conntrack": {"maxPerCore": 0, "min": 0},  # leave the machine's table as it is
    }
