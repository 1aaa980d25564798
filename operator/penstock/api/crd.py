"""Render the CRDs from the models: `python -m penstock.api.crd crds` writes one file per kind."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from penstock.api import v1alpha1
from penstock.api.fields import rule
from penstock.api.structural import RULES, Schema, structural_schema
from penstock.api.v1alpha1 import metric_template, release, rollout, rollout_status

HEADER = "# Generated from the models in operator/penstock/api by `make crds`. Do not edit.\n"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `wide` ones need `-o wide`."""

    name: str
    type: str
    path: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes a CRD of a pair of models."""

    name: str
    plural: str
    short: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel] | None
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    rules: tuple[dict[str, str], ...] = ()


AGE = Column("Age", "date", ".metadata.creationTimestamp")
KINDS = (
    Kind(
        name=rollout.KIND,
        plural=rollout.PLURAL,
        short="prol",
        description="A Rollout releases new versions of one service through the mesh: a growing "
        "share of the requests, as far as the evidence allows, and back at once when the new "
        "version is worse.",
        spec=rollout.RolloutSpec,
        status=rollout_status.RolloutStatus,
        columns=(
            Column("Phase", "string", ".status.phase"),
            Column("Version", "string", ".spec.version"),
            Column("Stable", "string", ".status.stable.version"),
            Column("Weight", "number", ".status.traffic.weight"),
            Column("Seen", "number", ".status.traffic.observedShare", wide=True),
            Column("Step", "integer", ".status.candidate.step", wide=True),
            Column("Release", "string", ".status.candidate.release", wide=True),
            Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', wide=True),
            Column("Verdict", "string", ".status.analysis.verdict"),
            AGE,
            Column("Why", "string", ".status.message"),
        ),
        selectable=(".spec.version", ".spec.traffic.service", ".status.phase"),
        rules=(
            rule(
                "size(self.metadata.name) <= 52",
                "metadata.name must not be longer than 52 characters: Releases are named after it",
            ),
        ),
    ),
    Kind(
        name=metric_template.KIND,
        plural=metric_template.PLURAL,
        short="pmt",
        description="A MetricTemplate says how a metric is read. Written once, used by name in "
        "Rollouts of its namespace; those in the operator's namespace are a catalogue for all.",
        spec=metric_template.MetricTemplateSpec,
        status=None,
        columns=(
            Column("Connection", "string", ".spec.connection"),
            AGE,
            Column("Total", "string", ".spec.proportion.total", wide=True),
            Column("Query", "string", ".spec.value.query", wide=True),
            Column("Means", "string", ".spec.description"),
        ),
        selectable=(".spec.connection",),
    ),
    Kind(
        name=release.KIND,
        plural=release.PLURAL,
        short="prel",
        description="A Release is the record of one attempt of a Rollout: what it ran on, its "
        "steps, verdicts and commands, and how it ended. Written only by the operator.",
        spec=release.ReleaseSpec,
        status=release.ReleaseStatus,
        columns=(
            Column("Rollout", "string", ".spec.rollout"),
            Column("Version", "string", ".spec.version"),
            Column("Stable", "string", ".spec.stable"),
            Column("Outcome", "string", ".status.outcome"),
            Column("Finished", "date", ".status.finishedAt", wide=True),
            AGE,
            Column("Why", "string", ".status.message"),
        ),
        selectable=(".spec.rollout", ".spec.version", ".status.outcome"),
    ),
)


def manifest(kind: Kind) -> Schema:
    """Return the CustomResourceDefinition of a kind."""
    version: Schema = {
        "name": v1alpha1.VERSION,
        "served": True,
        "storage": True,
        **({"subresources": {"status": {}}} if kind.status else {}),
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "selectableFields": [{"jsonPath": path} for path in kind.selectable],
        "schema": {"openAPIV3Schema": _root(kind)},
    }
    names = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.name.lower(),
        "shortNames": [kind.short],
        "categories": ["penstock"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{v1alpha1.GROUP}"},
        "spec": {
            "group": v1alpha1.GROUP,
            "scope": "Namespaced",
            "names": names,
            "versions": [version],
        },
    }


def _root(kind: Kind) -> Schema:
    properties: Schema = {
        "apiVersion": {"type": "string", "description": f"{v1alpha1.API_VERSION}."},
        "kind": {"type": "string", "description": f"{kind.name}."},
        "metadata": {"type": "object"},
        "spec": structural_schema(kind.spec),
    }
    if kind.status:
        properties["status"] = structural_schema(kind.status, loose=True)
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        **({RULES: list(kind.rules)} if kind.rules else {}),
        "properties": properties,
    }


def _column(column: Column) -> Schema:
    wide = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path, **wide}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def render() -> dict[str, str]:
    """Return the text of each file under `crds/`, by its name."""
    return {
        f"{kind.plural}.yaml": HEADER
        + yaml.dump(manifest(kind), Dumper=_Dumper, sort_keys=False, width=100)
        for kind in KINDS
    }


if __name__ == "__main__":
    for name, text in render().items():
        (Path(sys.argv[1]) / name).write_text(text)
