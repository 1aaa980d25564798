"""Mistakes that no schema can see, each told with its cure."""

import pytest

from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.core import problems
from penstock.core.traffic.target import target_of
from tests.core.rollout.builders import spec

DOMAINS = ("cluster.local", "istio-system")
GOOD = {"total": "a{$variant}", "bad": "b{$variant}"}


def target(route=None, name="fraud", **traffic):
    where = {"service": "fraud", "route": route or {"delegate": "fraud-split"}, **traffic}
    return target_of("ml", name, "u", spec(traffic=where), DOMAINS)


def template(**content):
    return MetricTemplateSpec.model_validate({"proportion": GOOD, **content})


def of_metric(metric, templates=None, connections=("prometheus",)):
    rules = spec(analysis={"metrics": [metric]})
    known = {metric.get("name", metric.get("template")): t for t in templates or []}
    return problems.of_metrics(rules, known, connections, target())


def test_a_metric_whose_template_is_there_and_whole_is_no_problem():
    assert of_metric({"template": "errors"}, [template()]) == ()
    value = {"name": "cpu", "value": {"query": 'cpu{version="$version"}', "max": 1}}
    assert of_metric(value) == ()


@pytest.mark.parametrize(
    ("metric", "templates", "connections", "reason", "words"),
    [
        ({"template": "errors"}, [], ("prometheus",), "TemplateNotFound", "MetricTemplate errors"),
        ({"template": "e"}, [template()], ("other",), "ConnectionUnknown", "(other is)"),
        ({"template": "e"}, [template()], (), "ConnectionUnknown", "(none is)"),
        (
            {"template": "e"}, [template(connection="thanos")], ("prometheus",),
            "ConnectionUnknown", "connection thanos is not configured",
        ),
        (
            {"template": "e", "maxIncrease": 5},
            [MetricTemplateSpec.model_validate({"value": {"query": "up", "max": 1}})],
            ("prometheus",), "MetricInvalid", "need a template that compares",
        ),
        (
            {"name": "cpu", "value": {"query": "cpu", "max": 1}}, [], (),
            "ConnectionUnknown", "metric cpu",
        ),
    ],
)  # fmt: skip
def test_a_metric_that_cannot_be_asked_is_named_with_what_is_missing(
    metric, templates, connections, reason, words
):
    (problem,) = of_metric(metric, templates, connections)
    assert problem.reason == reason
    assert words in problem.message


def test_each_metric_that_is_wrong_is_told():
    rules = spec(analysis={"metrics": [{"template": "a"}, {"template": "b"}, {"template": "c"}]})
    found = problems.of_metrics(rules, {"b": template()}, ["prometheus"], target())
    assert [problem.message.split(":")[0] for problem in found] == ["metric a", "metric c"]


def test_an_expression_that_cannot_be_made_says_what_to_mend():
    unusable = template(proportion={"total": "sum(rate(a[1m]))", "bad": "b{$variant}"})
    (problem,) = of_metric({"template": "errors"}, [unusable])
    assert problem.reason == "MetricInvalid"
    assert problem.message.startswith("metric errors: ")
