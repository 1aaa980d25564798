"""Plain selectors of series: read, merged into one that finds the series of all, and matched.

Matching is Prometheus' own: a regular expression must fit the whole value (RE2, in linear time),
and a label that a series lacks is empty.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import promql_parser
import re2

NAME = "__name__"
_OPERATORS = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}
_PLAIN_LABEL = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PLAIN_NAME = re.compile(r"[A-Za-z_:][\w:]*", re.ASCII)
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
_NEVER_MERGED = (NAME, "reporter")
"""Together these would find many more series than their selectors do one by one."""

Shape = tuple[tuple[str, str, str], ...]


class Matcher(NamedTuple):
    """What one label must be; `operator` is =, !=, =~ or !~. A tuple, since it is hashed often."""

    label: str
    operator: str
    value: str

    @property
    def is_positive(self) -> bool:
        """Return whether it says what the value is, not what it is not."""
        return not self.operator.startswith("!")

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series with these labels is meant."""
        value = labels.get(self.label, "")
        if self.operator in ("=", "!="):
            return (value == self.value) == self.is_positive
        return _fits_whole(self.value, value) == self.is_positive

    @property
    def pattern(self) -> str:
        """Return the regular expression of the values that it names."""
        if self.operator == "=":
            return _META.sub(r"\\\g<0>", self.value)
        return f"(?:{self.value})"

    def __str__(self) -> str:
        label = self.label if _PLAIN_LABEL.fullmatch(self.label) else _quoted(self.label)
        return f"{label}{self.operator}{_quoted(self.value)}"


Selector = tuple[Matcher, ...]
"""Matchers by label; the name of the metric is one of them."""


@lru_cache(16384)
def parse(text: str) -> Selector | None:
    """Return a selector; None where it is not plain, or where RE2 cannot match as it says."""
    try:
        parsed = promql_parser.parse(text)
    except ValueError:
        return None
    if not isinstance(parsed, promql_parser.VectorSelector) or parsed.offset or parsed.at:
        return None
    if parsed.matchers.or_matchers:
        return None
    found = [Matcher(m.name, _OPERATORS[str(m.op)], m.value) for m in parsed.matchers.matchers]
    if parsed.name is not None:
        found.append(Matcher(NAME, "=", parsed.name))
    if not all(_compiled(one.value) for one in found if "~" in one.operator):
        return None
    return tuple(sorted(set(found), key=lambda one: (one.label, not one.is_positive, str(one))))


def text(selector: Selector) -> str:
    """Return a selector as it is asked: `name{…}` where the name is a plain one."""
    name = next((one for one in selector if one.label == NAME and one.operator == "="), None)
    if name is None or not _PLAIN_NAME.fullmatch(name.value):
        return f"{{{','.join(map(str, selector))}}}"
    return f"{name.value}{{{','.join(str(one) for one in selector if one is not name)}}}"


def shape(selector: Selector) -> Shape:
    """Return what two selectors must have in common so that they can be merged.

    The same labels; values may differ where they are named, not where they are left out.
    """
    return tuple(
        (one.label, "", "")
        if one.is_positive and one.label not in _NEVER_MERGED
        else (one.label, one.operator, one.value)
        for one in selector
    )


def merged(selectors: Sequence[Selector]) -> Selector:
    """Return a selector of all series of some selectors of one shape; others may be among them."""
    columns = zip(*selectors, strict=True)
    return tuple(_together(list(dict.fromkeys(column))) for column in columns)


def _together(matchers: Sequence[Matcher]) -> Matcher:
    if len(matchers) == 1:
        return matchers[0]
    return Matcher(matchers[0].label, "=~", "|".join(sorted({one.pattern for one in matchers})))


def fits(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether a series with these labels is meant by all of these matchers."""
    return all(one.fits(labels) for one in matchers)


@lru_cache(65536)
def _fits_whole(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is not None and compiled.fullmatch(value) is not None


@lru_cache(4096)
def _compiled(pattern: str) -> "re2._Regexp | None":
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def _quoted(value: str) -> str:
    """Return a string as PromQL writes it: the escapes of JSON are among those of Go."""
    return json.dumps(value, ensure_ascii=False)
