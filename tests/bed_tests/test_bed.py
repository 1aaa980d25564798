"""The bed does what its README says: tests of the bed itself, not of the operator."""

import itertools
import time
from pathlib import Path

import pytest
import xxhash

from tests.bed.api import ApiError
from tests.bed.bed import Bed
from tests.bed.place import Place
from tests.bed.traffic import Answer, statuses, versions

pytestmark = pytest.mark.bed
_HERE = Path(__file__).parent


@pytest.fixture
def shop(place: Place) -> Place:
    """Two versions of one service behind one hostname, 20 % to v2."""
    place.deploy("shop", "v1", wait=False)
    place.deploy("shop", "v2")
    place.wait_deployed("shop", "v1")
    place.subsets("shop", "v1", "v2")
    place.split("shop", {"v2": 20, "v1": 80})
    return place


def _wait_weights(bed: Bed, place: Place, *expected: tuple[str, int]) -> None:
    routes = bed.mesh.edge.routes
    place.wait(lambda: expected in routes(place.hostname).values(), 5, f"{expected} in Envoy")


@pytest.mark.needs("deploy", "load", "prometheus")
def test_split_is_seen_in_prometheus_as_istio_reports_it(bed: Bed, shop: Place) -> None:
    shop.wait(lambda: _answered(shop), 10, "route at the edge")
    with shop.load(200, limit=400) as load:
        answers = load.wait(10)
    assert statuses(answers) == {200: 400}
    assert 40 <= versions(answers)["v2"] <= 130
    by = "destination_canonical_revision, destination_workload, reporter, route_name"
    counted = f'sum by ({by}) (istio_requests_total{{destination_service="{shop.host("shop")}"}})'
    series = shop.wait(lambda: _all_counted(bed.prometheus.query(counted), 400), 10, counted)
    for labels, _ in series:
        revision = labels["destination_canonical_revision"]
        assert labels["destination_workload"] == f"shop-{revision}"
        assert labels["reporter"] == "source"
        assert labels["route_name"] == "split"


def _answered(place: Place) -> bool:
    with place.load(50, limit=1) as load:
        return load.wait(5)[0].status == 200


def _all_counted(
    series: list[tuple[dict[str, str], float]], total: int
) -> list[tuple[dict[str, str], float]] | None:
    return series if sum(value for _, value in series) >= total else None


@pytest.mark.needs("deploy", "load", "prometheus")
def test_backends_report_their_own_metrics(bed: Bed, shop: Place) -> None:
    with shop.load(100, limit=100) as load:
        answers = load.wait(10)
    here = f'namespace="{shop.namespace}"'
    served = sum(answer.status == 200 for answer in answers)
    shop.wait(lambda: bed.prometheus.value(f"sum(app_requests_total{{{here}}})") == served, 15)
    assert bed.prometheus.value(f"sum(up{{{here}}})") == 2
    starts = bed.prometheus.query(f"process_start_time_seconds{{{here}}}")
    assert {labels["version"] for labels, _ in starts} == {"v1", "v2"}
    assert bed.prometheus.query("envoy_server_uptime")


@pytest.mark.needs("envoy", "deploy")
def test_weight_is_in_envoy_within_100_ms_of_the_patch(bed: Bed, shop: Place) -> None:
    _wait_weights(bed, shop, ("v2", 20), ("v1", 80))
    delays = []
    for weight in (30, 40, 50, 60, 70):
        shop.split("shop", {"v2": weight, "v1": 100 - weight})
        patched = time.monotonic()
        _wait_weights(bed, shop, ("v2", weight), ("v1", 100 - weight))
        delays.append(1000 * (time.monotonic() - patched))
    assert sorted(delays)[2] < 100, delays


def test_webhook_refuses_a_wrong_virtual_service(place: Place) -> None:
    with pytest.raises(ApiError, match=r"total destination weight = 0"):
        place.split("shop", {"v1": 0, "v2": 0})


@pytest.mark.needs("prometheus-control")
def test_prometheus_keeps_its_data_through_a_kill(bed: Bed, place: Place) -> None:
    place.wait(lambda: bed.prometheus.value('up{job="envoy"}') == 1, 10)
    seen = time.time()
    bed.prometheus.kill()
    with pytest.raises(OSError):  # noqa: PT011
        bed.prometheus.query("up")
    bed.prometheus.restart()
    place.wait(lambda: bed.prometheus.query('up{job="envoy"}', at=seen), 10)
    place.wait(lambda: bed.prometheus.value('time() - timestamp(up{job="envoy"})') < 5, 10)


@pytest.mark.needs("envoy", "deploy", "load")
def test_envoyfilter_assigns_every_user_by_the_formula(bed: Bed, shop: Place) -> None:
    shop.split("shop", {"v2": 20, "v1": 80}, route="sticky-split")
    text = (_HERE / "sticky.yaml").read_text().replace("NAMESPACE", shop.namespace)
    name = shop.apply(text.replace("HOSTNAME", shop.hostname))[0]["metadata"]["name"]
    try:
        shop.wait(lambda: _sticky(shop, 20, users=10), 10, "the filter at the edge")
        assert _sticky(shop, 20, users=200)
        shop.split("shop", {"v2": 50, "v1": 50}, route="sticky-split")
        _wait_weights(bed, shop, ("v2", 50), ("v1", 50))
        assert _sticky(shop, 50, users=200)
    finally:
        shop.api.delete("envoyfilter", name, "istio-system")


def _sticky(place: Place, weight: int, users: int) -> bool:
    with place.load(200, users=users, limit=users) as load:
        return all(answer.version == _formula(answer, weight) for answer in load.wait(10))


def _formula(answer: Answer, weight: int) -> str:
    return "v2" if xxhash.xxh64_intdigest(f"salt-1:{answer.user}".encode()) % 100 < weight else "v1"


@pytest.mark.needs("envoy", "deploy", "load", "behave")
def test_scaling_and_deleting_pods_loses_no_request(bed: Bed, shop: Place) -> None:
    _wait_weights(bed, shop, ("v2", 20), ("v1", 80))
    with shop.load(100) as load:
        shop.scale("v1", 3)
        shop.wait_deployed("shop", "v1")
        assert len(bed.mesh.edge.endpoints(shop.host("shop"), "v1")) == 3
        before = {pod["metadata"]["name"] for pod in shop.pods("v1")}
        shop.scale("v1", 1)
        shop.wait_deployed("shop", "v1")
        answers = load.stop()
    assert {answer.status for answer in answers} == {200}
    shop.delete_pods("v1")
    shop.wait(lambda: {pod["metadata"]["name"] for pod in shop.pods("v1")} - before, 10)
    shop.wait_deployed("shop", "v1")


@pytest.mark.needs("behave", "deploy")
def test_pods_start_slowly_never_or_crash_as_annotated(place: Place) -> None:
    place.deploy("slow", "v1", ready_after="800ms", wait=False)
    place.deploy("never", "v1", ready_after="never", wait=False)
    place.deploy("crash", "v1", crash_after="200ms", wait=False)
    place.wait(lambda: place.pods("v1", "slow"), 5)
    assert place.ready_pods("v1", "slow") == 0
    place.wait(lambda: place.ready_pods("v1", "slow") == 1, 5)
    place.wait(lambda: _restarts(place, "crash") >= 1, 5)
    place.wait(lambda: place.ready_pods("v1", "crash") == 0, 5)
    assert place.ready_pods("v1", "never") == 0
    assert {e["spec"]["labels"]["app"] for e in place.objects("workloadentry")} <= {"slow", "crash"}


def _restarts(place: Place, service: str) -> int:
    (pod,) = place.pods("v1", service)
    return pod["status"].get("containerStatuses", [{"restartCount": 0}])[0]["restartCount"]


@pytest.mark.needs("behave", "deploy", "load")
def test_behaviour_holds_for_pods_now_and_later(place: Place) -> None:
    place.deploy("shop", "v1")
    place.subsets("shop", "v1")
    place.split("shop", {"v1": 100})
    place.wait(lambda: _answered(place), 10, "route at the edge")
    place.behave("v1", errors=0.5, delay_ms=20, slow=0.2, slow_ms=100)
    _assert_bad(place)
    place.delete_pods("v1")
    place.wait_deployed("shop", "v1")
    _assert_bad(place)
    place.behave("v1", ready=False)
    place.wait(lambda: not place.objects("workloadentry"), 5)
    assert place.ready_pods("v1") == 0


def _assert_bad(place: Place) -> None:
    with place.load(100, limit=100) as load:
        answers = load.wait(10)
    assert 25 <= statuses(answers)[500] <= 75
    assert all(answer.by_backend for answer in answers if answer.failed)
    assert min(answer.ms for answer in answers) >= 20
    assert 5 <= sum(answer.ms >= 120 for answer in answers) <= 45


@pytest.mark.needs("envoy", "deploy")
def test_recorder_sees_weights_in_api_server_and_envoy(shop: Place) -> None:
    recorder = shop.recorder()
    for weight in (5, 50, 100):
        shop.split("shop", {"v2": weight, "v1": 100 - weight})
        shop.wait(lambda: recorder.envoy_weights("v2")[-1:] == [weight], 5)  # noqa: B023
    assert recorder.weights("v2") == [20, 5, 50, 100]
    assert recorder.envoy_weights("v2")[-3:] == [5, 50, 100]
    recorder.assert_consistent("v2")


@pytest.mark.needs("envoy", "deploy", "load")
def test_load_changes_rate_and_makes_gaps(shop: Place) -> None:
    with shop.load(50) as load:
        shop.wait(lambda: len(load.results()) >= 25, 5)
        load.set_rate(0)
        shop.wait(lambda: time.time() - load.results()[-1].sent > 0.5, 5)
        load.set_rate(200)
        resumed = time.time()
        shop.wait(lambda: len(load.results(since=resumed)) >= 100, 5)
        answers = load.stop()
    gap = max(b.sent - a.sent for a, b in itertools.pairwise(answers))
    assert 0.4 < gap < 2


@pytest.mark.needs("audit")
def test_audit_log_counts_the_requests_of_a_service_account(bed: Bed, place: Place) -> None:
    account = bed.plane.service_account_kubeconfig(place.namespace, "default")
    done = bed.kubectl("get", "secrets", "-n", place.namespace, check=False, kubeconfig=account)
    assert "forbidden" in done.stderr.lower()
    user = f"system:serviceaccount:{place.namespace}:default"
    place.wait(lambda: any(r.resource == "secrets" for r in bed.requests(user)), 5)
    (request,) = [r for r in bed.requests(user) if r.resource == "secrets"]
    assert (request.verb, request.namespace, request.code) == ("list", place.namespace, 403)
    assert abs(request.time - time.time()) < 20


@pytest.mark.needs("deploy")
def test_objects_go_with_their_owner_and_namespace(bed: Bed, place: Place) -> None:
    with bed.place("gone") as other:
        other.deploy("shop", "v1")
    place.wait(lambda: bed.api.find("namespace", other.namespace) is None, 20)


def test_kubectl_works_as_with_any_cluster(place: Place) -> None:
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: said}\ndata: {word: hello}\n"
    place.kubectl("apply", "-f", "-", input=config)
    assert place.kubectl("get", "cm", "said", "-o", "jsonpath={.data.word}").stdout == "hello"
