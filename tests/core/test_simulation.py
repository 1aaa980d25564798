"""Whole releases against generated traffic; every source of chance has a seed."""

import dataclasses
import re
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from penstock.api.v1alpha1.metric_template import (
    Distribution,
    Mean,
    MetricTemplateSpec,
    Proportion,
    Told,
)
from penstock.core.instants import looks_from
from penstock.core.looks import unpack, worst_cell
from penstock.core.record import KEPT_LOOKS
from penstock.core.simulation import book
from penstock.core.simulation.course import Course, Event
from penstock.core.simulation.looks import Looks, Span
from penstock.core.simulation.pods import Pods
from penstock.core.simulation.run import simulate
from penstock.core.simulation.setting import Setting, Traffic, Values
from penstock.core.simulation.summary import summary
from tests import fakes
from tests.core.rollout.builders import spec
from tests.test_reconciler import SETTINGS, Stage

WEIGHTS = (5, 25, 50)
LADDER = [{"weight": weight, "bake": "30s", "deadline": "10m"} for weight in WEIGHTS]
WITH_APPROVAL = [LADDER[0], {"approval": {}}, LADDER[1]]
ERRORS = MetricTemplateSpec(proportion=Proportion(total="all{$variant}", bad="bad{$variant}"))
GOOD = MetricTemplateSpec(
    proportion=Proportion(total="all{$variant}", good="good{$variant}"), better="Higher"
)
SLOW = MetricTemplateSpec(distribution=Distribution(buckets="times_bucket{$variant}", unit="ms"))
PLAIN = {"name": "queue", "value": {"query": "max(queue)", "max": 5}}
EXACT = ("seconds", "weight", "worse", "safe")


MIRRORED = [{"mirror": {"percent": 50}, "bake": "30s", "deadline": "10m"}, *LADDER]
CHOSEN = [{"path": {"exact": "/a"}}]


def shadow(**more):
    return {"shadow": {"percent": 100, "bake": "2m", "deadline": "10m", **more}}


def setting(
    candidate=0.005, rps=2000.0, steps=LADDER, template=ERRORS, metrics=None, strategy=None, **more
):
    """Return the setting of a release that is quick; `more` goes to traffic, analysis, setting."""
    of_traffic, of_setting = (
        {key: more.pop(key) for key in list(more) if key in names}
        for names in (Traffic.__slots__, Setting.__slots__)
    )
    metrics = metrics or [{"template": "errors", "maxIncrease": 100, "slack": 0.2}]
    analysis = {"warmUp": "20s", "metrics": metrics, **more}
    rules = spec(steps=steps, analysis=analysis, strategy=strategy or {})
    return Setting(
        "fraud",
        rules,
        {metric.title: template for metric in rules.analysis.metrics if metric.template},
        Traffic(rps, 0.005, candidate, **{"pods": 4, **of_traffic}),
        **of_setting,
    )


def run(given, seed=1, **more):
    return simulate(given, np.random.default_rng(seed), **more)


def runs(given, count):
    return [run(given, seed) for seed in range(count)]


def weights(course):
    return [m.weight for m in course.moments if m.event is Event.WEIGHT]


def events(course):
    return [m.event for m in course.moments]


def at(course, event):
    return next(m.seconds for m in course.moments if m.event is event)


def test_a_good_version_is_promoted_through_every_weight():
    course = run(setting())
    assert (course.outcome, course.cause) == (Event.PROMOTED, "Proven")
    assert weights(course) == [*WEIGHTS, 100]
    assert course.moments[1].why[0].startswith("errors: candidate")


def test_a_bad_version_is_rolled_back_before_its_step_passes():
    for course in runs(setting(candidate=0.08), 5):
        assert (course.outcome, course.cause) == (Event.ROLLED_BACK, "Worse")
        assert weights(course) == [5]
        assert "more than the tolerated 2 times + 0.2" in course.moments[-1].why[0]


def test_a_version_that_turns_bad_at_a_weight_is_stopped_there():
    for course in runs(setting(candidate=0.08, bad_from=25), 5):
        assert weights(course) == [5, 25]
        assert (course.outcome, course.weight) == (Event.ROLLED_BACK, 25)


def test_weights_never_skip_the_ladder_nor_come_before_their_bake():
    planned = [*WEIGHTS, 100]
    for seed, rate in enumerate((0.005, 0.01, 0.02, 0.005, 0.01, 0.02)):
        course = run(setting(candidate=rate, rps=150, onInconclusive="Advance"), seed)
        found = [(m.seconds, m.weight) for m in course.moments if m.event is Event.WEIGHT]
        assert [weight for _, weight in found] == planned[: len(found)]
        assert all(b - a >= 30 for (a, _), (b, _) in pairwise(found))


@pytest.mark.parametrize(
    ("choice", "outcome", "last"),
    [
        ("Hold", Event.WAITING, Event.OVERDUE),
        ("Advance", Event.WAITING, Event.OVERDUE),
        ("Rollback", Event.ROLLED_BACK, Event.WEIGHT),
    ],
)
def test_without_traffic_the_deadline_does_what_the_spec_says(choice, outcome, last):
    course = run(setting(rps=0, onInconclusive=choice))
    assert (course.outcome, events(course)[-2]) == (outcome, last)
    assert weights(course) == [5]
    assert (course.requests, course.bad) == (0, 0)
    over = course.seconds if choice == "Rollback" else at(course, Event.OVERDUE)
    assert over == at(course, Event.WEIGHT) + 600


def test_with_too_little_traffic_the_deadline_advances_where_the_spec_says_so():
    course = run(setting(rps=2, onInconclusive="Advance"))
    assert weights(course) == [*WEIGHTS, 100]
    assert "onInconclusive says Advance" in course.moments[1].why[0]
    assert course.moments[1].seconds == course.moments[0].seconds + 600


def test_silence_rolls_back_where_the_spec_says_so():
    course = run(setting(rps=0, onNoData={"after": "2m", "then": "Rollback"}))
    assert (course.outcome, course.cause) == (Event.ROLLED_BACK, "NoData")
    grace, lag, in_force = 30, 15, 4
    assert course.seconds == pytest.approx(in_force + grace + lag + 120, abs=0.1)


def test_the_same_seed_gives_the_same_course_and_another_seed_another():
    given = setting(candidate=0.012, burst=5, spread=0.2)
    assert run(given, 3) == run(given, 3)
    assert run(given, 3) != run(given, 4)


@pytest.mark.parametrize("wait", [0, 90])
def test_an_approval_is_given_after_the_time_that_was_said(wait):
    course = run(setting(steps=WITH_APPROVAL, approve_after=timedelta(seconds=wait)))
    names = [Event.WEIGHT, Event.ASKED, Event.APPROVED, Event.WEIGHT, Event.WEIGHT, Event.PROMOTED]
    assert events(course) == names
    passed = at(course, Event.APPROVED) - at(course, Event.ASKED)
    assert passed == pytest.approx(wait, abs=0.01)


def test_a_release_that_begins_with_an_approval_has_no_weight_before_it():
    course = run(setting(steps=[{"approval": {}}, LADDER[0]], approve_after=timedelta(minutes=3)))
    assert events(course)[:3] == [Event.ASKED, Event.APPROVED, Event.WEIGHT]
    assert at(course, Event.WEIGHT) == pytest.approx(182, abs=0.01)
    assert course.outcome is Event.PROMOTED


def test_a_metric_that_holds_waits_for_a_person_who_never_comes():
    metrics = [{"template": "errors", "onWorse": "Hold"}, {**PLAIN}]
    course = run(setting(candidate=0.1, metrics=metrics))
    assert events(course) == [Event.WEIGHT, Event.HELD, Event.WAITING]
    assert course.seconds == setting(metrics=metrics).end.total_seconds()


def test_a_metric_that_only_reports_stops_nothing():
    course = run(
        setting(candidate=0.1, metrics=[{"template": "errors", "onWorse": "Report"}, PLAIN])
    )
    assert course.outcome is Event.PROMOTED


def test_a_suspended_rollout_waits():
    given = setting()
    course = run(dataclasses.replace(given, spec=given.spec.model_copy(update={"suspend": True})))
    assert events(course) == [Event.WAITING]
    assert "suspended" in course.moments[0].why[0]


@pytest.mark.parametrize(
    ("template", "metric"),
    [
        (SLOW, {"template": "slow", "edges": [100, 250], "maxIncrease": 100, "slack": 0.2}),
        (GOOD, {"template": "good", "maxDecrease": 20}),
        (ERRORS, {"template": "errors", "maxIncrease": 100, "maxDecrease": 90}),
    ],
)
def test_metrics_of_every_form_tell_a_good_version_from_a_bad_one(template, metric):
    good, bad = (
        run(setting(candidate=rate, template=template, metrics=[metric])) for rate in (0.005, 0.9)
    )
    assert good.outcome is Event.PROMOTED
    assert (bad.outcome, bad.cause) == (Event.ROLLED_BACK, "Worse")


def test_with_plain_thresholds_alone_only_the_bake_takes_time():
    course = run(setting(candidate=0.5, metrics=[PLAIN], propagation=timedelta(0)))
    times = [m.seconds for m in course.moments if m.event is Event.WEIGHT]
    assert times == [0, 45, 95, 145]
    assert course.outcome is Event.PROMOTED
    assert course.bad / course.requests == pytest.approx(0.5, abs=0.02)


CASES = {
    "good": {},
    "bad": {"candidate": 0.03},
    "bursts": {"candidate": 0.01, "burst": 20, "spread": 0.4},
    "few requests": {"rps": 0.3, "onInconclusive": "Advance"},
    "silence now and then": {"rps": 0.05, "onNoData": {"after": "1m", "then": "Rollback"}},
    "approval": {"steps": WITH_APPROVAL, "approve_after": timedelta(minutes=2)},
    "mirror": {"steps": MIRRORED},
    "bad mirror": {"steps": MIRRORED, "candidate": 0.03},
    "chosen copies": {"steps": [{**MIRRORED[0], "mirror": {"match": CHOSEN}}, *LADDER]},
    "shadow": {"strategy": shadow()},
    "blue/green": {"strategy": {"blueGreen": {"gate": {"service": "qa"}}}, "metrics": [PLAIN]},
    "gate": {
        "steps": [LADDER[0], {"gate": {"service": "qa"}}, LADDER[1]],
        "gate_after": timedelta(minutes=2),
        "candidate": 0.012,
    },
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_looks_at_which_no_turn_is_taken_change_nothing(case):
    given = setting(**CASES[case])
    quick, thorough = (run(given, 7, drawn=True, thorough=one) for one in (False, True))
    assert dataclasses.replace(quick, path=None) == dataclasses.replace(thorough, path=None)
    for name in EXACT:
        assert np.array_equal(getattr(quick.path, name), getattr(thorough.path, name))


def test_the_ledger_is_what_looks_taken_one_by_one_would_give():
    given = setting(candidate=0.02, rps=50, interval="1s", spread=0.3)
    made = Looks(given, np.random.default_rng(5))
    before = made.before.proportions["errors"].first
    count = KEPT_LOOKS + 40
    made.extend(Span(0, 5.0, 2.0, 2), count, 20.0)
    looks = [
        unpack(row.astype("<i8").tobytes()) for row in made.series[0].columns.T if row[3] + row[5]
    ]
    by_one = before
    for look in looks:
        assert look.worst == worst_cell({"": look.worst}, by_one.tolerated[1])
        by_one = by_one.with_look(look)
    at_once = book.upto(made, given.rails, count + 2).proportions["errors"].first
    assert at_once.rows == by_one.rows
    assert at_once.weigh(0).worse == pytest.approx(by_one.weigh(0).worse, abs=1e-9)
    assert at_once.weigh(0).safe == pytest.approx(by_one.weigh(0).safe, abs=1e-9)


async def test_steps_pass_at_the_instants_of_the_real_operator():
    stage = Stage()
    stage.metrics.rate = 20_000.0
    await stage.begin()
    interval = timedelta(seconds=5)
    last = looks_from(stage.clock.now, interval, f"{fakes.KEY.namespace}/{fakes.KEY.name}")
    stage.clock.pass_time(last + interval - stage.clock.now)
    began = stage.clock.now
    await stage.run(lambda: stage.phase == "Promoted")
    real = [(at - began).total_seconds() for at, shares in stage.cluster.shares if at > began]
    rules = spec(**fakes.SPEC | {"version": "v2"})
    made = Traffic(20_000, 0.02, 0.02, pods=2)
    lag = timedelta(0)
    given = Setting(
        "f", rules, {"istio-errors": ERRORS}, made, lag=lag, propagation=SETTINGS.propagation
    )
    course = run(given)
    ours = [m.seconds for m in course.moments if m.event is Event.WEIGHT]
    assert ours[1:] == real[1:5], "the first waits for a poll, and so does the end"


# ---- mirrors, shadows, blue/green, gates -----------------------------------------------------


def test_a_mirror_is_proven_by_copies_before_the_first_weight():
    course = run(setting(steps=MIRRORED), drawn=True)
    mirror, first = course.moments[:2]
    assert (mirror.event, mirror.weight, mirror.mirror) == (Event.MIRROR, 0, 50)
    assert (first.event, first.weight, first.mirror) == (Event.WEIGHT, 5, 0)
    assert (weights(course), course.outcome) == ([*WEIGHTS, 100], Event.PROMOTED)
    assert np.all(np.diff(course.path.seconds) > 0)
    assert set(course.path.weight) == {0, *WEIGHTS}


def test_copies_are_counted_as_copies_and_stable_answers_everything():
    why = run(setting(steps=MIRRORED)).moments[1].why[0]
    found = re.search(r"candidate .*? of ([\d,]+)\), stable .*? of ([\d,]+)\)", why)
    copies, all_of_them = (int(one.replace(",", "")) for one in found.groups())
    assert copies / all_of_them == pytest.approx(0.5, rel=0.05)


def test_what_copies_say_never_counts_for_a_weight():
    """The first weight begins with no evidence, and each phase has half the level."""
    given = setting(steps=MIRRORED)
    course = run(given, drawn=True)
    before = course.path.weight == 0
    begun = int(np.flatnonzero(~before)[0])
    assert course.path.safe[begun] < course.path.safe[begun - 1]
    assert given.alpha == pytest.approx(setting().alpha / 2)


def test_a_bad_version_in_a_mirror_hurts_no_user():
    course = run(setting(candidate=0.08, steps=MIRRORED))
    assert (course.outcome, course.cause, course.weight) == (Event.ROLLED_BACK, "Worse", 0)
    assert (course.requests, course.bad, course.excess) == (0, 0, 0)
    assert course.moments[-1].why[0].endswith("200 to 1 needed")


def test_a_version_that_breaks_under_load_breaks_in_a_mirror_of_that_share():
    broken = {"candidate": 0.08, "bad_from": 25, "steps": MIRRORED}
    assert run(setting(**broken)).weight == 0
    few = [{**MIRRORED[0], "mirror": {"percent": 10}}, *LADDER]
    assert run(setting(**broken | {"steps": few})).weight == 25


def test_copies_of_chosen_requests_are_reported_and_not_judged():
    copied = [{**MIRRORED[0], "mirror": {"match": CHOSEN}}, *LADDER]
    assert run(setting(candidate=0.08, steps=copied)).weight == 5
    separate = ERRORS.model_copy(update={"separates": (Told.ROUTE,)})
    assert run(setting(candidate=0.08, steps=copied, template=separate)).weight == 0


@pytest.mark.parametrize(
    ("rate", "outcome", "cause"),
    [(0.005, Event.OBSERVED, "Safe"), (0.08, Event.ROLLED_BACK, "Worse")],
)
def test_a_shadow_ends_observed_unless_it_is_worse(rate, outcome, cause):
    course = run(setting(candidate=rate, strategy=shadow()))
    assert (course.outcome, course.cause) == (outcome, cause)
    assert (course.weight, course.requests) == (0, 0)


def test_a_shadow_that_proves_nothing_is_observed_after_its_bake():
    course = run(setting(rps=5, strategy=shadow()))
    assert (course.outcome, course.cause) == (Event.OBSERVED, "Learning")
    assert course.seconds < 160


def test_blue_green_compares_nothing_and_switches_after_its_bake():
    strategy = {"blueGreen": {"bake": "5m", "gate": {"service": "qa"}, "approval": {}}}
    course = run(setting(candidate=0.9, strategy=strategy, approve_after=timedelta(minutes=1)))
    assert events(course) == [
        Event.PREVIEW, Event.GATE_ASKED, Event.GATE_OPEN, Event.ASKED, Event.APPROVED,
        Event.WEIGHT, Event.PROMOTED,
    ]  # fmt: skip
    assert at(course, Event.GATE_ASKED) == pytest.approx(2 + 2 + 300, abs=0.1)
    assert at(course, Event.WEIGHT) == pytest.approx(364, abs=0.1)
    assert course.moments[-2].why == ()
    assert course.weight == 100


@pytest.mark.parametrize("wait", [0, 90])
def test_a_gate_opens_after_the_time_that_was_said(wait):
    steps = [LADDER[0], {"gate": {"service": "qa", "path": "/ok"}}, LADDER[1]]
    course = run(setting(steps=steps, gate_after=timedelta(seconds=wait)))
    assert events(course)[1:3] == [Event.GATE_ASKED, Event.GATE_OPEN]
    assert course.moments[1].why[0] == "service qa:80/ok"
    passed = at(course, Event.GATE_OPEN) - at(course, Event.GATE_ASKED)
    assert passed == pytest.approx(wait, abs=0.01)
    assert course.outcome is Event.PROMOTED


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ("Rollback", [Event.GATE_ASKED, Event.ROLLED_BACK]),
        ("Advance", [Event.GATE_ASKED, Event.OVERDUE, Event.GATE_OPEN, Event.WEIGHT]),
    ],
)
def test_no_gate_is_passed_by_time(choice, found):
    steps = [LADDER[0], {"gate": {"service": "qa"}, "deadline": "5m"}, LADDER[1]]
    given = setting(steps=steps, gate_after=timedelta(minutes=9), onInconclusive=choice)
    assert events(run(given))[1 : 1 + len(found)] == found


@pytest.mark.parametrize("burst", [1, 10])
def test_bursts_and_pods_that_differ_leave_the_rate_as_it_was(burst):
    rng = np.random.default_rng(2)
    traffic = Traffic(1, 0.02, 0.02, spread=0.3, burst=burst)
    pods = Pods.drawn(400, traffic, rng)
    requests = pods.requests(400 * 105.0, 200, rng)
    bad = pods.bad(requests, 0.02, rng)
    assert (bad <= requests).all()
    assert bad.sum() / requests.sum() == pytest.approx(0.02, rel=0.06)
    mean = bad.mean(0)
    assert float((bad.var(0) / mean).mean()) == pytest.approx(burst, rel=0.1)
    assert np.log(mean).std() == pytest.approx(0.3, rel=0.3)


def test_what_users_get_is_counted_until_the_end_is_in_force():
    course = run(setting(candidate=0.006))
    times = [m.seconds + 2 for m in course.moments if m.event is Event.WEIGHT]
    spans = zip(WEIGHTS, times, times[1:], strict=False)
    expected = sum(2000 * weight / 100 * (end - begin) for weight, begin, end in spans)
    assert course.requests == pytest.approx(expected, rel=0.02)
    assert course.excess == pytest.approx(course.bad - course.requests * 0.005)


def test_the_summary_of_many_runs_tallies_ends_and_what_they_cost():
    def ended(outcome, cause, seconds, weight, bad):
        return Course(outcome, cause, seconds, weight, 100, bad, bad - 1.0, (), ())

    found = summary(
        [
            ended(Event.PROMOTED, "Proven", 100.0, 100.0, 3),
            ended(Event.ROLLED_BACK, "Worse", 50.0, 5.0, 9),
            ended(Event.ROLLED_BACK, "Worse", 60.0, 25.0, 9),
            ended(Event.WAITING, "", 999.0, 5.0, 1),
        ]
    )
    assert (found.percent(Event.PROMOTED), found.percent(Event.WAITING)) == (25, 25)
    assert (found.causes, found.weights) == ({"Worse": 2}, {5.0: 1, 25.0: 1})
    assert found.seconds.median == 60
    assert found.bad.median == 6


# ---- means -------------------------------------------------------------------------------------

REVENUE = {
    squares: MetricTemplateSpec(
        better="Higher",
        mean=Mean(
            sum="v_sum{$variant}",
            count="v_count{$variant}",
            sumOfSquares="v_squares{$variant}" if squares else None,
        ),
    )
    for squares in (True, False)
}


def revenue(candidate=5.0, squares=True, **more):
    """Return the setting of a release that is judged by a mean."""
    return setting(
        template=REVENUE[squares],
        metrics=[{"template": "revenue", "maxDecrease": 15}],
        values=Values(5.0, candidate, 10.0),
        **more,
    )


@pytest.mark.parametrize("squares", [True, False])
def test_a_release_may_be_judged_by_a_mean(squares):
    good, low = run(revenue(squares=squares)), run(revenue(3.0, squares))
    assert (good.outcome, good.cause) == (Event.PROMOTED, "Proven")
    assert good.moments[1].why[0].startswith("revenue: candidate ")
    assert (low.outcome, low.cause) == (Event.ROLLED_BACK, "Worse")
    assert "less than the tolerated 0.849 times" in low.moments[-1].why[0]


def test_a_mean_that_falls_at_a_weight_is_found_there():
    course = run(revenue(3.0, bad_from=50))
    assert (course.outcome, course.cause, course.weight) == (Event.ROLLED_BACK, "Worse", 50)


@pytest.mark.parametrize("seed", range(3))
def test_turns_at_all_looks_of_a_mean_change_nothing(seed):
    given = revenue(4.6)
    once, always = run(given, seed), run(given, seed, thorough=True)
    assert (once.outcome, once.seconds) == (always.outcome, always.seconds)
    assert once.moments == always.moments


def test_the_values_of_many_answers_are_those_of_single_ones():
    """Sums and squares of 100 values and fewer are drawn one by one, of more at once."""
    traffic = Traffic(1.0, 0.0, 0.0, values=Values(5.0, 5.0, 20.0))
    pods = Pods(np.ones(1), 1)
    told = []
    for count in (100, 101):
        requests = np.full((4000, 1), count)
        both = pods.worth(requests, 5.0, traffic.values.shape, np.random.default_rng(1))
        alike = np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1]
        means = np.mean(both[0]) / count, np.mean(both[1]) / count
        told.append([*means, np.std(both[0]) / count**0.5, alike])
    np.testing.assert_allclose(told[0], [5.0, 425.0, 20.0, told[0][3]], rtol=0.06)
    np.testing.assert_allclose(told[1], told[0], rtol=0.06)


def test_answers_of_a_burst_have_one_value():
    requests = np.full((4000, 1), 60)
    both = Pods(np.ones(1), 20).worth(requests, 5.0, 1.0, np.random.default_rng(1))
    assert np.mean(both[0]) == pytest.approx(300, rel=0.05)
    assert np.std(both[0]) == pytest.approx(5 * 20 * 3**0.5, rel=0.05)
