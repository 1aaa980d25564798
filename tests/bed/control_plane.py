"""The control plane: etcd, kube-apiserver and kube-controller-manager, all real.

RBAC is on and every client has its own certificate or ServiceAccount token, so the audit log can
count the requests of each.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.bed.api import Api, Manifest
from tests.bed.pki import Authority, file_name
from tests.bed.processes import Child, free_port, wait_until

_AUDIT_POLICY = Path(__file__).parent / "config" / "audit-policy.yaml"
_ISSUER = "https://kubernetes.default.svc"
_CONTROLLERS = ("deployment", "replicaset", "garbage-collector", "namespace", "serviceaccount",
                "job", "cronjob", "validatingadmissionpolicy-status")  # fmt: skip
_TOKEN_SECONDS = 86_400
_MASTERS = ("system:masters",)


class Request(NamedTuple):
    """One line of the audit log; `time` is in seconds since the epoch."""

    time: float
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a bed keeps its files: `work` goes with the bed, `logs` stay."""

    work: Path
    logs: Path


class ControlPlane:
    """An API server with its store and its controllers."""

    def __init__(self, programs: Mapping[str, Path], folders: Folders) -> None:
        self._programs, self._folders = programs, folders
        self.authority = Authority(folders.work / "pki")
        self._signing_key, self._public_key = self.authority.signing_key()
        self.url = f"https://127.0.0.1:{free_port()}"
        self.audit_log = folders.work / "audit.jsonl"
        self.admin_kubeconfig = self.kubeconfig("bed:admin")
        self.api = self.client("bed:admin")
        self._children: list[Child] = []

    def start_api(self) -> None:
        """Start etcd and the API server; return when the latter is ready."""
        etcd = self._start_etcd(f"http://127.0.0.1:{free_port()}")
        server = self._start_server(etcd)
        server.wait_ready(self._ready, timeout=60)
        wait_until("namespace default", lambda: self.api.find("namespace", "default"), 30)

    def _start_etcd(self, url: str) -> str:
        peer = f"http://127.0.0.1:{free_port()}"
        self._start(
            "etcd", "--unsafe-no-fsync", "--log-level", "warn",
            "--data-dir", self._folders.work / "etcd",
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}",
        )  # fmt: skip
        return url

    def _start_server(self, etcd: str) -> Child:
        pair = self.authority.issue("kube-apiserver")
        return self._start(
            "kube-apiserver", "--etcd-servers", etcd,
            "--bind-address", "127.0.0.1", "--secure-port", self.url.rsplit(":", 1)[1],
            "--tls-cert-file", pair.cert, "--tls-private-key-file", pair.key,
            "--client-ca-file", self.authority.ca, "--authorization-mode", "RBAC",
            "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.0.0.0/16",
            "--service-account-issuer", _ISSUER,
            "--service-account-key-file", self._public_key,
            "--service-account-signing-key-file", self._signing_key,
            "--audit-policy-file", _AUDIT_POLICY, "--audit-log-path", self.audit_log,
            "--audit-log-maxsize", "1000",
        )  # fmt: skip

    def start_controllers(self) -> None:
        """Start the controller manager: after the CRDs, so that it collects their garbage too."""
        port = free_port()
        kubeconfig = self.kubeconfig("bed:controllers")
        self._start(
            "kube-controller-manager", "--kubeconfig", kubeconfig, "--leader-elect=false",
            "--controllers", ",".join(f"{name}-controller" for name in _CONTROLLERS),
            "--bind-address", "127.0.0.1", "--secure-port", str(port),
            "--cert-dir", self._folders.work / "pki",
            "--service-account-private-key-file", self._signing_key,
            "--root-ca-file", self.authority.ca,
            "--kube-api-qps", "500", "--kube-api-burst", "1000",
        )  # fmt: skip

    def _start(self, name: str, *arguments: str | Path) -> Child:
        log = self._folders.logs / f"{name}.log"
        child = Child(name, [self._programs[name], *arguments], log)
        self._children.append(child)
        return child

    def _ready(self) -> bool:
        return self.api.call("GET", "/readyz") == "ok"

    def wait_controllers(self) -> None:
        """Wait until the controllers work: the default namespace has its ServiceAccount."""
        account = lambda: self.api.find("serviceaccount", "default", "default")  # noqa: E731
        self._children[-1].wait_ready(account, timeout=60)

    def client(self, user: str, groups: Sequence[str] = _MASTERS) -> Api:
        """Return a client with its own certificate."""
        pair = self.authority.issue(user, *groups)
        return Api(self.url, self.authority.ca, (pair.cert, pair.key))

    def kubeconfig(self, user: str, groups: Sequence[str] = _MASTERS) -> Path:
        """Return a kubeconfig file with its own certificate."""
        pair = self.authority.issue(user, *groups)
        credentials = {"client-certificate": str(pair.cert), "client-key": str(pair.key)}
        return self._write_kubeconfig(file_name(user, *groups), credentials)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Return a kubeconfig file with a token for the ServiceAccount, made by TokenRequest."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                   "spec": {"expirationSeconds": _TOKEN_SECONDS}}  # fmt: skip
        token = self.api.call("POST", path, request)["status"]["token"]
        return self._write_kubeconfig(f"{namespace}-{name}", {"token": token})

    def _write_kubeconfig(self, name: str, credentials: Manifest) -> Path:
        cluster = {"server": self.url, "certificate-authority": str(self.authority.ca)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "bed",
            "clusters": [{"name": "bed", "cluster": cluster}],
            "users": [{"name": "bed", "user": credentials}],
            "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "bed"}}],
        }
        path = self._folders.work / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path

    def requests(self, user: str, since: float = 0.0) -> list[Request]:
        """Return the requests of one user that began after `since`, in the order of the log.

        A watch counts once, when it begins. A ServiceAccount's user is
        `system:serviceaccount:<namespace>:<name>`.
        """
        seen: set[str] = set()
        found: list[Request] = []
        needle = json.dumps(user)
        with self.audit_log.open() as lines:
            for line in lines:
                if needle not in line or not line.endswith("\n"):
                    continue
                event = json.loads(line)
                if event["user"]["username"] == user and event["auditID"] not in seen:
                    seen.add(event["auditID"])
                    found.append(_request(event))
        return [request for request in found if request.time >= since]

    def stop(self) -> None:
        """Kill all three: on SIGTERM the API server would wait up to a minute for watches."""
        self.api.close()
        for child in reversed(self._children):
            child.kill()


def _request(event: Manifest) -> Request:
    target = event.get("objectRef", {})
    return Request(
        _seconds(event["requestReceivedTimestamp"]),
        event["verb"],
        target.get("resource", ""),
        target.get("subresource", ""),
        target.get("namespace", ""),
        target.get("name", ""),
        event.get("responseStatus", {}).get("code", 0),
    )


def _seconds(stamp: str) -> float:
    return dt.datetime.fromisoformat(stamp).timestamp()


def wait_crd(api: Api, name: str, timeout: float = 20.0) -> None:
    """Wait until the CRD is established and its kind is really served."""
    crd = wait_until(f"CRD {name}", lambda: _established(api, name), timeout)
    version = next(v["name"] for v in crd["spec"]["versions"] if v["served"])
    path = f"/apis/{crd['spec']['group']}/{version}/{crd['spec']['names']['plural']}"
    wait_until(f"{path} served", lambda: api.call("GET", path, query={"limit": "1"}), timeout)


def _established(api: Api, name: str) -> Manifest | None:
    crd = api.get("customresourcedefinition", name)
    conditions = crd.get("status", {}).get("conditions", [])
    established = any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
    return crd if established else None
