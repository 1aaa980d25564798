"""The setting of a simulation: a Rollout of some files, and templates where it needs none."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from penstock.api.fields import format_duration
from penstock.api.v1alpha1.analysis import Metric
from penstock.api.v1alpha1.metric_template import Distribution, MetricTemplateSpec, Proportion
from penstock.cli import rollout_files
from penstock.cli.refusal import InputError
from penstock.core import ledger
from penstock.core.simulation.setting import Setting, Traffic

MOST_LOOKS = 100_000


def read_setting(files: Sequence[Path], traffic: Traffic) -> Setting:
    """Return what the files say.

    Raises:
        InputError: They cannot be used.
        OSError: They cannot be read.
    """
    plan = rollout_files.read(files, _template)
    return Setting(plan.name, plan.spec, plan.templates, traffic)


def _template(metric: Metric, given: MetricTemplateSpec | None) -> MetricTemplateSpec:
    """Return the template of a metric, or one that stands in for it."""
    if given is not None:
        rail = ledger.guardrail(metric, given)
        if given.distribution or (rail and (rail.counted or rail.mean or rail.threshold)):
            return given
    if metric.edges:
        return MetricTemplateSpec(distribution=Distribution(buckets="requests_bucket{$variant}"))
    counters = Proportion(total="requests{$variant}", bad='requests{code="500",$variant}')
    return MetricTemplateSpec(proportion=counters)


def check_length(setting: Setting) -> None:
    """Refuse a time that holds no look, or more than memory does.

    Raises:
        InputError: The horizon is such a time.
    """
    if setting.end <= timedelta(0):
        raise InputError("--horizon must be longer than 0s")
    looks = setting.end / setting.spec.analysis.interval
    if looks > MOST_LOOKS:
        time = format_duration(setting.end)
        raise InputError(
            f"{time} hold {looks:,.0f} looks, more than {MOST_LOOKS:,}: give a nearer --horizon"
        )
