import math

import pytest

from penstock.core import sentences
from penstock.core.evidence import Evidence
from penstock.core.looks import Counts
from penstock.core.stats.nulls import Side
from penstock.core.stats.ratio import Ratio
from penstock.core.terms import Tolerance

TOLERANCE = Tolerance(20, 0.1)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.0192, "1.92 %"),
        (0.00512, "0.51 %"),
        (0.001, "0.10 %"),
        (0.000123, "0.012 %"),
        (0.2083, "20.8 %"),
        (0.5, "50 %"),
        (1.0, "100 %"),
    ],
)
def test_shares_are_percent(share, text):
    assert sentences.percent(share) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(3.84, "3.8"), (1.0, "1.0"), (0.617, "0.62"), (0.06, "0.060"), (12.4, "12"), (1234, "1,234")],
)
def test_ratios_have_two_digits(ratio, text):
    assert sentences.times(ratio) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01, "under 0.1 to 1"),
        (0.42, "0.4 to 1"),
        (3.14, "3.1 to 1"),
        (200.0, "200 to 1"),
        (1234.0, "1,234 to 1"),
        (5.2e5, "5·10⁵ to 1"),
        (9.9e5, "1·10⁶ to 1"),
        (3e120, "3·10¹²⁰ to 1"),
    ],
)
def test_evidence_is_odds(value, text):
    assert sentences.odds(math.log(value)) == text


def test_a_threshold_is_printed_as_it_is_meant():
    assert [sentences.odds(-math.log(level)) for level in (0.05, 0.005, 0.01 / 3)] == [
        "20 to 1",
        "200 to 1",
        "300 to 1",
    ]


def test_what_is_tolerated_grows_as_the_exposure_falls():
    assert sentences.tolerance(TOLERANCE, Side.MORE) == "1.2 times + 0.1"
    assert sentences.tolerance(TOLERANCE, Side.MORE, 0.05) == "5 times + 2"
    assert sentences.tolerance(Tolerance(20, 0), Side.MORE) == "1.2 times"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, ""),
        (Ratio(2.1, 3.8, 6.4), ": 3.8 times (2.1 to 6.4)"),
        (Ratio(0.0, 1.1, 6.4), ": 1.1 times (at most 6.4)"),
        (Ratio(2.1, 3.8, None), ": 3.8 times (at least 2.1)"),
        (Ratio(0.0, 1.1, None), ": 1.1 times (not bounded yet)"),
        (Ratio(2.1, None, None), ": at least 2.1 times"),
        (Ratio(0.0, None, None), ""),
    ],
)
def test_the_ratio_says_what_is_known_of_it(ratio, text):
    assert sentences.ratio_clause(ratio) == text


def test_a_worse_candidate_in_words():
    facts = sentences.arms("errors", Counts(2500, 48), Counts(22480, 115))
    clause = sentences.ratio_clause(Ratio(2.1, 3.8, 6.4))
    reason = sentences.worse(Evidence(math.log(5e5)), TOLERANCE, math.log(200))
    assert f"{facts}{clause}; {reason}" == (
        "errors: candidate 1.92 % (48 of 2,500), stable 0.51 % (115 of 22,480): "
        "3.8 times (2.1 to 6.4); more than the tolerated 1.2 times + 0.1; "
        "evidence 5·10⁵ to 1, 200 to 1 needed"
    )
