"""Every query that the dashboards and the rules ask."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.bed.operator import REPOSITORY
from tests.observability.files import BOARDS
from tests.observability.panels import Json

RULES = REPOSITORY / "manifests" / "components" / "prometheus-rules" / "rules.yaml"
_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


@dataclass(frozen=True, slots=True)
class Asked:
    """One query and where it stands."""

    where: str
    expression: str

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the expression with the variables replaced."""
        text = self.expression
        for name in sorted(values, key=len, reverse=True):
            text = text.replace(f"${name}", values[name])
        return text


def of_boards() -> Iterator[Asked]:
    """Return the queries of all panels, variables and annotations."""
    for make in BOARDS.values():
        yield from _of_board(make())


def _of_board(board: Json) -> Iterator[Asked]:
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield Asked(f"{board['title']}/{panel['title']}/{target['refId']}", target["expr"])
    for variable in board["templating"]["list"]:
        found = _LABEL_VALUES.fullmatch(variable.get("definition", ""))
        if found:
            text = f"count by ({found[2]}) ({found[1]})"
            yield Asked(f"{board['title']}/${variable['name']}", text)
    for one in board["annotations"]["list"]:
        yield Asked(f"{board['title']}/annotation {one['name']}", one["expr"])


def rules() -> list[dict[str, Any]]:
    """Return all alerting rules."""
    return [rule for group in groups()["groups"] for rule in group["rules"]]


def groups() -> dict[str, Any]:
    """Return the rules as a file of Prometheus has them."""
    return {"groups": yaml.safe_load(RULES.read_text())["spec"]["groups"]}


def of_rules() -> Iterator[Asked]:
    """Return the expressions of all rules."""
    for rule in rules():
        yield Asked(rule["alert"], rule["expr"])
