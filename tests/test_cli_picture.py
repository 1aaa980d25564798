"""Pictures of both commands: blocks in the terminal, files with matplotlib."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.cli.picture import panels, streams
from penstock.cli.picture.blocks import WIDTH, blocks
from penstock.cli.refusal import InputError
from penstock.cli.replay import MOST_DRAWN
from penstock.core.evidence import Evidence
from penstock.core.looks import NO_COUNTS
from penstock.core.replay import Said
from penstock.core.verdict import Verdict

HEADER = {"analysis": {"warmUp": "0s", "interval": "60s"}, "ladder": [10, 100]}
LINE = {"weight": 10, "candidate": {"a": [600, 90]}, "stable": {"b": [5400, 27], "c": [5400, 26]}}
PNG, SVG = b"\x89PNG", b"<?xml"

with_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is an extra"
)


def said(worse, safe):
    """Return what was said after looks with this evidence, natural logs."""
    return [
        Said(60.0 * number, NO_COUNTS, Verdict.LEARNING, Evidence(one, one, other), None, "")
        for number, (one, other) in enumerate(zip(worse, safe, strict=True), 1)
    ]


def replay(*options, count=1, looks=4):
    """Return what the command did with so many streams."""
    lines = [{**LINE, "stream": f"s{stream}", "t": 60 * look}
             for stream in range(count) for look in range(1, looks + 1)]  # fmt: skip
    text = "".join(json.dumps(one) + "\n" for one in (HEADER, *lines))
    return CliRunner().invoke(app, ["replay", "-", *options], input=text)


def test_blocks_show_all_that_is_above_0_and_fill_a_column_only_at_1():
    assert blocks([0, 0.001, 0.5, 0.999, 1, 7], 2) == ["   ▇██", " ▁████"]
    assert blocks([0, 1e-9, 0.49, 1, math.inf], 1) == [" ▁▃██"]
    assert blocks([], 3) == ["", "", ""]


def test_a_sketch_has_two_rows_per_stream_up_to_a_million_to_one():
    half, most = math.log(1e3), math.log(1e6)
    lines = list(streams.sketch({"s1": said([-math.inf, half, math.inf], [-1, 0.1, most])}))
    assert lines == [
        "s1 worse | ▄█| at most ∞ to 1",
        "s1  safe | ▁█| at most 1·10⁶ to 1",
    ]


def test_a_sketch_of_many_looks_keeps_the_most_of_each_column():
    values = np.zeros(10 * WIDTH)
    values[15] = math.log(1e6)
    row = next(streams.sketch({"s": said(values, values)})).split("|")[1]
    assert row == " █" + " " * (WIDTH - 2)


def test_a_sketch_of_a_replay_goes_beside_its_lines():
    result = replay("--plot", "-", count=2)
    assert len(result.stdout.splitlines()) == 8
    rows = [line for line in result.stderr.splitlines() if "|" in line]
    assert [row.split(" |")[0] for row in rows] == ["s0 worse", "s0  safe", "s1 worse", "s1  safe"]
    assert rows[0].split("|")[1][-1] == "█"


def test_only_the_first_streams_are_drawn_and_those_whole():
    rows = [line for line in replay("--plot", "-", count=MOST_DRAWN + 2).stderr.splitlines()
            if "|" in line]  # fmt: skip
    assert len(rows) == 2 * MOST_DRAWN
    assert {len(row.split("|")[1]) for row in rows} == {4}


@with_matplotlib
@pytest.mark.parametrize(("suffix", "begins"), [("png", PNG), ("svg", SVG), ("pdf", b"%PDF")])
def test_the_evidence_of_streams_is_a_picture(suffix, begins, tmp_path):
    target = tmp_path / f"out.{suffix}"
    streams.draw({"s1": said([0, math.inf], [-math.inf, 1]), "s2": said([1], [2])}, target)
    assert target.read_bytes().startswith(begins)


@with_matplotlib
def test_a_replay_writes_a_picture_with_a_summary_too(tmp_path):
    target = tmp_path / "out.svg"
    assert replay("--summary", "--plot", str(target)).exit_code == 0
    text = target.read_text()
    assert "s0" in text
    assert panels.WORSE in text


def test_a_picture_that_could_not_be_drawn_is_refused_before_any_work(tmp_path, monkeypatch):
    result = replay("--plot", "out.txt")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "penstock replay: out.txt: a picture's name ends with .png, .svg, .pdf\n"
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = replay("--plot", str(tmp_path / "out.png"))
    assert result.stderr == f"penstock replay: {panels.INSTALL}\n"


@pytest.mark.parametrize("target", [None, Path("-")])
def test_the_terminal_needs_no_matplotlib(target, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    panels.check(target)
    with pytest.raises(InputError, match="pip install"):
        panels.check(Path("out.png"))
