"""A Release judged anew from its record, as a manifest: no cluster is asked."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from penstock.api.v1alpha1.metric_template import MetricTemplateSpec, Proportion
from penstock.cli import releases
from penstock.cli.app import app
from penstock.cli.releases import ReleaseError
from penstock.core import phases
from penstock.core.simulation import book
from penstock.core.simulation.looks import Looks, Span
from penstock.core.simulation.setting import Setting, Traffic
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import spec

LOOKS = 30
ERRORS = MetricTemplateSpec(proportion=Proportion(total="all{$variant}", bad="bad{$variant}"))
PLAIN = {"name": "queue", "value": {"query": "max(queue)", "max": 5}}


def manifest(*metrics, candidate=0.05, seed=1, steps=({"weight": 5},), step=0):
    """Return the Release of a version whose looks were all of one step."""
    analysis = {"warmUp": "0s", "metrics": list(metrics)}
    rules = spec(steps=steps, analysis=analysis)
    templates = {one.title: ERRORS for one in rules.analysis.metrics if one.template}
    setting = Setting("fraud", rules, templates, Traffic(500, 0.005, candidate, pods=4))
    made = Looks(setting, np.random.default_rng(seed))
    shares = {"weight": 5.0} if "weight" in steps[step] else {"weight": 0.0, "mirror": 100.0}
    made.extend(Span(step, begins=2.0, base=0, **shares), LOOKS, 0.0)
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


MIRRORED = [{"mirror": {"percent": 100}}, {"weight": 5}]


def mirrored(copies, users):
    """Return the Release of a version whose copies had one rate of errors, and users another."""
    release = manifest({"template": "errors"}, candidate=users, steps=MIRRORED, step=1)
    copied = manifest({"template": "errors"}, candidate=copies, steps=MIRRORED, step=0)
    records = release["status"]["records"]
    records |= phases.stored(copied["status"]["records"], mirrored=True)
    return release


def test_copies_and_what_users_met_are_judged_apart_each_with_half_the_level():
    found = {one.metric: one.said for one in releases.judged(mirrored(0.2, 0.005))}
    assert list(found) == ["mirror/errors", "errors"]
    bad = {
        metric: any(one.verdict is Verdict.WORSE for one in said) for metric, said in found.items()
    }
    assert bad == {"mirror/errors": True, "errors": False}
    assert found["mirror/errors"][-1].why.endswith("200 to 1 needed")
    (whole,) = releases.judged(manifest({"template": "errors"}, candidate=0.2))
    assert whole.said[-1].why.endswith("100 to 1 needed")


def test_both_phases_are_printed_and_drawn_by_their_names(monkeypatch):
    monkeypatch.setattr(releases, "read", lambda name, namespace: mirrored(0.2, 0.005))
    result = CliRunner().invoke(app, ["replay", "fraud-7", "--plot", "-", "--summary"])
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["stream"] for one in found] == ["fraud-7/mirror/errors", "fraud-7/errors"]
    assert [one["worseAt"] is not None for one in found] == [True, False]
    drawn = [line.split(" ")[0] for line in result.stderr.splitlines()]
    assert drawn == ["fraud-7/mirror/errors"] * 2 + ["fraud-7/errors"] * 2


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
