import pytest
from pydantic import ValidationError

from penstock.api.fields import format_duration, parse_duration
from penstock.api.v1alpha1.rollout import RolloutSpec
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
