"""What is printed: figures with their uncertainty, targets met or not, all sections and tables."""

import io
import pickle
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import binomtest

from tests.bench_evidence import __main__ as command
from tests.bench_evidence import cost, jobs, tables
from tests.bench_evidence.jobs import Driven, Split, called
from tests.bench_evidence.outcomes import Climbs, Fates, Median, Met, Share, joined, worst_of
from tests.bench_evidence.peers import NEVER
from tests.bench_evidence.points import POINTS
from tests.bench_evidence.streams import SHARES

RULES = ("Flagger", "chi2 peeked each look", called(0.1), called(0))


def test_the_interval_of_a_share_is_the_exact_one():
    for hits, of in ((0, 1000), (3, 1000), (990, 1000), (1000, 1000)):
        share, oracle = Share(hits, of), binomtest(hits, of).proportion_ci(method="exact")
        assert share.low == pytest.approx(100 * oracle.low)
        assert share.high == pytest.approx(100 * oracle.high)
    assert str(Share(3, 1000)) == "0.3 % (0.062 to 0.87)"


@pytest.mark.parametrize(
    ("hits", "met"), [(0, Met.YES), (10, Met.YES), (12, Met.WITHIN), (30, Met.NO)]
)
def test_a_share_above_its_target_is_missed_only_beyond_its_error(hits, met):
    assert Share(hits, 1000).at_most(1) is met
    assert Share(1000 - hits, 1000).at_least(99) is met


def test_a_median_has_an_interval_and_may_be_never():
    rng = np.random.default_rng(1)
    within = [
        (one := Median.of(rng.exponential(1, 200))).low <= np.log(2) <= one.high for _ in range(300)
    ]
    assert 0.92 <= np.mean(within) <= 0.99
    never = Median.of(np.array([1.0, np.inf, np.inf]))
    assert str(never) == "never in the median"
    assert never.at_most(5) is Met.WITHIN
    assert Median.of(np.full(100, 7.0)).at_most(6) is Met.NO
    assert worst_of([Met.YES, Met.NO, Met.WITHIN]) is Met.NO


def test_every_job_can_be_sent_to_another_process():
    for job in {job for point in POINTS for job in point.jobs} | set(tables.JOBS):
        assert pickle.loads(pickle.dumps(job.run)).__self__ == job


def test_equal_jobs_run_once_in_chunks_that_are_joined_in_order(monkeypatch):
    monkeypatch.setattr(jobs, "CHUNK", 2)
    monkeypatch.setattr(jobs, "executor", ThreadPoolExecutor)
    job, said = Split(SHARES[2]), []
    found = jobs.simulate([job, Split(SHARES[2])], 5, said.append)
    parts = [job.run(size, seed) for seed, size in enumerate((2, 2, 1))]
    expected = joined([part["Penstock"] for part in parts])
    assert len(found) == len(said) == 1
    np.testing.assert_array_equal(found[job]["Penstock"].at, expected.at)


def outcome(job, bad):
    """Return three releases that all went as well, or all as badly, as they can."""
    yes, no = np.ones(3, bool), np.zeros(3, bool)
    if isinstance(job, Driven):
        return Climbs(yes, no, np.full(3, 500.0 if bad else 1.0))
    at = np.full(3, NEVER if bad else 0)
    return Fates(at, no, np.full(3, np.inf if bad else 50.0), np.ones(3), at, yes)


class Everything(dict):
    """Results in which each job has all rules, with equal outcomes."""

    def __init__(self, bad):
        super().__init__()
        self.bad = bad

    def __missing__(self, job):
        one = outcome(job, self.bad)
        return defaultdict(lambda: one, dict.fromkeys(RULES, one))


SIMULATED = [point for point in POINTS if point.jobs]


@pytest.mark.parametrize("point", SIMULATED, ids=lambda point: point.name)
@pytest.mark.parametrize("bad", [False, True])
def test_every_section_has_rows_and_tells_what_is_missed(point, bad):
    rows = list(point.rows(Everything(bad)))
    assert all(row.what and row.measured for row in rows)
    if point.name == "detection":
        assert any(row.met is Met.NO for row in rows) == bad
    assert len({row.what for row in rows}) == len(rows)


def test_every_table_has_all_its_columns():
    console = Console(file=io.StringIO(), width=160)
    for table in tables.tables(Everything(bad=False)):
        console.print(table)
    text = console.file.getvalue()
    assert text.count(called(0.1)) == 10
    assert "50" in text
    assert "Iter8" in text


def test_the_command_prints_the_sections_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(command, "simulate", lambda *_: Everything(bad=True))
    monkeypatch.setattr("sys.argv", ["bench", "promotion", "detection", "--replicates", "3"])
    assert command.main() == 0
    text = capsys.readouterr().out
    assert "2. Detection" in text
    assert "3. Promotion" in text
    assert "NOT MET" in text
    assert "1. False" not in text


def test_an_unknown_section_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench", "nonsense"])
    with pytest.raises(SystemExit):
        command.main()
    assert "no section nonsense; there are tables, false-rollbacks" in capsys.readouterr().err


def test_the_record_that_is_measured_is_full_and_fits():
    record = cost.metric(600, cost.SERVICE, {"": 0.005})
    assert len(record.first) == 512
    assert {step for step in record.first.table.step} == {0, 1, 2, 3}
    assert cost.judged(record).why.startswith("errors: candidate")
    assert cost.stored(looks=70).met is Met.YES
