"""Releases in a cluster, read with the credentials of kubectl."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from pydantic import ValidationError

from penstock.api.v1alpha1 import GROUP, VERSION
from penstock.api.v1alpha1.analysis import OnWorse
from penstock.api.v1alpha1.release import PLURAL
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import analysis, phases, plan, replay
from penstock.core.means import replay as mean_replay
from penstock.core.means.record import MeanRecord, is_mean
from penstock.core.metric_record import MetricRecord
from penstock.core.replay import Said


class ReleaseError(ValueError):
    """No Release that can be judged; the message says why."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One metric of a phase of a release, look by look.

    Attributes:
        metric: Its name; `mirror/<name>` where copies were judged.
        said: What the operator said.
    """

    metric: str
    said: tuple[Said, ...]


def read(name: str, namespace: str | None) -> Mapping[str, Any]:
    """Return a Release of the cluster; the namespace is kubectl's own for None.

    Raises:
        ReleaseError: It cannot be read.
    """
    try:
        config.load_kube_config()  # type: ignore[no-untyped-call]
        _, active = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
        where = namespace or active["context"].get("namespace", "default")
        api = client.CustomObjectsApi()
        found = api.get_namespaced_custom_object(GROUP, VERSION, where, PLURAL, name)
    except ConfigException as error:
        raise ReleaseError(f"there is no such file, and no cluster to ask: {error}") from error
    except client.ApiException as error:
        said = "there is no such Release" if error.status == 404 else str(error.reason)
        raise ReleaseError(said) from error
    return found if isinstance(found, dict) else {}


def judged(release: Mapping[str, Any]) -> Iterator[Judged]:
    """Yield each metric of a Release that compares, judged anew from its record.

    Copies come first: they are judged apart, each phase with its own level.

    Args:
        release: The Release as a manifest.

    Raises:
        ReleaseError: It has no record, or one that cannot be read.
    """
    try:
        spec = RolloutSpec.model_validate(release["spec"]["snapshot"])
    except (KeyError, ValidationError) as error:
        raise ReleaseError("its snapshot cannot be read") from error
    texts = release.get("status", {}).get("records", {})
    by_phase = {one: dict(_records(phases.loaded(texts, one))) for one in (True, False)}
    if not any(by_phase.values()):
        raise ReleaseError("it has no record of a metric that compares")
    rules = phases.rules(spec, plan.expand(spec))
    for mirrored, records in by_phase.items():
        for metric, said in _of_phase(rules, records):
            yield Judged(phases.key(metric, mirrored), said)


def _of_phase(
    rules: RolloutSpec, records: Mapping[str, MetricRecord | MeanRecord]
) -> Iterator[tuple[str, tuple[Said, ...]]]:
    """Yield what was said of each metric of a phase; the level of `rules` is that of the phase."""
    silent = {one.title for one in rules.analysis.metrics if one.on_worse is OnWorse.REPORT}
    acting = sum(1 for metric in records if metric not in silent)
    alpha = analysis.guardrail_alpha(rules.analysis.false_alarm_rate, acting)
    rates = alpha, rules.analysis.miss_rate / 100
    for metric, record in records.items():
        if isinstance(record, MeanRecord):
            yield metric, tuple(mean_replay.of_record(record, metric, *rates))
        else:
            yield metric, tuple(replay.of_record(record, metric, *rates))


def _records(texts: Mapping[str, str]) -> Iterator[tuple[str, MetricRecord | MeanRecord]]:
    for metric, text in texts.items():
        if text.startswith("["):
            continue
        try:
            kind = MeanRecord if is_mean(text) else MetricRecord
            yield metric, kind.decode(text)
        except ValueError as error:
            raise ReleaseError(f"the record of {metric}: {error}") from error
