import asyncio
from datetime import timedelta

import pytest

from penstock.cache import Cache
from penstock.core.kinds import ROLLOUT, Key
from penstock.loops import Loops, _backoff
from penstock.ports import ConflictError, InterruptedTurnError, TransientError
from tests.fakes import Reports

KEY = Key("ml", "fraud")


def body(version, uid="u", name="fraud"):
    meta = {"name": name, "namespace": "ml", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": meta}


class Reconciler:
    """Answers turns from a list: a delay in seconds, or an error."""

    def __init__(self, *answers):
        self.answers, self.turns, self.forgotten = list(answers), 0, []
        self.done = asyncio.Event()

    async def reconcile(self, found, urgent):
        self.turns += 1
        answer = self.answers.pop(0) if self.answers else None
        if not self.answers:
            self.done.set()
        if isinstance(answer, BaseException):
            raise answer
        return None if answer is None else timedelta(seconds=answer)

    def forget(self, key):
        self.forgotten.append(key)


def started(*answers):
    cache, reconciler = Cache(), Reconciler(*answers)
    cache.put(ROLLOUT, body(1))
    return Loops(cache, reconciler, Reports()), reconciler, cache


async def test_a_turn_is_run_when_woken_and_again_after_its_delay():
    loops, reconciler, _ = started(0.001, 0.001, None)
    loops.wake(KEY)
    await asyncio.wait_for(reconciler.done.wait(), 5)
    assert reconciler.turns == 3
    await loops.end_all()


@pytest.mark.parametrize("error", [ConflictError("x"), InterruptedTurnError(), ConflictError("y")])
async def test_a_conflict_or_an_interruption_is_tried_again_at_once(error):
    loops, reconciler, _ = started(error, None)
    loops.wake(KEY)
    await asyncio.wait_for(reconciler.done.wait(), 5)
    assert reconciler.turns == 2
    await loops.end_all()


async def test_an_error_of_any_kind_ends_no_loop():
    loops, reconciler, _ = started(ValueError("a bug"), TransientError("away"), None)
    for turns in (1, 2, 3):
        loops.wake(KEY)
        while reconciler.turns < turns:
            await asyncio.sleep(0)
    assert reconciler.done.is_set()
    await loops.end_all()


async def test_a_rollout_that_is_gone_has_no_loop():
    loops, reconciler, cache = started(None)
    loops.wake(KEY)
    await asyncio.wait_for(reconciler.done.wait(), 5)
    cache.remove(ROLLOUT, body(1))
    loops.end(KEY)
    loops.wake(KEY)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (reconciler.turns, reconciler.forgotten) == (1, [KEY])
    await loops.end_all()


def test_waiting_grows_and_is_bounded():
    assert [_backoff(n) for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert _backoff(1000) == 30.0


def test_the_cache_keeps_the_newest_version_of_an_object():
    cache = Cache()
    cache.put(ROLLOUT, body(9))
    assert cache.put(ROLLOUT, body(7))["metadata"]["resourceVersion"] == "9"
    assert cache.put(ROLLOUT, body(10))["metadata"]["resourceVersion"] == "10"


def test_the_cache_takes_an_object_that_was_made_anew():
    cache = Cache()
    cache.put(ROLLOUT, body(9, uid="old"))
    cache.put(ROLLOUT, body(3, uid="new"))
    cache.remove(ROLLOUT, body(9, uid="old"))
    assert cache.get(ROLLOUT, KEY)["metadata"]["uid"] == "new"
    cache.remove(ROLLOUT, body(3, uid="new"))
    assert cache.get(ROLLOUT, KEY) is None
    assert cache.all(ROLLOUT) == ()
