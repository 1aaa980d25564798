import math
from dataclasses import replace

import pytest

from penstock.core.forecast import Forecast, Proof, Traffic, until_safe
from penstock.core.record import Record, Tolerance
from tests.core.evidence_streams import Stream, terms

TRAFFIC = Traffic(stable_rate=0.005, candidate_per_second=10.0, stable_per_second=90.0)
PROOF = Proof(Tolerance(20, 0.1), exposure=0.25, miss_rate=0.05, phi=1.5, interval_seconds=10.0)


def test_the_forecast_is_what_the_engine_then_needs():
    needed = []
    for seed in range(40):
        kept = Record(terms(exposures=(0.25,)))
        for each in Stream(seed=seed).looks(120):
            kept = kept.with_look(each)
            if kept.weigh(0).safe >= math.log(20):
                break
        needed.append(kept.last_number * 10.0)
    needed.sort()
    found = until_safe(TRAFFIC, PROOF)
    assert found.median == pytest.approx(needed[20], rel=0.3)
    assert found.bound == pytest.approx(needed[36], rel=0.4)


def test_a_forecast_is_the_same_every_time():
    assert until_safe(TRAFFIC, PROOF) == until_safe(TRAFFIC, PROOF)


def test_bake_and_warm_up_are_part_of_it():
    plain = until_safe(TRAFFIC, PROOF)
    warm = until_safe(TRAFFIC, replace(PROOF, warm_up_seconds=180.0))
    baked = until_safe(TRAFFIC, replace(PROOF, bake_seconds=7200.0))
    assert warm == Forecast(plain.median + 180.0, plain.bound + 180.0)
    assert baked == Forecast(7200.0, 7200.0)


def test_less_traffic_takes_longer_and_beyond_a_week_there_is_no_time():
    slow = until_safe(Traffic(0.005, 1.0, 9.0), PROOF)
    assert slow.median > 5 * until_safe(TRAFFIC, PROOF).median
    assert until_safe(Traffic(0.005, 0.001, 0.009), PROOF) == Forecast(None, None)
    assert until_safe(Traffic(0.005, 0.0, 10.0), PROOF) == Forecast(None, None)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_any_rate_has_a_forecast(rate):
    found = until_safe(replace(TRAFFIC, stable_rate=rate), PROOF)
    assert 0 < found.median <= found.bound
