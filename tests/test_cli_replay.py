"""`penstock replay`: what it prints, and what it says of files that it cannot use."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from penstock.cli.app import app

HEADER = {
    "analysis": {"falseAlarmRate": 1, "missRate": 5, "warmUp": "0s", "interval": "60s"},
    "metric": {"kind": "proportion", "maxIncrease": 20, "slack": 0.1},
    "ladder": [1, 5, 25, 50, 100],
}
KEYS = ["stream", "t", "verdict", "logEvidence", "ratio", "why"]
SUMMARY_KEYS = ["stream", "worseAt", "safeAt", "candidateRequests", "candidateBad"]
VERDICTS = {"Learning", "Safe", "Worse", "NoData", "Untrusted"}
LINE = {
    "stream": "s",
    "t": 60,
    "phase": "release",
    "weight": 10,
    "candidate": {"pod-a": [600, 4]},
    "stable": {"pod-1": [2700, 13], "pod-2": [2700, 12]},
}


def stream(name="s", looks=10, rates=(0.005, 0.005), weight=10, seconds=60, seed=1):
    """Lines of a release whose candidate has two pods of three."""
    generator = np.random.default_rng((seed, looks))
    found = []
    for number in range(1, looks + 1):
        arms = []
        for prefix, share, rate in zip(("new", "old"), (weight, 100 - weight), rates, strict=True):
            totals = generator.poisson(6000 * share / 200, 2).tolist()
            arms.append({f"{prefix}-{pod}": [n, int(generator.binomial(n, rate))]
                         for pod, n in enumerate(totals)})  # fmt: skip
        found.append(
            {"stream": name, "t": seconds * number, "phase": "release", "weight": weight,
             "candidate": arms[0], "stable": arms[1]}
        )  # fmt: skip
    return found


def past(name="s", seconds=60, count=60, pods=4, bad=2, start=-3600):
    """Lines of a history; `bad` answers of every pod and interval, one more in every fourth."""
    return [
        {"stream": name, "t": start + seconds * (number + 1), "phase": "history",
         "stable": {f"old-{pod}": [15 * seconds, bad + (number % 4 == pod)] for pod in range(pods)}}
        for number in range(count)
    ]  # fmt: skip


def text(*lines):
    return "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)


def run(content, *options, file=None):
    """Run the command on a text from stdin, or on a file."""
    words = ["replay", str(file or "-"), *options]
    return CliRunner().invoke(app, words, input=None if file else content)


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def printed(result):
    """Return the lines printed; no command that worked has left anything else behind."""
    assert result.exception is None or result.exit_code in (0, 3), result.exception
    return [json.loads(line, parse_constant=refuse) for line in result.stdout.splitlines()]


def judged(*lines):
    result = run(text(*lines))
    assert result.exit_code == 0, result.stderr
    return printed(result)


def test_each_interval_of_a_release_is_one_line_with_the_documented_fields():
    lines = judged(HEADER, *past(), *stream())
    assert [line["t"] for line in lines] == [60.0 * number for number in range(1, 11)]
    for line in lines:
        assert list(line) == KEYS
        assert list(line["logEvidence"]) == ["worse", "safe"]
        assert (line["stream"], len(line["ratio"])) == ("s", 3)
        assert line["verdict"] in VERDICTS
        assert line["why"].startswith("errors: candidate ")


@pytest.mark.parametrize(("rate", "verdict"), [(0.005, "Safe"), (0.05, "Worse")])
def test_a_good_release_ends_safe_and_a_bad_one_worse(rate, verdict):
    assert judged(HEADER, *stream(rates=(rate, 0.005)))[-1]["verdict"] == verdict


def test_an_unknown_ratio_is_null():
    quiet = LINE | {"candidate": {"a": [600, 0]}, "stable": {"b": [5400, 0]}}
    never = LINE | {"candidate": {"a": [600, 60]}, "stable": {"b": [5400, 0]}}
    assert judged(HEADER, quiet)[0]["ratio"] is None
    low, mid, high = judged(HEADER, never)[0]["ratio"]
    assert low > 1
    assert (mid, high) == (None, None)


def test_a_summary_is_one_line_per_stream_with_the_documented_fields():
    lines = text(HEADER, *stream("good", 20), *stream("bad", 20, (0.05, 0.005)))
    good, bad = printed(run(lines, "--summary"))
    assert list(good) == list(bad) == SUMMARY_KEYS
    assert (good["stream"], good["worseAt"], bad["stream"]) == ("good", None, "bad")
    assert 0 < good["safeAt"] <= 1200
    requests = sum(total for line in stream("good", 20) for total, _ in line["candidate"].values())
    assert good["candidateRequests"] == requests
    assert bad["worseAt"] < 1200
    assert bad["candidateRequests"] < requests


def test_a_summary_tells_the_first_of_the_verdicts_that_are_printed_without_it():
    lines = text(HEADER, *stream(looks=20, rates=(0.02, 0.005)))
    every, (short,) = printed(run(lines)), printed(run(lines, "--summary"))
    first = {line["verdict"]: line["t"] for line in reversed(every)}
    assert short["worseAt"] == first["Worse"]


def test_a_file_and_stdin_say_the_same(tmp_path):
    content = text(HEADER, *stream())
    file = tmp_path / "last-month.jsonl"
    file.write_text(content)
    assert run("", file=file).stdout == run(content).stdout != ""


def test_empty_lines_and_the_order_of_streams_do_not_matter():
    one, other = stream("one"), stream("other", rates=(0.03, 0.005), seed=2)
    mixed = [line for both in zip(one, other, strict=True) for line in both]
    apart = judged(HEADER, *one) + judged(HEADER, *other)
    assert judged(HEADER, *mixed) == apart
    assert judged(HEADER, "", *mixed[:5], "  ", *mixed[5:], "") == apart


def test_streams_have_histories_of_their_own():
    loud = past("loud", bad=9)
    both = judged(HEADER, *loud, *past("calm"), *stream("loud"), *stream("calm"))
    assert both == judged(HEADER, *loud, *stream("loud")) + judged(
        HEADER, *past("calm"), *stream("calm")
    )
    assert both[9]["logEvidence"] != both[19]["logEvidence"]


def test_a_history_may_have_an_interval_of_its_own():
    fine = HEADER | {"analysis": {"warmUp": "0s", "interval": "10s"}}
    short = past(seconds=10, count=360)
    for number, line in enumerate(short):
        line["stable"]["old-1"][1] += 9 * (number % 7 == 0)
    minutes = []
    for at in range(0, 360, 6):
        parts = [line["stable"] for line in short[at : at + 6]]
        sums = {pod: np.sum([part[pod] for part in parts], 0).tolist() for pod in parts[0]}
        minutes.append(short[at + 5] | {"stable": sums})
    release = stream(seconds=10)
    assert judged(fine, *minutes, *release) == judged(fine, *short, *release)
    assert judged(fine, *minutes, *release) != judged(fine, *release)


def test_a_line_without_a_phase_belongs_to_the_release():
    plain = [{key: value for key, value in line.items() if key != "phase"} for line in stream()]
    assert judged(HEADER, *plain) == judged(HEADER, *stream())


def test_a_distribution_is_judged_at_its_edges():
    header = HEADER | {"edges": [100, 250], "metric": {"kind": "distribution", "unit": "ms"}}
    slow = [
        LINE
        | {"t": 60 * number, "candidate": {"a": [600, 60, 40]}, "stable": {"b": [5400, 540, 50]}}
        for number in (1, 2, 3)
    ]
    last = judged(header, *slow)[-1]
    assert last["verdict"] == "Worse"
    assert last["why"].startswith("slow requests over 250 ms: candidate 6.67 % (120 of 1,800)")
    within = header | {"metric": header["metric"] | {"edges": [100, 250]}, "edges": []}
    assert judged(within, *slow)[-1] == last


def test_a_fall_of_what_should_be_high_is_worse():
    header = HEADER | {"metric": {"name": "success", "better": "Higher", "slack": 0}}
    last = judged(header, *stream(rates=(0.4, 0.9)))[-1]
    assert last["verdict"] == "Worse"
    assert "; less than the tolerated 0.8 times; evidence" in last["why"]


def test_sticky_users_may_have_any_share():
    off = [line | {"weight": 50} for line in stream()]
    assert judged(HEADER, *off)[-1]["verdict"] == "Untrusted"
    assert judged(HEADER | {"sticky": True}, *off)[-1]["verdict"] != "Untrusted"


def test_defaults_stand_in_for_a_header_without_fields():
    lines = judged({}, *stream(seconds=10))
    assert {line["verdict"] for line in lines} == {"Learning"}, "all of it is warm-up"


def failed(*lines, header=HEADER):
    """Return the one line that tells what is wrong."""
    result = run(text(header, *lines))
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr.removeprefix("penstock replay: -: ").rstrip()


def without(key):
    return {name: value for name, value in LINE.items() if name != key}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{oops", "line 3 is not JSON"),
        ('{"stream": "s", "t": 60', "line 3 is not JSON"),
        ("[1, 2]", "line 3 is not a JSON object"),
        ("7", "line 3 is not a JSON object"),
        (without("stream"), "line 3: stream is missing"),
        (without("t"), "line 3: t is missing"),
        (without("weight"), "line 3: weight is missing"),
        (without("candidate"), "line 3: candidate is missing"),
        (without("stable"), "line 3: stable is missing"),
        (without("t") | {"phase": "history"}, "line 3: t is missing"),
        (
            LINE | {"candidate": {"a": [4, 600]}},
            "line 3: a has the counts [4, 600]: a part must not exceed the whole",
        ),
        (
            LINE | {"stable": {"b": [4, -1]}},
            "line 3: b has the counts [4, -1]: a part must not exceed the whole",
        ),
        (
            LINE | {"candidate": {"a": [math.nan, 0]}},
            "line 3: a has [NaN, 0]: write a list of numbers",
        ),
        (LINE | {"candidate": {"a": [600]}}, "line 3: a has 1 counts where 2 are needed"),
        (LINE | {"stable": {"b": [9, 4, 1]}}, "line 3: b has 3 counts where 2 are needed"),
        (LINE | {"weight": 120}, "line 3: weight 120 is not within 0 and 100 percent"),
        (LINE | {"weight": -1}, "line 3: weight -1 is not within 0 and 100 percent"),
        (LINE | {"weight": math.nan}, "line 3: weight NaN: write a number"),
        (LINE | {"t": 30}, "line 3: t 30 is not an interval of 60 s after 60; t is the end of"),
        (LINE, "line 3: t 60 is not an interval of 60 s after 60"),
        (LINE | {"t": 61}, "line 3: t 61 is not an interval of 60 s after 60"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_what_to_write(line, told):
    assert failed(LINE, line).startswith(told)


def test_the_second_edge_must_not_exceed_the_first():
    header = HEADER | {"edges": [100, 250]}
    line = LINE | {"candidate": {"a": [9, 3, 4]}, "stable": {}}
    assert failed(line, header=header).startswith("line 2: a has the counts [9, 3, 4]: a part must")
    assert failed(LINE, header=header) == "line 2: pod-1 has 2 counts where 3 are needed"


@pytest.mark.parametrize("line", [{"t": "soon"}, {"weight": "10 %"}, {"t": None}])
def test_a_line_with_words_for_numbers_is_named(line):
    assert failed(LINE, LINE | line).startswith("line 3: ")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("{oops", "line 1 is not JSON"),
        ("[1]", "line 1 is not a JSON object"),
        ({"analysis": {"interval": "sixty"}}, "line 1: analysis.interval: 'sixty' is not a durat"),
        ({"analysis": {"falseAlarmRate": 0}}, "line 1: analysis.falseAlarmRate: it should be gr"),
        ({"analysis": {"missRate": 90}}, "line 1: analysis.missRate: it should be less than"),
        ({"metric": {"kind": "mode"}}, "line 1: metric.kind: write 'proportion'"),
        ({"metric": {"better": "lower"}}, "line 1: metric.better: write 'Lower' or 'Higher'"),
        ({"metric": {"maxIncrease": -1}}, "line 1: metric.maxIncrease: it should be greater"),
        ({"metric": {"maxDecrease": 100}}, "line 1: metric.maxDecrease: it should be less than"),
        ({"metric": {"slack": "much"}}, "line 1: metric.slack: it should be a valid number"),
        ({"metric": {"kind": "distribution"}}, "line 1: the file: a distribution needs edges"),
        ({"edges": [250, 100]}, "line 1: the file: edges must rise"),
        ({"edges": [1, 2, 3, 4]}, "line 1: edges: "),
        ({"ladder": [0, 50]}, "line 1: ladder.0: it should be greater than 0"),
        ({"ladder": 5}, "line 1: ladder: "),
    ],
)
def test_a_header_that_cannot_be_used_is_line_1_and_what_to_write(header, told):
    assert failed(LINE, header=header).startswith(told)


def test_all_mistakes_of_a_header_are_told_at_once():
    header = {"analysis": {"missRate": 90}, "ladder": [500]}
    said = failed(LINE, header=header)
    assert "analysis.missRate: " in said
    assert "; ladder.0: " in said


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_lacks_line_1(content):
    result = run(content)
    assert result.exit_code == 2
    assert result.stderr.startswith("penstock replay: -: there is nothing: write a header")
    assert result.stderr.strip().count("\n") == 0


def test_a_header_alone_says_what_should_follow():
    assert failed() == "there is no line after the header: write one per closed interval"


def test_a_stream_with_a_history_alone_says_what_should_follow():
    assert failed(*past()) == 'stream s has no line with "phase": "release"'


def test_a_directory_is_no_file(tmp_path):
    result = run("", file=tmp_path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"penstock replay: {tmp_path}: ")
    assert result.stderr.count("\n") == 1


def test_nothing_is_printed_of_a_file_with_a_wrong_line():
    assert run(text(HEADER, *stream(), "{oops")).stdout == ""


def test_fields_of_the_header_that_are_not_known_are_warned_of_and_ignored():
    odd = HEADER | {"metric": HEADER["metric"] | {"maxIncreese": 90}, "metrics": {}}
    result = run(text(odd, LINE))
    assert "line 1: metric.maxIncreese is not a field; did you mean maxIncrease?\n" in result.stderr
    assert "line 1: metrics is not a field; did you mean metric?\n" in result.stderr
    assert result.exit_code == 0
    assert printed(result) == judged(HEADER, LINE)


def test_what_verdicts_cannot_promise_is_noted_beside_the_lines():
    result = run(text(HEADER, *past(count=12, bad=0), LINE))
    assert "penstock replay: s: 1 candidate pod may differ by " in result.stderr
    assert "penstock replay: s: stable's history has only 12 bad answers: " in result.stderr
    assert len(printed(result)) == 1


GOOD, BAD, SHORT = stream("g", 20), stream("b", 20, (0.05, 0.005)), stream("x", 1)


@pytest.mark.parametrize(
    ("lines", "never", "worse", "not_safe"),
    [
        (GOOD, 0, 0, 0),
        (BAD, 0, 3, 3),
        (SHORT, 0, 0, 3),
        ([*GOOD, *SHORT], 0, 0, 3),
        ([*GOOD, *BAD], 0, 3, 3),
    ],
)
def test_the_exit_code_is_3_where_a_stream_fails(lines, never, worse, not_safe):
    codes = [
        run(text(HEADER, *lines), *options).exit_code
        for options in (
            ("--summary",),
            ("--summary", "--fail-on", "worse"),
            ("--fail-on", "not-safe"),
        )
    ]
    assert codes == [never, worse, not_safe]


def test_an_unknown_reason_to_fail_is_refused():
    result = run(text(HEADER, *GOOD), "--fail-on", "sometimes")
    assert result.exit_code == 2
    assert "sometimes" in result.stderr


def test_help_shows_a_header_and_a_line_that_work():
    result = CliRunner().invoke(app, ["replay", "--help"])
    assert result.exit_code == 0
    lines = [line.removeprefix("  ") for line in result.stdout.splitlines()]
    header, line = (
        json.loads("".join(lines[begin : begin + count]))
        for begin, count in (
            (next(i for i, line in enumerate(lines) if line.startswith('{"analysis"')), 3),
            (next(i for i, line in enumerate(lines) if line.startswith('{"stream"')), 2),
        )
    )
    assert len(judged(header, line)) == 1


def test_help_shows_examples_as_they_are_typed():
    text = CliRunner().invoke(app, ["replay", "--help"]).stdout
    assert (
        "  Exit codes: 0 judged, 2 the input cannot be used, 3 see --fail-on.\n"
        "  Examples:   penstock replay last-month.jsonl --summary --fail-on worse\n"
        "              penstock replay fraud-7 -n ml\n"
        "              penstock replay --prometheus http://localhost:9090 -f rollout.yaml \\\n"
        "                -f istio-errors.yaml --stable v1 --candidate v2 --from -3h --to -1h\n"
    ) in text
    assert "\\b" not in text


def test_a_command_without_words_shows_what_there_is():
    result = CliRunner().invoke(app, [])
    assert "replay" in result.output


COUNTS = st.tuples(st.sampled_from((0, 0, 1, 3, 50, 10**6)), st.sampled_from((0.0, 0.3, 1.0))).map(
    lambda pair: [pair[0], int(pair[0] * pair[1])]
)
PODS = st.dictionaries(st.sampled_from(("a", "b", "c")), COUNTS, max_size=3)


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
@settings(deadline=None, max_examples=25)
@given(
    pods=st.lists(st.tuples(PODS, PODS), min_size=1, max_size=4),
    history=st.lists(PODS, max_size=3),
    weight=st.sampled_from((0, 0.01, 50, 100)),
    metric=st.sampled_from(
        (
            {"slack": 0},
            {"slack": 50},
            {"better": "Higher", "maxDecrease": 99},
            {"maxIncrease": 0, "maxDecrease": 0, "slack": 0},
        )
    ),
    summary=st.booleans(),
)
def test_whatever_is_counted_every_line_is_json(pods, history, weight, metric, summary):
    before = [
        {"stream": "s", "t": number, "phase": "history", "stable": stable}
        for number, stable in enumerate(history)
    ]
    lines = [
        LINE | {"t": 60 * number, "weight": weight, "candidate": candidate, "stable": stable}
        for number, (candidate, stable) in enumerate(pods, 1)
    ]
    result = run(text(HEADER | {"metric": metric}, *before, *lines), *["--summary"] * summary)
    assert result.exit_code == 0
    assert len(printed(result)) == (1 if summary else len(lines))
    assert "NaN" not in result.stdout
    assert "Infinity" not in result.stdout


def test_a_proof_without_end_is_a_large_number():
    header = HEADER | {"metric": {"better": "Higher", "slack": 0}, "ladder": [11]}
    (line,) = judged(header, LINE)
    assert line["logEvidence"]["safe"] == 1e308
    assert line["verdict"] == "Safe"


BUGS = {
    "t NaN": (LINE | {"t": math.nan}, "line 3: "),
    "t infinite": (LINE | {"t": math.inf}, "line 3: "),
    "counts infinite": (LINE | {"t": 120, "candidate": {"a": [math.inf, 0]}}, "line 3: "),
    "parts of answers": (LINE | {"t": 120, "candidate": {"a": [60.5, 4.5]}}, "line 3: "),
    "truths": (LINE | {"t": 120, "candidate": {"a": [True, False]}}, "line 3: "),
    "phase": (LINE | {"t": 120, "phase": "History"}, "line 3: "),
    "words": (LINE | {"t": 120, "candidate": {"a": ["600", "4"]}}, "line 3: a has "),
    "list": (LINE | {"t": 120, "candidate": [600, 4]}, "line 3: candidate"),
    "number": (LINE | {"t": 120, "candidate": {"a": 600}}, "line 3: a "),
    "null": (LINE | {"t": 120, "candidate": None}, "line 3: candidate"),
    "named": (LINE | {"t": 120, "candidate": {"a": {"total": 9, "bad": 1}}}, "line 3: a "),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", BUGS)
def test_what_is_no_count_or_time_is_told_as_other_mistakes_are(name):
    line, told = BUGS[name]
    said = failed(LINE, line)
    assert said.startswith(told)
    assert "'" not in said, "a type of Python"


def test_an_interval_of_no_time_is_a_mistake_of_the_header():
    said = failed(LINE, header=HEADER | {"analysis": {"interval": "0s"}})
    assert said.startswith("line 1: analysis.interval")


def test_a_file_that_is_no_text_is_told_in_one_line(tmp_path):
    file = tmp_path / "stream.jsonl.gz"
    file.write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    result = run("", file=file)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_an_empty_file_says_what_to_write():
    assert "header" in run("").stderr
