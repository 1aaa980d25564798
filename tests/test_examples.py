from pathlib import Path

import pytest
import yaml

from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import plan

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.yaml"))
MODELS = {"Rollout": RolloutSpec, "MetricTemplate": MetricTemplateSpec}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_what_the_models_take(path):
    ours = [m for m in yaml.safe_load_all(path.read_text()) if m["kind"] in MODELS]
    assert ours
    for manifest in ours:
        spec = MODELS[manifest["kind"]].model_validate(manifest["spec"])
        if isinstance(spec, RolloutSpec):
            assert plan.expand(spec)


@pytest.mark.bed
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_taken_by_the_api_server_with_strict_validation(path, place):
    place.kubectl("apply", "--validate=strict", "-f", "-", input=path.read_text())
    kinds = [m["kind"] for m in yaml.safe_load_all(path.read_text())]
    assert all(place.objects(kind.lower()) for kind in kinds)
