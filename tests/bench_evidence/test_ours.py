"""Our rule on the streams is the operator's: look by look, with the pods and the edges it sees."""

from functools import cache

import numpy as np
import pytest

from penstock.core.verdict import Verdict
from tests.bench_evidence import ours
from tests.bench_evidence.outcomes import Fates
from tests.bench_evidence.peers import NEVER
from tests.bench_evidence.streams import (
    FAULTS,
    HELD_OUT,
    LATENCY,
    NULLS,
    SHARES,
    Errors,
    Scenario,
    Traffic,
    draw,
    draw_latency,
    draw_shares,
)

BY_NAME = {scenario.name: scenario for scenario in (*NULLS, *FAULTS, *HELD_OUT)}


@cache
def drawn(name, replicates=12, **more):
    return draw(BY_NAME[name], replicates, **more)


def first(one, verdict, upto):
    return next((look for look in range(upto) if one.verdict(look) is verdict), NEVER)


@pytest.mark.parametrize("name", ["x4", "x4 from minute 30", "pods replaced, pod sd .2"])
def test_the_look_of_the_rollback_is_that_of_the_first_verdict_worse(name):
    streams, settings = drawn(name), ours.setup(60.0, slack=0.0)
    (fates,) = ours.fates(streams, settings)
    for replicate, (at, safe) in enumerate(zip(fates.at, fates.safe, strict=True)):
        one = ours.Stream.of(settings, streams, replicate).replay(settings)
        assert at == first(one, Verdict.WORSE, 60)
        if safe != NEVER:
            assert safe == first(one, Verdict.SAFE, 60)
            assert at == NEVER or safe < at


def test_requests_and_bad_answers_count_from_the_onset():
    streams = drawn("x4 from minute 30")
    at = np.array([NEVER, 10, 30, *[59] * 9])
    fates = Fates.of(streams, at)
    total, bad = streams.candidate_total.sum(-1), streams.candidate_bad.sum(-1)
    assert fates.early.tolist() == [False, True] + [False] * 10
    assert fates.found.tolist() == [False, False] + [True] * 10
    assert fates.requests[0] == np.inf
    assert fates.requests[1:4].tolist() == [0, total[2, 30], total[3, 30:].sum()]
    assert fates.bad[:4].tolist() == [bad[0, 30:].sum(), 0, bad[2, 30], bad[3, 30:].sum()]
    assert fates.bad_until_found[0] == np.inf


def test_settings_that_share_a_stream_are_judged_apart():
    streams = drawn("x4")
    settings = [ours.setup(60.0, slack) for slack in (0.1, 0.0)]
    both = ours.fates(streams, *settings)
    for one, fates in zip(settings, both, strict=True):
        np.testing.assert_array_equal(ours.fates(streams, one)[0].at, fates.at)
    assert (both[0].at >= both[1].at).all()


def test_a_new_candidate_pod_is_in_warm_up_and_idle_pods_are_there():
    streams = drawn("pods replaced, pod sd .2")
    settings = ours.setup(60.0)
    warm = ours.Stream.of(settings, streams, 0).replay(settings)._tables[0].warm
    assert np.flatnonzero(warm).tolist() == [0, 1, 2, 30, 31, 32]
    quiet = ours.Stream.of(settings, drawn("very low 0.05 rps"), 0)
    idle = quiet.replay(settings)._tables[0]
    assert set(idle.candidate_pods) == {2}
    assert set(idle.stable_pods) == {18}
    assert np.flatnonzero(idle.warm).tolist() == [0, 1, 2]


def test_too_few_uneven_pods_are_said_to_be_too_few():
    (few,) = ours.fates(drawn("x2 with pod sd .3"), ours.setup(60.0))
    many = Scenario("many", Traffic(candidate_pods=30, stable_pods=60), Errors(rate=0.02))
    (enough,) = ours.fates(draw(many, 3), ours.setup(60.0))
    assert few.unresolved.all()
    assert not enough.unresolved.any()


def test_our_edges_are_some_of_those_drawn():
    slow = next(one for one in LATENCY if one.name == "H1 +30%")
    streams = draw_latency(slow, 2, looks=12, edges=(100.0, 250.0, 500.0, 1000.0))
    kept = ours.at_edges(streams, (250.0, 1000.0))
    np.testing.assert_array_equal(kept.candidate_bad, streams.candidate_bad[..., [1, 3]])
    settings = ours.setup(60.0, warm_up=0.0, labels=("a", "b"))
    assert len(ours.Stream.of(settings, kept, 0).replay(settings).trace.sides) == 2
    assert ours.fates(kept, settings)[0].found.all()


def test_a_wrong_split_is_untrusted_when_its_shares_say_so_unless_users_are_sticky():
    wrong = draw_shares(next(one for one in SHARES if one.percent == 5.56), 5, 0, 10.0, 30)
    at = ours.mistrusted(wrong)
    assert (at >= 0).all()
    np.testing.assert_array_equal(ours.untrusted(wrong), at)
    assert set(ours.untrusted(wrong, sticky=True)) == {NEVER}
    assert set(ours.mistrusted(draw_shares(SHARES[0], 5))) == {NEVER}
