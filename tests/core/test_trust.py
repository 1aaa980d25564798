"""Doubts about what was counted: they stop the bake, and never keep "worse" from acting."""

from dataclasses import replace

import pytest

from penstock.core import judging, ledger, plan, trust
from penstock.core.facts import VersionPods
from penstock.core.looks import Counts
from penstock.core.question import Question
from penstock.core.verdict import Verdict
from tests.core.evidence_streams import look
from tests.core.rollout.builders import spec
from tests.core.test_metric_record import rails

RAILS = rails(())
READY = {"v2": VersionPods(ready=2, total=2), "v1": VersionPods(ready=4, total=4)}
ALIKE = ((100, 1), (9900, 99))


def question(step=0, pods=None, guardrails=RAILS):
    rules = spec(steps=({"weight": 1}, {"weight": 50}))
    return Question(rules, guardrails, plan.expand(rules), step, {}, None, READY | (pods or {}))


def looked(each=((), ()), unreached=(0,), step=0, interval=None):
    """A ledger with one look per number of requests that reached no pod."""
    book = ledger.empty(spec(), RAILS)
    kept = book.proportions["latency"]
    for number, lost in enumerate(unreached, 1):
        one = replace(look(number, *each, worst=(0, 0)), unreached=lost, step=step)
        kept = kept.with_looks([one])
    return book.with_proportion("latency", kept)


def said(book, asked):
    return judging.together(book, asked, judging.opinions(book, asked))


@pytest.mark.parametrize(
    ("ready", "total", "doubted"),
    [(1, 2, True), (2, 3, False), (2, 4, True), (9, 10, False), (2, 10, True), (2, 0, False)],
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_half_of_the_pods_cannot_stand_for_a_version(version, ready, total, doubted):
    pods = {version: VersionPods(ready=ready, total=total)}
    found = said(looked(ALIKE), question(pods=pods))
    assert (found.verdict is Verdict.UNTRUSTED) is doubted
    assert (f"{ready} of {total} pods of {version} are ready" in found.mistrust) is doubted
    assert (found.mistrust_reason == "PodsNotReady") is doubted


def test_copies_are_no_share_of_the_requests():
    rules = spec(steps=({"mirror": {"percent": 100}}, {"weight": 50}))
    asked = Question(rules, RAILS, plan.expand(rules), 0, {}, None, READY)
    assert said(looked(ALIKE), asked).observed_share is None
    assert said(looked(ALIKE), question()).observed_share == 1


@pytest.mark.parametrize("apart", [True, False])
def test_shares_are_judged_only_where_one_target_counts_both_versions(apart):
    split = ((0, 0), (9900, 99))
    book = looked(split)
    book = book.with_proportion("latency", replace(book.proportions["latency"], apart=apart))
    found = said(book, question())
    assert (found.mistrust_reason == "WeightNotFollowed") is not apart
    assert any("no metric counts both" in note for note in found.notes) is apart
    assert found.observed_share == 0


def test_pods_are_not_asked_for_before_there_is_any_weight():
    pods = {"v2": VersionPods(ready=0, total=3)}
    assert said(looked(ALIKE), question(step=-1, pods=pods)).mistrust == ""


def test_requests_that_reached_no_pod_are_told_with_their_number():
    found = said(looked(ALIKE, [200] * 5), question())
    assert found.verdict is Verdict.UNTRUSTED
    assert found.mistrust_reason == "NoPodReached"
    assert "1.96 % of the requests (1,000 of 51,000) reached no pod" in found.mistrust


@pytest.mark.parametrize(
    ("each", "unreached"),
    [
        pytest.param(ALIKE, [90] * 5, id="less than 1 percent"),
        pytest.param(((1, 0), (99, 1)), [9], id="a handful"),
        pytest.param(ALIKE, [30_000] + [0] * 60, id="longer than ten minutes ago"),
    ],
)
def test_few_or_old_requests_that_reached_no_pod_are_no_doubt(each, unreached):
    assert said(looked(each, unreached), question()).mistrust == ""


def test_what_reached_no_pod_in_an_earlier_step_is_no_doubt():
    assert said(looked(ALIKE, [900] * 5), question(step=1)).mistrust == ""


def test_a_metric_that_is_only_reported_raises_no_doubt():
    quiet = rails((), onWorse="Report")
    assert said(looked(ALIKE, [900] * 5), question(guardrails=quiet)).mistrust == ""


def test_worse_acts_whatever_is_doubted():
    pods = {"v2": VersionPods(ready=1, total=9)}
    book = looked(((100, 60), (9900, 99)), [900] * 5)
    kept = book.proportions["latency"]
    found = said(book, question(pods=pods))
    assert kept.first.last_number == 5
    assert found.verdict is Verdict.WORSE
    assert found.worse is not None
    assert "pods of v2" in found.mistrust


def test_several_doubts_are_told_and_the_first_names_the_reason():
    pods = {"v2": VersionPods(ready=1, total=9)}
    found = said(looked(ALIKE, [900] * 5), question(pods=pods))
    assert found.mistrust_reason == trust.Reason.PODS_NOT_READY
    assert "pods of v2" in found.mistrust
    assert "reached no pod" in found.mistrust


def test_one_pod_that_nearly_makes_a_candidate_worse_is_a_doubt(monkeypatch):
    book, asked = looked(ALIKE, [0] * 3), question()
    (one,) = judging.opinions(book, asked)
    found = judging.together(book, asked, [replace(one, doubt="most of it is pod x")])
    assert (found.verdict, found.mistrust_reason) == (Verdict.UNTRUSTED, "OnePod")


def test_a_request_that_reached_no_pod_is_no_answer_of_either_version():
    record = looked(ALIKE, [50]).proportions["latency"].first
    assert record.answers(0) == (100, 9900)
    assert record.stable == Counts(9900, 99)
    assert record.unreached(0, 600) == (50, 10_050)
