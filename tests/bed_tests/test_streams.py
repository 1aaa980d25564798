"""TCP and TLS passthrough are split by weight, connection by connection."""

from collections import Counter
from typing import Literal

import pytest

from tests.bed.place import Place
from tests.bed.streams import Streams

pytestmark = [pytest.mark.bed, pytest.mark.needs("streams", "deploy")]


@pytest.fixture
def streams(place: Place) -> Streams:
    """Two versions behind the ports of a place, 20 % of the connections to v2."""
    place.deploy("shop", "v1", tls=True, wait=False)
    place.deploy("shop", "v2", tls=True)
    place.wait_deployed("shop", "v1")
    place.subsets("shop", "v1", "v2")
    mine = place.streams()
    place.apply(mine.routes(place.host("shop"), {"v1": 80, "v2": 20}))
    return mine


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_connections_are_split_by_weight(
    place: Place, streams: Streams, kind: Literal["tcp", "tls"]
) -> None:
    place.wait(lambda: streams.split(kind) == (("v1", 80), ("v2", 20)), 10, "weights in Envoy")
    place.wait(lambda: streams.request(kind).status == 200, 10, "backends")
    seen = Counter(streams.request(kind).version for _ in range(100))
    assert seen.total() == 100
    assert 5 <= seen["v2"] <= 40
    place.apply(streams.routes(place.host("shop"), {"v1": 0, "v2": 100}))
    place.wait(lambda: streams.split(kind) == (("v2", 100),), 10, "weights in Envoy")
    assert {streams.request(kind).version for _ in range(20)} == {"v2"}
    assert streams.edge.update_rejected() == 0
