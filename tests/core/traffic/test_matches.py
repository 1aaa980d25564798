"""Match blocks: a request must fit the route's own words and ours, and nobody else is caught."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.v1alpha1.matching import HttpMatch, StringMatch
from penstock.core.traffic import matches

WORDS = st.text("ab/", min_size=1, max_size=3)
TEXTS = st.builds(lambda form, text: {form: text}, st.sampled_from(["exact", "prefix"]), WORDS)
NAMES = st.sampled_from(["x-a", "x-b"])
BLOCKS = st.fixed_dictionaries(
    {}, optional={"uri": TEXTS, "method": TEXTS, "headers": st.dictionaries(NAMES, TEXTS)}
)
REQUESTS = [
    {"uri": uri, "method": method, "headers": {"x-a": a, "x-b": b}}
    for uri, method, a, b in product(("/a", "/ab", "b/a"), ("a", "b"), ("a", "ab"), ("b", "/"))
]


def says(text, value):
    """Return whether Envoy finds a value to fit."""
    if "exact" in text:
        return value == text["exact"]
    if "prefix" in text:
        return value.startswith(text["prefix"])
    return re.fullmatch(text["regex"], value) is not None


def takes(block, request):
    """Return whether Envoy finds a request to fit a block: all of it, names in any case."""
    parts = [(block[part], request[part]) for part in ("uri", "method") if part in block]
    headers = block.get("headers", {}).items()
    parts += [(text, request["headers"].get(name.lower(), "")) for name, text in headers]
    return all(says(*part) for part in parts)


def with_cookie(text):
    return {"uri": "/", "method": "GET", "headers": {"cookie": text}}


@given(st.lists(BLOCKS, max_size=3), st.lists(BLOCKS, min_size=1, max_size=3))
def test_a_rule_takes_exactly_what_the_route_takes_and_what_is_said(own, ours):
    made = matches.joined(own, ours)
    for request in REQUESTS:
        both = any(takes(b, request) for b in own or [{}]) and any(takes(b, request) for b in ours)
        assert any(takes(block, request) for block in made) == both


@given(TEXTS, TEXTS, WORDS)
def test_a_text_fits_both_exactly_if_it_fits_what_they_have_in_common(one, other, text):
    common = matches.meet(one, other)
    assert (common is not None and says(common, text)) == (says(one, text) and says(other, text))


def test_what_istio_cannot_say_is_told_and_left_out_rather_than_widened():
    own, ours = [{"uri": {"prefix": "/api"}}], [{"uri": {"regex": "/.*/v2"}}]
    assert matches.joined(own, ours) == []
    assert matches.unsayable(own, ours)
    assert not matches.unsayable([], ours)
    assert not matches.unsayable(own, [{"uri": {"exact": "/other"}}])
    assert matches.joined(own, own) == own


def test_everything_else_that_the_route_asks_for_is_kept():
    own = [
        {"port": 80, "sourceLabels": {"app": "web"}, "ignoreUriCase": True, "headers": {"a": {}}}
    ]
    (made,) = matches.joined(own, [{"headers": {"x-group": {"exact": "beta"}}}])
    assert made == {**own[0], "headers": {"a": {}, "x-group": {"exact": "beta"}}}


def test_headers_cookies_method_and_path_are_said_in_the_words_of_istio():
    match = HttpMatch.model_validate(
        {
            "headers": {"x-group": {"prefix": "be"}},
            "cookies": {"a": {"exact": "1.0"}, "b": {"prefix": "x"}, "c": {"regex": "[0-9]+"}},
            "method": {"exact": "GET"},
            "path": {"prefix": "/predict"},
        }
    )
    block = matches.written(match)
    assert block["uri"] == {"prefix": "/predict"}
    assert block["method"] == {"exact": "GET"}
    assert block["headers"]["x-group"] == {"prefix": "be"}
    assert {name.lower() for name in block["headers"]} == {"x-group", "cookie"}
    assert len(block["headers"]) == 4, "a header with three conditions"
    cookies = {"headers": {k: v for k, v in block["headers"].items() if k != "x-group"}}
    assert takes(cookies, with_cookie("b=xyz; c=12; a=1.0"))
    assert not takes(cookies, with_cookie("b=xyz; c=12"))


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        ("v=fraud-1.c", True),
        ("a=b; v=fraud-1.c", True),
        ("a=b;v=fraud-1.c; z=1", True),
        ("xv=fraud-1.c", False),
        ("v=fraud-1.c2", False),
        ("v=fraud-1xc", False),
        ("a=v=fraud-1.c", False),
        ("", False),
    ],
)
def test_a_cookie_is_found_by_its_whole_name_and_value_wherever_it_stands(header, fits):
    pattern = matches.cookie_pattern("v", StringMatch(exact="fraud-1.c"))
    assert (re.fullmatch(pattern, header) is not None) == fits


def test_the_longest_pattern_is_one_that_istio_takes():
    match = StringMatch(exact="." * 256)
    assert len(matches.cookie_pattern("." * 128, match)) <= 1024
