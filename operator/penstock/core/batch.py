"""Many queries for counters asked as one, and its answer parted into theirs.

Parts are exactly what each query would have got from the same storage: its rows are the series that
its own selectors fit among those that were found for all; facts that depend on its selectors are
asked per value of every label in which the selectors differ, so each group is its or is not; and
facts about a scrape target are the same for all who have series there. (Only the number in KNOWN
may be larger, where both arms match one series; whether it is 0 is the same.)
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from penstock.core import rows, selectors
from penstock.core.rows import ROW_LABEL, TARGET, Counters, Row
from penstock.core.samples import Query, Sample
from penstock.core.selectors import Matcher, Selector, Shape

_SERIES = "series"
Target = tuple[str, str]
Marked = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is asked among others.

    Attributes:
        rows: What each row is, its selector, and the selector that finds its series among more.
        totals: The selectors of its totals.
        key: Queries of one key, connection and instant can be asked together.
    """

    rows: tuple[tuple[str, Selector, Selector], ...]
    totals: tuple[Selector, ...]
    key: Hashable


@lru_cache(4096)
def plan(counters: Counters) -> Plan | None:
    """Return how these counters are asked among others; None where they must be asked alone."""
    parsed = [(row, selectors.parse(text)) for row, text in counters.selectors]
    known = [(row, selector) for row, selector in parsed if selector is not None]
    if len(known) < len(parsed):
        return None
    every = [selector for _, selector in known]
    found = tuple((row, one, _widest(one, every)) for row, one in known)
    shapes = frozenset(selectors.shape(wide) for _, _, wide in found)
    totals = tuple(selectors.parse(text) or () for text in counters.totals)
    mesh = rows.of_mesh(selectors.text(totals[0]))
    return Plan(found, totals, (counters.back_ms, mesh, shapes))


def _widest(selector: Selector, others: Sequence[Selector]) -> Selector:
    """Return the one that finds these series, too: it has some of the same matchers and no more."""
    wide = [other for other in others if set(other) <= set(selector)]
    return min(wide, key=len)


@dataclass(frozen=True, slots=True)
class _Merged:
    """One selector for several of one shape.

    Attributes:
        varying: The labels whose values differ.
        keys: Positions of the matchers that each name one value of such a label.
    """

    selector: Selector
    varying: tuple[str, ...]
    keys: tuple[int, ...]

    @classmethod
    def of(cls, each: Sequence[Selector]) -> "_Merged":
        """Return the selector of all these."""
        columns = [set(column) for column in zip(*each, strict=True)]
        differ = [number for number, column in enumerate(columns) if len(column) > 1]
        named = [n for n in differ if all(one.operator == "=" for one in columns[n])]
        labels = dict.fromkeys(each[0][number].label for number in differ)
        return cls(selectors.merged(each), tuple(labels), tuple(named))

    @property
    def text(self) -> str:
        """The selector as it is asked."""
        return selectors.text(self.selector)

    def key(self, wide: Selector) -> tuple[Matcher, ...]:
        """Return the matchers that find the rows of one selector at once."""
        return tuple(wide[number] for number in self.keys)


class _Found:
    """The rows that a merged selector found, by the values that selectors name."""

    def __init__(self, merged: _Merged, found: Sequence[Sample]) -> None:
        self._merged = merged
        self._rows: dict[tuple[str, ...], list[Sample]] = {}
        labels = [merged.selector[number].label for number in merged.keys]
        for sample in found:
            key = tuple(sample.labels.get(label, "") for label in labels)
            self._rows.setdefault(key, []).append(sample)

    def of(self, selector: Selector, wide: Selector) -> Iterator[Sample]:
        """Yield the rows of a selector; `wide` is the one that was merged."""
        key = self._merged.key(wide)
        known = {*self._merged.selector, *key}
        left = [matcher for matcher in selector if matcher not in known]
        for sample in self._rows.get(tuple(matcher.value for matcher in key), ()):
            if selectors.fits(left, sample.labels):
                yield sample


class Batch:
    """Queries of one connection, instant and key as one."""

    def __init__(self, queries: Sequence[tuple[Query, Plan]]) -> None:
        """Merge them; there is at least one."""
        self._queries = queries
        self._counted = _by_shape(wide for _, plan in queries for _, _, wide in plan.rows)
        self._totals = _by_shape(total for _, plan in queries for total in plan.totals)

    @property
    def query(self) -> Query:
        """The query for all of them."""
        first, counters = self._queries[0][0], self._queries[0][0].counters
        back = counters.back_ms if counters else 0
        asked = [(f"{_SERIES}/{n}", one.text) for n, one in enumerate(self._counted.values())]
        for number, one in enumerate(self._totals.values()):
            more = [label for label in one.varying if label not in TARGET]
            asked.append((f"{Row.SAMPLED}/{number}", rows.sampled([one.text], more)))
            if back:
                asked.append((f"{Row.KNOWN}/{number}", rows.known([one.text], back, more)))
        totals = [one.text for one in self._totals.values()]
        asked += rows.facts_of_targets(totals, back)
        return Query(first.connection, rows.joined(asked), first.namespace, first.at)

    def parted(self, answer: Sequence[Sample]) -> list[tuple[Sample, ...]]:
        """Return the answer to each query, in order."""
        marked: dict[str, list[Sample]] = {}
        for sample in answer:
            marked.setdefault(sample.labels.get(ROW_LABEL, ""), []).append(sample)
        series = _found(self._counted, marked, _SERIES)
        sampled, known = (_found(self._totals, marked, row) for row in (Row.SAMPLED, Row.KNOWN))
        facts: dict[str, Mapping[Target, Sample]] = {
            row: {_target(sample): sample for sample in marked.get(row, ())}
            for row in (Row.STARTED, Row.BEFORE)
        }
        return [
            (
                *_constants(query),
                *_series(plan, series),
                *_of_targets(_summed(plan, sampled, max), _summed(plan, known, sum), facts),
            )
            for query, plan in self._queries
        ]


def _by_shape(each: Iterator[Selector]) -> Mapping[Shape, _Merged]:
    found: dict[Shape, dict[Selector, None]] = {}
    for selector in each:
        found.setdefault(selectors.shape(selector), {})[selector] = None
    return {shape: _Merged.of(list(same)) for shape, same in found.items()}


def _found(merged: Mapping[Shape, _Merged], marked: Marked, row: str) -> Mapping[Shape, _Found]:
    return {
        shape: _Found(one, marked.get(f"{row}/{number}", ()))
        for number, (shape, one) in enumerate(merged.items())
    }


def _constants(query: Query) -> Iterator[Sample]:
    for row, value in query.counters.constants if query.counters else ():
        yield Sample({ROW_LABEL: row}, value)


def _series(plan: Plan, series: Mapping[Shape, _Found]) -> Iterator[Sample]:
    for row, selector, wide in plan.rows:
        for sample in series[selectors.shape(wide)].of(selector, wide):
            yield Sample({**sample.labels, ROW_LABEL: row}, sample.value)


def _summed(
    plan: Plan, found: Mapping[Shape, _Found], together: Callable[[Iterable[float]], float]
) -> Mapping[Target, float]:
    """Return the fact of each target from those of its groups, each group once."""
    groups: dict[Target, dict[int, float]] = {}
    for total in plan.totals:
        for sample in found[selectors.shape(total)].of(total, total):
            groups.setdefault(_target(sample), {})[id(sample)] = sample.value
    return {target: float(together(values.values())) for target, values in groups.items()}


def _of_targets(
    sampled: Mapping[Target, float],
    known: Mapping[Target, float],
    facts: Mapping[str, Mapping[Target, Sample]],
) -> Iterator[Sample]:
    for row, values in ((Row.SAMPLED, sampled), (Row.KNOWN, known)):
        for target, value in values.items():
            yield Sample(_labels(target) | {ROW_LABEL: row}, value)
    for samples in facts.values():
        yield from (samples[target] for target in sampled if target in samples)


def _target(sample: Sample) -> Target:
    return sample.labels.get("job", ""), sample.labels.get("instance", "")


def _labels(target: Target) -> dict[str, str]:
    return {label: value for label, value in zip(TARGET, target, strict=True) if value}
