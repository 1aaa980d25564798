"""A Rollout names nothing of another namespace, save a gateway, as Istio does (rule 12)."""

import re

import pytest
import yaml

from tests.bed.operator import REPOSITORY

FOREIGN = "other/name"
NO_REFERENCES = {"endpoints.label", "path"}  # the key of a label; the path of a URL


def fields(schema, path=()):
    """Yield (path, schema) of every field below a schema."""
    for name, inner in schema.get("properties", {}).items():
        yield (*path, name), inner
        yield from fields(inner, (*path, name))
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield path, schema[key]
            yield from fields(schema[key], path)


@pytest.fixture(scope="module")
def spec():
    crd = yaml.safe_load((REPOSITORY / "crds" / "rollouts.yaml").read_text())
    version = crd["spec"]["versions"][0]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]


def test_no_field_asks_for_a_namespace(spec):
    assert not [path for path, _ in fields(spec) if "namespace" in path[-1].lower()]


def test_of_all_names_only_a_gateway_may_be_of_another_namespace(spec):
    found = {
        ".".join(path)
        for path, field in fields(spec)
        if "pattern" in field and re.search(field["pattern"], FOREIGN)
    }
    foreign = {path for path in found if not path.endswith(tuple(NO_REFERENCES))}
    assert foreign == {"traffic.route.own.gateways"}
