import importlib.util
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from penstock.api import mistakes
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.strategy import Strategy
from penstock.cli import contradictions
from penstock.cli.app import app
from penstock.cli.picture.blocks import BLOCKS
from penstock.cli.simulation import play
from tests.api.bad_specs import REFUSED, bad

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.yaml"))
ROLLOUTS = [path for path in EXAMPLES if "kind: Rollout" in path.read_text()]
TRAFFIC = ("--rps", "2000", "--stable-errors", "0.5", "--runs", "5")
GOOD, BAD = ("--candidate-errors", "0.5"), ("--candidate-errors", "9")
TEMPLATE = """
---
apiVersion: penstock.dev/v1alpha1
kind: MetricTemplate
metadata: {name: errors}
spec:
"""


def manifest(change=lambda rollout: None):
    """Return the YAML of a Rollout with a short ladder, after a change."""
    step = {"bake": "20s", "deadline": "10m"}
    rollout = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "fraud"},
        "spec": {
            "version": "v2",
            "traffic": {"service": "fraud", "route": {"delegate": "fraud-split"}},
            "strategy": {"canary": {"steps": [{"weight": w, **step} for w in (5, 50)]}},
            "analysis": {
                "warmUp": "0s",
                "metrics": [{"template": "errors", "maxIncrease": 100, "slack": 1}],
            },
        },
    }
    change(rollout)
    return yaml.safe_dump(rollout)


def simulate(*options, text=None):
    """Return what the command did with a Rollout on stdin."""
    arguments = ["simulate", *(() if "-f" in options else ("-f", "-")), *TRAFFIC, *options]
    return CliRunner().invoke(app, arguments, input=manifest() if text is None else text)


def refused(*options, text=None):
    """Return the lines on stderr of a command that cannot use its input."""
    result = simulate(*options, *GOOD, text=text)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.splitlines()


def test_the_time_line_of_one_run_and_the_totals_of_all_are_printed():
    result = simulate(*BAD)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == (
        "Rollout fraud, version v2, 2 steps, 2000 requests per second; "
        "stable 0.5 % bad, candidate 9 %"
    )
    assert lines[1] == "  00:00:02  weight 5"
    assert lines[2].startswith("  00:00:35  rolled back        Worse: errors: candidate")
    assert lines[3] == (
        "over 5 runs (seed 1): promoted 0 %, rolled back 100 %, waiting at the horizon (20m21s) 0 %"
    )
    assert lines[4] == "  runs rolled back by cause: Worse 5; by weight: 5 at 5"
    assert lines[5].startswith("  time to the end: median 35s, ")
    assert lines[6].startswith("  bad answers of the candidate: median ")
    assert result.stderr == ""


def test_the_same_seed_gives_the_same_output_and_another_seed_another():
    same = [simulate(*GOOD, "--seed", "3").stdout for _ in range(2)]
    assert same[0] == same[1]
    assert simulate(*GOOD, "--seed", "4").stdout != same[0]


def test_json_has_the_same_for_machines():
    found = json.loads(simulate(*BAD, "-o", "json").stdout)
    assert [one["event"] for one in found["timeline"]] == ["Weight", "RolledBack"]
    assert (found["promotedPercent"], found["rolledBackPercent"]) == (0, 100)
    assert found["rolledBackByWeight"] == {"5": 5}
    assert found["candidateBad"]["median"] > found["candidateBadMoreThanStable"]["median"] > 0


@pytest.mark.parametrize(("candidate", "code"), [(GOOD, 0), (BAD, 3)])
def test_too_few_promoted_runs_give_code_3(candidate, code):
    assert simulate(*candidate, "--fail-below", "95").exit_code == code


def test_approvals_are_said_and_given_when_asked_for():
    def with_approval(rollout):
        rollout["spec"]["strategy"]["canary"]["steps"].insert(1, {"approval": {}})

    result = simulate(*GOOD, "--approve-after", "10m", text=manifest(with_approval))
    assert "approvals are given after 10m" in result.stdout
    asked, approved = (
        next(line.split()[0] for line in result.stdout.splitlines() if word in line)
        for word in ("asks for approval", "approved")
    )
    assert (asked, approved) == ("00:00:45", "00:10:45")


def test_every_mistake_of_the_file_has_a_line_of_its_own():
    def mistaken(rollout):
        rollout["spec"]["returnWithn"] = "1h"
        rollout["spec"]["strategy"]["canary"]["steps"][0]["bakee"] = "1m"
        rollout["spec"]["strategy"]["canary"]["steps"][1]["weight"] = 120
        rollout["spec"]["analysis"]["metrics"][0]["maxIncrese"] = 1

    found = refused(text=manifest(mistaken))
    assert [line.split("Rollout fraud: ")[1].split(";")[0] for line in found] == [
        "spec.strategy.canary.steps.1.weight: it should be less than or equal to 99.99",
        "spec.analysis.metrics.0.maxIncrese is not a field",
        "spec.returnWithn is not a field",
        "spec.strategy.canary.steps.0.bakee is not a field",
    ]
    assert found[1].endswith("did you mean maxIncrease?")


def test_what_only_the_api_server_would_refuse_is_refused_too():
    def contradictory(rollout):
        steps = rollout["spec"]["strategy"]["canary"]["steps"]
        steps[0]["approval"], steps[1]["bake"] = {}, "1h"
        metrics = rollout["spec"]["analysis"]["metrics"]
        metrics += [{"template": "errors"}, {"name": "nothing"}, {"template": "x", "edges": [2, 1]}]
        rollout["spec"]["analysis"]["interval"] = "10ms"

    found = [line.removeprefix("penstock simulate: spec.") for line in
             refused(text=manifest(contradictory))]  # fmt: skip
    assert found == [
        "strategy.canary.steps.0: a step is exactly one of weight, mirror, approval, gate",
        "strategy.canary.steps.0: an approval has no deadline: it waits",
        "strategy.canary.steps.1.bake (1m when not given) must not be longer than deadline",
        "analysis.interval must be at least 1s",
        "analysis.metrics.1: another metric has the name errors: give each its own",
        "analysis.metrics.2: a metric takes exactly one of template, value",
        "analysis.metrics.3.edges must rise",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "-: the file is not YAML"),
        ("a: 1\na: 2", "-: the file is not YAML: a stands twice"),
        ("", "there must be one Rollout in the input; found: none"),
        (
            manifest() + "---\n" + manifest(),
            "there must be one Rollout in the input; found: fraud,",
        ),
        ("kind: Rollout", "Rollout unnamed: spec is missing"),
        (
            manifest(lambda r: r.update(apiVersion="v1")),
            "Rollout fraud: apiVersion: write penstock",
        ),
        (manifest(lambda r: r["spec"].pop("version")), "Rollout fraud: spec.version is missing"),
    ],
)
def test_input_that_cannot_be_used_is_named(text, line):
    found = refused(text=text)
    assert len(found) == 1
    assert found[0].startswith(f"penstock simulate: {line}")


def test_a_file_that_is_not_there_is_named():
    assert "nowhere.yaml" in refused("-f", "nowhere.yaml")[0]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--rps", "-1"), ("--rps", "nan"), ("--lag", "soon"), ("--burst", "0"), ("--runs", "0")],
)
def test_an_option_that_cannot_be_is_refused(option, value):
    result = simulate(*GOOD, option, value)
    assert result.exit_code == 2
    assert option in result.stderr


@pytest.mark.parametrize("time", ["0s", "90000h"])
def test_a_horizon_that_holds_no_look_or_too_many_is_refused(time):
    assert "--horizon" in refused("--horizon", time)[0]


def test_a_template_in_the_input_says_what_is_counted():
    spec = {"better": "Higher", "proportion": {"total": "a{$variant}", "good": "b{$variant}"}}
    text = manifest() + TEMPLATE + "  " + json.dumps(spec)
    assert "errors: candidate 99.5 % (" in simulate(*GOOD, text=text).stdout
    wrong = {"distribution": {"buckets": "a_bucket{$variant}"}}
    found = refused(text=manifest() + TEMPLATE + "  " + json.dumps(wrong))
    assert found == [
        "penstock simulate: metric errors: a distribution needs edges: one to three bounds of its "
        "buckets"
    ]


@pytest.mark.parametrize("path", ROLLOUTS, ids=lambda path: path.stem)
def test_an_example_can_be_simulated(path):
    result = simulate("-f", str(path), *GOOD, "--runs", "1")
    assert result.exit_code == 0
    good = "observed" if path.stem == "shadow" else "promoted"
    assert f"{good} 100 %" in result.stdout


def simulated_as(strategy, *options, **more):
    """Return what is printed of a Rollout with that strategy."""
    text = manifest(lambda rollout: rollout["spec"].update(strategy=strategy, **more))
    return simulate(*GOOD, *options, text=text)


def test_a_shadow_is_observed_and_hurts_nobody():
    shadow = {"shadow": {"percent": 40, "bake": "1m"}}
    result = simulated_as(shadow, "--fail-below", "95")
    assert result.exit_code == 0
    assert "  00:00:02  mirror 40 %" in result.stdout
    assert "observed 100 %, rolled back 0 %" in result.stdout
    assert "no user gets an answer of the candidate" in result.stdout
    found = json.loads(simulated_as(shadow, "-o", "json").stdout)
    assert (found["observedPercent"], found["timeline"][0]["mirror"]) == (100, 40)


def test_blue_green_says_that_nothing_is_compared():
    cookie = {"cookies": {"group": {"exact": "beta"}}}
    lines = simulated_as({"blueGreen": {"preview": [cookie]}}).stdout.splitlines()
    assert lines[1] == "how many requests fit preview is not known here: they are left out"
    assert lines[2].startswith("nothing is compared: before the switch and after it only thresh")
    assert lines[3] == "metrics that compare do not judge blue/green: errors"
    assert lines[4] == "  00:00:02  preview"


def test_gates_are_said_and_open_when_asked_for():
    steps = [{"weight": 5, "bake": "20s"}, {"gate": {"rollout": "features"}}]
    result = simulated_as({"canary": {"steps": steps}}, "--gate-after", "10m")
    assert "gates open after 10m" in result.stdout
    asked, opened = (
        next(line.split()[0] for line in result.stdout.splitlines() if word in line)
        for word in ("asks a gate", "  gate open")
    )
    assert (asked, opened) == ("00:00:45", "00:10:45")
    assert "asks a gate        rollout features" in result.stdout


def test_matches_are_left_out_and_said():
    chosen = [{"path": {"prefix": "/a"}}]
    steps = [{"mirror": {"match": chosen}, "bake": "20s"}, {"weight": 5, "bake": "20s"}]
    result = simulated_as({"canary": {"match": chosen, "steps": steps}})
    assert "how many requests fit match is not known here: they are left out" in result.stdout
    assert "fit the match of a mirror is not known here: all of them do" in result.stdout
    assert "promoted 100 %" in result.stdout


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_api_server_refuses_is_refused_with_a_sentence(name):
    content = bad(name)
    found = refused(text=manifest(lambda rollout: rollout.update(spec=content)))
    assert all(line.startswith("penstock simulate: ") for line in found)


def test_every_rule_between_fields_is_of_a_model_that_is_checked():
    """A model that gets its first CEL rule needs a function, unless it checks itself."""
    assert _ruled(RolloutSpec, set()) - {Strategy} <= set(contradictions._RULES)


def _ruled(model, seen):
    """Return the models below one, itself too, that have CEL rules of their own."""
    seen.add(model)
    extra = model.model_config.get("json_schema_extra") or {}
    found = {model} if "x-kubernetes-validations" in extra else set()
    for field in model.model_fields.values():
        inner = mistakes._inner(field.annotation)
        if inner is not None and inner not in seen:
            found |= _ruled(inner, seen)
    return found


def test_progress_is_said_where_it_takes_long(monkeypatch):
    monkeypatch.setattr(play, "PATIENCE", 0.0)
    result = simulate(*BAD)
    assert result.stderr.splitlines()[0] == "penstock simulate: 1 of 5 runs"


def test_a_plot_in_the_terminal_shows_weight_and_evidence():
    lines = simulate(*GOOD, "--plot", "-").stdout.splitlines()
    begin = lines.index("weight of the candidate; all rows full: 100 %")
    panel = lines[begin + 1 : begin + 6]
    assert [line[:3] for line in panel] == ["  │"] * 5
    assert panel[-1][10] in BLOCKS[1:3]
    assert panel[-1][-1] == BLOCKS[-1]
    assert lines[-1].split() == ["00:00:00", lines[-1].split()[1]]


def test_a_picture_is_written(tmp_path):
    target = tmp_path / "out.png"
    assert simulate(*BAD, "--plot", str(target)).exit_code == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_drawn_is_refused_first(tmp_path, monkeypatch):
    assert "ends with .png" in refused("--plot", "out.txt")[0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'penstock[plot]'" in refused("--plot", str(tmp_path / "out.png"))[0]


def test_help_teaches_with_an_example_that_is_not_wrapped():
    text = CliRunner().invoke(app, ["simulate", "--help"]).stdout
    example = (
        "  penstock simulate -f rollout.yaml --rps 200 --stable-errors 0.5 --candidate-errors 2"
    )
    assert example in text.splitlines()
    assert "Exit codes: 0 done, 2 the input cannot be used, 3 see --fail-below." in text


# ---- means -------------------------------------------------------------------------------------

MEAN = """better: Higher
  mean: {sum: "v_sum{$variant}", count: "v_count{$variant}"}
"""


def with_mean():
    """Return a Rollout that is judged by a mean, and its template."""

    def change(rollout):
        metric = {"template": "errors", "name": "revenue", "maxDecrease": 15}
        rollout["spec"]["analysis"]["metrics"] = [metric]

    return manifest(change) + TEMPLATE + "  " + MEAN


def test_a_mean_is_played_as_a_mean():
    low = simulate(*GOOD, "--stable-mean", "5", "--candidate-mean", "2.5", text=with_mean())
    lines = low.stdout.splitlines()
    assert low.exit_code == 0
    assert lines[1] == (
        "answers of stable are worth 5 in the mean (deviation 5), the candidate's 2.5"
    )
    assert "rolled back        Worse: revenue: candidate 2.4" in lines[3]
    assert "promoted 100 %" in simulate(*GOOD, text=with_mean()).stdout


def test_a_mean_of_zero_is_refused():
    result = simulate(*GOOD, "--deviation", "0", text=with_mean())
    assert result.exit_code == 2
    assert "must be greater than 0" in result.stderr
