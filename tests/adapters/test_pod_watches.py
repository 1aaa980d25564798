"""Pods of a namespace from one watch: the same as a list, or nothing at all."""

import asyncio
import json

from penstock.adapters.pod_watches import IDLE_SECONDS, LISTS_SECONDS, MOST_LISTS, PodWatches
from penstock.core import pods as core_pods
from penstock.ports import ForbiddenError, TransientError


def pod(name, app="a", ready="True"):
    meta = {"name": name, "namespace": "ml", "labels": {"app": app, "version": "v1"}}
    meta |= {"creationTimestamp": "2026-11-24T08:00:00Z", "managedFields": [{"manager": "x"}]}
    meta |= {"ownerReferences": [{"controller": True, "name": "fraud", "uid": "1"}]}
    status = {"phase": "Running", "podIP": "10.0.0.1", "hostIP": "10.0.0.2"}
    status["conditions"] = [{"type": "Ready", "status": ready, "lastProbeTime": None}]
    spec = {"containers": [{"image": "i:1", "env": [{"name": "X"}]}]}
    return {"metadata": meta, "spec": spec, "status": status}


def event(kind, shown, version="9"):
    shown = {**shown, "metadata": {**shown.get("metadata", {}), "resourceVersion": version}}
    return json.dumps({"type": kind, "object": shown}).encode()


class Server:
    """Lists what it has; yields the events that it is told; an exception ends a watch."""

    def __init__(self, *pods):
        self.pods, self.lists, self.versions = list(pods), 0, []
        self.events: asyncio.Queue = asyncio.Queue()
        self.now = 0.0
        self.watches = PodWatches(self.list, self.stream, lambda: self.now)

    async def list(self, namespace):
        self.lists += 1
        return {"metadata": {"resourceVersion": "5"}, "items": self.pods}

    async def stream(self, namespace, version, seconds):
        self.versions.append(version)
        while (event := await self.events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def select(self, app="a"):
        return self.watches.select("ml", {"app": app})

    async def begin(self):
        for _ in range(MOST_LISTS + 1):
            assert self.select() is None
        await settle()

    async def tell(self, *events):
        for one in events:
            self.events.put_nowait(one)
        await settle()

    def names(self, app="a"):
        found = self.select(app)
        return found if found is None else sorted(one["metadata"]["name"] for one in found)


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_asks_seldom_lists_its_own():
    server = Server(pod("one"))
    for _ in range(3 * MOST_LISTS):
        server.now += LISTS_SECONDS / MOST_LISTS
        assert server.select() is None
    await settle()
    assert server.lists == 0


async def test_who_ask_often_share_one_watch_and_get_what_a_list_would_have():
    server = Server(pod("one"), pod("two", ready="False"), pod("other", app="b"))
    await server.begin()
    assert (server.names("a"), server.names("b"), server.names("x")) == (
        ["one", "two"],
        ["other"],
        [],
    )
    found, listed = server.select("a"), [one for one in server.pods if "other" not in str(one)]
    assert core_pods.summary(found) == core_pods.summary(listed)
    assert core_pods.identities(found) == core_pods.identities(listed)
    assert core_pods.names_and_addresses(found) == core_pods.names_and_addresses(listed)
    await server.watches.close()


async def test_the_watch_is_followed():
    server = Server(pod("one"))
    await server.begin()
    await server.tell(event("ADDED", pod("two")), event("DELETED", pod("one")))
    assert server.names() == ["two"]
    await server.tell(event("MODIFIED", pod("two", app="b")))
    assert (server.names("a"), server.names("b")) == ([], ["two"])
    await server.watches.close()


async def test_a_watch_that_ends_goes_on_from_its_last_version():
    server = Server(pod("one"))
    await server.begin()
    await server.tell(event("BOOKMARK", {}, "17"), None)
    assert (server.versions, server.lists) == (["5", "17"], 1)
    assert server.names() == ["one"]
    await server.watches.close()


async def test_while_a_watch_is_broken_each_lists_its_own_and_then_it_begins_anew(monkeypatch):
    monkeypatch.setattr("penstock.adapters.pod_watches.AGAIN_SECONDS", 0.01)
    for failure in (TransientError("410"), OSError("reset"), event("ERROR", {"message": "gone"})):
        server = Server(pod("one"))
        await server.begin()
        await server.tell(failure)
        assert server.names() is None
        server.pods = [pod("new")]
        await asyncio.sleep(0.03)
        assert (server.names(), server.lists) == (["new"], 2)
        await server.watches.close()


async def test_without_the_right_to_watch_each_lists_its_own():
    server = Server(pod("one"))
    await server.begin()
    await server.tell(ForbiddenError("403"))
    for _ in range(2 * MOST_LISTS):
        assert server.select() is None
    await settle()
    assert server.lists == 1


async def test_a_watch_ends_when_nobody_asks_any_more():
    server = Server(pod("one"))
    await server.begin()
    server.now += IDLE_SECONDS + 1
    await server.tell(None)
    assert server.names() is None
    assert len(server.versions) == 1
