"""The pods of each version, read when a turn depends on them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from penstock.core import pods
from penstock.core.kinds import POD, SERVICE, Key, Manifest
from penstock.core.traffic.target import Target
from penstock.ports import Objects

SELECTOR_AGE = timedelta(minutes=5)


@dataclass
class Workloads:
    """Lists pods by the selector of a Service; remembers selectors for a while."""

    objects: Objects
    _selectors: dict[Key, tuple[datetime, Mapping[str, str]]] = field(default_factory=dict)

    async def by_version(self, target: Target, now: datetime) -> Mapping[str, tuple[Manifest, ...]]:
        """Return the pods by version."""
        if target.label is not None:
            found = await self._pods_of(Key(target.namespace, target.service), now)
            return pods.by_version(found, target.label)
        names = sorted(target.services.items())
        lists = await asyncio.gather(
            *(self._pods_of(Key(target.namespace, service), now) for _, service in names)
        )
        return {
            version: tuple(p for p in one if not p["metadata"].get("deletionTimestamp"))
            for (version, _), one in zip(names, lists, strict=True)
        }

    async def _pods_of(self, service: Key, now: datetime) -> tuple[Manifest, ...]:
        selector = await self._selector(service, now)
        if not selector:
            return ()
        return tuple(await self.objects.select(POD, service.namespace, selector))

    async def _selector(self, service: Key, now: datetime) -> Mapping[str, str]:
        """Return the selector of a Service, read anew only now and then: it hardly ever changes."""
        kept = self._selectors.get(service)
        if kept is not None and now - kept[0] < SELECTOR_AGE:
            return kept[1]
        found = await self.objects.get(SERVICE, service)
        selector: Mapping[str, str] = (found or {}).get("spec", {}).get("selector") or {}
        if selector:
            self._selectors[service] = (now, selector)
        return selector
