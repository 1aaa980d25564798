"""The Kubernetes API, through the official asyncio client. The only module that writes to it."""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client

from penstock.adapters.pod_watches import PodWatches
from penstock.cache import Cache
from penstock.core.kinds import POD, WATCHED, Key, Kind, Manifest, key_of
from penstock.core.traffic.target import MANAGER
from penstock.ports import ConflictError, ForbiddenError, TransientError

TIMEOUT_SECONDS = 10
_TIMEOUT = aiohttp.ClientTimeout(sock_connect=TIMEOUT_SECONDS, sock_read=TIMEOUT_SECONDS)
"""How long the server may be silent; waiting for a free connection of ours is not its silence."""

_JSON, _JSON_PATCH = "application/json", "application/json-patch+json"
_APPLY = "application/apply-patch+yaml"
Timing = Callable[[str, float], None]


class Kubernetes:
    """Implements `penstock.ports.Objects` and `penstock.ports.Writes`."""

    def __init__(self, api: client.ApiClient, cache: Cache, timing: Timing) -> None:
        """Read through the cache where it is fed by a watch.

        Args:
            api: The client.
            cache: What the watches have shown.
            timing: Is told how long each request took, in seconds.
        """
        self._api = api
        self._cache = cache
        self._timing = timing
        self._pods = PodWatches(self._all_pods, self._pod_events)

    async def close(self) -> None:
        """End what goes on beside requests."""
        await self._pods.close()

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """Return an object, None where there is none."""
        if kind in WATCHED and (found := self._cache.get(kind, key)) is not None:
            return found
        found = await self._request("GET", _path(kind, key.namespace, key.name))
        if found is not None and kind in WATCHED:
            return self._cache.put(kind, found)
        return found

    def peek(self, kind: Kind, key: Key) -> Manifest | None:
        """Return an object that the watches have shown; None where they have not."""
        return self._cache.get(kind, key)

    def known(self, kind: Kind) -> Sequence[Manifest]:
        """Return all objects of a kind that the watches have shown."""
        return self._cache.all(kind)

    async def select(
        self, kind: Kind, namespace: str, selector: Mapping[str, str]
    ) -> Sequence[Manifest]:
        """Return the objects with these labels, from the server's own cache or a watch of ours."""
        if kind == POD and (kept := self._pods.select(namespace, selector)) is not None:
            return kept
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        query = {"labelSelector": labels, "resourceVersion": "0"}
        found = await self._request("GET", _path(kind, namespace), query=query)
        items: list[Manifest] = (found or {}).get("items", [])
        return items

    async def _all_pods(self, namespace: str) -> Manifest:
        found = await self._request("GET", _path(POD, namespace))
        if found is None:
            raise TransientError(f"pods of {namespace}: 404")
        return found

    async def _pod_events(self, namespace: str, version: str, seconds: int) -> AsyncIterator[bytes]:
        """Yield the lines of a watch of pods; silence beyond its end is an error."""
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(seconds),
                 "allowWatchBookmarks": "true"}  # fmt: skip
        path = _path(POD, namespace)
        serialized = await self._api.param_serialize(
            "GET",
            f"{path}?{urlencode(query)}",
            header_params={"Accept": _JSON},
            auth_settings=["BearerToken"],
        )
        answer = await self._api.call_api(*serialized, _request_timeout=seconds + TIMEOUT_SECONDS)
        try:
            if answer.status != 200:
                _parsed(f"watch {path}", answer.status, await answer.read())  # type: ignore[no-untyped-call]
                raise TransientError(f"watch {path}: {answer.status}")
            async for line in answer.response.content:
                yield line
        finally:
            answer.response.close()

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create an object.

        Raises:
            ConflictError: It exists already.
        """
        path = _path(kind, manifest["metadata"]["namespace"])
        query = {"fieldManager": MANAGER}
        return self._kept(kind, await self._request("POST", path, manifest, query=query), manifest)

    async def apply(self, kind: Kind, manifest: Manifest, resource_version: str) -> Manifest:
        """Apply an object on the server under our field manager, against this version of it.

        Raises:
            ConflictError: The object has changed meanwhile.
        """
        meta = {**manifest["metadata"], "resourceVersion": resource_version}
        body = {**manifest, "metadata": meta}
        path = _path(kind, meta["namespace"], meta["name"])
        query = {"fieldManager": MANAGER, "force": "true"}
        found = await self._request("PATCH", path, body, query=query, content=_APPLY)
        return self._kept(kind, found, manifest)

    async def patch(
        self, kind: Kind, key: Key, operations: Sequence[Mapping[str, Any]], resource_version: str
    ) -> Manifest:
        """Patch an object by JSON patch operations, against this version of it.

        Raises:
            ConflictError: The object has changed meanwhile.
        """
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version}
        query = {"fieldManager": MANAGER}
        path = _path(kind, key.namespace, key.name)
        body = [test, *operations]
        found = await self._request("PATCH", path, body, query=query, content=_JSON_PATCH)
        return self._kept(kind, found, {"metadata": {"namespace": key.namespace, "name": key.name}})

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replace the status by the one in the manifest, against the version in its metadata.

        Raises:
            ConflictError: The object has changed meanwhile.
        """
        key = key_of(manifest)
        path = _path(kind, key.namespace, key.name) + "/status"
        found = await self._request("PUT", path, manifest, query={"fieldManager": MANAGER})
        return self._kept(kind, found, manifest)

    async def delete(self, kind: Kind, key: Key, resource_version: str) -> None:
        """Delete an object of this version; nothing happens where it is gone."""
        body = {"preconditions": {"resourceVersion": resource_version}}
        await self._request("DELETE", _path(kind, key.namespace, key.name), body)

    def _kept(self, kind: Kind, found: Manifest | None, sent: Manifest) -> Manifest:
        if found is None:
            meta = sent["metadata"]
            name = meta.get("name") or meta.get("generateName", "")  # the server names events
            raise ConflictError(f"{kind.name} {name} is gone, in {meta['namespace']}")
        return self._cache.put(kind, found) if kind in WATCHED else found

    async def _request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = _JSON,
    ) -> Manifest | None:
        """Return the parsed answer; None for 404."""
        url = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": _JSON, "Content-Type": content}
        method, url, headers, _, fields = await self._api.param_serialize(
            method, url, header_params=headers, auth_settings=["BearerToken"]
        )  # The body is plain JSON already: it need not be copied through, value by value.
        began = time.monotonic()
        try:
            answer = await self._api.call_api(
                method, url, headers, body, fields, _request_timeout=_TIMEOUT
            )
            text: bytes = await answer.read()  # type: ignore[no-untyped-call]
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise TransientError(f"{method} {path}: {error!r}") from error
        finally:
            self._timing("read" if method == "GET" else "write", time.monotonic() - began)
        return _parsed(f"{method} {path}", answer.status, text)


def _path(kind: Kind, namespace: str, name: str = "") -> str:
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    path = f"{base}/namespaces/{namespace}/{kind.plural}"
    return f"{path}/{name}" if name else path


def _parsed(what: str, status: int, text: bytes) -> Manifest | None:
    if status < 300:
        parsed: Manifest = json.loads(text)
        return parsed
    if status == 404:
        return None
    message = f"{what}: {status} {_reason(text)}"
    if status == 409 or (status == 422 and b"testing path" in text.lower()):
        raise ConflictError(message)
    if status == 403:
        raise ForbiddenError(message)
    raise TransientError(message)


def _reason(text: bytes) -> str:
    try:
        return str(json.loads(text).get("message", ""))[:500]
    except ValueError:
        return text[:200].decode(errors="replace")
