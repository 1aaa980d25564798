"""A Release judged anew from its record, as a manifest: no cluster is asked."""

import numpy as np
import pytest

from penstock.api.v1alpha1.metric_template import MetricTemplateSpec, Proportion
from penstock.cli import releases
from penstock.cli.releases import ReleaseError
from penstock.core.simulation import book
from penstock.core.simulation.looks import Looks, Span
from penstock.core.simulation.setting import Setting, Traffic
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import spec

LOOKS = 30
ERRORS = MetricTemplateSpec(proportion=Proportion(total="all{$variant}", bad="bad{$variant}"))
PLAIN = {"name": "queue", "value": {"query": "max(queue)", "max": 5}}


def manifest(*metrics, candidate=0.05, seed=1):
    """Return the Release of a version whose looks were all at weight 5."""
    analysis = {"warmUp": "0s", "metrics": list(metrics)}
    rules = spec(steps=[{"weight": 5}], analysis=analysis)
    templates = {one.title: ERRORS for one in rules.analysis.metrics if one.template}
    setting = Setting("fraud", rules, templates, Traffic(500, 0.005, candidate, pods=4))
    made = Looks(setting, np.random.default_rng(seed))
    made.extend(Span(0, 5.0, 2.0, 0), LOOKS, 0.0)
    return {
        "spec": {"snapshot": rules.model_dump(mode="json", by_alias=True, exclude_none=True)},
        "status": {"records": book.upto(made, setting.rails, LOOKS).encode()},
    }


def test_every_look_of_every_metric_that_compares_is_judged():
    found = list(releases.judged(manifest({"template": "errors"}, PLAIN, {"template": "slow"})))
    assert [one.metric for one in found] == ["errors", "slow"]
    for one in found:
        assert len(one.said) == LOOKS
        assert [said.end for said in one.said] == [10.0 * n for n in range(1, LOOKS + 1)]
        assert one.said[-1].why.startswith(f"{one.metric}: candidate ")


@pytest.mark.parametrize(("rate", "worse"), [(0.005, False), (0.2, True)])
def test_a_bad_version_is_called_worse_and_a_good_one_is_not(rate, worse):
    (one,) = releases.judged(manifest({"template": "errors"}, candidate=rate))
    assert any(said.verdict is Verdict.WORSE for said in one.said) == worse


def test_a_metric_that_only_reports_leaves_the_others_their_chance_of_a_false_alarm():
    report = {"template": "slow", "onWorse": "Report"}
    alone, beside = (
        next(releases.judged(manifest({"template": "errors"}, *more))).said[-1].why.split("; ")[-1]
        for more in ((), (report,))
    )
    assert alone.endswith("100 to 1 needed")
    assert beside.endswith("100 to 1 needed")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda release: release.pop("spec"), "its snapshot cannot be read"),
        (lambda release: release["spec"].pop("snapshot"), "its snapshot cannot be read"),
        (lambda release: release["spec"]["snapshot"].pop("version"), "its snapshot cannot be read"),
        (lambda release: release.pop("status"), "it has no record of a metric that compares"),
        (
            lambda release: release["status"]["records"].pop("errors"),
            "it has no record of a metric that compares",
        ),
        (
            lambda release: release["status"]["records"].update(errors="1:oops"),
            "the record of errors: ",
        ),
    ],
)
def test_a_release_that_cannot_be_judged_says_why(change, said):
    release = manifest({"template": "errors"}, PLAIN)
    change(release)
    with pytest.raises(ReleaseError, match=said):
        list(releases.judged(release))
