"""End-to-end 11: bad input gets a clear answer, and the mesh stays as it is."""

import json
import subprocess

import pytest

from tests.api import bad_specs

pytestmark = pytest.mark.bed


def manifest(spec, name="fraud"):
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": spec,
    }


def template(name, **spec):
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "MetricTemplate",
        "metadata": {"name": name},
        "spec": spec,
    }


def apply(place, content) -> subprocess.CompletedProcess:
    text = json.dumps(content)
    return place.kubectl("apply", "--validate=strict", "-f", "-", input=text, check=False)


@pytest.mark.parametrize("name", bad_specs.REFUSED)
def test_a_bad_spec_is_refused_by_apply_with_a_message_that_names_the_field(place, name):
    done = apply(place, manifest(bad_specs.bad(name)))
    assert done.returncode != 0, f"{name} was taken"
    assert bad_specs.REFUSED[name][1] in done.stderr


@pytest.mark.parametrize("name", bad_specs.REFUSED_TEMPLATES)
def test_a_bad_template_is_refused_by_apply_with_a_message_that_names_the_field(place, name):
    done = apply(place, template("mine", **bad_specs.bad_template(name)))
    assert done.returncode != 0, f"{name} was taken"
    assert bad_specs.REFUSED_TEMPLATES[name][1] in done.stderr


def test_the_good_specs_of_which_the_bad_ones_are_changes_are_taken(place):
    assert apply(place, manifest(bad_specs.GOOD)).returncode == 0
    assert apply(place, template("mine", **bad_specs.GOOD_TEMPLATE)).returncode == 0


def test_a_name_too_long_for_its_releases_is_refused(place):
    done = apply(place, manifest(bad_specs.GOOD, "a" * 53))
    assert "metadata.name must not be longer than 52 characters" in done.stderr


UNSEEN = {
    "TemplateNotFound": {"analysis": {"metrics": [{"template": "no-such-template"}]}},
    "ConnectionUnknown": {"analysis": {"metrics": [{"template": "elsewhere"}]}},
    "MetricInvalid": {"analysis": {"metrics": [{"template": "plain", "maxIncrease": 10}]}},
    "VirtualServiceNotFound": {
        "traffic": {
            "service": "fraud",
            "route": {"existing": {"virtualService": "no-such", "http": ["a"]}},
        }
    },
    "RouteNotFound": {
        "traffic": {
            "service": "fraud",
            "route": {"existing": {"virtualService": "fraud-root", "http": ["no-such"]}},
        }
    },
}


def test_what_the_schema_cannot_see_becomes_stalled_and_says_how_to_mend_it(stage, place):
    play = stage()
    proportion = {"total": "a{$variant}", "bad": "b{$variant}"}
    value = {"query": "max(a)", "max": 1}
    place.apply(template("elsewhere", connection="other", proportion=proportion))
    place.apply(template("plain", value=value))
    before = place.get("virtualservice", "fraud-split")["spec"]
    for number, (reason, change) in enumerate(UNSEEN.items()):
        name = f"bad-{number}"
        free = {"service": "fraud", "route": {"delegate": f"other-{number}"}}
        spec = {**play.spec["spec"], "version": "v2", "traffic": free, **change}
        place.apply(manifest(spec, name))

        def said(name=name):
            found = place.get("rollout", name).get("status", {}).get("conditions", [])
            return {c["type"]: c for c in found}

        place.wait(lambda: said().get("Accepted", {}).get("status") == "False", 15, reason)
        assert said()["Accepted"]["reason"] == reason
        assert said()["Stalled"]["status"] == "True"
        assert said()["Stalled"]["message"]
    assert place.get("virtualservice", "fraud-split")["spec"] == before


def test_a_second_rollout_on_a_route_is_stalled_and_moves_nothing(stage, place):
    play = stage()
    place.apply(manifest({**play.spec["spec"], "version": "v2"}, "zweite"))
    place.wait(
        lambda: any(
            c["type"] == "Accepted" and c["reason"] == "RouteTaken"
            for c in place.get("rollout", "zweite").get("status", {}).get("conditions", [])
        ),
        15,
        "RouteTaken",
    )
    conditions = {c["type"]: c for c in place.get("rollout", "zweite")["status"]["conditions"]}
    assert conditions["Stalled"]["status"] == "True"
    assert play.weights() == [0]
