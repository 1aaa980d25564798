"""A small client of the API server for tests and tools: any kind, by discovery, and watches.

Not the operator's client. It exists because `kubectl` costs 100 ms a call and tests poll.
"""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests

Manifest = dict[str, Any]
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_FIELD_MANAGER = "bed"
_SETTLE_SECONDS = 15.0


class ApiError(Exception):
    """The API server refused a call."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.message = code, reason, message


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the objects of one kind live."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    names: frozenset[str]

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the path of the collection, or of one object."""
        root = "/api/v1" if self.api_version == "v1" else f"/apis/{self.api_version}"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{place}/{self.plural}" + (f"/{name}" if name else "")


class Api:
    """One user's way to the API server; all methods may be called from several threads."""

    def __init__(
        self, url: str, ca: Path | None = None, pair: tuple[Path, Path] | None = None
    ) -> None:
        """Take the URL; `pair` is the client certificate and its key."""
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=32))
        self._tls: ssl.SSLContext | None = None
        self._resources: list[Resource] = []
        if ca and pair:
            self._session.verify, self._session.cert = str(ca), (str(pair[0]), str(pair[1]))
            self._tls = ssl.create_default_context(cafile=str(ca))
            self._tls.load_cert_chain(*pair)

    def close(self) -> None:
        self._session.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> Any:
        """Return the decoded answer.

        Raises:
            ApiError: the answer is not 2xx.
        """
        answer = self._session.request(
            method,
            self.url + path,
            params=dict(query or {}),
            data=None if body is None else json.dumps(body),
            headers={"content-type": content, "accept": accept},
            timeout=30,
        )
        if answer.ok:
            return answer.json() if answer.text.startswith(("{", "[")) else answer.text
        raise _error(answer)

    def apply(self, manifest: Manifest, namespace: str | None = None) -> Manifest:
        """Server-side apply one object; waits while its kind or an admission step is not served."""
        until = time.monotonic() + _SETTLE_SECONDS
        while True:
            try:
                return self._apply(manifest, namespace)
            except (ApiError, LookupError) as error:
                settling = isinstance(error, LookupError) or error.code == 503
                if not settling or time.monotonic() > until:
                    raise
                self._resources = []
                time.sleep(0.05)

    def _apply(self, manifest: Manifest, namespace: str | None) -> Manifest:
        meta = manifest["metadata"]
        resource = self.resource(manifest["kind"], manifest["apiVersion"])
        path = resource.path(meta.get("namespace") or namespace, meta["name"])
        query = {"fieldManager": _FIELD_MANAGER, "force": "true"}
        return self.call("PATCH", path, manifest, _APPLY, query)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest:
        """Return the object; ApiError 404 when there is none."""
        return self.call("GET", self.resource(kind).path(namespace, name))

    def find(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """Return the object, or None."""
        try:
            return self.get(kind, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def objects(self, kind: str, namespace: str | None = None, labels: str = "") -> list[Manifest]:
        """Return the objects that match the label selector."""
        query = {"labelSelector": labels} if labels else None
        return self.call("GET", self.resource(kind).path(namespace), query=query)["items"]

    def merge(
        self, kind: str, name: str, patch: Manifest, namespace: str | None = None, sub: str = ""
    ) -> Manifest:
        """Apply a JSON merge patch, to a subresource if one is named."""
        path = self.resource(kind).path(namespace, name) + (f"/{sub}" if sub else "")
        return self.call("PATCH", path, patch, MERGE)

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete the object; that there is none is no error."""
        try:
            self.call("DELETE", self.resource(kind).path(namespace, name))
        except ApiError as error:
            if error.code != 404:
                raise

    def delete_all(self, kind: str, namespace: str, labels: str) -> None:
        """Delete the objects that match the label selector."""
        path = self.resource(kind).path(namespace)
        self.call("DELETE", path, query={"labelSelector": labels})

    def resource(self, kind: str, api_version: str | None = None) -> Resource:
        """Return the resource of a kind, plural, singular or short name.

        Raises:
            LookupError: the API server serves nothing of that name.
        """
        for fresh in (False, True):
            if fresh or not self._resources:
                self._resources = self._discover()
            for resource in self._resources:
                if kind.lower() in resource.names and api_version in (None, resource.api_version):
                    return resource
        raise LookupError(f"the API server serves no {api_version or ''} {kind}")

    def _discover(self) -> list[Resource]:
        groups = [
            group
            for root in ("/api", "/apis")
            for group in self.call("GET", root, accept=_DISCOVERY)["items"]
        ]
        return [resource for group in groups for resource in _resources(group)]

    def watch(self, kind: str, namespace: str | None = None, since: str = "") -> "Watch":
        """Return the stream of events from the resource version `since` on."""
        query = {"watch": "true", "resourceVersion": since, "allowWatchBookmarks": "false"}
        path = f"{self.resource(kind).path(namespace)}?{urlencode(query)}"
        return Watch(self.url, path, self._tls)


class Watch:
    """Events of one watch; iterate in one thread, `close` from any."""

    def __init__(self, url: str, path: str, tls: ssl.SSLContext | None) -> None:
        address = urlsplit(url).netloc
        self._connection = (
            http.client.HTTPSConnection(address, context=tls)
            if tls
            else http.client.HTTPConnection(address)
        )
        self._connection.request("GET", path)
        self._response = self._connection.getresponse()
        self._closed = False

    def __iter__(self) -> Iterator[tuple[str, Manifest]]:
        """Yield (ADDED | MODIFIED | DELETED | ERROR, object) until the stream ends."""
        try:
            for line in self._response:
                event = json.loads(line)
                yield event["type"], event["object"]
        except (OSError, ValueError, http.client.HTTPException):
            if not self._closed:
                raise
        finally:
            self._response.close()
            self._connection.close()

    def close(self) -> None:
        self._closed = True
        connected = self._connection.sock
        if connected is not None:
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


def _error(answer: requests.Response) -> ApiError:
    try:
        status = answer.json()
        return ApiError(answer.status_code, status.get("reason", ""), status.get("message", ""))
    except ValueError:
        return ApiError(answer.status_code, answer.reason, answer.text[:500])


def _resources(group: Manifest) -> Iterator[Resource]:
    name = group["metadata"].get("name", "")
    for version in group["versions"]:
        for found in version["resources"]:
            names = (
                found["resource"],
                found["responseKind"]["kind"],
                found.get("singularResource", ""),
                *found.get("shortNames", ()),
            )
            yield Resource(
                f"{name}/{version['version']}" if name else version["version"],
                found["responseKind"]["kind"],
                found["resource"],
                found["scope"] == "Namespaced",
                frozenset(word.lower() for word in names if word),
            )
