import math
from dataclasses import replace

import pytest

from penstock.core.analysis import guardrail_alpha, judge, verdict_of
from penstock.core.evidence import Evidence
from penstock.core.limits import NoteKind
from penstock.core.metric_record import MetricRecord
from penstock.core.record import Calibration, Counts, Record
from penstock.core.verdict import Verdict
from tests.core.evidence_streams import Stream, look, record, terms


def judged(kept, step=0):
    return judge(MetricRecord.of(kept), name="errors", step=step, alpha=0.005, miss_rate=0.05)


def kinds(judgement):
    return [note.kind for note in judgement.notes]


def test_alpha_is_divided_over_the_guardrails_that_can_act():
    assert guardrail_alpha(1.0, 2) == pytest.approx(0.005)
    assert guardrail_alpha(1.0, 0) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("worse", "without", "safe", "has_data", "verdict"),
    [
        (201, 11, 0, True, Verdict.WORSE),
        (201, 11, 500, True, Verdict.WORSE),
        (201, 11, 0, False, Verdict.WORSE),
        (1e9, 9, 0, True, Verdict.LEARNING),
        (199, 150, 19, True, Verdict.LEARNING),
        (1, 1, 21, True, Verdict.SAFE),
        (1, 1, 21, False, Verdict.NO_DATA),
        (1, 1, 1, False, Verdict.NO_DATA),
    ],
)
def test_the_verdict_follows_the_evidence(worse, without, safe, has_data, verdict):
    seen = Evidence(*(math.log(max(value, 0.01)) for value in (worse, without, safe)))
    assert verdict_of(seen, has_data, 0.005, 0.05) is verdict


def test_an_equal_candidate_is_safe_and_says_for_which_exposure():
    result = judged(record(Stream(), 30))
    assert result.verdict is Verdict.SAFE
    assert "less than the 5 times + 2 tolerated for 5 %; evidence" in result.why
    assert result.why.endswith("20 to 1 needed")
    assert result.notes == ()


def test_a_worse_candidate_says_how_much_worse():
    result = judged(record(Stream(candidate_rate=0.1), 30))
    assert result.verdict is Verdict.WORSE
    assert "more than the tolerated 1.2 times + 0.1; evidence" in result.why
    assert result.why.endswith("200 to 1 needed")
    assert 10 < result.ratio.low < result.ratio.mid < result.ratio.high < 40


def test_too_few_answers_leave_both_questions_open():
    kept = Record(terms()).with_look(look(1, (25, 0), (250, 1)))
    result = judged(kept)
    assert result.verdict is Verdict.LEARNING
    assert result.candidate == Counts(25, 0)
    assert result.stable == Counts(250, 1)
    assert "not yet shown to be less than the 5 times + 2 tolerated for 5 %: evidence" in result.why
    assert "nor to be worse:" in result.why


def test_a_burst_of_one_scrape_target_does_not_act_and_says_so():
    kept = record(Stream(), 60).with_look(look(61, (100, 60), (900, 5), worst=(60, 60)))
    passing, staying = (
        judged(kept),
        judge(MetricRecord.of(kept), name="errors", step=0, alpha=0.005, miss_rate=1e-30),
    )
    assert (passing.verdict, staying.verdict) == (Verdict.SAFE, Verdict.LEARNING)
    assert "more than tolerated, but one scrape target in one look carries it" in staying.why
    assert staying.why.endswith("10 to 1 needed")
    assert kinds(passing) == kinds(staying) == [NoteKind.SINGLE_CELL]


def test_a_step_without_a_look_has_no_data():
    assert judged(Record(terms())).verdict is Verdict.NO_DATA
    result = judged(record(Stream(), 10), step=1)
    assert result.verdict is Verdict.NO_DATA
    assert result.why == "errors: no answer of either version was counted in this step"


def test_looks_without_an_answer_are_no_data():
    kept = Record(terms())
    for number in range(1, 5):
        kept = kept.with_look(look(number, (0, 0), (0, 0)))
    assert judged(kept).verdict is Verdict.NO_DATA


def test_a_candidate_without_requests_is_not_judged():
    kept = Record(terms()).with_look(look(1, (0, 0), (5000, 20)))
    result = judged(kept)
    assert result.verdict is Verdict.LEARNING
    assert result.why.startswith("errors: candidate no answers, stable 0.40 % (20 of 5,000); ")
    assert (result.ratio, result.evidence.safe) == (None, pytest.approx(0.0))


def test_a_stable_that_never_errs_is_an_ordinary_case():
    good = judged(record(Stream(rate=0.0, candidate_rate=0.0), 40))
    assert (good.verdict, good.ratio) == (Verdict.SAFE, None)
    bad = judged(record(Stream(rate=0.0, candidate_rate=0.1), 3))
    assert bad.verdict is Verdict.WORSE
    assert (bad.ratio.mid, bad.ratio.high) == (None, None)


def test_two_versions_that_always_fail_ask_an_empty_question():
    result = judged(record(Stream(rate=0.9, candidate_rate=0.9), 20))
    assert kinds(result) == [NoteKind.EMPTY_QUESTION]
    assert result.notes[0].text.startswith("1.2 times + 0.1, tolerated for 100 %, of stable's 9")
    assert result.notes[0].text.endswith("no candidate could be too bad")
    assert result.verdict is Verdict.SAFE


def test_pods_that_differ_too_much_cannot_be_resolved():
    fixed = terms(calibration=Calibration(spread=0.2))
    result = judged(record(Stream(pods=1), 5, fixed))
    assert kinds(result) == [NoteKind.CANNOT_RESOLVE]
    assert result.margin == pytest.approx(math.exp(2.9 * 0.2 * math.sqrt(1 + 1 / 18)))
    assert "only more than 2.2 times stable can be told; 6 would do" in result.notes[0].text
    enough = judged(record(Stream(pods=6), 5, fixed))
    assert kinds(enough) == []


def test_a_margin_above_the_cap_is_tested_at_the_cap():
    capped = record(Stream(pods=1, candidate_rate=0.2), 5, terms(calibration=Calibration(spread=2)))
    wider = replace(capped, terms=terms(calibration=Calibration(spread=5)))
    assert judged(capped).evidence == judged(wider).evidence


def test_no_number_of_pods_helps_when_the_stable_ones_differ_too_much():
    fixed = terms(calibration=Calibration(spread=3.0))
    result = judged(record(Stream(stable_pods=1), 5, fixed))
    assert (
        "only more than 4.8 times stable can be told; stable would need more pods too"
        in result.notes[0].text
    )


def test_counts_of_a_folded_record_say_what_they_cover():
    result = judged(record(Stream(), 20).keeping(12))
    assert kinds(result) == [NoteKind.RECENT_ONLY]
    assert "the last 12 looks" in result.notes[0].text


def test_a_judgement_depends_on_the_record_alone():
    kept = record(Stream(candidate_rate=0.02), 40)
    assert judged(kept) == judged(MetricRecord.decode(MetricRecord.of(kept).encode()).first)
