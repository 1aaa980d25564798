from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penstock.api.v1alpha1.metric_template import Proportion
from penstock.core.queries import Arm, Subject, Unusable, expand, proportion_query, value_query
from penstock.core.variants import PodIdentity, Variants, choose_variants

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
ERRORS = Proportion(
    total='istio_requests_total{destination_service="$host",$variant}',
    bad='istio_requests_total{destination_service="$host",response_code=~"5.*$|0",$variant}',
)
SUBJECT = Subject(
    namespace="ml",
    rollout="fraud",
    service="fraud",
    stable=Arm("v1", "fraud.ml.svc.cluster.local", 'destination_workload=~"a|b"'),
    candidate=Arm("v2", "fraud-b.ml.svc.cluster.local", 'destination_workload="c"'),
)


def ask(template=ERRORS, subject=SUBJECT, previous=AT - timedelta(seconds=10)):
    return proportion_query(template, "prometheus", subject, AT, previous)


def test_both_arms_and_both_counters_are_one_question():
    query = ask()
    assert (query.connection, query.namespace, query.at) == ("prometheus", "ml", AT)
    for arm, host, variant in (
        ("stable", "fraud.ml", 'destination_workload=~"a|b"'),
        ("candidate", "fraud-b.ml", 'destination_workload="c"'),
    ):
        for row, code in (("total", ""), ("bad", 'response_code=~"5.*$|0",')):
            selector = (
                f'istio_requests_total{{destination_service="{host}.svc.cluster.local",'
                f"{code}{variant}}}"
            )
            assert f'label_replace({selector}, "penstock", "{row}/{arm}", "", "")' in (
                query.expression
            )


def test_the_previous_look_is_asked_about_to_the_millisecond():
    query = ask(previous=AT - timedelta(milliseconds=12_345))
    assert "vector(12.345)" in query.expression
    assert "up offset 12345ms == 1" in query.expression


def test_a_first_look_asks_nothing_about_a_previous_one():
    query = ask(previous=None)
    assert "offset " not in query.expression
    assert 'label_replace(vector(0.0), "penstock", "offset/bad", "", "")' in query.expression


def test_the_good_part_is_marked_as_such():
    query = ask(Proportion(total="x{$variant}", good="y{$variant}"))
    assert '"good/candidate"' in query.expression
    assert '"offset/good"' in query.expression


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("istio_requests_total", "envoy_server_uptime"),
        ("envoy_cluster_upstream_rq", "envoy_server_uptime"),
        ("requests_total", "(process_start_time_seconds"),
    ],
)
def test_the_start_is_that_of_the_process_that_counts(name, first):
    text = ask(Proportion(total=f"{name}{{$variant}}", bad=f"{name}{{$variant}}")).expression
    starts = ["envoy_server_uptime", "(process_start_time_seconds", "(istio_agent_process"]
    assert min(starts, key=text.index) == first


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ('x{a="$nobody",$variant}', "total: $nobody is not a variable"),
        ("x{$args.path,$variant}", "$args.path is not given"),
        ("x{$versions,$variant}", "$versions is not a variable"),
        ("x", "must contain $variant"),
        ('x{a="$variants"}', "must contain $variant"),
        ("sum(x{$variant})", "plain selector"),
        ("rate(x{$variant}[5m])", "plain selector"),
        ("x{$variant}[5m]", "plain selector"),
        ("x{$variant} offset 5m", "plain selector"),
        ("x{$variant} or y{$variant}", "plain selector"),
        ("x{$variant} # y", "plain selector"),
        ('x{a="b" # ,$variant\n}', "plain selector"),
        ('x{$variant}, "a", "b", "", "") or (y', "plain selector"),
    ],
)
def test_what_is_no_plain_selector_is_refused_with_a_reason(selector, words):
    for template in (
        Proportion(total=selector, bad=ERRORS.bad),
        Proportion(total=ERRORS.total, bad=selector),
    ):
        said = ask(template)
        assert isinstance(said, Unusable)
        assert words.removeprefix("total: ") in said.reason


@pytest.mark.parametrize(
    "selector",
    [
        "x{$variant}",
        "  x:y{ $variant }\n",
        '{__name__=~"x|y",$variant}',
        '{"http.requests",$variant}',
        'x{a="{}",b=\'}\',c="say \\"}\\"",$variant}',
    ],
)
def test_plain_selectors_are_taken(selector):
    assert not isinstance(ask(Proportion(total=selector, bad=selector)), Unusable)


@pytest.mark.parametrize("value", ['v"1', "v{1", "v}", "v\\1", "v`", "v'", "v\n", "$host", ""])
def test_values_with_characters_that_could_change_a_query_are_refused(value):
    odd = replace(SUBJECT, candidate=replace(SUBJECT.candidate, version=value))
    said = value_query('max(cpu{version="$version"})', "prometheus", odd, AT)
    assert isinstance(said, Unusable)
    assert "$version" in said.reason


@pytest.mark.parametrize("variant", ["", "v2", 'a="b"} or x{c="d"', 'a="b",', 'a="b\\"', 'a="b'])
def test_a_variant_must_be_matchers(variant):
    odd = replace(SUBJECT, candidate=replace(SUBJECT.candidate, variant=variant))
    assert isinstance(ask(subject=odd), Unusable)


def test_a_variant_may_be_several_matchers():
    several = replace(SUBJECT.candidate, variant='version="v2", track!="x"')
    assert not isinstance(ask(subject=replace(SUBJECT, candidate=several)), Unusable)


def test_a_value_is_asked_about_the_candidate():
    text = 'max(cpu{v="$version",h="$host",n="$namespace"}) * 2'
    query = value_query(text, "prometheus", SUBJECT, AT)
    assert query.expression == ('max(cpu{v="v2",h="fraud-b.ml.svc.cluster.local",n="ml"}) * 2')


def test_every_variable_has_its_value():
    text = "$variant $version $host $service $namespace $rollout $reporter"
    assert expand(text, SUBJECT, SUBJECT.stable) == (
        'destination_workload=~"a|b" v1 fraud.ml.svc.cluster.local fraud ml fraud source'
    )


def pods(*workloads, **labels):
    named = {name.replace("_", "-"): value for name, value in labels.items()}
    return [PodIdentity(named, workload) for workload in workloads]


CANONICAL = "service.istio.io/canonical-revision"


def test_the_canonical_revision_tells_versions_apart_where_it_is_the_version():
    said = choose_variants(pods("a", version="v1"), pods("b", "b", version="v2"), "v1", "v2")
    assert said == Variants(
        'destination_canonical_revision="v1"', 'destination_canonical_revision="v2"'
    )


def test_istio_s_own_label_goes_before_the_others():
    odd = [PodIdentity({"version": "v2", CANONICAL: "blue"}, "c")]
    said = choose_variants(pods("a", version="v1"), odd, "v1", "v2")
    assert said == Variants('destination_workload="a"', 'destination_workload="c"')
    odd = [PodIdentity({"version": "x", "app.kubernetes.io/version": "v2"}, "c")]
    said = choose_variants(pods("a", version="v1"), odd, "v1", "v2")
    assert said.candidate == 'destination_canonical_revision="v2"'


def test_workloads_tell_versions_apart_where_a_pod_shows_another_revision():
    mixed = [*pods("b.x", version="v2"), *pods("c")]
    said = choose_variants(pods("a", version="v1"), mixed, "v1", "v2")
    assert said == Variants('destination_workload="a"', 'destination_workload=~"b[.]x|c"')


@pytest.mark.parametrize("name", ["latest", "unknown"])
def test_a_revision_that_proxies_report_for_requests_without_a_pod_is_not_used(name):
    said = choose_variants(pods("a", version=name), pods("b", version="v2"), name, "v2")
    assert said == Variants('destination_workload="a"', 'destination_workload="b"')


def test_versions_that_share_a_workload_cannot_be_told_apart():
    said = choose_variants(pods("a", "b"), pods("b", "c"), "v1", "v2")
    assert isinstance(said, Unusable)
    assert "share the workload b" in said.reason


@pytest.mark.parametrize(("stable", "candidate", "named"), [([], ["b"], "v1"), (["a"], [], "v2")])
def test_a_version_without_ready_pods_cannot_be_told_by_them(stable, candidate, named):
    said = choose_variants(pods(*stable), pods(*candidate), "v1", "v2")
    assert named in said.reason


LOST = ERRORS.model_copy(
    update={"unreached": 'istio_requests_total{destination_service="$host",workload="unknown"}'}
)


def test_what_reached_no_pod_is_read_in_the_same_question_for_each_host():
    query = ask(LOST)
    for host in ("fraud.ml", "fraud-b.ml"):
        selector = (
            f'istio_requests_total{{destination_service="{host}.svc.cluster.local",'
            'workload="unknown"}'
        )
        asked = f'label_replace({selector}, "penstock", "total/unreached", "", "")'
        assert query.expression.count(asked) == 1
        assert f"timestamp({selector})" in query.expression, "its targets have a time, too"


def test_what_reached_no_pod_is_asked_once_where_both_versions_have_one_host():
    subject = replace(SUBJECT, candidate=replace(SUBJECT.candidate, host=SUBJECT.stable.host))
    assert ask(LOST, subject).expression.count('"total/unreached"') == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a{$variant}", "belongs to no version"),
        ('a{version="$version"}', "belongs to no version"),
        ('a{b="$c"}', "is not a variable"),
        ("sum(a{})", "plain selector"),
    ],
)
def test_what_reached_no_pod_is_refused_where_it_cannot_be_told(text, why):
    refused = ask(LOST.model_copy(update={"unreached": text}))
    assert isinstance(refused, Unusable)
    assert refused.reason.startswith("unreached: ")
    assert why in refused.reason
