"""The CRDs are what the models say, and the API server takes them at their word."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, Field

from penstock.api import crd
from penstock.api.structural import LIMITS, structural_schema
from penstock.api.v1alpha1.rollout import RolloutSpec
from tests.api import bad_specs

CRDS = Path(__file__).parents[2] / "crds"
SCHEMAS = {
    kind.name: crd.manifest(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for kind in crd.KINDS
}
NEEDS_1_34 = (
    ".sort(",
    ".sortBy(",
    ".distinct(",
    ".flatten(",
    ".reverse(",
    ".slice(",
    "lists.range",
)


def nodes(schema, path=""):
    """Return (path, schema) of a schema and of all below it."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def defaulted(schema, value):
    """Return the value with the schema's defaults, as the API server fills them in."""
    if isinstance(value, list):
        return [defaulted(schema["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = schema.get("properties", {})
    missing = {k: f["default"] for k, f in fields.items() if "default" in f and k not in value}
    return {k: defaulted(fields.get(k, {}), v) for k, v in {**missing, **value}.items()}


def as_python(spec):
    """Return the spec with the models' defaults, as it is written in a manifest."""
    model = RolloutSpec.model_validate(spec)
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize("name", crd.render())
def test_the_file_is_what_the_models_say(name):
    assert (CRDS / name).read_text() == crd.render()[name], "run: make crds"


def test_there_is_no_other_crd_and_kustomize_knows_all():
    listed = yaml.safe_load((CRDS / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(crd.render())
    assert {path.name for path in CRDS.iterdir()} == {*listed, "kustomization.yaml"}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_field_is_described(kind):
    missing = [
        f"{path}.{name}"
        for path, node in nodes(SCHEMAS[kind])
        for name, field in node.get("properties", {}).items()
        if not field.get("description") and (path, name) != ("", "metadata")
    ]
    assert missing == []


def test_durations_and_percentages_say_their_unit():
    for path, node in nodes(SCHEMAS["Rollout"]["properties"]["spec"]):
        if "[0-9]{1,7}ms" in node.get("pattern", ""):
            assert "duration" in node["description"], path
        of_values = "metrics[].value." in path or "edges[]" in path
        if node.get("type") in ("number", "integer") and not of_values:
            units = ("percent", "count", "a number")
            assert any(unit in node["description"] for unit in units), path


@pytest.mark.parametrize("kind", [kind.name for kind in crd.KINDS if kind.status])
def test_a_status_is_never_refused_for_what_it_says(kind):
    for path, node in nodes(SCHEMAS[kind]["properties"]["status"]):
        strict = node.keys() & (LIMITS | {"default", "x-kubernetes-validations"})
        assert strict <= ({"required"} if path == ".conditions[]" else set()), path


@pytest.mark.parametrize(
    "spec",
    [
        bad_specs.GOOD,
        {
            **bad_specs.GOOD,
            "traffic": {"service": "fraud", "route": bad_specs.OWN},
            "analysis": {
                "onNoData": {"after": "1h"},
                "metrics": [{"name": "a", "value": bad_specs.VALUE}],
            },
        },
    ],
    ids=["least", "nested"],
)
def test_defaults_of_the_crd_are_those_of_the_models(spec):
    assert defaulted(SCHEMAS["Rollout"]["properties"]["spec"], spec) == as_python(spec)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_no_rule_needs_a_newer_kubernetes_than_1_30(kind):
    rules = [
        rule for _, n in nodes(SCHEMAS[kind]) for rule in n.get("x-kubernetes-validations", ())
    ]
    assert not [rule for rule in rules for call in NEEDS_1_34 if call in rule["rule"]]


class Above(BaseModel):
    field: int = Field(gt=0)


class Constant(BaseModel):
    field: Literal["a"]


class Union(BaseModel):
    field: int | str


class Anything(BaseModel):
    field: dict[str, Any]


class Step(BaseModel):
    field: float = Field(multiple_of=0.01)


@pytest.mark.parametrize("model", [Above, Constant, Union, Anything, Step])
def test_what_a_crd_cannot_say_raises(model):
    with pytest.raises(ValueError, match=r"structural form|needs x-kubernetes"):
        structural_schema(model)


def test_a_fractional_bound_becomes_a_rule_and_a_whole_one_stays():
    class Share(BaseModel):
        field: float = Field(ge=0.01, le=50)

    field = structural_schema(Share)["properties"]["field"]
    assert (field.get("minimum"), field["maximum"]) == (None, 50)
    assert field["x-kubernetes-validations"][0]["rule"] == "self >= 0.01"


# On the API server


def rollout(spec, name="fraud"):
    return json.dumps(
        {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": name},
            "spec": spec,
        }
    )


def dry(place, spec):
    """Return what a server-side dry run makes of a Rollout."""
    arguments = ("apply", "--validate=strict", "--dry-run=server", "-o", "json", "-f", "-")
    return place.kubectl(*arguments, input=rollout(spec), check=False)


def with_weight(weight):
    return {**bad_specs.GOOD, "strategy": {"canary": {"steps": [{"weight": weight}]}}}


@pytest.mark.bed
@pytest.mark.parametrize("weight", [0.01, 0.07, 0.29, 1, 1.1, 33.33, 50, 99, 99.99])
def test_the_server_takes_a_weight_with_two_decimals(place, weight):
    done = dry(place, with_weight(weight))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["spec"]["strategy"]["canary"]["steps"] == [{"weight": weight}]


@pytest.mark.bed
@pytest.mark.parametrize("weight", [-1, 0, 0.005, 0.011, 33.333, 99.991, 100])
def test_the_server_refuses_any_other_weight(place, weight):
    assert "steps[0].weight" in dry(place, with_weight(weight)).stderr


@pytest.mark.bed
@pytest.mark.parametrize("text", ["0s", "250ms", "90s", "10m", "1h30m", "168h", "99999h59m"])
def test_the_server_takes_a_duration(place, text):
    step = {"weight": 1, "bake": text, "deadline": text}
    spec = {**bad_specs.GOOD, "strategy": {"canary": {"steps": [step]}}}
    assert dry(place, spec).stderr == ""
    assert as_python(spec)["strategy"]["canary"]["steps"][0]["bake"]


@pytest.mark.bed
def test_the_server_fills_in_the_defaults_of_the_models(place):
    assert json.loads(dry(place, bad_specs.GOOD).stdout)["spec"] == as_python(bad_specs.GOOD)


@pytest.mark.bed
def test_the_server_takes_a_status_of_a_newer_operator_and_drops_what_it_does_not_know(place):
    place.kubectl("apply", "-f", "-", input=rollout(bad_specs.GOOD))
    now = datetime(2026, 11, 24, tzinfo=UTC).isoformat()
    status = {
        "phase": "Levitating",
        "candidate": {"version": "v2", "since": None, "tomorrow": 1},
        "steps": [{"weight": 5, "state": "Unheard"}],
        "traffic": {"weight": 0.1, "readBack": None},
        "conditions": [{"type": "Ready", "status": "Perhaps", "lastTransitionTime": now}],
    }
    written = place.api.merge("rollout", "fraud", {"status": status}, place.namespace, sub="status")
    assert written["status"]["phase"] == "Levitating"
    assert written["status"]["candidate"] == {"version": "v2"}


@pytest.mark.bed
def test_get_answers_what_it_is_doing_and_why(place):
    place.kubectl("apply", "-f", "-", input=rollout(bad_specs.GOOD))
    status = {
        "phase": "Progressing",
        "message": "step 2 of 2: Learning",
        "stable": {"version": "v1"},
        "traffic": {"weight": 0.1},
        "analysis": {"verdict": "Learning"},
    }
    place.api.merge("rollout", "fraud", {"status": status}, place.namespace, sub="status")
    head, row = place.kubectl("get", "prol").stdout.splitlines()
    assert head.split() == ["NAME", "PHASE", "VERSION", "STABLE", "WEIGHT", "VERDICT", "AGE", "WHY"]
    assert row.split()[:6] == ["fraud", "Progressing", "v2", "v1", "0.1", "Learning"]
    assert row.endswith("step 2 of 2: Learning")
    assert "fraud" in place.kubectl("get", "penstock").stdout


@pytest.mark.bed
@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("rollouts.penstock.dev.spec.strategy.canary.steps", "in percent (0.01"),
        ("rollouts.penstock.dev.spec.analysis", "Default: 10s."),
        ("metrictemplates.penstock.dev.spec.proportion", "must contain $variant"),
        ("releases.penstock.dev.status", "in a sentence"),
    ],
)
def test_explain_reads_well(bed, field, words):
    assert words in " ".join(bed.kubectl("explain", field).stdout.split())
