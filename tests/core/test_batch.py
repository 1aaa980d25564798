"""Many queries asked as one get the answers that each would have got."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api.v1alpha1.metric_template import Distribution, Mean, Proportion
from penstock.core import batch, selectors
from penstock.core.counters import take_look
from penstock.core.means.queries import mean_query
from penstock.core.queries import Arm, Subject, proportion_query
from penstock.core.samples import Query
from tests.core import prometheus_simulation as simulation
from tests.core import promql
from tests.core.promql import Series

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
NOW = AT.timestamp()
TOTAL = 'istio_requests_total{reporter="$reporter",destination_service="$host",$variant}'
ERRORS = Proportion(
    total=TOTAL,
    bad='istio_requests_total{reporter="$reporter",destination_service="$host",'
    'response_code=~"5..|0",response_flags!="DC",$variant}',
    unreached='istio_requests_total{reporter="$reporter",destination_service="$host",'
    'destination_workload="unknown"}',
)
SLOW = Distribution(buckets='d_bucket{destination_service="$host",$variant}')
VALUES = Mean(sum="v_sum{$variant}", count="v_count{$variant}", sum_of_squares="v_sq{$variant}")
TEMPLATES = (ERRORS, SLOW.beyond(100), SLOW.beyond(250), SLOW.beyond(0.5), VALUES)
HOSTS, VERSIONS, WORKLOADS = ("a.ml", "b.ml", "a+b.ml"), ("v1", "v2", "v.3"), ("w", "w.2", "x|y")


def ask(template, subject, back=10.0):
    previous = AT - timedelta(seconds=back) if back else None
    make = mean_query if isinstance(template, Mean) else proportion_query
    return make(template, "prometheus", subject, AT, previous)


@st.composite
def subjects(draw):
    host = st.sampled_from(HOSTS)
    version = st.sampled_from(VERSIONS)
    variant = st.one_of(
        version.map(lambda name: f'destination_canonical_revision="{name}"'),
        st.lists(st.sampled_from(["w", "w[.]2", "x[|]y", "w.*"]), min_size=1, max_size=2).map(
            lambda names: f'destination_workload=~"{"|".join(names)}"'
        ),
        version.map(lambda name: f'destination_canonical_revision!="{name}"'),
    )
    arms = [Arm(draw(version), draw(host), draw(variant)) for _ in range(2)]
    reporter = draw(st.sampled_from(["source", "source", "destination"]))
    return Subject("ml", "r", arms[0].host, arms[0], arms[1], reporter)


@st.composite
def storages(draw):
    """Series of a few targets that were scraped at different times; scrapes fail, series end."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        place = {"job": "envoy", "instance": f"10.0.0.{number}"}
        ends = NOW - draw(st.floats(0.0, 12.0))
        times = [ends - 5.0 * n for n in reversed(range(draw(st.integers(1, 4))))]
        alive = [draw(st.sampled_from([1.0, 1.0, 1.0, 0.0])) for _ in times]
        found.append(Series({"__name__": "up", **place}, tuple(zip(times, alive, strict=True))))
        if draw(st.booleans()):
            name = draw(st.sampled_from(["envoy_server_uptime", "process_start_time_seconds"]))
            found.append(Series({"__name__": name, **place}, tuple((t, 7.0) for t in times)))
        found += [draw(_series(place, times)) for _ in range(draw(st.integers(0, 12)))]
    unique = {tuple(sorted(one.labels.items())): one for one in found}
    return list(unique.values())


@st.composite
def _series(draw, place, times):
    name = draw(
        st.sampled_from(["istio_requests_total"] * 3 + ["d_bucket", "v_sum", "v_count", "v_sq"])
    )
    labels = {
        "reporter": draw(st.sampled_from(["source", "source", "destination"])),
        "destination_service": draw(st.sampled_from([*HOSTS, "aab.ml", "other.ml"])),
        "destination_canonical_revision": draw(st.sampled_from([*VERSIONS, "vx3", "v1\n"])),
        "destination_workload": draw(st.sampled_from([*WORKLOADS, "w-2", "unknown"])),
    }
    if name == "d_bucket":
        labels["le"] = draw(st.sampled_from(["+Inf", "100", "100.0", "250", "0.5", "1005"]))
    if draw(st.booleans()):
        labels["response_code"] = draw(st.sampled_from(["200", "503", "0", "5030"]))
        labels["response_flags"] = draw(st.sampled_from(["-", "DC"]))
    kept = times[draw(st.integers(0, len(times) - 1)) :]
    points = [(time, float(draw(st.integers(0, 9)))) for time in kept]
    if draw(st.integers(0, 5)) == 0:
        points[-1] = (points[-1][0], None)
    return Series({"__name__": name, **labels, **place}, tuple(points))


def counted(samples):
    """The rows, in any order. Of KNOWN it only matters whether there were any series."""
    return Counter(
        (
            tuple(sorted(s.labels.items())),
            min(s.value, 1) if s.labels["penstock"] == "known" else s.value,
        )
        for s in samples
    )


def asked_together(queries, answer):
    """The parts of the answers to as few queries as there can be, in the order of the queries."""
    groups, parts = {}, {}
    for number, query in enumerate(queries):
        plan = batch.plan(query.counters)
        assert plan is not None
        groups.setdefault(plan.key, []).append((number, query, plan))
    for group in groups.values():
        many = batch.Batch([(query, plan) for _, query, plan in group])
        for (number, _, _), part in zip(group, many.parted(answer(many.query)), strict=True):
            parts[number] = part
    return [parts[number] for number in range(len(queries))], len(groups)


@settings(max_examples=150, deadline=None)
@given(
    storages(),
    st.lists(st.tuples(st.sampled_from(TEMPLATES), subjects()), min_size=1, max_size=6),
    st.sampled_from([0.0, 10.0]),
)
def test_each_gets_what_it_would_have_got_alone(storage, asked, back):
    queries = [ask(template, subject, back) for template, subject in asked]
    parts, _ = asked_together(queries, lambda query: promql.answer(query.expression, storage, NOW))
    for query, part in zip(queries, parts, strict=True):
        assert counted(part) == counted(promql.answer(query.expression, storage, NOW))


def subject_of(number, host="{}.ml"):
    arms = [
        Arm(
            f"v{number}{arm}",
            host.format(number),
            f'destination_canonical_revision="{number}{arm}"',
        )
        for arm in "sc"
    ]
    return Subject("ml", f"r{number}", arms[0].host, *arms)


def test_fifty_releases_and_all_edges_of_a_metric_are_one_query_each():
    subjects = [subject_of(number) for number in range(50)]
    errors = [ask(ERRORS, subject) for subject in subjects]
    edges = [ask(SLOW.beyond(edge), one) for one in subjects for edge in (100, 250, 500)]
    assert asked_together(errors, lambda _: ())[1] == 1
    assert asked_together(edges, lambda _: ())[1] == 1
    assert asked_together([*errors, *edges], lambda _: ())[1] == 2


def test_what_is_bad_is_not_asked_for_again_beside_the_total():
    queries = [ask(ERRORS.model_copy(update={"unreached": None}), subject_of(n)) for n in range(3)]
    many = batch.Batch([(query, batch.plan(query.counters)) for query in queries])
    assert "response_code" not in many.query.expression
    assert many.query.expression.count('"series/') == 1
    assert 'destination_service=~"0\\\\.ml|1\\\\.ml|2\\\\.ml"' in many.query.expression


def test_looks_with_other_previous_looks_are_asked_apart():
    queries = [ask(ERRORS, subject_of(1), back) for back in (0.0, 10.0, 20.0)]
    assert asked_together(queries, lambda _: ())[1] == 3


@pytest.mark.parametrize(
    "text", ["x{a=`b\\d`,$variant}", 'x{a=~"(?P<n>b)\\\\k<n>",$variant}', "x{$variant} # y"]
)
def test_what_cannot_be_matched_here_is_asked_alone(text):
    found = ask(Proportion(total=text, bad=text), subject_of(1))
    assert not isinstance(found, Query) or batch.plan(found.counters) is None


@pytest.mark.parametrize(
    ("text", "labels", "fits"),
    [
        ('x{a="b"}', {"a": "b"}, True),
        ('x{a="b"}', {}, False),
        ('x{a=""}', {}, True),
        ('x{a!="b"}', {}, True),
        ('x{a=~"b"}', {"a": "bb"}, False),
        ('x{a=~"b|c+"}', {"a": "cc"}, True),
        ('x{a=~"b.c"}', {"a": "b\nc"}, True),
        ('x{a!~"b.*"}', {"a": "cb"}, True),
        ('x{a=~".*"}', {}, True),
        ('x{a=~".+"}', {}, False),
        ('x{a="b",a!~"b"}', {"a": "b"}, False),
        ('{"a.b"="c",__name__=~"x|y"}', {"a.b": "c", "__name__": "y"}, True),
    ],
)
def test_a_selector_matches_as_prometheus_does(text, labels, fits):
    assert selectors.fits(selectors.parse(text), {"__name__": "x", **labels}) is fits


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.text(min_size=1))
def test_a_merged_selector_has_the_values_of_all_and_no_other(values, other):
    each = [(selectors.Matcher("a", "=", value),) for value in dict.fromkeys(values)]
    both = selectors.merged(each)
    for value in values:
        assert selectors.fits(both, {"a": value})
    assert selectors.fits(both, {"a": other}) is (other in values)


@pytest.mark.parametrize("seed", range(12))
def test_releases_that_are_asked_together_count_what_each_would_count_alone(seed):
    """Over simulated scrapes, restarts and outages, for several releases at once."""
    worlds = [simulation.busy_world(seed * 10 + number) for number in range(3)]
    subjects = [subject_of(number, host="h{}") for number in range(3)]
    template = Proportion(total=TOTAL, bad=TOTAL.replace("$host", '$host",code="500'))
    instants = worlds[0].instants[:40]
    baselines: list = [None, None, None]
    for at in instants:
        when = simulation.instant(at)
        storage = [one for number, world in enumerate(worlds) for one in _stored(world, number, at)]
        queries = [
            proportion_query(template, "p", subject, when, before.at if before else None)
            for subject, before in zip(subjects, baselines, strict=True)
        ]
        answer = lambda query: promql.answer(query.expression, storage, when.timestamp())  # noqa: B023, E731
        parts, _ = asked_together(queries, answer)
        for number, (query, part) in enumerate(zip(queries, parts, strict=True)):
            since = simulation.instant(worlds[0].since)
            alone = take_look(baselines[number], answer(query), when, since)
            together = take_look(baselines[number], part, when, since)
            assert together == alone
            baselines[number] = together[1]


def _stored(world, number, at):
    """What a Prometheus holds of one world: targets are shared by the worlds where names agree."""
    replica = world.replicas[0]
    for target in world.targets:
        place = {"job": "j", "instance": target.name}
        if number == 0:
            yield from _about(replica, target, place, at)
        points = {}
        for time in _scrapes(replica, at):
            seen, counters = replica.view(target, time)
            for key, value in counters.items() if seen == time else ():
                points.setdefault(key, []).append(
                    (seen + simulation.EPOCH.timestamp(), float(value))
                )
        for (arm, bad), values in points.items():
            labels = {"__name__": "istio_requests_total", "reporter": "source"}
            labels |= {"destination_service": f"h{number}", "code": "500" if bad else "200"}
            labels["destination_canonical_revision"] = f"{number}{arm[0]}"
            yield Series({**labels, **place}, tuple(values))


def _about(replica, target, place, at):
    times = [time for time in _scrapes(replica, at) if replica.view(target, time)[0] == time]
    epoch = simulation.EPOCH.timestamp()
    yield Series({"__name__": "up", **place}, tuple((time + epoch, 1.0) for time in times))
    if not target.shy:
        points = tuple((time + epoch, time - target.started(time)) for time in times)
        yield Series({"__name__": "envoy_server_uptime", **place}, points)


def _scrapes(replica, at):
    newest = replica.last_scrape(at)
    times, time = [], newest
    while time is not None and time >= replica.phase and at - time < 400:
        times.append(time)
        time -= replica.interval
    return times[::-1]
