"""Roots that hand requests to our delegate, and which match of a delegate Istio would drop.

Istio keeps a delegate's route only if each of its match blocks is, as far as it can tell from the
words alone, a part of a block of the root (`mergeHTTPMatchRequests` in its source).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from penstock.core.traffic.target import Target

Block = Mapping[str, Any]
_TEXTS = ("uri", "scheme", "method", "authority")


def roots(
    target: Target, virtual_services: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, Sequence[Block]]]:
    """Yield a name for people, and the match blocks, of each route that leads to our delegate."""
    for root, route in handing(target, virtual_services):
        meta = root["metadata"]
        name = f"http route {route.get('name', '')} of {meta['namespace']}/{meta['name']}"
        yield name, route.get("match") or []


def handing(
    target: Target, virtual_services: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield root and route of each http route that leads to our delegate."""
    for root in virtual_services:
        namespace = root["metadata"]["namespace"]
        for route in root.get("spec", {}).get("http") or []:
            delegate = route.get("delegate") or {}
            where = delegate.get("name"), delegate.get("namespace", namespace)
            if delegate and where == (target.route.delegate, target.namespace):
                yield root, route


def drops(root: Sequence[Block], block: Block) -> bool:
    """Return whether Istio drops a delegate's route with this block behind a root's blocks."""
    return bool(root) and all(_conflict(one, block) for one in root)


def _conflict(root: Block, block: Block) -> bool:
    texts = [(root.get(name), block.get(name)) for name in _TEXTS]
    headers = root.get("headers") or {}
    texts += [(headers.get(name), text) for name, text in block.get("headers", {}).items()]
    unlike = bool(root.get("ignoreUriCase")) or bool(root.get("sourceNamespace"))
    return unlike or any(_texts_conflict(*pair) for pair in texts)


def _texts_conflict(root: Block | None, block: Block | None) -> bool:
    if root is None or block is None:
        return False
    if root.get("exact"):
        return bool(block.get("exact") != root["exact"])
    if root.get("prefix") and "regex" not in block:
        return not next(iter(block.values()), "").startswith(root["prefix"])
    return True
