"""Options of commands that are more than a word or a number."""

import math
from datetime import timedelta
from typing import Any

import typer

from penstock.api.fields import parse_duration


def rate(help_: str, most: float = 100) -> Any:  # noqa: ANN401 (typer's own type is private)
    """Return an option that is a number from 0 to `most`."""
    return typer.Option(help=help_, min=0, max=most, callback=_number)


def duration(help_: str, default: str) -> Any:  # noqa: ANN401
    """Return an option that is a duration such as 10m."""
    return typer.Option(help=help_, parser=_time, metavar="DURATION", show_default=default)


def _number(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("write a number")
    return value


def _time(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
