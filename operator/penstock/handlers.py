"""kopf handlers: feed the cache, wake the loops. Nothing here knows what a Rollout is."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from penstock.api.v1alpha1 import GROUP
from penstock.cache import Cache
from penstock.core.kinds import (
    DESTINATION_RULE,
    ENVOY_FILTER,
    METRIC_TEMPLATE,
    RELEASE,
    ROLLOUT,
    WATCHED,
    Key,
    Kind,
    Manifest,
    key_of,
)
from penstock.core.traffic.target import MANAGED_BY, MANAGER
from penstock.loops import Loops

Concerned = Callable[[Kind, Manifest], set[Key]]
Removed = Callable[[Manifest], Awaitable[None]]
OURS = (DESTINATION_RULE, ENVOY_FILTER)


def register(
    registry: kopf.OperatorRegistry,
    cache: Cache,
    loops: Loops,
    concerned: Concerned,
    removed: Removed,
) -> None:
    """Bind cache and loops to the watches.

    Args:
        registry: kopf's registry.
        cache: Gets every object that a watch shows.
        loops: Are woken by changes.
        concerned: Tells which Rollouts an object of the mesh concerns.
        removed: Is called with a Rollout that is gone.
    """

    async def on_rollout(event: kopf.RawEvent, **_: Any) -> None:
        manifest = dict(event["object"])
        if event["type"] == "DELETED":
            cache.remove(ROLLOUT, manifest)
            loops.end(key_of(manifest))
            await removed(manifest)
            return
        before = cache.get(ROLLOUT, key_of(manifest))
        cache.put(ROLLOUT, manifest)
        if event["type"] is None:
            loops.wake_soon(key_of(manifest))
            return
        loops.wake(key_of(manifest), urgent=_asks_for_more(before, manifest))

    for kind in WATCHED:
        other = _on_other(kind, cache, loops, concerned)
        _watch(registry, kind, on_rollout if kind == ROLLOUT else other)


def _on_other(
    kind: Kind, cache: Cache, loops: Loops, concerned: Concerned
) -> Callable[..., Awaitable[None]]:
    async def on_event(event: kopf.RawEvent, **_: Any) -> None:
        manifest = dict(event["object"])
        if event["type"] == "DELETED":
            cache.remove(kind, manifest)
        else:
            cache.put(kind, manifest)
        for key in _rollouts_of(kind, manifest, cache, concerned):
            loops.wake(key)

    return on_event


def _rollouts_of(kind: Kind, manifest: Manifest, cache: Cache, concerned: Concerned) -> set[Key]:
    key = key_of(manifest)
    if kind == RELEASE:
        owner = Key(key.namespace, str(manifest["spec"].get("rollout", "")))
        return {owner} if cache.get(ROLLOUT, owner) is not None else set()
    return set() if kind == METRIC_TEMPLATE else concerned(kind, manifest)


def _asks_for_more(before: Manifest | None, after: Manifest) -> bool:
    """Return whether a user has changed the spec, said a command, or deleted the Rollout."""
    fields = ("generation", "annotations", "deletionTimestamp")
    old = before["metadata"] if before else {}
    return any(old.get(name) != after["metadata"].get(name) for name in fields)


def _watch(
    registry: kopf.OperatorRegistry, kind: Kind, handler: Callable[..., Awaitable[None]]
) -> None:
    handler.__name__ = f"watch_{kind.plural}"
    kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(handler)


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings for production."""
    result = kopf.OperatorSettings()
    result.persistence.finalizer = f"{GROUP}/kopf"
    result.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    result.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    result.networking.request_timeout = 30
    result.networking.connect_timeout = 10
    result.watching.chunk_size = 500
    result.scanning.disabled = True
    result.posting.enabled = False
    result.posting.reporting_component = MANAGER
    for kind in OURS:
        selectors = result.watching.label_selectors
        selectors[kind.group, kind.version, kind.plural] = f"{MANAGED_BY}={MANAGER}"
    return result


def login(registry: kopf.OperatorRegistry) -> None:
    """Let kopf log in as everything else does: the pod's ServiceAccount, else KUBECONFIG."""

    @kopf.on.login(registry=registry)
    async def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def quiet_logs() -> None:
    """Silence kopf's line per event; our own lines come under our own name."""
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
