"""Categories: which classes are counted, each as a share that may neither rise nor fall too much.

The classes are fixed before the first look, from stable's counters: the frequent ones, and the rest
together. Each is a proportion with its own two bounds; they are judged together like the edges of a
distribution. (A test of equality alone would call every drift that much traffic can show.)
"""

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from penstock.api.v1alpha1.metric_template import Categories, Proportion
from penstock.core import queries
from penstock.core.queries import Subject, Unusable
from penstock.core.samples import Query, Sample
from penstock.core.stats.multinomial import Groups

MOST = 8
ANSWERS = 1000.0
REST = "(other)"
_PLAIN = re.compile(r"[\w .:/-]{1,64}")


def query(
    template: Categories, connection: str, subject: Subject, at: datetime
) -> Query | Unusable:
    """Return the query for stable's answers per class so far."""
    counter = queries.selector(template.counts, subject, subject.stable)
    if isinstance(counter, Unusable):
        return counter
    return Query(connection, f"sum by ({template.label}) ({counter})", subject.namespace, at)


def choose(template: Categories, answer: Sequence[Sample]) -> tuple[str, ...]:
    """Return the classes that are counted on their own, most frequent first; at most 7.

    A class with characters that a query must not get, or with less than 1 in 200 of the answers,
    belongs to the rest.
    """
    counts = {sample.labels.get(template.label, ""): sample.value for sample in answer}
    names = [name for name in counts if _PLAIN.fullmatch(name)]
    history = np.array([counts[name] for name in names] or [0.0])
    groups = Groups.of(history, ANSWERS, MOST)
    kept = [
        name for name, group in zip(names, groups.index, strict=False) if group < groups.size - 1
    ]
    return tuple(sorted(kept, key=lambda name: (-counts[name], name)))


def label_of(template: Categories, name: str) -> str:
    """Return what the share of a class is called."""
    return f"{template.label} {name}"


def proportion(template: Categories, name: str, others: Sequence[str]) -> Proportion:
    """Return the proportion of a class; for the rest, of all that are none of the others."""
    if name == REST:
        matcher = "|".join(re.sub(r"[.]", "[.]", other) for other in others)
        return _with(template.counts, f'{template.label}!~"{matcher}"')
    return _with(template.counts, f'{template.label}="{name}"')


def _with(counts: str, matcher: str) -> Proportion:
    head = counts.rstrip().removesuffix("}").rstrip().removesuffix(",")
    return Proportion(total=counts, bad=f"{head},{matcher}}}")
