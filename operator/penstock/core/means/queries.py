"""The query that reads the counters behind a mean.

The counter of answers is asked for as the total of a proportion, see `core.queries`; the rows of
the sums are joined to it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from penstock.api.v1alpha1.metric_template import Proportion
from penstock.core import queries
from penstock.core.queries import Subject, Unusable
from penstock.core.rows import Row
from penstock.core.samples import Query

SUM, SQUARES = Row.BAD, "squares"
"""The rows of the sums. In the query the sum takes the place of the bad answers."""

ASKED = f"{SQUARES}/asked"
ARMS = ("stable", "candidate")


class MeanTemplate(Protocol):
    """The selectors of a mean, with variables: the counters of a summary or a histogram, or two."""

    @property
    def sum(self) -> str:
        """Selector of the counter that the values of all answers are added to."""

    @property
    def count(self) -> str:
        """Selector of the counter of answers."""

    @property
    def sum_of_squares(self) -> str | None:
        """Selector of the counter that their squares are added to."""


def mean_query(
    template: MeanTemplate,
    connection: str,
    subject: Subject,
    at: datetime,
    previous: datetime | None,
) -> Query | Unusable:
    """Return the query that reads all counters of a mean at one instant, for both arms.

    Args:
        template: The selectors, with variables.
        connection: Name of a connection in the operator's configuration.
        subject: What the variables stand for.
        at: The instant that is read.
        previous: The instant of the reading it will be differenced with; None for the first.
    """
    texts = {"sum": template.sum, "count": template.count, "sumOfSquares": template.sum_of_squares}
    for name, text in texts.items():
        checked = _selectors(text, subject) if text else {}
        if isinstance(checked, Unusable):
            return Unusable(f"{name}: {checked.reason}")
    both = Proportion(total=template.count, bad=template.sum)
    made = queries.proportion_query(both, connection, subject, at, previous)
    if isinstance(made, Unusable) or made.counters is None or not template.sum_of_squares:
        return made
    squares = _selectors(template.sum_of_squares, subject)
    if isinstance(squares, Unusable):
        return squares
    counters = replace(
        made.counters,
        selectors=(
            *made.counters.selectors,
            *((f"{SQUARES}/{arm}", body) for arm, body in squares.items()),
        ),
        constants=(*made.counters.constants, (ASKED, 1.0)),
    )
    return queries.counters_query(counters, connection, subject, at)


def _selectors(text: str, subject: Subject) -> Mapping[str, str] | Unusable:
    """Return the selector of a counter for each arm."""
    found: dict[str, str] = {}
    for name, arm in zip(ARMS, (subject.stable, subject.candidate), strict=True):
        expanded = queries.selector(text, subject, arm)
        if isinstance(expanded, Unusable):
            return expanded
        found[name] = expanded
    return found
