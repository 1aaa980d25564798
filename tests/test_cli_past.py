"""What `penstock replay --prometheus` reads before it asks: files and times."""

import json
import re
import threading
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from penstock.cli import past
from penstock.cli.app import app
from penstock.cli.refusal import InputError

CATALOGUE = Path(__file__).parents[1] / "manifests/base/catalogue"
ERRORS = CATALOGUE / "istio-errors.yaml"
ALL = [path for path in sorted(CATALOGUE.glob("*.yaml")) if path.stem != "kustomization"]


def manifest(*metrics, **changes):
    """Return a Rollout with some metrics; changes go to its spec."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "fraud", "namespace": "ml"},
        "spec": {
            "version": "v2",
            "traffic": {"service": "fraud", "route": {"delegate": "fraud-split"}},
            "strategy": {"canary": {"steps": [{"weight": 5}, {"weight": 50}]}},
            "analysis": {"metrics": list(metrics) or [{"template": "istio-errors"}]},
            **changes,
        },
    }


@pytest.fixture
def rollout(tmp_path):
    """Return a function that writes manifests to a file."""

    def write(*manifests):
        file = tmp_path / "rollout.yaml"
        file.write_text(yaml.safe_dump_all(manifests))
        return file

    return write


def refused(*files):
    with pytest.raises(InputError) as caught:
        past.read_plan(files)
    return str(caught.value).splitlines()


def test_a_plan_is_a_rollout_with_the_templates_of_its_metrics(rollout):
    found = past.read_plan([rollout(manifest({"template": "istio-errors", "name": "e"})), *ALL])
    assert (found.name, found.namespace, found.spec.version) == ("fraud", "ml", "v2")
    assert list(found.templates) == ["e"]
    assert "istio_requests_total" in found.templates["e"].proportion.total
    assert found.target.version_host("v2") == "fraud.ml.svc.cluster.local"


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_template_of_the_catalogue_is_taken(path, rollout):
    template = yaml.safe_load(path.read_text())
    metric = {"template": path.stem}
    if "distribution" in template["spec"]:
        metric["edges"] = [100]
    if "$args.label" in path.read_text():
        metric["args"] = {"label": "version"}
    assert list(past.read_plan([path, rollout(manifest(metric))]).templates) == [path.stem]


def test_a_template_that_is_in_no_file_is_asked_for(rollout):
    file = rollout(manifest({"template": "istio-errors"}, {"template": "mine"}))
    said = "MetricTemplate {} is in none of the files: add it with -f"
    assert refused(file) == [said.format("istio-errors"), said.format("mine")]
    assert refused(file, ERRORS) == [said.format("mine")]


def test_every_mistake_of_the_files_has_a_line_of_its_own(rollout):
    metric = {"template": "istio-errors", "maxIncrese": 5, "slack": 90}
    template = {
        "apiVersion": "penstock.dev/v1",
        "kind": "MetricTemplate",
        "metadata": {"name": "istio-errors"},
        "spec": {"proportion": {"totl": "a{$variant}"}},
    }
    assert [line.split(";")[0] for line in refused(rollout(manifest(metric), template))] == [
        "Rollout fraud: spec.analysis.metrics.0.slack: it should be less than or equal to 50",
        "Rollout fraud: spec.analysis.metrics.0.maxIncrese is not a field",
        "MetricTemplate istio-errors: apiVersion: write penstock.dev/v1alpha1",
        "MetricTemplate istio-errors: spec.proportion.total is missing",
        "MetricTemplate istio-errors: spec.proportion.totl is not a field",
    ]


def test_contradictions_are_told_all_at_once(rollout):
    steps = [{"weight": 5, "bake": "2h", "deadline": "1h"}, {"weight": 50}]
    file = rollout(
        manifest(
            {"template": "istio-errors", "edges": [1]},
            {"template": "istio-errors"},
            strategy={"canary": {"steps": steps}},
        )
    )
    assert refused(file, ERRORS) == [
        "spec.strategy.canary.steps.0.bake (1m when not given) must not be longer than deadline",
        "spec.analysis.metrics.1: another metric has the name istio-errors: give each its own",
        "metric istio-errors: edges need a template with a distribution",
    ]


def test_a_step_without_a_bake_may_have_a_short_deadline_only_if_it_says_so(rollout):
    def with_steps(step):
        return rollout(manifest(strategy={"canary": {"steps": [step]}}))

    assert "bake" in refused(with_steps({"weight": 5, "deadline": "30s"}), ERRORS)[0]
    past.read_plan([with_steps({"weight": 5, "bake": "0s", "deadline": "30s"}), ERRORS])


@pytest.mark.parametrize(("count", "names"), [(0, "none"), (2, "fraud, fraud")])
def test_there_is_one_rollout(count, names, rollout):
    found = refused(rollout(*[manifest()] * count, {"kind": "Service"}, "text"))
    assert found == [f"there must be one Rollout in the input; found: {names}"]


def test_a_file_that_is_no_text_is_named(tmp_path):
    file = tmp_path / "rollout.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    assert refused(file)[0].startswith(f"{file}: ")


def test_the_command_tells_each_mistake_in_a_line(rollout):
    file = rollout(manifest({"template": "istio-errors"}, {"template": "mine"}))
    options = ("--prometheus", "http://nowhere:9090", "--stable", "v1", "--candidate", "v2")
    result = CliRunner().invoke(app, ["replay", *options, "-f", str(file)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.split(" is in")[0] for line in result.stderr.splitlines()] == [
        "penstock replay: MetricTemplate istio-errors",
        "penstock replay: MetricTemplate mine",
    ]


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("-2h", timedelta(hours=2)),
        ("-1h30m", timedelta(minutes=90)),
        ("-250ms", timedelta(seconds=0.25)),
        ("-0s", timedelta(0)),
    ],
)
def test_a_moment_may_be_some_time_ago(text, ago):
    before = datetime.now(UTC)
    found = past.moment(text)
    assert before <= found + ago <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T09:00:00Z", datetime(2026, 11, 24, 9, tzinfo=UTC)),
        ("2026-11-24T09:00:00", datetime(2026, 11, 24, 9, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24 09:00+02:00", datetime(2026, 11, 24, 9, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_a_moment_may_be_in_iso_8601_and_is_in_utc_unless_it_says_so(text, moment):
    assert past.moment(text) == moment
    assert past.moment(text).tzinfo is not None


@pytest.mark.parametrize("text", ["yesterday", "", "-", "-2", "-2 h", "2h", "2026-13-01", "--1h"])
def test_what_is_no_time_says_what_to_write(text):
    with pytest.raises(past.PastError, match="is no time: write 2026-11-24T09:00:00Z, or -2h"):
        past.moment(text)


# ---- what Prometheus remembers -----------------------------------------------------------------

MEAN = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "MetricTemplate",
    "metadata": {"name": "revenue"},
    "spec": {
        "better": "Higher",
        "mean": {
            "sum": 'v_sum{destination_canonical_revision!="",$variant}',
            "count": 'v_count{destination_canonical_revision!="",$variant}',
            "sumOfSquares": 'v_squares{destination_canonical_revision!="",$variant}',
        },
    },
}
CLASSES = {
    **MEAN,
    "metadata": {"name": "classes"},
    "spec": {
        "categories": {
            "counts": 'p_total{destination_canonical_revision!="",$variant}',
            "label": "class",
        },
    },
}
END = datetime(2026, 11, 24, 9, tzinfo=UTC)


class Remembered(BaseHTTPRequestHandler):
    """Answers with counters of six pods; v2 is worth `worth`, v1 5 an answer.

    Of the answers of v1 a fifth are of class fraud, of v2 `fraud`.
    """

    worth = 5.0
    fraud = 0.2

    def do_GET(self):
        asked = {name: one[0] for name, one in parse_qs(urlparse(self.path).query).items()}
        if "time" in asked:
            rows = [
                {"metric": {"class": name}, "value": [0, str(count)]}
                for name, count in (("ok", 80_000), ("fraud", 20_000))
            ]
            self.say("vector", rows)
            return
        begin, end, step = (float(asked[name]) for name in ("start", "end", "step"))
        times = np.arange(begin, end + step / 2, step)
        version = re.search(r'destination_canonical_revision="(v\d)"', asked["query"])[1]
        share = 0.2 if version == "v1" else self.fraud
        named = re.search(r'class(!~|=)"(\w+)', asked["query"])
        self.share = {"fraud": share, "ok": 1 - share}[named[2]] if named else 0.0
        self.share = 0.0 if named and named[1] == "!~" else self.share
        mean = 5.0 if version == "v1" else self.worth
        rows = []
        for name in dict.fromkeys(re.findall(r'"((?:own|given)/\w+)"', asked["query"])):
            for pod in "abcdef":
                labels = {"penstock": name, "job": "pods", "instance": pod, "pod": pod}
                values = self.counter(name.partition("/")[2], mean, times, pod)
                rows.append({"metric": labels, "values": values})
        self.say("matrix", rows)

    def say(self, kind, rows):
        body = {"status": "success", "data": {"resultType": kind, "result": rows}}
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def counter(self, row, mean, times, pod):
        """600 answers a minute and pod; their mean differs a little from minute to minute."""
        minutes = times / 60 - times[0] // 60
        noise = np.random.default_rng((ord(pod), int(10 * mean))).normal(0, 0.2, len(times))
        level = {"total": 1.0, "bad": self.share, "sum": mean + noise, "squares": 2 * mean**2}[row]
        grown = np.cumsum(600 * np.diff(minutes, prepend=minutes[0]) * level)
        return [[at, f"{value}"] for at, value in zip(times.tolist(), grown, strict=True)]

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def prometheus():
    """Return the address of a server that remembers a mean."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Remembered)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("worth", "verdict"), [(5.0, "Safe"), (3.0, "Worse")])
def test_a_mean_is_judged_by_what_prometheus_remembers(worth, verdict, prometheus, rollout):
    Remembered.worth = worth
    metric = {"template": "revenue", "maxDecrease": 15}
    analysis = {"interval": "60s", "warmUp": "0s", "metrics": [metric]}
    file = rollout(manifest(analysis=analysis), MEAN)
    times = ("--from", (END - timedelta(minutes=40)).isoformat(), "--to", END.isoformat())
    versions = ("--stable", "v1", "--candidate", "v2", "--weight", "50")
    options = ("replay", "--prometheus", prometheus, "-f", str(file), *versions, *times)
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 40
    assert lines[-1]["stream"] == "revenue"
    assert lines[-1]["verdict"] == verdict, lines[-1]["why"] + result.stderr
    told = re.match(r"revenue: candidate ([\d.]+) \(.*stable ([\d.]+) \(", lines[-1]["why"])
    assert [float(one) for one in told.groups()] == pytest.approx([worth, 5.0], rel=0.02)


@pytest.mark.parametrize(("fraud", "verdict"), [(0.2, "Safe"), (0.3, "Worse")])
def test_categories_are_judged_by_the_classes_that_stable_had_before(
    fraud, verdict, prometheus, rollout
):
    Remembered.fraud = fraud
    metric = {"template": "classes", "maxIncrease": 20, "maxDecrease": 20}
    analysis = {"interval": "60s", "warmUp": "0s", "metrics": [metric]}
    file = rollout(manifest(analysis=analysis), CLASSES)
    times = ("--from", (END - timedelta(minutes=40)).isoformat(), "--to", END.isoformat())
    versions = ("--stable", "v1", "--candidate", "v2", "--weight", "50")
    options = ("replay", "--prometheus", prometheus, "-f", str(file), *versions, *times)
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.stderr
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["stream"], last["verdict"]) == ("classes", verdict), last["why"] + result.stderr
    assert "class fraud" in last["why"] or verdict == "Safe"
