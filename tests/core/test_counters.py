import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.counters import LookCounts, take_look
from penstock.core.looks import Counts
from penstock.core.readings import NoLook, read, read_value
from penstock.core.samples import Sample, Unreadable
from tests.core.prometheus_simulation import (
    EPOCH,
    Replica,
    Target,
    answer,
    busy_world,
    instant,
)

ARMS = ("stable", "candidate")
START = EPOCH.timestamp()


class Reader:
    """Takes looks one after the other, as the operator does."""

    def __init__(self, since=0.0):
        self.since, self.baseline, self.said = since, None, []

    @property
    def previous(self):
        return (self.baseline.at - EPOCH).total_seconds() if self.baseline else None

    def look(self, at, rows):
        said, self.baseline = take_look(self.baseline, rows, instant(at), instant(self.since))
        self.said.append(said)
        return said

    def counted(self, arm, name=None):
        """The sum over all looks."""
        cells = [cells for said in self.said if isinstance(said, LookCounts)
                 for cells in [getattr(said, arm)]]  # fmt: skip
        return sum(
            (cell for one in cells for key, cell in one.items() if name in (None, key)), Counts()
        )


def pod(name="a", *, sampled, started=-500.0, before=None, known=None, **values):
    """Rows of one scrape target; `values` such as stable_200=5, candidate_500=1."""
    place = {"job": "j", "instance": name}
    rows = []
    for key, value in values.items():
        arm, _, code = key.partition("_")
        labels = place | {"version": arm, "code": code}
        rows.append(Sample(labels | {"penstock": f"total/{arm}"}, float(value)))
        if code == "500":
            rows.append(Sample(labels | {"penstock": f"bad/{arm}"}, float(value)))
    facts = {"sampled": sampled, "started": started, "before": before}
    rows += [
        Sample(place | {"penstock": fact}, START + time)
        for fact, time in facts.items()
        if time is not None
    ]
    return rows + ([Sample(place | {"penstock": "known"}, known)] if known else [])


def rows(*pods, back=10.0):
    mark = Sample({"penstock": "offset/bad"}, back)
    return (mark, *(row for pod in pods for row in pod))


def after(*first, since=0.0, at=10.0):
    reader = Reader(since)
    reader.look(at, rows(*first, back=0.0))
    return reader


def test_the_first_reading_counts_nothing():
    said = Reader().look(10, rows(pod(sampled=9, stable_200=5), back=0.0))
    assert isinstance(said, NoLook)


def test_growth_is_counted_by_arm_and_target():
    reader = after(
        pod("a", sampled=9, stable_200=5, stable_500=1, candidate_200=0),
        pod("b", sampled=8, stable_200=7),
    )
    said = reader.look(
        20,
        rows(
            pod("a", sampled=19, stable_200=9, stable_500=3, candidate_200=2),
            pod("b", sampled=18, stable_200=7),
        ),
    )
    assert said.stable == {"j/a": Counts(6, 2)}
    assert said.candidate == {"j/a": Counts(2, 0)}
    assert said.stable_counts == Counts(6, 2)
    assert said.candidate_counts == Counts(2, 0)
    assert said.newest_sample == instant(19)


@pytest.mark.parametrize(
    ("pods", "apart"),
    [
        ([{"stable_200": 9, "candidate_200": 1}, {"stable_200": 9}], False),
        ([{"stable_200": 9}, {"candidate_200": 1}], True),
        ([{"stable_200": 9}], None),
    ],
)
def test_a_look_says_whether_each_target_counts_one_version_only(pods, apart):
    named = [(name, one) for name, one in zip("ab", pods, strict=False)]
    reader = after(*(pod(name, sampled=8, **dict.fromkeys(one, 0)) for name, one in named))
    said = reader.look(20, rows(*(pod(name, sampled=18, **one) for name, one in named)))
    assert said.apart is apart


def test_a_target_without_requests_is_a_look_without_counts_not_silence():
    reader = after(pod(sampled=9, stable_200=5))
    said = reader.look(20, rows(pod(sampled=19, stable_200=5)))
    assert (said.stable, said.candidate) == ({}, {})


def test_the_first_errors_of_a_known_target_count_from_zero():
    reader = after(pod(sampled=9, stable_200=5))
    said = reader.look(20, rows(pod(sampled=19, stable_200=6, candidate_500=3)))
    assert said.candidate == {"j/a": Counts(3, 3)}


@pytest.mark.parametrize(
    ("facts", "counted"),
    [
        pytest.param({"started": 12.0}, Counts(3, 3), id="started-after-the-last-look"),
        pytest.param({"before": 9.0}, Counts(3, 3), id="scraped-before-without-this-metric"),
        pytest.param({"before": 9.0, "started": None}, Counts(3, 3), id="start-not-needed"),
        pytest.param({}, Counts(), id="old-and-never-scraped"),
        pytest.param({"started": None}, Counts(), id="nothing-known"),
        pytest.param({"before": 9.0, "known": 1}, Counts(), id="another-replica-knew-it"),
        pytest.param({"before": -1.0}, Counts(), id="last-scraped-before-the-weight"),
        pytest.param({"started": 12.0, "known": 1}, Counts(), id="start-of-another-process"),
    ],
)
def test_a_new_target_counts_from_zero_only_if_it_is_known_to_be_new(facts, counted):
    reader = after(pod(sampled=9, stable_200=5))
    fresh = {"started": -500.0} | facts
    said = reader.look(
        20, rows(pod(sampled=19, stable_200=9), pod("b", sampled=19, candidate_500=3, **fresh))
    )
    assert said.candidate_counts == counted
    assert ("j/b" in said.skipped) == (counted == Counts())


def test_a_new_target_is_skipped_when_the_question_was_about_another_instant():
    reader = after(pod(sampled=9, stable_200=5))
    young = pod("b", sampled=19, started=12.0, candidate_500=3)
    said = reader.look(20, rows(pod(sampled=19, stable_200=9), young, back=5.0))
    assert "j/b" in said.skipped


def test_a_skipped_target_counts_from_the_next_look_on():
    reader = after(pod(sampled=9, stable_200=5))
    reader.look(20, rows(pod("b", sampled=19, candidate_200=3)))
    said = reader.look(30, rows(pod("b", sampled=29, candidate_200=5)))
    assert said.candidate == {"j/b": Counts(2, 0)}


def test_a_decrease_with_a_newer_process_start_counts_from_zero():
    reader = after(pod(sampled=9, stable_200=100, stable_500=9))
    said = reader.look(20, rows(pod(sampled=19, started=15.0, stable_200=7, stable_500=1)))
    assert said.stable == {"j/a": Counts(8, 1)}


@pytest.mark.parametrize("started", [None, -500.0, -495.0])
def test_a_decrease_without_a_newer_process_start_skips_the_target(started):
    reader = after(pod(sampled=9, stable_200=100, candidate_200=5))
    rows_now = rows(pod(sampled=19, started=started, stable_200=7, candidate_200=9))
    said = reader.look(20, rows_now)
    assert isinstance(said, NoLook)
    assert "fell without a newer process start" in said.reason
    said = reader.look(30, rows(pod(sampled=29, started=started, stable_200=8, candidate_200=9)))
    assert said.stable == {"j/a": Counts(1, 0)}


def test_a_restart_that_left_no_decrease_is_skipped():
    reader = after(pod(sampled=9, stable_200=5, stable_500=2))
    said = reader.look(20, rows(pod(sampled=19, started=12.0, stable_200=7, stable_500=2)))
    assert isinstance(said, NoLook)
    assert "started anew" in said.reason


def test_the_jitter_of_an_uptime_is_no_restart():
    reader = after(pod(sampled=9, started=7.0, stable_200=5))
    said = reader.look(20, rows(pod(sampled=19, started=12.0, stable_200=8)))
    assert said.stable == {"j/a": Counts(3, 0)}


def test_samples_from_before_the_weight_are_only_a_start():
    reader = after(pod(sampled=4, stable_200=5), since=5.0)
    said = reader.look(20, rows(pod(sampled=19, stable_200=9)))
    assert "before the weight" in said.reason
    said = reader.look(30, rows(pod(sampled=29, stable_200=10)))
    assert said.stable == {"j/a": Counts(1, 0)}


def test_no_new_sample_is_no_look_and_says_since_when():
    reader = after(pod(sampled=9, stable_200=5))
    said = reader.look(20, rows(pod(sampled=9, stable_200=5)))
    assert said == NoLook("no new sample since 2026-11-24T00:00:09.000+00:00")


def test_an_older_replica_changes_nothing_and_nothing_is_counted_twice():
    reader = after(pod(sampled=9, stable_200=100))
    reader.look(20, rows(pod(sampled=19, stable_200=120)))
    assert isinstance(reader.look(30, rows(pod(sampled=14, stable_200=110))), NoLook)
    said = reader.look(40, rows(pod(sampled=39, stable_200=130)))
    assert said.stable == {"j/a": Counts(10, 0)}


def test_a_replica_with_a_faster_clock_does_not_undo_a_restart():
    reader = after(pod(sampled=9, stable_200=100))
    reader.look(20, rows(pod(sampled=19, started=15.0, stable_200=5)))
    assert isinstance(reader.look(30, rows(pod(sampled=20, stable_200=110))), NoLook)
    said = reader.look(40, rows(pod(sampled=39, started=15.0, stable_200=9)))
    assert said.stable == {"j/a": Counts(4, 0)}


def test_a_series_that_vanished_goes_on_from_where_it_was():
    reader = after(pod(sampled=9, stable_200=5, stable_500=50))
    assert reader.look(20, rows(pod(sampled=19, stable_200=6))).stable == {"j/a": Counts(1, 0)}
    said = reader.look(30, rows(pod(sampled=29, stable_200=6, stable_500=52)))
    assert said.stable == {"j/a": Counts(2, 2)}


def test_a_target_that_one_replica_does_not_see_goes_on_from_where_it_was():
    reader = after(pod("a", sampled=9, stable_200=5), pod("b", sampled=9, candidate_200=50))
    reader.look(20, rows(pod("a", sampled=19, stable_200=6)))
    young = pod("b", sampled=29, before=19.0, candidate_200=53)
    said = reader.look(30, rows(pod("a", sampled=29, stable_200=6), young))
    assert said.candidate == {"j/b": Counts(3, 0)}


def test_a_start_from_before_the_last_sample_is_no_restart():
    reader = after(pod(sampled=9, started=-500.0, stable_200=100))
    said = reader.look(20, rows(pod(sampled=19, started=5.0, stable_200=7)))
    assert isinstance(said, NoLook)


def test_a_target_that_was_away_for_long_does_not_count_from_zero_again():
    reader = after(pod("a", sampled=9, stable_200=5), pod("b", sampled=9, candidate_200=50))
    reader.look(2000, rows(pod("a", sampled=1999, stable_200=6), back=1990.0))
    back = pod("b", sampled=2009, candidate_200=60)
    said = reader.look(2010, rows(pod("a", sampled=2009, stable_200=7), back))
    assert said.candidate == {}


def test_a_missed_look_is_made_up_for_by_the_next():
    reader = after(pod(sampled=9, stable_200=5))
    assert reader.look(20, Unreadable("connection p did not answer")) == NoLook(
        "connection p did not answer"
    )
    said = reader.look(30, rows(pod(sampled=29, stable_200=9), back=20.0))
    assert said.stable == {"j/a": Counts(4, 0)}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 2.5, 1e17])
def test_what_is_no_count_is_no_data(value):
    reader = after(pod(sampled=9, stable_200=5))
    said = reader.look(20, rows(pod(sampled=19, stable_200=value)))
    assert isinstance(said, NoLook)
    said = reader.look(30, rows(pod(sampled=29, stable_200=9), back=20.0))
    assert said.stable == {"j/a": Counts(4, 0)}


@pytest.mark.parametrize(
    ("answer_rows", "words"),
    [
        ((), "incomplete"),
        (rows(), "no series of either version"),
        (rows([Sample({"penstock": "total/stable", "job": "j"}, 1.0)]), "time of their sample"),
        (
            rows(
                pod(sampled=9, stable_200=1),
                [Sample({"penstock": "bad/candidate", "job": "j", "instance": "a"}, 1.0)],
            ),
            "but not its total",
        ),
        (
            rows(
                pod(sampled=9, stable_200=1),
                [
                    Sample(
                        {
                            "penstock": "total/candidate",
                            "job": "j",
                            "instance": "a",
                            "version": "stable",
                            "code": "200",
                        },
                        1.0,
                    )
                ],
            ),
            "does not tell them apart",
        ),
    ],
)
def test_an_answer_that_makes_no_sense_says_why(answer_rows, words):
    said = read(answer_rows, instant(10))
    assert isinstance(said, NoLook)
    assert words in said.reason


def bucket(name="a", *, sampled, total, good):
    place = {"job": "j", "instance": name}
    counters = [Sample(place | {"penstock": "total/stable", "le": "+Inf"}, total)]
    if good is not None:
        counters.append(Sample(place | {"penstock": "good/stable", "le": "500"}, good))
    return [*counters, Sample(place | {"penstock": "sampled"}, START + sampled)]


def good_rows(*pods, back=10.0):
    return (Sample({"penstock": "offset/good"}, back), *(row for pod in pods for row in pod))


def test_bad_is_total_minus_good_where_good_is_given():
    reader = Reader()
    reader.look(10, good_rows(bucket(sampled=9, total=10, good=8), back=0.0))
    said = reader.look(20, good_rows(bucket(sampled=19, total=20, good=11)))
    assert said.stable == {"j/a": Counts(10, 7)}
    said = reader.look(30, good_rows(bucket(sampled=29, total=25, good=11)))
    assert said.stable == {"j/a": Counts(5, 5)}


def test_a_total_without_any_good_series_is_no_data_rather_than_all_bad():
    said = read(good_rows(bucket(sampled=9, total=10, good=None)), instant(10))
    assert "no series of the good counter" in said.reason


def test_a_few_more_bad_than_total_are_cut_and_many_are_no_data():
    def look(bad):
        place = {"job": "j", "instance": "a"}
        return rows(
            [
                Sample(place | {"penstock": "total/stable", "__name__": "t"}, 10.0 + min(bad, 10)),
                Sample(place | {"penstock": "bad/stable", "__name__": "b"}, float(bad)),
                Sample(place | {"penstock": "sampled"}, START + 9 + bad),
            ]
        )

    reader = Reader()
    reader.look(10, look(0))
    assert reader.look(40, look(12)).stable == {"j/a": Counts(10, 10)}
    said = reader.look(80, look(60))
    assert "one must be a part of the other" in said.reason


@pytest.mark.parametrize(
    ("given_answer", "words"),
    [
        (Unreadable("away"), "away"),
        ((), "no series"),
        ((Sample({}, float("nan")),), "no number"),
        ((Sample({}, float("inf")),), "no number"),
        ((Sample({}, 1.0), Sample({"a": "b"}, 2.0)), "2 series"),
    ],
)
def test_a_value_is_one_finite_number(given_answer, words):
    said = read_value(given_answer)
    assert words in said.reason
    assert read_value((Sample({}, 0.5),)) == 0.5


# ---- against a simulated Prometheus -----------------------------------------------------------

times = st.integers(0, 5_000).map(lambda tenth: tenth / 10 + 0.05)
events = st.lists(st.tuples(times, st.sampled_from(ARMS), st.booleans()), max_size=60).map(
    lambda found: tuple(sorted(found))
)
starts = st.lists(st.integers(-3_000, 4_000), min_size=1, max_size=4, unique=True).map(
    lambda found: tuple(tenth / 10 + 0.02 for tenth in sorted(found))
)
targets = st.lists(
    st.builds(Target, st.just("x"), starts, events, st.booleans()), min_size=1, max_size=3
).map(lambda found: [replace(one, name=f"t{number}") for number, one in enumerate(found)])
replicas = st.lists(
    st.builds(
        Replica,
        st.sampled_from([5.0, 10.0, 30.0]),
        st.floats(0, 30).map(lambda phase: round(phase, 2)),
        st.lists(
            st.tuples(st.sampled_from(["t0", "t1"]), st.integers(0, 500), st.integers(0, 500)),
            max_size=2,
        ).map(tuple),
    ),
    min_size=1,
    max_size=2,
)


@settings(max_examples=150, deadline=None)
@given(
    targets,
    replicas,
    st.data(),
    st.sampled_from([5.0, 10.0, 20.0]),
    st.floats(0, 100),
    st.booleans(),
)
def test_no_request_is_counted_twice_or_from_before_the_weight(
    targets, replicas, data, interval, since, good
):
    reader = Reader(since)
    at = since
    for _ in range(25):
        at += interval
        replica = data.draw(st.sampled_from(replicas))
        reader.look(at, answer(replica, targets, at, reader.previous, good))
    nothing_is_made_up(reader, targets, at)


def nothing_is_made_up(reader, targets, end):
    for target in targets:
        for arm in ARMS:
            counted = reader.counted(arm, f"j/{target.name}")
            assert 0 <= counted.bad <= counted.total
            assert counted.total <= target.happened_between(reader.since, end, arm)
            assert counted.bad <= target.happened_between(reader.since, end, arm, bad=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_nothing_is_made_up_in_a_busy_world(seed):
    world, dice = busy_world(seed), random.Random(seed)
    reader, replica = Reader(world.since), world.replicas[0]
    for at in world.instants:
        replica = dice.choice(world.replicas) if dice.random() < 0.3 else replica
        reader.look(at, answer(replica, world.targets, at, reader.previous, world.good))
    if world.instants:
        nothing_is_made_up(reader, world.targets, world.instants[-1])


@settings(max_examples=100, deadline=None)
@given(events, st.integers(0, 9), st.booleans(), st.sampled_from([5.0, 10.0, 20.0]))
def test_everything_is_counted_when_nothing_odd_happens(events, phase, good, interval):
    seen = (-1.0, "stable", False), (-1.0, "stable", True)
    target = Target("x", (-100.0,), (*seen, *events))
    replica = Replica(10.0, float(phase))
    reader = Reader(since=0.0)
    instants = [number * interval for number in range(2, 30)]
    for at in instants:
        reader.look(at, answer(replica, [target], at, reader.previous, good))
    begin, end = (replica.last_scrape(at) for at in (instants[0], instants[-1]))
    for arm in ARMS:
        total = target.happened_between(begin, end, arm)
        bad = target.happened_between(begin, end, arm, bad=True)
        assert reader.counted(arm) == Counts(total, bad)


@settings(max_examples=100, deadline=None)
@given(events, st.integers(0, 9), st.integers(0, 9), st.data())
def test_an_ha_pair_loses_nothing_of_a_known_target(events, phase, other, data):
    target = Target("x", (-100.0,), ((-1.0, "stable", False), *events))
    pair = [Replica(10.0, float(phase)), Replica(10.0, other + 0.5)]
    reader, scrapes = Reader(since=0.0), []
    for number in range(2, 40):
        at = number * 10.0
        replica = data.draw(st.sampled_from(pair))
        reader.look(at, answer(replica, [target], at, reader.previous))
        scrapes.append(replica.last_scrape(at))
    for arm in ARMS:
        truth = target.happened_between(scrapes[0], max(scrapes), arm)
        assert reader.counted(arm).total == truth


def test_what_reached_no_pod_is_counted_and_belongs_to_no_version():
    first = pod(sampled=9, stable_200=5, candidate_200=1, unreached_503=1)
    reader = after(first)
    said = reader.look(20.0, rows(pod(sampled=19, stable_200=9, candidate_200=2, unreached_503=8)))
    assert said.unreached == 7
    assert (said.stable_counts, said.candidate_counts) == (Counts(4, 0), Counts(1, 0))


def test_a_target_that_reached_no_pod_at_all_is_counted():
    reader = after(pod(sampled=9, stable_200=5), pod("b", sampled=9, unreached_503=1))
    said = reader.look(
        20.0, rows(pod(sampled=19, stable_200=9), pod("b", sampled=19, unreached_503=30))
    )
    assert (said.unreached, said.stable_counts) == (29, Counts(4, 0))


def test_unreached_that_matches_a_version_is_refused():
    place = {"job": "j", "instance": "a", "version": "stable", "code": "200"}
    twice = [*pod(sampled=9, stable_200=5), Sample(place | {"penstock": "total/unreached"}, 5.0)]
    said = read(rows(twice), instant(10))
    assert isinstance(said, NoLook)
    assert "must match what reached no pod" in said.reason
