"""Questions of many askers, gathered, asked as one, and answered each with its own."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from penstock.adapters import batches
from penstock.adapters.batches import MOST_ASKERS, Batches
from penstock.api.v1alpha1.metric_template import Distribution, Proportion
from penstock.core.queries import Arm, Subject, proportion_query
from penstock.core.samples import Query, Unreadable
from tests.core import promql
from tests.core.promql import Series

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
ERRORS = Proportion(
    total='istio_requests_total{destination_service="$host",$variant}',
    bad='istio_requests_total{destination_service="$host",code="500",$variant}',
)
SLOW = Distribution(buckets='d_bucket{destination_service="$host",$variant}')


def subject_of(number):
    stable, candidate = (
        Arm(name, f"h{number}", f'destination_canonical_revision="{name}"') for name in ("s", "c")
    )
    return Subject("ml", f"r{number}", f"h{number}", stable, candidate)


def ask(number, at=AT, template=ERRORS):
    return proportion_query(template, "p", subject_of(number), at, at - timedelta(seconds=10))


def series(number):
    for revision in ("s", "c"):
        labels = {"__name__": "istio_requests_total", "destination_service": f"h{number}"}
        labels |= {"destination_canonical_revision": revision, "job": "j", "instance": "i"}
        yield Series(labels, ((AT.timestamp() - 1, float(number)),))


STORAGE = [one for number in range(120) for one in series(number)]


class Server:
    """Answers from the storage, or as it is told; remembers what it was asked."""

    def __init__(self, *refusals):
        self.asked, self.refusals = [], list(refusals)
        self.time = 0.0
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches = Batches(self.answer, lambda: self.time)

    async def answer(self, query):
        self.asked.append(query)
        await self.gate.wait()
        if self.refusals and query.counters is None:
            return self.refusals.pop(0)
        return self.alone(query)

    def alone(self, query):
        return promql.answer(query.expression, STORAGE, query.at.timestamp())

    async def get_company(self):
        """Let two ask about one instant, so that later ones are waited for."""
        early = AT - timedelta(minutes=1)
        await asyncio.gather(*(self.batches.read([ask(n, early)]) for n in range(2)))
        self.asked.clear()


def rows(answer):
    return sorted((sorted(sample.labels.items()), sample.value) for sample in answer)


async def read_all(server, queries):
    found = await asyncio.gather(*(server.batches.read([query]) for query in queries))
    return [answer for (answer,) in found]


async def test_one_release_alone_is_asked_at_once_and_as_ever(monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_SECONDS", 1000.0)
    server, query = Server(), ask(1)
    async with asyncio.timeout(1):
        assert await server.batches.read([query]) == [server.alone(query)]
        await server.batches.read([ask(1, AT + timedelta(seconds=10))])
    assert server.asked[0] == query


async def test_all_edges_of_one_release_are_one_question():
    server = Server()
    queries = [ask(1, template=SLOW.beyond(edge)) for edge in (100, 250, 500)]
    answers = await server.batches.read(queries)
    assert len(server.asked) == 1
    assert [rows(one) for one in answers] == [rows(server.alone(query)) for query in queries]


async def test_releases_with_one_instant_are_one_question_and_each_gets_its_own():
    server, queries = Server(), [ask(number) for number in range(20)]
    await server.get_company()
    answers = await read_all(server, queries)
    assert len(server.asked) == 1
    assert [rows(one) for one in answers] == [rows(server.alone(query)) for query in queries]


async def test_no_question_is_about_more_releases_than_are_allowed():
    server, queries = Server(), [ask(number) for number in range(2 * MOST_ASKERS + 5)]
    await server.get_company()
    answers = await read_all(server, queries)
    assert len(server.asked) == 3
    assert [rows(one) for one in answers] == [rows(server.alone(query)) for query in queries]


async def test_other_instants_and_plain_queries_are_asked_apart():
    server = Server()
    await server.get_company()
    plain = Query("p", "vector(1.0)", "ml", AT)
    others = [ask(1), ask(2), ask(3, AT + timedelta(seconds=1)), plain]
    answers = await read_all(server, others)
    assert len(server.asked) == 3
    assert [rows(one) for one in answers] == [rows(server.alone(query)) for query in others]


async def test_while_many_are_on_their_way_others_gather(monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_SECONDS", 0.0)
    server = Server()
    await server.get_company()
    server.gate.clear()
    early = [ask(n, AT - timedelta(seconds=n + 1)) for n in range(batches.AT_ONCE)]
    tasks = [asyncio.ensure_future(server.batches.read([query])) for query in early]
    queries = [ask(number) for number in range(20)]
    for query in queries:
        tasks.append(asyncio.ensure_future(server.batches.read([query])))
        await asyncio.sleep(0.002)
    assert len(server.asked) == batches.AT_ONCE
    server.gate.set()
    answers = [answer for (answer,) in await asyncio.gather(*tasks)]
    assert len(server.asked) == batches.AT_ONCE + 1
    assert [rows(one) for one in answers] == [rows(server.alone(q)) for q in [*early, *queries]]


async def test_whoever_goes_away_takes_no_answer_from_others():
    server, queries = Server(), [ask(number) for number in range(3)]
    await server.get_company()
    server.gate.clear()
    tasks = [asyncio.ensure_future(server.batches.read([query])) for query in queries]
    while not server.asked:
        await asyncio.sleep(0.001)
    tasks[0].cancel()
    server.gate.set()
    gone, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    assert [rows(one) for (one,) in others] == [rows(server.alone(q)) for q in queries[1:]]


async def test_a_batch_that_is_too_much_is_asked_one_by_one_and_the_next_are_smaller():
    server, queries = Server(Unreadable("422", too_much=True)), [ask(n) for n in range(20)]
    await server.get_company()
    answers = await read_all(server, queries)
    assert [rows(one) for one in answers] == [rows(server.alone(query)) for query in queries]
    assert len(server.asked) == 21
    await read_all(server, [ask(n, AT + timedelta(seconds=10)) for n in range(20)])
    assert len(server.asked) == 23


@pytest.mark.parametrize(
    ("refusal", "size"), [(Unreadable("503"), 20), (Unreadable("silent", late=True), 10)]
)
async def test_a_batch_that_fails_is_no_answer_to_anybody_for_this_look(refusal, size):
    server = Server(refusal)
    await server.get_company()
    assert await read_all(server, [ask(number) for number in range(20)]) == [refusal] * 20
    assert len(server.asked) == 1, "nobody asks a Prometheus that is in trouble once more"
    later = [ask(number, AT + timedelta(seconds=10)) for number in range(20)]
    assert not any(isinstance(one, Unreadable) for one in await read_all(server, later))
    assert len(server.asked) == 1 + 20 // size


async def test_small_batches_grow_again():
    server = Server(Unreadable("silent", late=True))
    await server.get_company()
    await read_all(server, [ask(number) for number in range(20)])
    for number in range(1, 12):
        server.time += 60.0
        server.asked.clear()
        at = AT + timedelta(minutes=number)
        await read_all(server, [ask(n, at) for n in range(2)])
        await read_all(server, [ask(n, at + timedelta(seconds=10)) for n in range(40)])
    assert len(server.asked) <= 2


async def test_a_mistake_in_taking_an_answer_apart_leaves_nobody_waiting(monkeypatch):
    server = Server()
    await server.get_company()
    monkeypatch.setattr(batches.Batch, "parted", lambda *_: 1 / 0)
    async with asyncio.timeout(2):
        found = await asyncio.gather(
            *(server.batches.read([ask(n)]) for n in range(3)), return_exceptions=True
        )
    assert [type(one) for one in found] == [ZeroDivisionError] * 3
