"""Dashboards and rules are made of metrics that there are, and say what to do."""

import re

import promql_parser
import pytest

from tests.observability import metrics_page, queries
from tests.observability.files import BOARDS, FILES

EVERY = [*queries.of_boards(), *queries.of_rules()]
PLAIN = {"__rate_interval": "1m", "__interval": "1m", "__range": "1h"}
VARIABLE = re.compile(r"\$\w+")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_files_are_what_make_dashboards_writes(path):
    assert path.read_text() == FILES[path](), "run: make dashboards"


@pytest.mark.parametrize("asked", EVERY, ids=lambda asked: asked.where)
def test_a_query_is_promql_and_asks_only_for_metrics_that_there_are(asked):
    text = asked.filled(PLAIN)
    promql_parser.parse(text)
    ours = set(re.findall(r"penstock_\w+", text))
    assert ours <= metrics_page.names()


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_asks_only_for_variables_that_it_has_and_its_panels_do_not_overlap(name):
    board = BOARDS[name]()
    known = {variable["name"] for variable in board["templating"]["list"]}
    for asked in queries._of_board(board):
        used = {word[1:] for word in VARIABLE.findall(asked.filled(PLAIN))} - {"1"}
        assert used <= known, asked.where
    cells = [
        (place["x"] + right, place["y"] + down)
        for place in (panel["gridPos"] for panel in board["panels"])
        for right in range(place["w"])
        for down in range(place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(right for right, _ in cells) < 24


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows_in_which_unit(name):
    for panel in BOARDS[name]()["panels"]:
        if panel["type"] == "row" or panel["title"] == "Step since":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize("rule", queries.rules(), ids=lambda rule: rule["alert"])
def test_a_rule_says_how_bad_it_is_what_it_means_and_what_to_do(rule):
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    for text in rule["annotations"].values():
        assert text.strip().endswith("."), text


def test_names_of_alerts_are_unique():
    names = [rule["alert"] for rule in queries.rules()]
    assert len(names) == len(set(names))
