import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core import record_text
from penstock.core.means.looks import MeanArm, MeanLook
from penstock.core.means.record import MeanRecord, is_mean
from penstock.core.means.trace import MeanTrace
from penstock.core.means.weighing import NOTHING_FOLDED
from penstock.core.metric_record import MetricRecord
from penstock.core.record import KEPT_LOOKS, Record
from penstock.core.stats import onsets
from penstock.core.stats.nulls import Side
from penstock.core.terms import Calibration, Terms, Tolerance

CERTAIN = Calibration(phi=1.0, spread=0.0)
MORE = Tolerance(20.0, 0.0)


def terms(tolerance=MORE, calibration=CERTAIN, exposures=(1.0,)):
    return Terms(10.0, tolerance, exposures, calibration)


def arm(generator, count, mean, squares=True):
    """Answers with an exponential distribution, in cents."""
    values = np.rint(generator.exponential(mean, count) * 100) / 100
    return MeanArm(count, float(values.sum()), float((values**2).sum()) if squares else None)


def stream(
    count, mean=5.0, stable=5.0, first=1, step=0, warm=0, per_look=(50, 450), squares=True, seed=1
):
    """Looks of a candidate and of stable with these means."""
    generator = np.random.default_rng((seed, first))
    return tuple(
        MeanLook(
            number=first + index,
            step=step,
            warm=index < warm,
            candidate=arm(generator, int(generator.poisson(per_look[0])), mean, squares),
            stable=arm(generator, int(generator.poisson(per_look[1])), stable, squares),
            candidate_pods=2,
            stable_pods=18,
        )
        for index in range(count)
    )


def of(each_look, fixed=None, between=0.0):
    kept = MeanRecord(fixed or terms(), between)
    for each in each_look:
        kept = kept.with_look(each)
    return kept


@st.composite
def arms(draw):
    count = draw(st.integers(0, 60))
    if not draw(st.integers(0, 9)):
        return MeanArm.of(count, math.nan)
    total = count * draw(st.floats(0, 1000))
    more = draw(st.floats(0, 1e6))
    return MeanArm(count, total, draw(st.sampled_from((None, total**2 / max(count, 1) + more))))


@st.composite
def looks_of_a_release(draw):
    number, step, result = 0, 0, []
    for _ in range(draw(st.integers(1, 14))):
        number += draw(st.integers(1, 4))
        step += draw(st.sampled_from((0, 0, 0, 0, 1)))
        pods = draw(st.integers(0, 5)), draw(st.integers(0, 30))
        warm = draw(st.sampled_from((False, False, False, True)))
        result.append(MeanLook(number, step, warm, draw(arms()), draw(arms()), *pods))
    return tuple(result)


both_sides = st.sampled_from([MORE, Tolerance(None, 0.1, 10.0), Tolerance(20.0, 1.0, 50.0)])


def assert_same_evidence(one, other, step):
    one, other = one.weigh(step), other.weigh(step)
    assert one.worse == pytest.approx(other.worse, rel=1e-9, abs=1e-9)
    assert one.safe == pytest.approx(other.safe, rel=1e-9, abs=1e-9)


# ---- looks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [(-1, 0.0), (3, math.nan), (3, math.inf), (3, 1.0, math.nan)])
def test_an_arm_refuses_what_cannot_be_compared(values):
    with pytest.raises(ValueError, match="answers of sum"):
        MeanArm(*values)


@pytest.mark.parametrize("sums", [(math.nan, 4.0), (2.0, math.inf), (1e200, 4.0)])
def test_sums_that_are_no_numbers_are_kept_as_none(sums):
    broken = MeanArm.of(7, *sums)
    assert (broken.count, broken.finite, broken.mean) == (7, False, None)
    assert not MeanArm.together((broken, MeanArm(3, 1.0, 1.0))).finite


def test_arms_are_added_and_know_squares_where_all_do():
    one, other = MeanArm(3, 6.0, 14.0), MeanArm(1, 2.0, 4.0)
    assert MeanArm.together((one, other)) == MeanArm(4, 8.0, 18.0)
    assert MeanArm.together((one, MeanArm(1, 2.0))) == MeanArm(4, 8.0)
    assert MeanArm.together((one, other)).mean == 2.0
    assert MeanArm.together(()).mean is None


def test_looks_are_numbered_from_one():
    with pytest.raises(ValueError, match="look 0"):
        MeanLook(0, 0, False, MeanArm(), MeanArm(), 1, 1)


# ---- the record --------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(looks_of_a_release())
def test_a_record_gives_back_its_looks(each_look):
    kept = of(each_look)
    assert kept.looks == each_look
    assert kept.last_number == each_look[-1].number
    assert len(kept) == len(each_look)


def test_a_look_that_is_not_newer_changes_nothing():
    kept = of(stream(5))
    assert kept.with_look(stream(1, first=5)[0]) is kept
    assert kept.with_look(stream(1, first=6)[0]).last_number == 6


def test_an_empty_record_knows_nothing():
    empty = MeanRecord(terms())
    assert (empty.last_number, empty.baked_seconds(0), empty.answers(0)) == (0, 0.0, (0, 0))
    assert empty.weigh(0) == type(empty.weigh(0))(0.0, 0.0, 0.0)
    assert MeanRecord.decode(empty.encode()) == empty


def test_the_time_and_the_answers_of_a_step_are_those_of_its_looks_with_data():
    nothing = MeanArm()
    kept = of(
        (
            *stream(2, per_look=(10, 90)),
            MeanLook(3, 0, False, nothing, nothing, 1, 1),
            MeanLook(4, 2, False, MeanArm.of(4, math.nan), MeanArm(5, 5.0), 1, 1),
        )
    )
    assert [kept.baked_seconds(step) for step in range(4)] == [20.0, 0.0, 10.0, 0.0]
    assert kept.answers(2) == (4, 5)
    assert kept.compared_looks(0) == 2
    assert kept.compared_looks(2) == 0


@settings(deadline=None, max_examples=30)
@given(looks_of_a_release(), st.integers(1, 14), both_sides)
def test_folding_changes_no_evidence_and_no_time(each_look, kept_looks, tolerance):
    whole = of(each_look, terms(tolerance))
    folded = whole.keeping(kept_looks)
    assert len(folded) == min(kept_looks, len(whole))
    step = each_look[-1].step
    assert_same_evidence(folded, whole, step)
    assert folded.answers(step) == whole.answers(step)
    assert folded.compared_looks(step) == whole.compared_looks(step)
    assert folded.last_number == whole.last_number
    for each in range(step + 2):
        assert folded.baked_seconds(each) == whole.baked_seconds(each)


@settings(deadline=None, max_examples=20)
@given(looks_of_a_release(), st.data(), both_sides)
def test_folding_may_be_done_look_by_look_or_at_once(each_look, data, tolerance):
    cut = data.draw(st.integers(1, len(each_look)))
    gradually = MeanRecord(terms(tolerance), 0.01)
    for each in each_look:
        gradually = gradually.with_look(each).keeping(cut)
    at_once = of(each_look, terms(tolerance), 0.01).keeping(cut)
    assert_same_evidence(gradually, at_once, each_look[-1].step)


def test_a_long_release_keeps_its_last_looks_and_loses_no_evidence():
    each_look = (*stream(150, warm=18), *stream(450, 6.4, first=151, step=1))
    long = of(each_look)
    everything = replace(long, rows=b"".join(of((one,)).rows for one in each_look),
                         folded=NOTHING_FOLDED)  # fmt: skip
    assert (len(long), len(everything)) == (KEPT_LOOKS, 600)
    assert long.folded.number == 600 - KEPT_LOOKS
    assert_same_evidence(long, everything, 1)
    assert long.weigh(1).worse_without_worst_cell == pytest.approx(
        everything.weigh(1).worse_without_worst_cell, abs=0.05
    )


@settings(deadline=None, max_examples=25)
@given(looks_of_a_release(), st.integers(1, 14), both_sides)
def test_every_record_can_be_stored_and_read(each_look, kept_looks, tolerance):
    kept = of(each_look, terms(tolerance), 0.02).keeping(kept_looks)
    read = MeanRecord.decode(kept.encode())
    assert read == kept
    assert read.weigh(0) == kept.weigh(0)


@pytest.mark.parametrize(("squares", "least"), [(True, 250), (False, 450)])
def test_what_does_not_fit_into_16_kib_is_folded(squares, least):
    kept = of(stream(520, 6.0, per_look=(400, 3600), squares=squares))
    text = kept.encode()
    read = MeanRecord.decode(text)
    assert len(text) <= record_text.MAX_CHARACTERS
    assert least < len(read) <= KEPT_LOOKS
    assert_same_evidence(read, kept, 0)
    assert read.encode() == text


@pytest.mark.parametrize("text", ["", "nonsense", record_text.to_text({"kind": "mean"})])
def test_damaged_text_is_refused(text):
    with pytest.raises(ValueError, match="record"):
        MeanRecord.decode(text)


def test_records_of_means_and_of_proportions_are_told_apart():
    mean, proportion = of(stream(2)).encode(), MetricRecord.of(Record(terms())).encode()
    assert [is_mean(text) for text in (mean, proportion, "")] == [True, False, False]
    with pytest.raises(ValueError, match="record"):
        MeanRecord.decode(proportion)
    with pytest.raises(ValueError, match="record"):
        MetricRecord.decode(mean)


# ---- the evidence ------------------------------------------------------------------------------


def test_a_worse_mean_is_found_and_an_equal_one_is_safe():
    worse, equal = of(stream(40, 7.0)).weigh(0), of(stream(40)).weigh(0)
    assert worse.worse > math.log(100)
    assert worse.worse_without_worst_cell > math.log(10)
    assert worse.safe < 0
    assert equal.safe > math.log(20)
    assert equal.worse < 0


@pytest.mark.parametrize("squares", [True, False])
def test_a_fault_that_begins_late_is_found_in_about_as_many_looks_as_one_at_the_start(squares):
    """Seen 9 to 15 looks at the start, 9 to 17 after an hour of looks of 10 s."""
    shape = {"per_look": (200, 1800), "squares": squares}
    at_the_start = MeanTrace.of_mean(of(stream(40, 7.5, **shape)).weighing).worse
    late = (*stream(360, **shape), *stream(40, 7.5, first=361, **shape))
    after_an_hour = MeanTrace.of_mean(of(late).weighing).worse
    first, last = (int((one >= math.log(100)).argmax()) for one in (at_the_start, after_an_hour))
    assert last - 360 <= 1.5 * first
    assert (after_an_hour[:360] < math.log(100)).all()


@settings(deadline=None, max_examples=15)
@given(looks_of_a_release(), both_sides)
def test_the_evidence_after_each_look_is_that_of_a_record_that_ends_there(each_look, tolerance):
    kept = of(each_look, terms(tolerance), 0.01)
    trace = MeanTrace.of_mean(kept.weighing)
    for index, look in enumerate(each_look):
        seen = kept.until(look.number).weigh(look.step)
        assert trace.worse[index] == pytest.approx(seen.worse, rel=1e-9, abs=1e-9)
        assert trace.at(index).worse_without_worst_cell == pytest.approx(
            seen.worse_without_worst_cell, rel=1e-6, abs=1e-6
        )


def test_late_starts_survive_folding_as_long_as_they_are_asked_for():
    each_look = (*stream(300), *stream(300, 5.9, first=301, seed=4))
    whole = MeanRecord(terms(), rows=b"".join(of((one,)).rows for one in each_look))
    folded = MeanRecord(terms())
    for each in each_look:
        folded = folded.with_look(each).keeping(40)
    assert_same_evidence(folded, whole, 0)
    assert whole.weigh(0).worse > of(stream(300, 5.9, seed=4)).weigh(0).worse - 8
    assert len(folded.folded.late[0]) <= 18


def test_a_record_of_before_there_were_late_starts_is_read():
    payload = record_text.from_text(of(stream(30)).keeping(12).encode())
    for name in ("late", "neighbours"):
        del payload["folded"][name]
    old = MeanRecord.decode(record_text.to_text(payload))
    assert old.folded.late == ()
    assert math.isfinite(old.with_look(stream(1, first=31)[0]).weigh(0).worse)


def test_too_low_is_found_by_swapped_arms():
    seen = of(stream(60, 3.5), terms(Tolerance(None, 0.0, 10.0))).weigh(0)
    assert seen.worse > math.log(100)
    assert (seen.worse_side, seen.safe_side) == (Side.LESS, Side.LESS)


def test_both_directions_share_the_error_and_safe_is_the_lesser():
    each_look = stream(40, 5.5)
    more, less = Tolerance(20.0, 0.0), Tolerance(None, 0.0, 30.0)
    one, other = (of(each_look, terms(tolerance)).weigh(0) for tolerance in (more, less))
    seen = of(each_look, terms(Tolerance(20.0, 0.0, 30.0))).weigh(0)
    assert seen.worse == pytest.approx(max(one.worse, other.worse) - math.log(2))
    assert seen.safe == pytest.approx(min(one.safe, other.safe))


def test_a_small_exposure_is_safe_earlier():
    each_look, first = stream(200, per_look=(8, 92)), []
    for exposure in (0.05, 0.25, 1.0):
        weighing = of(each_look, terms(exposures=(exposure,))).weighing
        safe = weighing.log_safe(Side.MORE, weighing.in_step(0), 0)
        first.append(int((safe >= math.log(20)).argmax()) + 1)
    assert 5 <= first[0] < first[1] < first[2] < 200


def test_where_less_than_nothing_were_needed_to_be_too_low_all_is_safe():
    kept = of(stream(1), terms(Tolerance(None, 0.0, 20.0), exposures=(0.05, 0.25)))
    assert kept.weigh(0).safe == math.inf
    assert kept.weigh(1).safe < math.inf


def test_slack_is_in_percent_of_stables_mean():
    each_look = stream(20, 6.0)
    one, other = (
        of(each_look, terms(tolerance)).weigh(0)
        for tolerance in (Tolerance(15.0, 5.0, 5.0), Tolerance(20.0, 0.0, 10.0))
    )
    assert one == other


def test_warm_up_and_what_is_no_number_tell_nothing():
    each_look = stream(30, 6.0)
    broken = [
        replace(one, candidate=MeanArm.of(one.candidate.count, math.nan, 1.0)) if index % 5 == 4
        else replace(one, warm=index < 3)
        for index, one in enumerate(each_look)
    ]  # fmt: skip
    without = [one for index, one in enumerate(each_look) if index % 5 != 4 and index >= 3]
    assert_same_evidence(of(broken), of(without), 2)


def test_only_the_looks_of_the_step_tell_that_it_is_safe():
    past, now = stream(40), stream(20, 5.2, first=41, step=1)
    assert of((*past, *now)).weigh(1).safe == pytest.approx(of(now).weigh(1).safe)
    assert of(past).weigh(1).safe == 0.0


def test_fewer_than_five_looks_tell_nothing():
    seen = of(stream(4, 50.0)).weigh(0)
    assert (seen.worse, seen.safe) == (0.0, 0.0)


def test_without_its_worst_look_the_evidence_is_what_the_others_tell():
    each_look = stream(9, 9.0, per_look=(500, 4500))
    even = [replace(one, candidate=replace(one.candidate, count=500, squares=None),
                    stable=replace(one.stable, count=4500, squares=None))
            for one in each_look]  # fmt: skip
    left = [of(even[:place] + even[place + 1 :]).weigh(0).worse for place in range(9)]
    assert of(even).weigh(0).worse_without_worst_cell == pytest.approx(min(left))
    assert of(even[:5]).weigh(0).worse_without_worst_cell == 0.0


def test_pods_that_differ_on_their_own_move_the_border_of_worse_only():
    each_look = stream(60, 6.6)
    calibration = Calibration(phi=1.0, spread=0.1, quantile=2.9)
    margin = math.exp(0.29 * math.sqrt(1 / 2 + 1 / 18))
    seen = of(each_look, terms(calibration=calibration)).weigh(0)
    wider = of(each_look, terms(Tolerance(120 * margin - 100, 0.0))).weigh(0)
    plain = of(each_look).weigh(0)
    assert seen.worse == pytest.approx(wider.worse)
    assert seen.worse < plain.worse
    assert seen.safe == plain.safe


def test_where_stables_mean_is_zero_no_share_of_it_is_told():
    nothing = [replace(one, stable=MeanArm(one.stable.count, 0.0, 0.0)) for one in stream(20)]
    for tolerance in (MORE, Tolerance(None, 0.0, 10.0)):
        seen = of(nothing, terms(tolerance, exposures=(1.0,))).weigh(0)
        assert (seen.worse, seen.safe) == (0.0, 0.0)


def test_looks_that_are_alike_divide_the_evidence():
    each_look = stream(40, 7.0)
    alike = of(each_look, terms(calibration=Calibration(phi=2.0, spread=0.0, cautious_phi=4.0)))
    plain = of(each_look).weigh(0)
    assert alike.weigh(0).safe == pytest.approx(plain.safe / 2)
    of_the_first_start = plain.worse - onsets.LOG_FIRST
    assert alike.weigh(0).worse == pytest.approx(of_the_first_start / 4 + onsets.LOG_FIRST)


def test_a_history_counts_only_before_the_first_look():
    known = Calibration(phi=1.2, spread=0.03)
    fresh = MeanRecord(terms()).calibrated(known, 0.01)
    assert (fresh.terms.calibration, fresh.between) == (known, 0.01)
    begun = of(stream(1))
    assert begun.calibrated(known, 0.01) is begun


def test_noise_between_looks_makes_busy_looks_weigh_less():
    each_look = (*stream(8, 6.0), *stream(8, 9.0, first=9, per_look=(5000, 45000)))
    heavy, even = (of(each_look, between=between).weigh(0).worse for between in (0.0, 1.0))
    assert heavy != pytest.approx(even, abs=0.1)


@pytest.mark.parametrize("size", [1e-30, 1e80])
def test_the_unit_of_a_metric_changes_nothing_however_small_or_large(size):
    each_look = stream(20, 7.0)
    scaled = [
        replace(one, **{
            name: MeanArm(arm.count, arm.total * size, arm.squares * size**2)
            for name, arm in (("candidate", one.candidate), ("stable", one.stable))
        })
        for one in each_look
    ]  # fmt: skip
    assert of(scaled).weigh(0).worse == pytest.approx(of(each_look).weigh(0).worse)
    assert of(scaled).keeping(5).weigh(0).worse == pytest.approx(of(each_look).weigh(0).worse)
