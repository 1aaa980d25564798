"""The pictures of docs/evidence.md, drawn from the streams and rules of `make bench-evidence`.

`python -m tests.picture_evidence FOLDER`
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tests.bench_evidence import ours, peers, streams

REPLICATES = 300
GOOD, BAD = "iid", "x4 from minute 30"
SHOWN = (
    "iid",
    "shared outage 5% for 10 min",
    "bursts x3 + env + pod-interval noise",
    "persistent pod effect sd .3",
    "cold start x4 for 3 min",
    "low traffic 2 rps",
)
RULES = {
    "Flagger (99 %)": "Flagger thr=5, SR>=99%",
    "Argo Rollouts (99 %)": "Argo failureLimit=3",
    "Kayenta, each minute": "Kayenta MW /1 min",
    "p-value at each look": "pooled z, peek each look",
}
OURS = "#2a6f4e"


def scenario(name):
    return next(one for one in (*streams.NULLS, *streams.FAULTS) if one.name == name)


def release(target):
    """Draw the evidence of a good version and of one that turns bad after half an hour."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = "an equal version", "four times the errors from minute 30 on"
    for panel, name, title in zip(panels, (GOOD, BAD), titles, strict=True):
        drawn = streams.draw(scenario(name), 1, seed=3, interval=10.0, looks=360)
        settings = replace(ours.setup(10.0, slack=0.0), ladder=(0.1, 0.25))
        one = ours.Stream.of(settings, drawn, 0).replay(settings)
        minutes = one.release.ends / 60
        for label, values, needed, colour in (
            ("safe for the next weight?", one.trace.safe, 20, OURS),
            ("worse than tolerated?", one.trace.worse, 100, "#b3361b"),
        ):
            panel.plot(minutes, np.exp(np.clip(values, np.log(0.05), np.log(1e5))), color=colour,
                       label=label)  # fmt: skip
            panel.axhline(needed, color=colour, lw=0.8, ls="--", alpha=0.6)
        panel.set(yscale="log", xlabel="minutes at weight 10, warm-up 3", title=title)
    panels[0].set_ylabel("evidence, odds to 1 (dashed: needed)")
    panels[0].legend(loc="lower right", frameon=False)
    figure.savefig(target, dpi=110)


def rules(target):
    """Draw how often rules roll good versions back."""
    drawn = [streams.draw(scenario(name), REPLICATES) for name in SHOWN]
    rates = {
        label: [100 * (peers.RULES[rule](one) >= 0).mean() for one in drawn]
        for label, rule in RULES.items()
    }
    rates["Penstock"] = [
        100 * (ours.fates(one, ours.setup(one.interval))[0].at >= 0).mean() for one in drawn
    ]
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    panel, width = figure.subplots(), 0.16
    colours = ("#8d99ae", "#b0a08a", "#c9ada7", "#e0b15e", OURS)
    for place, (label, values) in enumerate(rates.items()):
        at = np.arange(len(SHOWN)) + (place - 2) * width
        panel.bar(at, np.maximum(values, 0.4), width, label=label, color=colours[place])
    panel.set_xticks(range(len(SHOWN)), [_wrapped(name) for name in SHOWN], fontsize=8)
    panel.set(ylabel=f"good versions rolled back, % of {REPLICATES}", ylim=(0, 118))
    panel.legend(frameon=False, ncols=5, loc="upper center", fontsize=8)
    figure.savefig(target, dpi=110)


def _wrapped(name):
    words, lines = name.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 14:
            lines.append("")
        lines[-1] += f" {word}"
    return "\n".join(line.strip() for line in lines if line.strip())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    release(folder / "evidence-release.png")
    rules(folder / "evidence-rules.png")
