"""So much of PromQL as our queries use, evaluated over samples that a test gives.

The parser is Prometheus' grammar (promql-parser), the rest is written from its documentation.
"""

import re
from dataclasses import dataclass

import promql_parser as parser

from penstock.core.samples import Sample

LOOKBACK = 300.0


@dataclass(frozen=True)
class Series:
    """A series: its labels, with `__name__`, and its samples as (time, value), oldest first."""

    labels: dict
    points: tuple


def answer(text, storage, at):
    """What an instant query gives."""
    return tuple(
        Sample(labels, value) for labels, value in _vector(parser.parse(text), storage, at)
    )


def _vector(node, storage, at):
    match node:
        case parser.ParenExpr():
            return _vector(node.expr, storage, at)
        case parser.NumberLiteral():
            return node.val
        case parser.VectorSelector():
            return [(labels, value) for labels, value, _ in _select(node, storage, at)]
        case parser.Call():
            return _call(node, storage, at)
        case parser.AggregateExpr():
            return _aggregate(node, storage, at)
        case parser.BinaryExpr():
            return _binary(node, storage, at)
    raise NotImplementedError(node)


def _select(node, storage, at):
    at -= node.offset.total_seconds() if node.offset else 0
    matchers = list(node.matchers.matchers)
    for series in storage:
        named = node.name is None or series.labels["__name__"] == node.name
        if named and all(_fits(one, series.labels.get(one.name, "")) for one in matchers):
            seen = [point for point in series.points if at - LOOKBACK < point[0] <= at]
            if seen and seen[-1][1] is not None:
                yield dict(series.labels), seen[-1][1], seen[-1][0]


def _fits(matcher, value):
    operator = str(matcher.op)
    if operator in ("MatchOp.Equal", "MatchOp.NotEqual"):
        return (matcher.value == value) == (operator == "MatchOp.Equal")
    found = re.fullmatch(matcher.value, value, re.DOTALL) is not None
    return found == (operator == "MatchOp.Re")


def _call(node, storage, at):
    name, args = node.func.name, node.args
    if name == "vector":
        return [({}, _vector(args[0], storage, at))]
    if name == "timestamp":
        return [(_nameless(labels), time) for labels, _, time in _select(args[0], storage, at)]
    assert name == "label_replace"
    label, value = args[1].val, args[2].val
    return [({**labels, label: value}, number) for labels, number in _vector(args[0], storage, at)]


def _aggregate(node, storage, at):
    groups, by = {}, node.modifier.labels
    for labels, value in _vector(node.expr, storage, at):
        key = tuple((name, labels[name]) for name in sorted(set(by)) if name in labels)
        groups.setdefault(key, []).append(value)
    together = {"max": max, "min": min, "count": len}[str(node.op)]
    return [(dict(key), float(together(values))) for key, values in groups.items()]


def _binary(node, storage, at):
    left, right = (_vector(side, storage, at) for side in (node.lhs, node.rhs))
    if str(node.op) == "==":
        return [(labels, value) for labels, value in left if value == right]
    matching = node.modifier.matching if node.modifier else None
    on = matching.labels if matching is not None else None
    key = lambda labels: frozenset(  # noqa: E731
        _nameless(labels).items() if on is None else ((name, labels.get(name, "")) for name in on)
    )
    others = {key(labels): value for labels, value in right}
    if str(node.op) == "and":
        return [(labels, value) for labels, value in left if key(labels) in others]
    if str(node.op) == "or":
        known = {frozenset(labels.items()) for labels, _ in left}
        return left + [one for one in right if frozenset(one[0].items()) not in known]
    assert str(node.op) == "-"
    return [
        (_nameless(labels), value - others[key(labels)])
        for labels, value in left
        if key(labels) in others
    ]


def _nameless(labels):
    return {name: value for name, value in labels.items() if name != "__name__"}
