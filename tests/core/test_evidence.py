"""How often the evidence errs, how fast it decides, and what cannot move it."""

import math
from dataclasses import replace

import pytest

from penstock.core.looks import Counts
from penstock.core.record import Calibration, Record
from penstock.core.terms import WITHOUT_HISTORY
from tests.core.evidence_streams import CERTAIN, Stream, look, record, terms

RELEASES = 200


def ever(stream, count, fixed, question, level):
    """Return the share of releases whose evidence ever reached 1 / level."""
    hits = 0
    for seed in range(RELEASES):
        kept = Record(fixed)
        for each in replace(stream, seed=seed).looks(count):
            kept = kept.with_look(each)
            if getattr(kept.weigh(stream.step), question) >= -math.log(level):
                hits += 1
                break
    return hits / RELEASES


def at_most(level):
    """The level and three standard errors of a simulation."""
    return level + 3 * math.sqrt(level * (1 - level) / RELEASES)


def test_a_candidate_at_the_border_is_rarely_called_worse():
    stream = Stream(rate=0.02, candidate_rate=0.02 * 1.2 + 0.001, warm_until=3)
    assert ever(stream, 30, terms(calibration=CERTAIN), "worse", 0.1) <= at_most(0.1)


def test_a_candidate_at_the_border_is_rarely_called_safe():
    stream = Stream(rate=0.02, candidate_rate=0.02 * 1.8 + 0.004, step=1)
    assert ever(stream, 30, terms(calibration=CERTAIN), "safe", 0.1) <= at_most(0.1)


def looks_until_worse(stream, calibration=WITHOUT_HISTORY, good=()):
    kept = Record(terms(calibration=calibration))
    for each in good:
        kept = kept.with_look(each)
    before = kept.last_number
    for each in stream.looks(80, first=before + 1):
        kept = kept.with_look(each)
        seen = kept.weigh(0)
        certain = seen.worse_without_worst_cell >= math.log(10)
        if certain and seen.worse >= math.log(200):
            return kept.last_number - before
    return math.inf


def test_a_cold_start_four_times_as_bad_is_not_worse():
    worst = []
    for seed in range(30):
        cold = Stream(rate=0.005, candidate_rate=0.02, warm_until=18, seed=seed)
        kept = record(cold, 18)
        for each in replace(cold, candidate_rate=0.005).looks(12, first=19):
            kept = kept.with_look(each)
        worst.append(kept.weigh(0).worse)
    assert max(worst) < math.log(100)


@pytest.mark.parametrize("pods", [1, 2, 5])
@pytest.mark.parametrize("warm_until", [0, 18])
def test_half_of_the_answers_bad_is_mostly_worse_within_two_looks_of_thirty(pods, warm_until):
    needed = []
    for seed in range(1, 21):
        half = Stream(rate=0.001, candidate_rate=0.5, per_look=300, seed=seed)
        half = replace(half, pods=pods, warm_until=warm_until)
        needed.append(looks_until_worse(half))
    assert sorted(needed)[10] <= 2
    assert max(needed) <= 3


@pytest.mark.parametrize(
    ("calibration", "requests"),
    [(WITHOUT_HISTORY, 3200), (Calibration(1.05, 0.05, 2.6, Counts(360_000, 1800)), 1800)],
)
def test_four_times_as_bad_costs_about_as_many_requests_as_published(calibration, requests):
    costs = [
        100 * looks_until_worse(Stream(candidate_rate=0.02, seed=seed), calibration)
        for seed in range(21)
    ]
    assert requests / 2 < sorted(costs)[10] < requests


def test_a_good_past_does_not_drown_a_late_fault():
    faulty = Stream(candidate_rate=0.03, seed=5)
    at_once = looks_until_worse(faulty)
    late = looks_until_worse(faulty, good=Stream().looks(400))
    assert late <= 2 * at_once + 4


def test_a_burst_of_one_cell_decides_nothing():
    kept = record(Stream(), 20)
    kept = kept.with_look(look(21, (100, 60), (900, 5), worst=(60, 60)))
    seen = kept.weigh(0)
    assert seen.worse > math.log(1e6)
    assert seen.worse_without_worst_cell < math.log(10)


def test_a_burst_of_one_cell_decides_nothing_after_it_was_folded():
    kept = record(Stream(), 20).with_look(look(21, (100, 60), (900, 5), worst=(60, 60)))
    for each in Stream().looks(4, first=22):
        kept = kept.with_look(each)
    assert kept.keeping(2).weigh(0).worse > math.log(1e6)
    assert kept.keeping(2).weigh(0).worse_without_worst_cell < math.log(10)


def test_a_failure_of_all_cells_decides():
    kept = record(Stream(), 20)
    kept = kept.with_look(look(21, (100, 60), (900, 5), worst=(20, 13)))
    assert kept.weigh(0).worse_without_worst_cell > math.log(1000)


def test_the_single_cell_is_the_one_whose_absence_leaves_least():
    cells = [(0, 0), (20, 12), (0, 0), (30, 29)]
    each_look = [
        look(number, (100, bad + 1), (900, 6), worst=(total, bad))
        for number, (total, bad) in enumerate(cells, 1)
    ]

    def weighed(chosen):
        kept = Record(terms(calibration=CERTAIN))
        for each in each_look:
            worst = each.worst if each.number in chosen else Counts()
            kept = kept.with_look(replace(each, worst=worst))
        return kept.weigh(0).worse_without_worst_cell

    alone = [weighed({number}) for number in range(1, 5)]
    assert weighed({1, 2, 3, 4}) == pytest.approx(min(alone), rel=1e-12)


def test_safe_is_asked_of_the_current_step_only():
    kept = record(Stream(), 30)
    assert kept.weigh(0).safe > math.log(1000)
    assert kept.weigh(1).safe == pytest.approx(0.0)
    for each in Stream(candidate_rate=0.05, weight=0.25, step=1).looks(3, first=31):
        kept = kept.with_look(each)
    assert kept.weigh(1).safe < 0


def test_safe_does_not_use_warm_up():
    assert record(Stream(warm_until=30), 30).weigh(0).safe == pytest.approx(0.0)


def test_a_smaller_next_exposure_is_proven_sooner():
    kept = record(Stream(), 10)
    ladder = [
        Record(terms(exposures=(exposure,)), kept.rows).weigh(0).safe
        for exposure in (0.05, 0.25, 1.0)
    ]
    assert ladder == sorted(ladder, reverse=True)
    assert kept.weigh(0).safe == ladder[0]


def test_a_step_beyond_the_plan_must_be_safe_for_everybody():
    kept = record(Stream(step=7), 10)
    everybody = Record(terms(exposures=(1.0,) * 8), kept.rows)
    assert kept.weigh(7) == everybody.weigh(7)


def test_more_pods_make_worse_sharper_and_leave_safe_alone():
    few = record(Stream(candidate_rate=0.02), 20)
    many = Record(few.terms)
    for each in few.looks:
        many = many.with_look(replace(each, candidate_pods=20, stable_pods=180))
    assert many.weigh(0).worse > few.weigh(0).worse
    assert many.weigh(0).safe == few.weigh(0).safe


def test_dispersion_weakens_both():
    sharp = record(Stream(candidate_rate=0.02), 40, terms(calibration=CERTAIN))
    dull = Record(terms(calibration=replace(CERTAIN, phi=3.0)), sharp.rows)
    assert 0 < dull.weigh(0).worse < sharp.weigh(0).worse
    assert 0 < dull.weigh(0).safe < sharp.weigh(0).safe


def test_missing_looks_change_the_start_prior_only():
    looks = list(Stream(candidate_rate=0.02).looks(20))
    with_gap, without = Record(terms()), Record(terms())
    for each in looks:
        with_gap = with_gap.with_look(replace(each, number=each.number + 30 * (each.number > 10)))
        without = without.with_look(each)
    assert with_gap.weigh(0).worse == pytest.approx(without.weigh(0).worse, abs=1.0)
    assert with_gap.weigh(0).safe == without.weigh(0).safe


@pytest.mark.parametrize(("per_second", "rate", "minutes"), [(1000, 0.005, 8), (100, 0.0, 20)])
def test_an_equal_version_climbs_the_ladder_in_sensible_time(per_second, rate, minutes):
    kept = Record(terms())
    for step, weight in enumerate((0.01, 0.05, 0.25, 0.5)):
        stream = Stream(
            rate, rate, per_look=per_second * 10, weight=weight, step=step, seed=step + 3
        )
        for each in stream.looks(120, first=kept.last_number + 1):
            kept = kept.with_look(each)
            if kept.weigh(step).safe >= math.log(20):
                break
    assert kept.weigh(3).safe >= math.log(20)
    assert kept.last_number * 10 / 60 <= minutes


def test_a_version_half_again_as_bad_is_not_promoted():
    fixed = terms(slack=0.0, calibration=CERTAIN)
    stream = Stream(rate=0.02, candidate_rate=0.03, weight=0.5, step=3)
    assert ever(stream, 20, fixed, "safe", 0.05) <= 0.01
