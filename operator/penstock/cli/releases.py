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
from penstock.core import analysis, replay
from penstock.core.means import replay as mean_replay
from penstock.core.means.record import MeanRecord, is_mean
from penstock.core.metric_record import MetricRecord
from penstock.core.replay import Said


class ReleaseError(ValueError):
    """No Release that can be judged; the message says why."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One metric of a release, look by look."""

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

    Args:
        release: The Release as a manifest.

    Raises:
        ReleaseError: It has no record, or one that cannot be read.
    """
    try:
        spec = RolloutSpec.model_validate(release["spec"]["snapshot"])
    except (KeyError, ValidationError) as error:
        raise ReleaseError("its snapshot cannot be read") from error
    records = dict(_records(release.get("status", {}).get("records", {})))
    if not records:
        raise ReleaseError("it has no record of a metric that compares")
    silent = {one.title for one in spec.analysis.metrics if one.on_worse is OnWorse.REPORT}
    acting = sum(1 for metric in records if metric not in silent)
    alpha = analysis.guardrail_alpha(spec.analysis.false_alarm_rate, acting)
    for metric, record in records.items():
        rates = alpha, spec.analysis.miss_rate / 100
        if isinstance(record, MeanRecord):
            said = mean_replay.of_record(record, metric, *rates)
        else:
            said = replay.of_record(record, metric, *rates)
        yield Judged(metric, tuple(said))


def _records(texts: dict[str, str]) -> Iterator[tuple[str, MetricRecord | MeanRecord]]:
    for metric, text in texts.items():
        if text.startswith("["):
            continue
        try:
            kind = MeanRecord if is_mean(text) else MetricRecord
            yield metric, kind.decode(text)
        except ValueError as error:
            raise ReleaseError(f"the record of {metric}: {error}") from error
