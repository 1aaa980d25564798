import math
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api.v1alpha1.metric_template import Proportion
from penstock.core.counters import LookCounts, take_look
from penstock.core.means.counters import MeanCounts, take_mean_look
from penstock.core.means.looks import MeanArm
from penstock.core.means.queries import mean_query
from penstock.core.queries import Arm, Subject, Unusable, proportion_query
from penstock.core.readings import NoLook
from penstock.core.samples import Sample, Unreadable
from tests.core.prometheus_simulation import EPOCH, answer, busy_world, instant

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
SUBJECT = Subject(
    namespace="shop",
    rollout="checkout",
    service="checkout",
    stable=Arm("v1", "checkout.shop.svc.cluster.local", 'version="v1"'),
    candidate=Arm("v2", "checkout.shop.svc.cluster.local", 'version="v2"'),
)
START = EPOCH.timestamp()
WORTH = {"200": 2.0, "500": 7.5}


@dataclass(frozen=True)
class Template:
    sum: str = "order_value_sum{$variant}"
    count: str = "order_value_count{$variant}"
    sum_of_squares: str | None = None


SQUARES = replace(Template(), sum_of_squares="order_value_squares_total{$variant}")


def ask(template, previous=AT - timedelta(seconds=10)):
    return mean_query(template, "prometheus", SUBJECT, AT, previous)


class Reader:
    """Takes looks one after the other, as the operator does."""

    def __init__(self, since=0.0):
        self.since, self.baseline = since, None

    @property
    def previous(self):
        return (self.baseline.at - EPOCH).total_seconds() if self.baseline else None

    def look(self, at, rows):
        said, self.baseline = take_mean_look(self.baseline, rows, instant(at), instant(self.since))
        return said


def pod(name="a", *, sampled, started=-500.0, before=None, squares=None, **values):
    """Rows of one scrape target; values such as stable=(5 answers, their sum)."""
    place = {"job": "j", "instance": name}
    rows = []
    for arm, (count, total) in values.items():
        labels = place | {"version": arm}
        rows.append(Sample(labels | {"penstock": f"total/{arm}"}, float(count)))
        if total is not None:
            rows.append(Sample(labels | {"penstock": f"bad/{arm}"}, total))
        if squares is not None:
            rows.append(Sample(labels | {"penstock": f"squares/{arm}"}, squares))
    facts = {"sampled": sampled, "started": started, "before": before}
    return rows + [
        Sample(place | {"penstock": fact}, START + time)
        for fact, time in facts.items()
        if time is not None
    ]


def rows(*pods, back=10.0, squares=False):
    marks = [Sample({"penstock": "offset/bad"}, back)]
    marks += [Sample({"penstock": "squares/asked"}, 1.0)] if squares else []
    return (*marks, *(row for pod in pods for row in pod))


def after(*first, at=10.0, since=0.0, squares=False):
    reader = Reader(since)
    reader.look(at, rows(*first, back=0.0, squares=squares))
    return reader


# ---- the question ------------------------------------------------------------------------------


def test_the_question_is_that_of_a_proportion_with_the_sum_in_the_place_of_the_bad_answers():
    plain = Proportion(total=Template.count, bad=Template.sum)
    asked = proportion_query(plain, "prometheus", SUBJECT, AT, AT - timedelta(seconds=10))
    assert ask(Template()) == asked
    assert '"bad/candidate"' in asked.expression


def test_squares_are_asked_for_in_the_same_question():
    asked = ask(SQUARES)
    rows = [set(one.expression.split("\nor ")) for one in (ask(Template()), asked)]
    assert rows[0] < rows[1]
    for arm, version in (("stable", "v1"), ("candidate", "v2")):
        row = f'order_value_squares_total{{version="{version}"}}, "penstock", "squares/{arm}"'
        assert row in asked.expression
    assert '(vector(1.0), "penstock", "squares/asked", "", "")' in asked.expression


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sum": "sum(x{$variant})"}, "sum: sum(x{$variant}) must be a plain selector"),
        ({"count": 'x{a="b"}'}, "count: must contain $variant"),
        ({"sum_of_squares": "x{$variant,$colour}"}, "sumOfSquares: $colour is not a variable"),
    ],
)
def test_a_selector_that_cannot_be_read_is_named(wrong, words):
    asked = ask(replace(SQUARES, **wrong))
    assert isinstance(asked, Unusable)
    assert asked.reason.startswith(words)


# ---- the answer --------------------------------------------------------------------------------


def test_the_first_reading_counts_nothing():
    assert isinstance(Reader().look(10, rows(pod(sampled=9, stable=(5, 9.0)), back=0.0)), NoLook)


def test_answers_and_sums_are_counted_by_arm_and_target():
    reader = after(
        pod("a", sampled=9, stable=(5, 10.0), candidate=(0, 0.0)),
        pod("b", sampled=8, stable=(7, 70.0)),
    )
    said = reader.look(
        20,
        rows(
            pod("a", sampled=19, stable=(9, 14.5), candidate=(2, 3.0)),
            pod("b", sampled=18, stable=(8, 70.5)),
        ),
    )
    assert said.stable == {"j/a": MeanArm(4, 4.5), "j/b": MeanArm(1, 0.5)}
    assert said.candidate == {"j/a": MeanArm(2, 3.0)}
    assert said.stable_arm == MeanArm(5, 5.0)
    assert said.newest_sample == instant(19)


def test_squares_are_known_where_they_were_asked_for():
    reader = after(pod(sampled=9, stable=(5, 10.0), squares=30.0), squares=True)
    said = reader.look(20, rows(pod(sampled=19, stable=(7, 14.0), squares=38.5), squares=True))
    assert said.stable == {"j/a": MeanArm(2, 4.0, 8.5)}


def test_a_sum_that_is_not_there_yet_is_zero():
    reader = after(pod(sampled=9, stable=(5, 10.0)))
    said = reader.look(20, rows(pod(sampled=19, stable=(7, 14.0), candidate=(3, None))))
    assert said.candidate == {"j/a": MeanArm(3, 0.0)}
    said = reader.look(30, rows(pod(sampled=29, stable=(7, 14.0), candidate=(4, 6.0))))
    assert said.candidate == {"j/a": MeanArm(1, 6.0)}


@pytest.mark.parametrize(("squares", "words"), [(False, "of their sum:"), (True, "of squares")])
def test_where_no_target_has_a_sum_there_is_no_data_rather_than_zero(squares, words):
    total = 14.0 if squares else None
    reader = after(pod(sampled=9, stable=(5, 10.0), squares=1.0), squares=squares)
    said = reader.look(20, rows(pod(sampled=19, stable=(7, total)), squares=squares))
    assert isinstance(said, NoLook)
    assert words in said.reason
    said = reader.look(30, rows(pod(sampled=29, stable=(8, 16.0), squares=3.0), squares=squares))
    assert said.stable == {"j/a": MeanArm(3, 6.0, 2.0 if squares else None)}


def test_after_a_restart_answers_and_sums_count_from_zero():
    reader = after(pod(sampled=9, stable=(100, 900.0)))
    said = reader.look(20, rows(pod(sampled=19, started=15.0, stable=(7, 12.0))))
    assert said.stable == {"j/a": MeanArm(7, 12.0)}
    said = reader.look(30, rows(pod(sampled=29, started=15.0, stable=(9, 13.0))))
    assert said.stable == {"j/a": MeanArm(2, 1.0)}


def test_after_a_restart_that_the_sum_does_not_show_it_counts_from_zero_too():
    reader = after(pod(sampled=9, stable=(100, 9.0)))
    said = reader.look(20, rows(pod(sampled=19, started=15.0, stable=(7, 12.0))))
    assert said.stable == {"j/a": MeanArm(7, 12.0)}


def test_what_is_skipped_for_its_answers_is_skipped_for_its_sums():
    reader = after(pod("a", sampled=9, stable=(5, 10.0)), pod("b", sampled=9, stable=(50, 90.0)))
    fallen = pod("b", sampled=19, stable=(3, 6.0))
    said = reader.look(20, rows(pod("a", sampled=19, stable=(6, 11.0)), fallen))
    assert said.stable == {"j/a": MeanArm(1, 1.0)}
    assert "fell" in said.skipped["j/b"]
    again = pod("b", sampled=29, stable=(5, 9.0))
    said = reader.look(30, rows(pod("a", sampled=29, stable=(6, 11.0)), again))
    assert said.stable == {"j/b": MeanArm(2, 3.0)}


def test_a_sum_that_falls_alone_skips_its_target_whole():
    reader = after(pod("a", sampled=9, stable=(5, 10.0)), pod("b", sampled=9, stable=(5, 10.0)))
    refund = pod("b", sampled=19, stable=(6, 8.0), candidate=(4, 9.0))
    said = reader.look(20, rows(pod("a", sampled=19, stable=(6, 11.0)), refund))
    assert (said.stable, said.candidate) == ({"j/a": MeanArm(1, 1.0)}, {})
    assert "negative values" in said.skipped["j/b"]
    said = reader.look(30, rows(pod("b", sampled=29, stable=(8, 9.0), candidate=(5, 9.5))))
    assert (said.stable["j/b"], said.candidate["j/b"]) == (MeanArm(2, 1.0), MeanArm(1, 0.5))


def test_a_look_in_which_all_sums_fell_is_no_look():
    reader = after(pod(sampled=9, stable=(5, 10.0)))
    said = reader.look(20, rows(pod(sampled=19, stable=(6, 8.0))))
    assert isinstance(said, NoLook)
    assert "j/a: a sum fell" in said.reason


def test_a_new_target_counts_its_sums_from_zero_where_its_answers_do():
    reader = after(pod(sampled=9, stable=(5, 10.0)))
    young = pod("b", sampled=19, started=12.0, candidate=(3, 7.0))
    old = pod("c", sampled=19, candidate=(300, 700.0))
    said = reader.look(20, rows(pod(sampled=19, stable=(9, 18.0)), young, old))
    assert said.candidate == {"j/b": MeanArm(3, 7.0)}
    assert "j/c" in said.skipped


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_sum_that_is_no_number_taints_its_arm_alone(value):
    reader = after(pod(sampled=9, stable=(5, 10.0), candidate=(1, 1.0)))
    said = reader.look(20, rows(pod(sampled=19, stable=(9, 18.0), candidate=(3, value))))
    assert said.candidate_arm == MeanArm(2, 0.0, finite=False)
    assert said.stable_arm == MeanArm(4, 8.0)


def test_an_older_replica_changes_nothing():
    reader = after(pod(sampled=9, stable=(5, 10.0)))
    reader.look(20, rows(pod(sampled=19, stable=(9, 18.0))))
    assert isinstance(reader.look(30, rows(pod(sampled=14, stable=(7, 14.0)))), NoLook)
    said = reader.look(40, rows(pod(sampled=39, stable=(10, 21.0))))
    assert said.stable == {"j/a": MeanArm(1, 3.0)}


def test_a_missed_look_is_made_up_for_by_the_next():
    reader = after(pod(sampled=9, stable=(5, 10.0)))
    assert reader.look(20, Unreadable("it did not answer")) == NoLook("it did not answer")
    said = reader.look(30, rows(pod(sampled=29, stable=(9, 18.0)), back=20.0))
    assert said.stable == {"j/a": MeanArm(4, 8.0)}


def test_what_is_no_count_of_answers_is_no_data():
    reader = after(pod(sampled=9, stable=(5, 10.0)))
    assert "whole number" in reader.look(20, rows(pod(sampled=19, stable=(9.5, 18.0)))).reason


def test_a_target_without_answers_is_a_look_without_counts_not_silence():
    reader = after(pod(sampled=9, stable=(5, 10.0)))
    said = reader.look(20, rows(pod(sampled=19, stable=(5, 10.0))))
    assert (said.stable, said.candidate) == ({}, {})
    assert said.stable_arm.count == 0


# ---- against a simulated Prometheus ------------------------------------------------------------


def priced(samples, squares):
    """An answer in which each outcome is worth a fixed value, with sums instead of bad answers."""
    yield from (Sample({"penstock": "squares/asked"}, 1.0),) if squares else ()
    for sample in samples:
        row, _, arm = sample.labels["penstock"].partition("/")
        if row == "bad":
            continue
        yield sample
        if row == "total":
            worth = WORTH[sample.labels["code"]]
            yield Sample(sample.labels | {"penstock": f"bad/{arm}"}, sample.value * worth)
            if squares:
                more = sample.labels | {"penstock": f"squares/{arm}"}
                yield Sample(more, sample.value * worth**2)


def worth(counts, squares):
    """What answers are worth of which these are bad."""
    total, square = (
        counts.good * WORTH["200"] ** power + counts.bad * WORTH["500"] ** power for power in (1, 2)
    )
    return MeanArm(counts.total, total, square if squares else None)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_in_a_busy_world_each_target_is_taken_whole_and_nothing_is_made_up(seed, squares):
    """The sums are those of exactly the answers that a proportion counts in the same looks."""
    world, dice = busy_world(seed), random.Random(seed)
    reader, counted, replica = Reader(world.since), None, world.replicas[0]
    for at in world.instants:
        replica = dice.choice(world.replicas) if dice.random() < 0.3 else replica
        samples = answer(replica, world.targets, at, reader.previous)
        look, counted = take_look(counted, samples, instant(at), instant(world.since))
        said = reader.look(at, tuple(priced(samples, squares)))
        assert isinstance(look, LookCounts) == isinstance(said, MeanCounts)
        if isinstance(look, LookCounts):
            for cells, arms in ((look.stable, said.stable), (look.candidate, said.candidate)):
                assert {name: worth(one, squares) for name, one in cells.items()} == arms
