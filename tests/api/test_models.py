import pytest
from pydantic import ValidationError

from penstock.api.fields import VARIABLES, format_duration, parse_duration
from penstock.api.structural import structural_schema
from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core.queries import Arm, Subject, expand
from tests.api import bad_specs


@pytest.mark.parametrize("text", ["0s", "250ms", "90s", "10m", "1h30m", "168h"])
def test_a_duration_is_written_as_it_is_read(text):
    assert parse_duration(format_duration(parse_duration(text))) == parse_duration(text)


@pytest.mark.parametrize("text", ["", "10", "1d", "-1s", "1.5h", "10 m", 5])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("weight", [0.01, 0.07, 0.29, 1.1, 33.33, 99.99])
def test_two_decimals_are_taken(weight):
    spec = bad_specs.bad("no steps")
    spec["strategy"]["canary"]["steps"] = [{"weight": weight}]
    assert RolloutSpec.model_validate(spec).strategy.canary.steps[0].weight == weight


def test_a_weight_with_three_decimals_is_refused():
    with pytest.raises(ValidationError, match="more than two decimals"):
        RolloutSpec.model_validate(bad_specs.bad("a weight with three decimals"))


def test_a_field_of_a_newer_version_is_ignored():
    assert RolloutSpec.model_validate({**bad_specs.GOOD, "tomorrow": 1}).version == "v2"


BAD = [
    *((RolloutSpec, name, bad_specs.bad) for name in bad_specs.REFUSED),
    *((MetricTemplateSpec, name, bad_specs.bad_template) for name in bad_specs.REFUSED_TEMPLATES),
]


def refused_by_model(model, spec):
    """Return whether pydantic refuses the spec."""
    try:
        model.model_validate(spec)
    except ValidationError:
        return True
    return False


def below(schema, value):
    """Return (name, schema, value) of what a value holds; the schema of an unknown field is {}."""
    if isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        return [(name, fields.get(name, others), inner) for name, inner in value.items()]
    if isinstance(value, list):
        return [(str(number), schema["items"], inner) for number, inner in enumerate(value)]
    return []


def complaints(schema, value):
    """Yield what the CRD's schema says against a value of which the model says nothing."""
    if schema.get("x-kubernetes-list-type") == "set" and len(set(value)) < len(value):
        yield f"{value} has an item twice"
    for name, inner, held in below(schema, value):
        if inner == {}:
            yield f"{name} is unknown"
        else:
            yield from complaints(inner, held)


def rules_met(schema, value):
    """Yield the messages of the rules that the API server tries on a value."""
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
    for _, inner, held in below(schema, value):
        yield from rules_met(inner, held)


@pytest.mark.parametrize(("model", "name", "make"), BAD, ids=[name for _, name, _ in BAD])
def test_a_bad_spec_is_refused_by_the_model_by_the_schema_or_by_a_rule(model, name, make):
    spec, schema = make(name), structural_schema(model)
    words = {**bad_specs.REFUSED, **bad_specs.REFUSED_TEMPLATES}[name][1]
    by_rule = any(words.split("Invalid value: ")[-1] in text for text in rules_met(schema, spec))
    assert by_rule or refused_by_model(model, spec) or list(complaints(schema, spec))


@pytest.mark.parametrize(
    ("model", "spec"),
    [(RolloutSpec, bad_specs.GOOD), (MetricTemplateSpec, bad_specs.GOOD_TEMPLATE)],
)
def test_a_good_spec_is_not(model, spec):
    assert not refused_by_model(model, spec)
    assert not list(complaints(structural_schema(model), spec))


def test_the_variables_that_the_schema_takes_are_those_that_queries_know():
    arm = Arm("v2", "fraud.ml.svc.cluster.local", 'destination_workload="fraud-v2"')
    subject = Subject("ml", "fraud", "fraud", arm, arm, route="fraud-split")
    assert all(isinstance(expand(f"${name}", subject, arm), str) for name in VARIABLES)
    known = expand("$other", subject, arm).reason.split("there are ")[1]
    assert known == ", ".join(f"${name}" for name in VARIABLES)
