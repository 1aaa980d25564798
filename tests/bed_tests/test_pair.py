"""An HA pair of Prometheus behind a proxy that flips between them and misbehaves on command."""

import time

import pytest
import requests

from tests.bed.bed import Bed
from tests.bed.fickle import FicklePrometheus
from tests.bed.place import Place
from tests.bed.prometheus import PrometheusClient

pytestmark = [pytest.mark.bed, pytest.mark.needs("prometheus-control")]


@pytest.fixture
def fickle(bed: Bed):
    with bed.fickle_prometheus() as proxy:
        yield proxy


@pytest.fixture
def client(fickle: FicklePrometheus):
    asking = PrometheusClient(fickle.url)
    yield asking
    asking.stop()


def test_questions_go_to_both_in_turn_and_the_two_scrape_at_other_moments(
    bed: Bed, place: Place, fickle: FicklePrometheus, client: PrometheusClient
) -> None:
    place.deploy("shop", "v1")
    scraped = f'timestamp(up{{namespace="{place.namespace}"}})'
    pair = (bed.prometheus, bed.second_prometheus())
    place.wait(lambda: all(one.value(scraped) for one in pair), 20)
    at = time.time()
    moments = {client.query(scraped, at)[0][1] for _ in range(4)}
    assert [q.instance for q in fickle.questions] == [0, 1, 0, 1]
    assert len(moments) == 2
    assert {one.query(scraped, at)[0][1] for one in pair} == moments


def test_proxy_refuses_warns_and_dawdles_on_command(
    fickle: FicklePrometheus, client: PrometheusClient
) -> None:
    asked = f"{fickle.url}/api/v1/query?query=vector(1)"
    fickle.behave(status=429, retry_after="1")
    refused = requests.get(asked, timeout=5)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    fickle.behave(warnings=["half of the data is missing"])
    warned = requests.get(asked, timeout=5).json()
    assert (warned["status"], warned["warnings"]) == ("success", ["half of the data is missing"])
    fickle.behave(delay=0.3)
    began = time.monotonic()
    assert client.value("vector(1)") == 1
    assert time.monotonic() - began >= 0.3
    fickle.behave(silent=True)
    with pytest.raises(requests.Timeout):
        requests.get(asked, timeout=0.3)
    fickle.behave(status=503, share=0.5)
    codes = {requests.get(asked, timeout=5).status_code for _ in range(40)}
    assert codes == {200, 503}
    fickle.behave(only=1)
    before = len(fickle.questions)
    client.query("up"), client.query("up")
    assert {q.instance for q in fickle.questions[before:]} == {1}


@pytest.mark.needs("behave", "deploy")
def test_backend_shows_thousands_of_series(bed: Bed, place: Place) -> None:
    place.behave("v1", shards=10_000)
    place.deploy("shop", "v1")
    count = f'count(app_requests_total{{namespace="{place.namespace}"}})'
    place.wait(lambda: bed.prometheus.value(count) == 10_000, 20)
