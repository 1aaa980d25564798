"""Stable's past, read once a minute, as what chance alone does."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from penstock.api.v1alpha1.metric_template import Proportion
from penstock.core import history
from penstock.core.queries import Arm, Subject, Unusable
from penstock.core.samples import Track
from penstock.core.terms import WITHOUT_HISTORY

END = datetime(2026, 11, 24, 10, tzinfo=UTC)
ARM = Arm("v1", "fraud.ml.svc.cluster.local", 'destination_workload="fraud-v1"')
SUBJECT = Subject("ml", "fraud", "fraud", ARM, ARM)
ISTIO = Proportion(
    total='requests{reporter="$reporter",$variant}',
    bad='requests{reporter="$reporter",code="500",$variant}',
)
OWN = Proportion(total="app{$variant}", good='app{code="200",$variant}')


def tracks(view, pods, rates, minutes=60, per_minute=200, part="bad", seed=1):
    """Return counters of some pods whose answers are bad at their own rates."""
    generator = np.random.default_rng(seed)
    times = [END.timestamp() - 60 * (minutes - index) for index in range(minutes + 1)]
    for pod, rate in zip(pods, rates, strict=True):
        total = np.cumsum(generator.poisson(per_minute, minutes + 1))
        bad = np.cumsum(generator.binomial(per_minute, rate, minutes + 1))
        labels = {"job": "pods", "instance": f"{pod}:15020", "pod": f"name-{pod}"}
        for row, values in (("total", total), (part, bad)):
            given = dict(zip(times, values.astype(float).tolist(), strict=True))
            yield Track(labels | {"penstock": f"{view}/{row}"}, given)


def test_an_hour_is_asked_as_the_release_counts_and_as_stables_own_proxies_do():
    query = history.query(ISTIO, "prometheus", SUBJECT, END)
    assert (query.begin, query.end, query.step) == (
        END - timedelta(hours=1),
        END,
        timedelta(minutes=1),
    )
    rows = query.expression.split("\nor ")
    assert len(rows) == 4
    assert 'reporter="source"' in rows[0]
    assert '"given/total"' in rows[0]
    assert 'reporter="destination"' in rows[2]
    assert '"own/total"' in rows[2]


def test_counters_without_a_reporter_are_asked_once():
    query = history.query(OWN, "prometheus", SUBJECT, END)
    assert query.expression.count("label_replace") == 2
    assert '"given/good"' in query.expression


def test_what_is_no_selector_is_refused():
    assert isinstance(
        history.query(Proportion(total="x", bad="y"), "prometheus", SUBJECT, END), Unusable
    )


def test_pods_that_differ_are_told_by_their_own_counters():
    pods = [f"10.0.0.{number}" for number in range(1, 21)]
    rates = 0.05 * np.exp(0.3 * np.random.default_rng(2).standard_normal(20))
    alike = history.calibrate(tuple(tracks("given", pods, [0.05] * 20)), pods, 0.01)
    apart = history.calibrate(tuple(tracks("given", pods, rates)), pods, 0.01)
    assert alike.spread < 0.1 < 0.2 < apart.spread < 0.45
    assert alike.phi == pytest.approx(1.0, abs=0.2)
    assert (alike.history.total, alike.history.bad) == (
        pytest.approx(20 * 60 * 200, rel=0.02),
        pytest.approx(20 * 60 * 10, rel=0.05),
    )


def test_proxies_of_clients_tell_nothing_about_pods():
    proxies = [f"10.0.1.{number}" for number in range(1, 11)]
    rates = 0.05 * np.exp(0.5 * np.random.default_rng(3).standard_normal(10))
    found = history.calibrate(tuple(tracks("given", proxies, rates)), ["10.0.0.1"], 0.01)
    assert (found.spread, found.quantile) == (WITHOUT_HISTORY.spread, WITHOUT_HISTORY.quantile)
    assert found.history.bad > 0


def test_stables_own_proxies_tell_about_pods_where_clients_count():
    proxies, pods = ["10.0.1.1"], [f"10.0.0.{number}" for number in range(1, 21)]
    rates = 0.05 * np.exp(0.3 * np.random.default_rng(4).standard_normal(20))
    both = (*tracks("given", proxies, [0.05], per_minute=4000), *tracks("own", pods, rates))
    found = history.calibrate(both, pods, 0.01)
    assert found.spread > 0.2
    assert found.history.total == pytest.approx(60 * 4000, rel=0.02)


def test_good_counters_are_told_from_bad_ones():
    good = tuple(tracks("given", ["10.0.0.1", "10.0.0.2"], [0.9, 0.9], part="good"))
    found = history.calibrate(good, ["10.0.0.1", "10.0.0.2"], 0.01)
    assert found.history.bad == pytest.approx(0.1 * found.history.total, rel=0.3)


@pytest.mark.parametrize("minutes", [0, 1, 9])
def test_a_few_minutes_are_no_history(minutes):
    pods = ["10.0.0.1", "10.0.0.2"]
    short = tuple(tracks("given", pods, [0.1, 0.1], minutes=minutes)) if minutes else ()
    assert history.calibrate(short, pods, 0.01) == WITHOUT_HISTORY


def test_a_counter_that_falls_and_a_pod_that_is_new_lose_no_sense():
    times = [END.timestamp() - 60 * (20 - index) for index in range(21)]
    total = {time: 100.0 * index for index, time in enumerate(times)}
    restarted = {time: 100.0 * (index % 10) for index, time in enumerate(times)}
    late = {time: 100.0 * (index - 10) for index, time in enumerate(times) if index > 10}
    labels = {"job": "pods", "instance": "a:1"}
    found = history.calibrate(
        (
            Track(labels | {"penstock": "given/total"}, total),
            Track(labels | {"penstock": "given/bad"}, late),
            Track({"job": "pods", "instance": "b:1", "penstock": "given/total"}, restarted),
            Track({"job": "pods", "instance": "c:1", "penstock": "given/total"}, late),
        ),
        ["a", "b", "c"],
        0.01,
    )
    assert found.history.total == 2000 + 1800 + 900
    assert found.history.bad == 1000, "a new counter of a known target counts from 0"
