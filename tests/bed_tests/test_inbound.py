"""Inbound Envoys count what reaches a Pod, as Istio's sidecars do."""

import pytest

from tests.bed.bed import Bed
from tests.bed.place import Place
from tests.bed.traffic import statuses, versions

pytestmark = [pytest.mark.bed, pytest.mark.needs("envoy", "deploy", "load", "prometheus", "behave")]
_REQUESTS = 200


@pytest.fixture
def shop(place: Place) -> Place:
    """Two versions behind inbound proxies, half of the traffic to each."""
    place.deploy("shop", "v1", replicas=2, inbound=True, wait=False)
    place.deploy("shop", "v2", inbound=True)
    place.wait_deployed("shop", "v1")
    place.subsets("shop", "v1", "v2")
    place.split("shop", {"v2": 50, "v1": 50})
    place.wait(lambda: _ask(place).status == 200, 10, "route at the edge")
    return place


def _ask(place: Place):
    with place.load(50, limit=1) as load:
        return load.wait(5)[0]


def _selector(place: Place) -> str:
    return f'reporter="destination",destination_service="{place.host("shop")}"'


def _counted(bed: Bed, place: Place, by: str) -> dict[str, int]:
    total = f"sum by ({by}) (istio_requests_total{{{_selector(place)}}})"
    return {labels.get(by, ""): int(value) for labels, value in bed.prometheus.query(total)}


def _wait_counted(bed: Bed, place: Place, total: int) -> dict[str, int]:
    revision = "destination_canonical_revision"
    counted = lambda: _counted(bed, place, revision)  # noqa: E731
    place.wait(lambda: sum(counted().values()) >= total, 20, f"{total} counted at the Pods")
    return counted()


def test_destination_counts_are_what_users_saw(bed: Bed, shop: Place) -> None:
    before = sum(_wait_counted(bed, shop, 1).values())
    shop.behave("v2", errors=0.5, delay_ms=30)
    with shop.load(200, limit=_REQUESTS) as load:
        answers = load.wait(10)
    counted = _wait_counted(bed, shop, before + _REQUESTS)
    assert sum(counted.values()) == before + _REQUESTS
    assert abs(counted["v2"] - versions(answers)["v2"]) <= before
    assert _counted(bed, shop, "response_code")["500"] == statuses(answers)[500] > 20
    assert _counted(bed, shop, "destination_workload").keys() == {"shop-v1", "shop-v2"}
    v2 = f'{_selector(shop)},destination_canonical_revision="v2"'
    slow = f'sum(istio_request_duration_milliseconds_bucket{{{v2},le="25"}})'
    total = f"sum(istio_request_duration_milliseconds_count{{{v2}}})"
    shop.wait(lambda: bed.prometheus.value(total) == counted["v2"], 10, "histogram")
    assert (bed.prometheus.value(slow) or 0) <= before


def test_each_pod_is_a_scrape_target_with_a_start_of_its_own(bed: Bed, shop: Place) -> None:
    here = f'job="sidecars",namespace="{shop.namespace}"'
    shop.wait(lambda: bed.prometheus.value(f"count(up{{{here}}} == 1)") == 3, 20)
    ups = bed.prometheus.query(f"envoy_server_uptime{{{here}}}")
    names = {pod["metadata"]["name"] for version in ("v1", "v2") for pod in shop.pods(version)}
    assert {labels["pod"] for labels, _ in ups} == names
    assert len({labels["instance"] for labels, _ in ups}) == 3
    shop.delete_pods("v2")
    shop.wait_deployed("shop", "v2")
    (new,) = shop.pods("v2")
    up = f'envoy_server_uptime{{{here},pod="{new["metadata"]["name"]}"}}'
    uptime = shop.wait(lambda: bed.prometheus.query(up), 20)[0][1]
    assert uptime < max(value for _, value in ups) + 5


def test_mirrored_requests_are_counted_for_the_candidate_only_there(bed: Bed, shop: Place) -> None:
    (service,) = [m for m in shop.objects("virtualservice") if m["metadata"]["name"] == "shop"]
    (route,) = service["spec"]["http"]
    live, shadow = ({"host": shop.host("shop"), "subset": subset} for subset in ("v1", "v2"))
    route |= {"route": [{"destination": live}], "mirror": shadow}
    shop.merge("virtualservice", "shop", {"spec": {"http": [route]}})
    split = (("v1", 100),)
    shop.wait(lambda: split in bed.mesh.edge.routes(shop.hostname).values(), 5)
    before = _wait_counted(bed, shop, 1)
    with shop.load(200, limit=_REQUESTS) as load:
        answers = load.wait(10)
    assert versions(answers) == {"v1": _REQUESTS}
    counted = _wait_counted(bed, shop, sum(before.values()) + 2 * _REQUESTS)
    assert {v: counted[v] - before.get(v, 0) for v in counted} == {
        "v1": _REQUESTS, "v2": _REQUESTS
    }  # fmt: skip
    at_edge = f'reporter="source",destination_service="{shop.host("shop")}"'
    seen = f'istio_requests_total{{{at_edge},destination_canonical_revision="v2"}}'
    assert sum(value for _, value in bed.prometheus.query(seen)) == before.get("v2", 0)


def test_proxy_outlives_a_backend_that_crashes(bed: Bed, place: Place) -> None:
    place.deploy("crash", "v1", crash_after="500ms", inbound=True, wait=False)
    here = f'job="sidecars",namespace="{place.namespace}"'
    place.wait(lambda: bed.prometheus.query(f"envoy_server_uptime{{{here}}} > 2"), 20)
    (pod,) = place.pods("v1", "crash")
    assert pod["status"]["containerStatuses"][0]["restartCount"] >= 1
