"""Categories: which classes are counted, and what is asked for each."""

import pytest

from penstock.api.v1alpha1.analysis import Metric
from penstock.api.v1alpha1.metric_template import Categories, MetricTemplateSpec
from penstock.core import classes, drift, ledger
from penstock.core.looks import Counts, Look
from penstock.core.metric_record import MetricRecord, Part
from penstock.core.record import Record
from penstock.core.samples import Sample
from tests.core.evidence_streams import terms

TEMPLATE = Categories(counts='predictions_total{namespace="ml",$variant}', label="class")


def counted(**counts):
    return [Sample({"class": name}, value) for name, value in counts.items()]


def test_frequent_classes_are_counted_and_rare_ones_belong_to_the_rest():
    assert classes.choose(TEMPLATE, counted(rare=3, cat=800, dog=900)) == ("dog", "cat")


def test_no_more_than_seven_classes_and_the_rest_are_counted():
    many = counted(**{f"c{number}": 100 + number for number in range(20)})
    assert classes.choose(TEMPLATE, many) == tuple(f"c{number}" for number in range(19, 12, -1))


def test_a_class_that_a_query_must_not_name_belongs_to_the_rest():
    odd = [Sample({"class": 'a"} or vector(1)'}, 1000.0), *counted(cat=500)]
    assert classes.choose(TEMPLATE, odd) == ("cat",)


def test_without_answers_there_are_no_classes():
    assert classes.choose(TEMPLATE, []) == ()


def test_each_class_is_a_part_of_all_classes_and_the_rest_is_none_of_them():
    one = classes.proportion(TEMPLATE, "v1.2", ["v1.2", "b"])
    assert one.total == TEMPLATE.counts
    assert one.bad == 'predictions_total{namespace="ml",$variant,class="v1.2"}'
    rest = classes.proportion(TEMPLATE, classes.REST, ["v1.2", "b"])
    assert rest.bad == 'predictions_total{namespace="ml",$variant,class!~"v1[.]2|b"}'


def rail(**metric):
    template = MetricTemplateSpec(categories=TEMPLATE)
    return ledger.guardrail(Metric(template="drift", **metric), template)


def test_both_directions_of_a_class_are_bounded():
    assert (rail().tolerance.max_increase, rail().tolerance.max_decrease) == (20, 20)
    given = rail(maxIncrease=5, maxDecrease=50).tolerance
    assert (given.max_increase, given.max_decrease) == (5, 50)


def test_the_classes_of_a_record_are_known_again_after_a_restart():
    fixed = rail().of_classes(["cat", "dog"])
    labels = [one.label for one in fixed.counted]
    assert labels == ["class cat", "class dog", "class (other)"]
    record = MetricRecord(tuple(Part(label, Record(terms())) for label in labels))
    book = ledger.Ledger().with_proportion("drift", record)
    assert ledger.known(rail(), book) == fixed
    assert ledger.known(rail(), ledger.Ledger()).counted == ()


@pytest.mark.parametrize(("shares", "drifted"), [((500, 500), True), ((900, 100), False)])
def test_drift_is_reported_in_words(shares, drifted):
    parts = []
    for index, label in enumerate(("class cat", "class dog")):
        counts = Counts(1000, shares[index])
        stable = Counts(9000, (8100, 900)[index])
        look = Look(1, 0, counts, stable, Counts(), 2, 18)
        parts.append(Part(label, Record(terms()).with_look(look)))
    text = drift.text(MetricRecord(tuple(parts)))
    assert text.startswith("PSI ")
    assert ("under 0.1 to 1" in text or "0." in text.split("drift ")[1]) is not drifted


def test_before_the_first_look_there_is_no_drift():
    assert drift.text(MetricRecord.of(Record(terms()))) == ""


def test_distributions_are_told_apart_by_their_greatest_difference_at_an_edge():
    parts = []
    for label, (ours, theirs) in {"over 250 ms": (300, 900), "over 1000 ms": (50, 450)}.items():
        look = Look(1, 0, Counts(1000, ours), Counts(9000, theirs), Counts(), 2, 18)
        parts.append(Part(label, Record(terms()).with_look(look)))
    found = drift.gap(MetricRecord(tuple(parts)))
    assert found == "the distributions differ by 20 points at most at the edges"
    assert drift.gap(MetricRecord.of(Record(terms()))) == ""
