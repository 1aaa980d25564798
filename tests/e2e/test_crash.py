"""End-to-end 5: the operator is killed at random moments of releases (rule 9)."""

import random
import time

import psutil
import pytest

from tests.bed.operator import OperatorSetup
from tests.e2e import stage as stages
from tests.e2e.conftest import MANIFESTS

RESUMED_SECONDS = 3.0
pytestmark = [pytest.mark.bed, pytest.mark.needs("operator-process")]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_good_release_with_five_kills_has_the_same_sequence_of_weights(stage, operator, seed):
    play = stage(stages.rollout(plan=stages.steps(5, 25, 50)))
    dice = random.Random(seed)
    play.release("v2")
    taken = []
    for _ in range(5):
        time.sleep(dice.uniform(0.2, 4))
        operator.kill()
        taken.append(resumed(play, operator))
    assert max(taken) < RESUMED_SECONDS, taken
    play.await_phase("Promoted")
    assert play.weights() == [0, 5, 25, 50, 100]
    play.assert_clean()


def resumed(play, operator):
    """Start the operator; return the seconds of CPU that it took to its first turn.

    On a machine with a core to spare that is the time on the clock; here other programs share it.
    """
    operator.start(wait=False)
    series = (
        "penstock_rollout_last_reconcile_timestamp_seconds"
        f'{{namespace="{play.place.namespace}",rollout="fraud"}}'
    )
    play.place.wait(lambda: series in operator.metrics(), 20, "a turn")
    times = psutil.Process(operator.pid).cpu_times()
    return times.user + times.system


def test_two_operators_at_once_lead_to_the_same_end(stage, bed):
    second = bed.operator(OperatorSetup(manifests=MANIFESTS))
    second.start()
    try:
        play = stage(stages.rollout(plan=stages.steps(10, 50)))
        play.release("v2")
        play.await_phase("Promoted")
        assert play.weights() == [0, 10, 50, 100]
        assert not play.status.get("reverts")
        play.assert_clean()
    finally:
        second.stop()
