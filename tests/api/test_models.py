import re

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
PYTHON_TYPES = {"string": str, "number": int | float, "integer": int, "boolean": bool}


def refused_by_model(model, spec):
    """Return whether pydantic refuses the spec."""
    try:
        model.model_validate(spec)
    except ValidationError:
        return True
    return False


def complaints(schema, value, path="spec"):
    """Yield what the CRD's schema, its rules apart, says against a value."""
    if isinstance(value, dict):
        yield from (f"{path}.{n} is required" for n in schema.get("required", ()) if n not in value)
        for name, below in value.items():
            fields, others = schema.get("properties", {}), schema.get("additionalProperties")
            if name not in fields and others is None:
                yield f"{path}.{name} is unknown"
            else:
                yield from complaints(fields.get(name, others), below, f"{path}.{name}")
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{path} is too short"
        if schema.get("x-kubernetes-list-type") == "set" and len(set(value)) < len(value):
            yield f"{path} has an item twice"
        for index, below in enumerate(value):
            yield from complaints(schema["items"], below, f"{path}[{index}]")
    elif not isinstance(value, PYTHON_TYPES[schema["type"]]):
        yield f"{path} is no {schema['type']}"
    elif isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{path} does not match"


def rules_met(schema, value):
    """Return the messages of the rules that the API server would try on a value."""
    found = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    if isinstance(value, dict):
        for name, below in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
            found += rules_met(inner, below)
    elif isinstance(value, list):
        found += [message for below in value for message in rules_met(schema["items"], below)]
    return found


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
    subject = Subject("ml", "fraud", "fraud", arm, arm)
    assert all(isinstance(expand(f"${name}", subject, arm), str) for name in VARIABLES)
    known = expand("$other", subject, arm).reason.split("there are ")[1]
    assert known == ", ".join(f"${name}" for name in VARIABLES)
