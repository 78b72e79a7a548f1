"""Certificates and tokens: how to talk to a cluster's server.

Most of it stands in the kubeconfig (`logins`), or a credential plugin says it, which runs in the
session's environment and is killed when nobody waits for it any more.  A pod's service account is
an entry like others, with its token in a file.  Only an `auth-provider` takes the official client,
which is imported for that alone, since it takes 0.3 s of CPU and 18 MiB.  One part of it is
replaced: to refresh an OpenID token it would send secrets over TLS that it does not verify.

What expires is loaded anew: plugins before their own expiry, token files and providers each
minute, everything when the server answers 401.  Keys that stand in the kubeconfig pass through a
temporary file (OpenSSL wants one), which is gone when this returns.

Sources: "client-go credential plugins" and "OpenID Connect Tokens", kubernetes.io.
"""

import asyncio
import base64
import ipaddress
import json
import os
import signal
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib import parse

from tiltd import ports
from tiltd.adapters import tls
from tiltd.adapters.kubernetes import kubeconfig, logins
from tiltd.core import podspec
from tiltd.model.desired import JSON
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Code, Place, Problem
from tiltd.runtime import imports

_RELOAD = 60.0
_EARLY = 60.0
_PLUGIN_SECONDS = 60.0
_KNOWN_PROVIDERS = frozenset({"gcp", "oidc"})

Refresh = Callable[[JSON, ssl.SSLContext], Awaitable[JSON]]
"""Asks an OpenID provider (its `config`) for new tokens; gives its answer."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to talk to the server now.

    Args:
        headers: authorization and impersonation.
        server_name: the name in the server's certificate, if not the host's.
        expires_at: when to load anew (seconds since the epoch).
    """

    server: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    tls: ssl.SSLContext | None
    server_name: str
    proxy: str
    expires_at: float


class Credentials:
    """The credentials of one context.

    Args:
        merged: what the kubeconfig files say.
        context: a context of theirs.
        env: the session's environment.
        refresh: see `Refresh`.
        service_account: the folder of a pod's own credentials.
    """

    def __init__(
        self,
        merged: kubeconfig.Kubeconfig,
        context: KubeContext,
        env: Mapping[str, str],
        refresh: Refresh,
        service_account: Path = kubeconfig.SERVICE_ACCOUNT,
    ) -> None:
        self._context, self._env, self._refresh = context, env, refresh
        none = kubeconfig.Entry("", {}, "")
        about = merged.contexts.get(context.name, none)
        self._about = about
        self._cluster = merged.clusters.get(context.cluster, none)
        self._user = merged.users.get(str(about.value.get("user") or ""), none)
        if merged.in_cluster and context.name == kubeconfig.IN_CLUSTER:
            self._cluster, self._user = _in_cluster(service_account, context.server)
        self._expires_at = float("inf")

    async def load(self) -> Access:
        """Load certificates and tokens.

        Raises:
            PermanentError: the kubeconfig is wrong, or a plugin failed.
        """
        self._check()
        self._expires_at = float("inf")
        try:
            with tempfile.TemporaryDirectory(prefix="tiltd-") as folder:
                login = await self._login(Path(folder))
                secure = _tls(login) if login.server.startswith("https") else None
        except ports.PermanentError:
            raise
        except ssl.SSLError as error:
            self._fail(f"a certificate or key in it is broken: {error}", cause=error)
        except Exception as error:  # noqa: BLE001  a provider's loader raises whatever its parsers do
            self._fail(str(error) or type(error).__name__, cause=error)
        return Access(
            server=login.server,
            headers=self._headers(login),
            tls=secure,
            server_name=login.server_name,
            proxy=login.proxy or _proxy(login.server, self._env),
            expires_at=self._expires_at,
        )

    def _check(self) -> None:
        if not self._cluster.value.get("server"):
            self._fail(f"cluster {self._context.cluster!r} has no server", entry=self._about)
        provider = podspec.section(self._user.value, "auth-provider").get("name")
        if provider and provider not in _KNOWN_PROVIDERS:
            self._fail(
                f"auth-provider {provider!r} is not known",
                hint="Use its credential plugin (`exec`) instead, kubelogin for Azure.",
            )

    async def _login(self, folder: Path) -> logins.Login:
        user, authorization = self._user, None
        if {"tokenFile", "auth-provider"} & user.value.keys():
            self._expires_at = time.time() + _RELOAD
        if "auth-provider" in user.value:
            authorization = await self._ask_provider()
        elif "exec" in user.value:
            status = await self._run_plugin()
            user = logins.with_status(user, status)
            if expiry := status.get("expirationTimestamp"):
                self._expires_at = datetime.fromisoformat(str(expiry)).timestamp() - _EARLY
        return logins.read(self._cluster, user, authorization, folder)

    async def _ask_provider(self) -> str:
        """The header that the official client finds; it is told of nothing but the provider."""
        client = imports.load("kubernetes.aio.config.kube_config")
        user = {"auth-provider": self._user.value["auth-provider"]}
        config = {
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": "http://it"}}],
            "users": [{"name": "it", "user": user}],
        }
        loader = client.KubeConfigLoader(config, active_context="it")

        async def openid(provider: Any) -> None:
            config: dict[str, Any] = provider["config"].value
            answer = await self._refresh(config, _verifying(config))
            config["id-token"] = answer["id_token"]
            config["refresh-token"] = answer.get("refresh_token") or config["refresh-token"]

        loader._refresh_oidc = openid  # noqa: SLF001  see the module
        target = client.Configuration()
        await loader.load_and_set(target)
        return str(target.api_key.get("BearerToken") or "")

    async def _run_plugin(self) -> JSON:
        """Run the user's credential plugin; its `status`."""
        plugin = podspec.section(self._user.value, "exec")
        command = str(plugin.get("command") or "")
        if os.sep in command:
            command = str(Path(self._user.file).parent / command)
        own = {str(row["name"]): str(row["value"]) for row in podspec.rows(plugin.get("env"))}
        version = str(plugin.get("apiVersion") or "")
        spec: dict[str, object] = {"interactive": False}
        if plugin.get("provideClusterInfo"):
            spec["cluster"] = {
                k: v for k, v in self._cluster.value.items() if k != "certificate-authority"
            }
        info = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
        env = {**self._env, **own, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        argv = [command, *(str(arg) for arg in plugin.get("args") or ())]
        code, out, err = await self._run(argv, env, str(plugin.get("installHint") or ""))
        if code:
            self._fail(
                f"credential plugin {command!r} ended with exit code {code}",
                detail=err.decode(errors="replace").strip(),
                hint="Run it by hand: you may have to log in again.",
            )
        try:
            answer: JSON = json.loads(out)
            status = podspec.section(answer, "status")
        except (ValueError, AttributeError) as error:
            self._fail(f"credential plugin {command!r} printed no ExecCredential", cause=error)
        if answer.get("apiVersion") != version or not status:
            self._fail(
                f"credential plugin {command!r} answered with apiVersion "
                f"{answer.get('apiVersion')!r}, {version!r} was asked for"
            )
        return status

    async def _run(
        self, argv: list[str], env: Mapping[str, str], install: str
    ) -> tuple[int, bytes, bytes]:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            hint = install or "Install it, or use another context."
            words = f"credential plugin {argv[0]!r} can't be started: {error.strerror}"
            self._fail(words, hint=hint, cause=error)
        try:
            async with asyncio.timeout(_PLUGIN_SECONDS):
                out, err = await process.communicate()
        except TimeoutError as error:
            words = f"credential plugin {argv[0]!r} gave no answer within {_PLUGIN_SECONDS:g} s"
            self._fail(words, cause=error)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return process.returncode or 0, out, err

    def _headers(self, login: logins.Login) -> tuple[tuple[str, str], ...]:
        headers: list[tuple[str, str]] = []
        if login.authorization:
            headers.append(("Authorization", login.authorization))
        user = self._user.value
        if user.get("as"):
            headers.append(("Impersonate-User", str(user["as"])))
            headers += [("Impersonate-Group", str(g)) for g in user.get("as-groups") or ()]
        return tuple(headers)

    def _fail(
        self,
        what: str,
        *,
        detail: str = "",
        hint: str = "",
        entry: kubeconfig.Entry | None = None,
        cause: Exception | None = None,
    ) -> NoReturn:
        entry = entry or self._user
        problem = Problem(
            Code.CLUSTER_CONFIG,
            f"context {self._context.name!r}: {what}",
            Place(entry.file) if entry.file else None,
            hint or "Check this context in the kubeconfig (`kubectl config view --minify`).",
            detail,
        )
        raise ports.PermanentError(problem) from cause


def _in_cluster(folder: Path, server: str) -> tuple[kubeconfig.Entry, kubeconfig.Entry]:
    """The API server and the service account of the pod that we run in, as entries.

    Source: "Accessing the Kubernetes API from a Pod", kubernetes.io.
    """
    cluster = {"server": server, "certificate-authority": str(folder / "ca.crt")}
    user = {"tokenFile": str(folder / "token")}
    name = kubeconfig.IN_CLUSTER
    return kubeconfig.Entry(name, cluster, ""), kubeconfig.Entry(name, user, "")


def _tls(login: logins.Login) -> ssl.SSLContext:
    context = tls.context(login.ca)
    if login.certificate:
        context.load_cert_chain(login.certificate, login.key)
    if not login.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _verifying(config: JSON) -> ssl.SSLContext:
    data = config.get("idp-certificate-authority-data")
    if data:
        binary = base64.b64decode(data)
        return tls.context(cadata=binary.decode())
    return tls.context(config.get("idp-certificate-authority"))


def _proxy(server: str, env: Mapping[str, str]) -> str:
    """The proxy that the environment names for this server, as client-go reads it."""
    url = parse.urlsplit(server)
    host = url.hostname or ""
    skip = (env.get("NO_PROXY") or env.get("no_proxy") or "").replace(" ", "").split(",")
    if host == "localhost" or any(_covers(pattern, host) for pattern in skip if pattern):
        return ""
    if (address := _address(host)) and address.is_loopback:
        return ""
    variable = f"{url.scheme}_proxy"
    return env.get(variable.upper()) or env.get(variable) or ""


def _covers(pattern: str, host: str) -> bool:
    """Whether one part of NO_PROXY means this host: `*`, a network, a domain."""
    if pattern == "*":
        return True
    if "/" in pattern and (address := _address(host)):
        with suppress(ValueError):
            return address in ipaddress.ip_network(pattern, strict=False)
    domain = pattern.lstrip(".")
    return host == domain or host.endswith(f".{domain}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    return None
