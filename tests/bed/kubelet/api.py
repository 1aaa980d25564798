"""The few calls to the API server that the kubelet's stand-in makes."""

import datetime as dt
import json
import ssl
import sys
from collections.abc import AsyncIterator

import aiohttp

from tests.bed.kubelet.manifests import Manifest

_ENTRIES = "/apis/networking.istio.io/v1/namespaces/{}/workloadentries"
_MERGE = {"content-type": "application/merge-patch+json"}


class Cluster:
    """A client for Pods, their status and WorkloadEntries; refusals are logged, not raised."""

    def __init__(self, session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext) -> None:
        self._session, self._url, self._tls = session, url, tls

    async def pods(self) -> tuple[list[Manifest], str]:
        """Return all Pods and the resource version to watch from."""
        async with self._session.get(f"{self._url}/api/v1/pods", ssl=self._tls) as answer:
            answer.raise_for_status()
            found = await answer.json()
        return found["items"], found["metadata"]["resourceVersion"]

    async def events(self, since: str) -> AsyncIterator[tuple[str, Manifest]]:
        """Yield the events of Pods until the watch ends."""
        query = {"watch": "true", "resourceVersion": since}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(
            f"{self._url}/api/v1/pods", params=query, ssl=self._tls, timeout=timeout
        ) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                event = json.loads(line)
                yield event["type"], event["object"]

    async def write_status(self, pod: Manifest, status: Manifest) -> None:
        """Merge into the Pod's status; that the Pod is gone is no error."""
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
        body = {"metadata": {"uid": meta["uid"]}, "status": status}
        await self._send("PATCH", path, body, allowed=(404, 409))

    async def enter_mesh(self, entry: Manifest) -> None:
        path = _ENTRIES.format(entry["metadata"]["namespace"])
        await self._send("POST", path, entry, allowed=(404, 409))

    async def leave_mesh(self, pod: Manifest) -> None:
        meta = pod["metadata"]
        path = f"{_ENTRIES.format(meta['namespace'])}/{meta['name']}"
        await self._send("DELETE", path, None, allowed=(404,))

    async def _send(
        self, method: str, path: str, body: Manifest | None, allowed: tuple[int, ...]
    ) -> None:
        headers = _MERGE if method == "PATCH" else {}
        async with self._session.request(
            method, self._url + path, json=body, headers=headers, ssl=self._tls
        ) as answer:
            if answer.status >= 400 and answer.status not in allowed:
                log(f"{method} {path}: {answer.status} {await answer.text()}")


def log(text: str) -> None:
    """Write one line to the log of this program."""
    sys.stderr.write(f"{dt.datetime.now(dt.UTC).isoformat()} {text}\n")
    sys.stderr.flush()
