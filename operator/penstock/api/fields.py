"""Field types that more than one resource uses: durations, percentages, names."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

# Bounded, so that every text that fits is a duration for CEL and for Python too.
DURATION_PATTERN = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,7}s)?([0-9]{1,7}ms)?$"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class ApiModel(BaseModel):
    """Immutable; camelCase on the wire, snake_case in Python.

    Unknown fields are ignored: an older operator must be able to read a newer object.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True
    )


def parse_duration(text: object) -> timedelta:
    """Return the time that `90s`, `10m`, `1h30m` or `250ms` stand for.

    Raises:
        ValueError: The text is not a duration.
    """
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or not text or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration such as 90s, 10m, 1h30m or 168h")
    parts = re.findall(r"([0-9]+)(ms|s|m|h)", text)
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back, to the millisecond."""
    left = round(duration.total_seconds() * 1000)
    if left == 0:
        return "0s"
    text = ""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": DURATION_PATTERN, "minLength": 2, "maxLength": 32}
    ),
]
VARIABLES = ("variant", "version", "host", "service", "namespace", "rollout", "reporter", "route")
UNIQUE: dict[str, Any] = {"x-kubernetes-list-type": "set"}


def rule(expression: str, message: str, **extra: str) -> dict[str, str]:
    """Return one CEL rule for `x-kubernetes-validations`, checked by the API server."""
    return {"rule": expression, "message": message, **extra}


def cel(*rules: dict[str, str], **schema: Any) -> dict[str, Any]:
    """Return a `json_schema_extra` that carries CEL rules into the CRD."""
    return {"x-kubernetes-validations": list(rules), **schema}


def known_variables() -> dict[str, str]:
    """Return the rule for a text of PromQL: every `$name` in it is one of ours."""
    return rule(
        rf"self.matches(r'^([^$]|\$({'|'.join(VARIABLES)})\b|\$args\.[A-Za-z_]\w*|\$[0-9]|\$\B)*$')",
        f"unknown variable; there are {', '.join(f'${name}' for name in VARIABLES)}, $args.<name>",
    )


def _two_decimals(value: float) -> float:
    if abs(value * 100 - round(value * 100)) > 1e-6:
        raise ValueError(f"{value:g} has more than two decimals")
    return value


TWO_DECIMALS = AfterValidator(_two_decimals)
# Not `multipleOf`: for an API server (1.37) a whole number such as 5 is no multiple of 0.01.
TWO_DECIMALS_RULE = Field(
    json_schema_extra=cel(
        rule("double(int(self * 100.0 + 0.5)) / 100.0 == self", "must have at most two decimals")
    )
)

Percent = Annotated[float, Field(ge=0, le=100), TWO_DECIMALS, TWO_DECIMALS_RULE]
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
DnsName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
VersionName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", min_length=1, max_length=63)
]
