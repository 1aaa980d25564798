"""Files with a Rollout and its MetricTemplates, as for `kubectl apply`; each mistake has a line."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from penstock.api import mistakes
from penstock.api.v1alpha1 import API_VERSION
from penstock.api.v1alpha1 import metric_template as template_api
from penstock.api.v1alpha1 import rollout as rollout_api
from penstock.api.v1alpha1.analysis import Metric
from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.cli.contradictions import contradictions
from penstock.cli.refusal import InputError, refuse
from penstock.core import problems
from penstock.core.traffic.target import Target, target_of

DOMAINS = "cluster.local", "istio-system"

Choice = Callable[[RolloutSpec, Metric, MetricTemplateSpec | None], MetricTemplateSpec | None]
"""The template of a metric, from the one in the files; None where it has to be in the files."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A Rollout and its MetricTemplates by the name of the metric."""

    name: str
    namespace: str
    spec: RolloutSpec
    templates: Mapping[str, MetricTemplateSpec]

    @property
    def target(self) -> Target:
        """What the Rollout moves, in a mesh with default names."""
        return target_of(self.namespace, self.name, "", self.spec, DOMAINS)


def read(files: Sequence[Path], choice: Choice) -> Plan:
    """Return the plan in some files of YAML documents; other objects in them are ignored.

    Args:
        files: The files; - for stdin.
        choice: The template that a metric gets.

    Raises:
        InputError: They cannot be used.
        OSError: They cannot be read.
    """
    documents = [one for file in files for one in _documents_of(file)]
    rollouts = [one for one in documents if one.get("kind") == rollout_api.KIND]
    given = {_name(one): one for one in documents if one.get("kind") == template_api.KIND}
    if len(rollouts) != 1:
        names = ", ".join(_name(one) for one in rollouts) or "none"
        raise InputError(f"there must be one Rollout in the input; found: {names}")
    found = [*_wrong(RolloutSpec, rollouts[0])]
    for one in given.values():
        found += _wrong(MetricTemplateSpec, one)
    refuse(found)
    known = {name: MetricTemplateSpec.model_validate(one["spec"]) for name, one in given.items()}
    return _plan(rollouts[0], known, choice)


def _plan(
    rollout: Mapping[str, Any], known: Mapping[str, MetricTemplateSpec], choice: Choice
) -> Plan:
    """Return a plan whose parts are right by themselves, and refuse what does not fit together."""
    spec = RolloutSpec.model_validate(rollout["spec"])
    chosen = {
        metric.title: choice(spec, metric, known.get(metric.template))
        for metric in spec.analysis.metrics
        if metric.template is not None
    }
    templates = {title: one for title, one in chosen.items() if one is not None}
    plan = Plan(_name(rollout), _meta(rollout, "namespace", "default"), spec, templates)
    refuse(dict.fromkeys((*contradictions(spec), *_problems(plan))))
    return plan


def _documents_of(file: Path) -> list[dict[str, Any]]:
    """Return the objects in a file of YAML documents."""
    try:
        found = mistakes.parse_all(sys.stdin.read() if str(file) == "-" else file.read_text())
    except ValueError as error:
        raise InputError(f"{file}: {error}") from error
    return [one for one in found if isinstance(one, dict)]


def _name(manifest: Mapping[str, Any]) -> str:
    return _meta(manifest, "name", "unnamed")


def _meta(manifest: Mapping[str, Any], field: str, default: str) -> str:
    meta = manifest.get("metadata")
    return str(meta.get(field, default)) if isinstance(meta, dict) else default


def _wrong(model: type[BaseModel], manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per field of an object that is wrong or not known."""
    what = f"{manifest['kind']} {_name(manifest)}"
    if manifest.get("apiVersion", API_VERSION) != API_VERSION:
        yield f"{what}: apiVersion: write {API_VERSION}"
    content = manifest.get("spec")
    if not isinstance(content, dict):
        yield f"{what}: spec is missing"
        return
    try:
        model.model_validate(content)
    except ValidationError as error:
        yield from (f"{what}: {text}" for text in mistakes.sentences(model, error, "spec."))
    yield from (f"{what}: {text}" for text in mistakes.unknown(model, content, "spec."))


def _problems(plan: Plan) -> Iterator[str]:
    """Yield what the operator would refuse, and templates that are not there."""
    connections = {"prometheus", *(one.connection for one in plan.templates.values())}
    for metric in plan.spec.analysis.metrics:
        if metric.template is not None and metric.title not in plan.templates:
            yield f"MetricTemplate {metric.template} is in none of the files: add it with -f"
    for one in problems.of_metrics(plan.spec, plan.templates, connections, plan.target):
        if one.reason != "TemplateNotFound":
            yield one.message
