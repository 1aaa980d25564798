"""The page `docs/configuration.md`, made from the models of the configuration."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from penstock.api.configuration import Configuration
from penstock.api.fields import DURATION_PATTERN, format_duration

EXAMPLE = """\
connections:
  prometheus:
    url: https://prometheus.monitoring:9090
    tls: {caFile: /etc/penstock/prometheus/ca.crt}
    auth: {bearerTokenFile: /var/run/secrets/penstock/token}
  team-metrics:
    url: http://mimir.metrics/prometheus
    tenantHeader: {name: X-Scope-OrgID, value: team-a}
    namespaces: [team-a]
  alertmanager:
    kind: alertmanager
    url: http://alertmanager.monitoring:9093
alertReceiver: {tokenFile: /etc/penstock-alerts/token}
propagationDelay: 2s
"""

_HEAD = """\
# The operator's configuration

<!-- Made by `python -m penstock.api.configuration > docs/configuration.md`; do not edit. -->

One YAML file, read and checked whole when the operator starts; an unknown field is a mistake, and
every mistake is named with its place. Users name a connection, never an address. Files named here
(tokens, passwords) are read at every request, so they may rotate. Proxies and credentials from
the environment (`HTTP_PROXY`, `.netrc`) are not used, and redirects are not followed.

A connection of kind prometheus needs Prometheus' own rules: series carry the labels `job` and
`instance`, and `up` is there. Counters are read raw, with `time=`, one `lag` ago. What alerts do is
in [alerts.md](alerts.md).

```yaml
{example}```

| field | value | default | meaning |
|---|---|---|---|
{rows}

## JSON schema

```json
{schema}
```
"""


class _Schema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Return a default as it is written in the file."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def render() -> str:
    """Return the whole page."""
    schema = Configuration.model_json_schema(schema_generator=_Schema)
    rows = "\n".join(_rows("", schema, schema["$defs"]))
    text = json.dumps(schema, indent=1, ensure_ascii=False)
    return _HEAD.format(example=EXAMPLE, rows=rows, schema=text)


def _rows(path: str, node: dict[str, Any], models: dict[str, Any]) -> Iterator[str]:
    for name, field in node["properties"].items():
        here = f"{path}{name}"
        below = _model(field, models)
        shown = "" if below else _value(field, models)
        meaning = field["description"]
        yield f"| `{here}` | {shown} | {_default(name, field, node)} | {meaning} |"
        if below:
            step = ".<name>" if "patternProperties" in field else ""
            yield from _rows(f"{here}{step}.", below, models)


def _options(field: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in field.get("anyOf", [field]) if one.get("type") != "null"]


def _model(field: dict[str, Any], models: dict[str, Any]) -> dict[str, Any] | None:
    option = _options(field)[0]
    named = next(iter(option.get("patternProperties", {}).values()), option)
    reference = named.get("$ref", "")
    model: dict[str, Any] = models.get(reference.rpartition("/")[2], {})
    return model if "properties" in model else None


def _value(field: dict[str, Any], models: dict[str, Any]) -> str:
    option = _options(field)[0]
    option = models.get(option.get("$ref", "").rpartition("/")[2], option)
    if "enum" in option:
        return " or ".join(f"`{one}`" for one in option["enum"])
    if "const" in option:
        return f"`{option['const']}`"
    if option.get("pattern") == DURATION_PATTERN:
        return "duration"
    return {"array": "list of names"}.get(option["type"], str(option["type"]))


def _default(name: str, field: dict[str, Any], node: dict[str, Any]) -> str:
    if name in node.get("required", ()):
        return "required"
    default = field.get("default")
    return "" if default is None or isinstance(default, dict) else f"`{json.dumps(default)}`"
