"""The setting of a simulation: a Rollout of some files, and templates where it needs none."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from penstock.api.fields import format_duration
from penstock.api.v1alpha1.analysis import Metric
from penstock.api.v1alpha1.metric_template import (
    Distribution,
    MetricTemplateSpec,
    Proportion,
    Told,
)
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.cli import rollout_files
from penstock.cli.refusal import InputError
from penstock.core import ledger
from penstock.core.simulation.setting import Setting, Traffic

MOST_LOOKS = 100_000
_SELECTOR = '{route_name=~"$route",$variant}'


def read_setting(files: Sequence[Path], traffic: Traffic) -> Setting:
    """Return what the files say.

    Raises:
        InputError: They cannot be used.
        OSError: They cannot be read.
    """
    plan = rollout_files.read(files, _template)
    return Setting(plan.name, plan.spec, plan.templates, traffic)


def _template(
    spec: RolloutSpec, metric: Metric, given: MetricTemplateSpec | None
) -> MetricTemplateSpec:
    """Return the template of a metric, or one that stands in for it.

    That one tells routes apart where the operator would refuse it otherwise.
    """
    if given is not None:
        rail = ledger.guardrail(metric, given)
        if given.distribution or (rail and (rail.counted or rail.mean or rail.threshold)):
            return given
    matches = spec.strategy.canary is not None and spec.strategy.canary.match is not None
    separates = (Told.ROUTE,) if matches else None
    if metric.edges:
        buckets = Distribution(buckets=f"requests_bucket{_SELECTOR}")
        return MetricTemplateSpec(distribution=buckets, separates=separates)
    counters = Proportion(total=f"requests{_SELECTOR}", bad=f"bad_requests{_SELECTOR}")
    return MetricTemplateSpec(proportion=counters, separates=separates)


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
