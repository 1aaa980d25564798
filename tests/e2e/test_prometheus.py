"""End-to-end 31: a Prometheus that misbehaves. It is an HA pair of which one or the other answers.

Whatever it does, no version is found bad for it, and the release goes on as soon as it is well.
"""

import time

import pytest

from tests.bed.operator import OperatorSetup
from tests.e2e import stage as stages
from tests.e2e.conftest import MANIFESTS

pytestmark = [pytest.mark.bed, pytest.mark.needs("operator-process", "prometheus-control")]

MOODS = {
    "429": {"status": 429, "retry_after": "1"},
    "503": {"status": 503},
    "warnings": {"warnings": ["half of the data is missing"]},
    "late": {"delay": 2.0},
    "silent": {"silent": True},
    "429 at times": {"status": 429, "share": 0.3},
}
MOOD_SECONDS = 2.5


@pytest.fixture
def fickle(bed):
    with bed.fickle_prometheus() as proxy:
        yield proxy


@pytest.fixture
def watcher(operator, bed, fickle):
    """The operator, asking the pair in place of the bed's Prometheus."""
    operator.stop()
    connection = {"kind": "prometheus", "url": fickle.url, "lag": "50ms", "timeout": "1s"}
    config = {"connections": {"prometheus": connection}}
    other = bed.operator(OperatorSetup(manifests=MANIFESTS, config=config))
    other.start()
    yield other
    other.stop()


def evidence(watcher, place):
    """The evidence as the operator shows it: it moves with every look that counts something."""
    wanted = f'namespace="{place.namespace}"'
    return [
        line
        for line in watcher.metrics().splitlines()
        if line.startswith("penstock_rollout_metric_evidence_log10{") and wanted in line
    ]


def await_new_evidence(watcher, place):
    before = evidence(watcher, place)
    place.wait(lambda: evidence(watcher, place) not in ([], before), 10, "a look that counts")


@pytest.mark.timeout(180)
def test_whatever_prometheus_does_nothing_is_found_bad_for_it_and_what_is_bad_is(
    watcher, fickle, place
):
    play = stages.set_up(place, stages.rollout(plan=[stages.step(10, "10m")]))
    play.release("v2")
    play.await_weight(10)
    await_new_evidence(watcher, place)
    for name, mood in MOODS.items():
        fickle.behave(**mood)
        time.sleep(MOOD_SECONDS)
        assert play.phase == "Progressing", f"{name}: {play.status}"
        fickle.behave()
        await_new_evidence(watcher, place)
    assert play.weights() == [0, 10]
    asked = {question.instance for question in fickle.questions}
    assert {0, 1} <= asked, "both of the pair were asked"
    fickle.behave(status=429, share=0.3)
    place.behave("v2", errors=0.6)
    play.await_phase("RolledBack")
    assert play.status["refused"][0]["reason"] == "Worse"
    assert play.weights() == [0, 10, 0]
