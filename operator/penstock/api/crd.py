"""Render the CRDs from the models: `python -m penstock.api.crd crds` writes one file per kind.

The models are the only source: what a CRD cannot say raises here, so that no rule gets lost.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from penstock.api import v1alpha1
from penstock.api.fields import format_duration, rule
from penstock.api.v1alpha1 import metric_template, release, rollout, rollout_status

HEADER = "# Generated from the models in operator/penstock/api by `make crds`. Do not edit.\n"
RULES = "x-kubernetes-validations"
OPEN = "x-kubernetes-preserve-unknown-fields"
LIST_KEYS = "x-kubernetes-list-map-keys"
KEPT = {"type", "format", "description", "enum", "default", "required", "pattern", "multipleOf"}
KEPT |= {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
KEPT |= {"minProperties", "maxProperties", RULES, OPEN, "x-kubernetes-list-type", LIST_KEYS}
HANDLED = {"properties", "items", "additionalProperties", "patternProperties", "propertyNames"}
DROPPED = {"title", "$defs"}
STRICT = {"enum", "default", "required", "pattern", "multipleOf", "minimum", "maximum"}
STRICT |= {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}

Schema = dict[str, Any]


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


class _JsonSchema(GenerateJsonSchema):
    """Pydantic's generator, which would write a default of type timedelta in ISO 8601."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        return super().encode_default(dft)


def structural_schema(model: type[BaseModel], *, loose: bool = False) -> Schema:
    """Return the model's schema in the subset that Kubernetes accepts in a CRD.

    Args:
        model: A pydantic model; its aliases name the fields.
        loose: Without enums, bounds, defaults and required fields. For a status: a write must
            not be refused because the CRD is older or newer than the operator.

    Returns:
        An OpenAPI v3 "structural" schema: `$ref` inlined, `X | None` as an optional X.

    Raises:
        ValueError: The model says something that a CRD cannot, such as a union of two types.
    """
    schema = model.model_json_schema(by_alias=True, schema_generator=_JsonSchema)
    structural = _structural(schema, schema.get("$defs", {}))
    return _loose(structural) if loose else structural


def _structural(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Schema:
    node = _resolved(node, defs)
    if lost := node.keys() - KEPT - HANDLED - DROPPED:
        raise ValueError(f"no structural form for {sorted(lost)} in {node}")
    result = {key: value for key, value in node.items() if key in KEPT}
    if "default" in node:
        result["default"] = _without_nulls(node["default"])
    if "properties" in node:
        result["properties"] = {k: _structural(v, defs) for k, v in node["properties"].items()}
    if "items" in node:
        result["items"] = _structural(node["items"], defs)
    return result | _map(node, defs)


def _resolved(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in node:
        target = defs[node["$ref"].removeprefix("#/$defs/")]
        return _resolved({**target, **_without(node, "$ref")}, defs)
    if "anyOf" in node:
        some = [option for option in node["anyOf"] if option.get("type") != "null"]
        if len(some) != 1 or node.get("default") is not None:
            raise ValueError(f"a union has no structural form: {node}")
        return _resolved({**some[0], **_without(node, "anyOf", "default")}, defs)
    return node


def _map(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Schema:
    """Return the schema of a dictionary; patterns of keys become CEL, as a CRD has none."""
    values = node.get("additionalProperties")
    if values is True and not node.get(OPEN):
        raise ValueError(f"a map of anything needs {OPEN}: {node}")
    keys = dict(node.get("propertyNames", {}))
    if patterns := node.get("patternProperties"):
        if len(patterns) != 1 or values is not None:
            raise ValueError(f"no structural form for several kinds of keys: {node}")
        ((keys["pattern"], values),) = patterns.items()
    result: Schema = {}
    if isinstance(values, dict):
        result["additionalProperties"] = _structural(values, defs)
    if keys:
        result[RULES] = [*node.get(RULES, ()), _key_rule(keys)]
    return result


def _key_rule(keys: Mapping[str, Any]) -> Schema:
    if lost := keys.keys() - {"pattern", "minLength", "maxLength"}:
        raise ValueError(f"no rule for keys with {sorted(lost)}")
    pattern, longest = keys.get("pattern", ".*"), keys.get("maxLength", 253)
    return rule(
        f"self.all(key, size(key) <= {longest} && key.matches(r'{pattern}'))",
        f"keys must match {pattern} and have at most {longest} characters",
    )


def _loose(node: Schema) -> Schema:
    result = {key: value for key, value in node.items() if key not in STRICT}
    if "properties" in node:
        result["properties"] = {k: _loose(v) for k, v in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in node:
            result[key] = _loose(node[key])
    if LIST_KEYS in node:
        result["items"]["required"] = node[LIST_KEYS]
    return result


def _without(node: Mapping[str, Any], *keys: str) -> Schema:
    return {key: value for key, value in node.items() if key not in keys}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


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
