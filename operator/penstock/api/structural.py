"""From a pydantic model to the schema of a CRD: OpenAPI v3 in its "structural" subset.

What a CRD cannot say raises here, so that no rule of a model gets lost on the way.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from penstock.api.fields import format_duration, rule

Schema = dict[str, Any]
RULES = "x-kubernetes-validations"
OPEN = "x-kubernetes-preserve-unknown-fields"
LIST_KEYS = "x-kubernetes-list-map-keys"
LIMITS = {"enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength"}
LIMITS |= {"minItems", "maxItems", "minProperties", "maxProperties"}
KEPT = LIMITS | {"type", "format", "description", "default", "x-kubernetes-list-type"}
KEPT |= {RULES, OPEN, LIST_KEYS}
HANDLED = {"properties", "items", "additionalProperties", "patternProperties", "propertyNames"}
DROPPED = {"title", "$defs"}
STRICT = LIMITS | {"default", RULES}
LONGEST_KEY = 253
BOUNDS = {"minimum": (">=", "at least"), "maximum": ("<=", "at most")}


class _JsonSchema(GenerateJsonSchema):
    """Pydantic's generator, which would write a default of type timedelta in ISO 8601."""

    def encode_default(self, dft: Any) -> Any:
        """Return a default as it is written in a manifest."""
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
    return _changed(structural, _loose if loose else _explained)


def _structural(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Schema:
    node = _resolved(node, defs)
    if lost := node.keys() - KEPT - HANDLED - DROPPED:
        raise ValueError(f"no structural form for {sorted(lost)} in {node}")
    rules = [*node.get(RULES, ()), *_bound_rules(node), *_key_rules(node)]
    result = {key: value for key, value in node.items() if key in KEPT and not _cut(node, key)}
    if "default" in node:
        result["default"] = _without_nulls(node["default"])
    if rules:
        result[RULES] = rules
    if "properties" in node:
        result["properties"] = {k: _structural(v, defs) for k, v in node["properties"].items()}
    if "items" in node:
        result["items"] = _structural(node["items"], defs)
    if values := _values(node):
        result["additionalProperties"] = _structural(values, defs)
    return result


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


def _cut(node: Mapping[str, Any], key: str) -> bool:
    """Return whether the key is a bound that an API server would cut to a whole number.

    It does so when the value is whole: `0` passes `minimum: 0.01` (seen on API server 1.37).
    """
    return key in BOUNDS and float(node[key]) != int(node[key])


def _bound_rules(node: Mapping[str, Any]) -> list[Schema]:
    return [
        rule(f"self {sign} {node[key]}", f"must be {words} {node[key]}")
        for key, (sign, words) in BOUNDS.items()
        if key in node and _cut(node, key)
    ]


def _values(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of a dictionary's values, None where all are allowed or it is none."""
    values, patterns = node.get("additionalProperties"), node.get("patternProperties", {})
    if len(patterns) + (values is not None) > 1:
        raise ValueError(f"no structural form for several kinds of keys: {node}")
    if values is True and not node.get(OPEN):
        raise ValueError(f"a dictionary of anything needs {OPEN}: {node}")
    return next(iter(patterns.values()), None if isinstance(values, bool) else values)


def _key_rules(node: Mapping[str, Any]) -> list[Schema]:
    """Return what a dictionary's keys must be, as CEL: a CRD has no schema for them."""
    names = node.get("propertyNames", {})
    if lost := names.keys() - {"minLength", "maxLength"}:
        raise ValueError(f"no rule for keys with {sorted(lost)}: {node}")
    longest = names.get("maxLength", LONGEST_KEY)
    return [
        rule(
            f"self.all(key, size(key) <= {longest} && key.matches(r'{pattern}'))",
            f"keys must match {pattern} and have at most {longest} characters",
        )
        for pattern in node.get("patternProperties", {})
    ]


def _changed(node: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Return the schema with every node changed, from the leaves up."""
    result = dict(node)
    if "properties" in node:
        result["properties"] = {k: _changed(v, change) for k, v in node["properties"].items()}
    for key in {"items", "additionalProperties"} & node.keys():
        result[key] = _changed(node[key], change)
    return change(result)


def _loose(node: Schema) -> Schema:
    result = {key: value for key, value in node.items() if key not in STRICT}
    if LIST_KEYS in node:
        result["items"]["required"] = node[LIST_KEYS]
    return result


def _explained(node: Schema) -> Schema:
    """Return the node with its default in the description: `kubectl explain` shows none."""
    default = node.get("default")
    if not isinstance(default, str | int | float) or default == "":
        return node
    said = str(default).lower() if isinstance(default, bool) else default
    return {**node, "description": f"{node.get('description', '')} Default: {said}."}


def _without(node: Mapping[str, Any], *keys: str) -> Schema:
    return {key: value for key, value in node.items() if key not in keys}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value
