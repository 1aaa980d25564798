"""The live view in the terminal: one frame per moment."""

import math
from collections.abc import Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from penstock.core import sentences
from tests.demo.scene import Odds, Snapshot, Step, Tally
from tests.demo.story import Note, Told

WIDTH = 100
BAR = 40
_FIXED_LINES = 28
_COLOURS = ("cyan", "green", "magenta", "yellow")
_VERDICTS = {
    "Safe": ("bold green", "enough for the next step"),
    "Worse": ("bold red", "no more traffic"),
    "Learning": ("bold", "not enough for either yet"),
    "NoData": ("yellow", "silence is never evidence: the weight stays"),
    "Untrusted": ("yellow", "the numbers contradict the weights: the weight stays"),
}
_MARKS = {"Passed": ("✔", "green"), "Running": ("▶", "bold"), "Failed": ("✘", "bold red"),
          "Skipped": ("»", "dim"), "Pending": ("·", "dim")}  # fmt: skip


def clock(seconds: float) -> str:
    """Return seconds as 1:02."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def colour(version: str) -> str:
    """Return the colour of v1, v2, v3 …"""
    digits = version.lstrip("v")
    return _COLOURS[(int(digits) - 1) % len(_COLOURS)] if digits.isdecimal() else "white"


class View:
    """Shows moments in place, as a context manager; it leaves the last one on the screen."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> "View":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, now: Snapshot, told: Told) -> None:
        """Show a moment."""
        room = max(min(self._console.size.height - _FIXED_LINES, 9), 0)
        frame = Group(*self._parts(now, told, room))
        self._live.update(frame, refresh=True)

    def _parts(self, now: Snapshot, told: Told, room: int) -> Iterator[RenderableType]:
        width = min(self._console.size.width, WIDTH)
        act = told.acts[-1] if told.acts else None
        what = f"{act.version}: {act.title}" if act else "v1 serves"
        yield _header(f"{self._title}   {what}", clock(now.at - told.began), width)
        yield _panel(_traffic(now), f"Traffic of {now.subject}", width)
        yield _panel(_clients(now), "What clients get", width)
        yield _panel(_evidence(now), f"Evidence on {now.candidate or now.subject}", width)
        yield _panel(Text(now.message, overflow="fold"), "In the operator's words", width, 4)
        if room > 2:
            yield _panel(_happened(told.notes[2 - room :], told.began), "So far", width, room - 2)


def _header(left: str, right: str, width: int) -> Table:
    row = Table.grid(expand=False)
    row.width = width
    row.add_column(ratio=1)
    row.add_column(justify="right")
    row.add_row(Text(left, "bold"), Text(right, "bold"))
    return row


def _panel(inside: RenderableType, title: str, width: int, lines: int | None = None) -> Panel:
    height = None if lines is None else lines + 2
    return Panel(inside, title=title, title_align="left", box=box.ROUNDED, width=width,
                 border_style="dim", height=height)  # fmt: skip


def _bar(share: float, style: str, width: int = BAR) -> Text:
    full = round(width * min(max(share, 0.0), 1.0))
    if share > 0:
        full = max(full, 1)
    return Text("█" * full, style) + Text("░" * (width - full), "dim")


def _traffic(now: Snapshot) -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(min_width=8)
    rows.add_column(justify="right", min_width=5)
    rows.add_column()
    tone = colour(now.subject)
    rows.add_row("decided", f"{now.weight:g} %", _bar(now.weight / 100, tone))
    rows.add_row("in Envoy", f"{now.envoy:g} %", _bar(now.envoy / 100, tone))
    rows.add_row("steps", "", _steps(now))
    rows.add_row("next", "", _next(now))
    return rows


def _steps(now: Snapshot) -> Text:
    text = Text()
    for step in now.steps:
        mark, style = _MARKS.get(step.state, ("·", "dim"))
        text.append(f"{mark} {step.weight:g} %   ", style)
    if now.steps:
        done = now.stable == now.subject
        text.append("✔ 100 %" if done else "· 100 %", "green" if done else "dim")
    return text


def _next(now: Snapshot) -> Text:
    if now.phase == "Promoted":
        return Text(f"{now.stable} serves; the next version may come")
    if not now.candidate:
        return Text(f"{now.stable} serves")
    index = next((i for i, step in enumerate(now.steps) if step.state == "Running"), None)
    if index is None:
        return Text("subsets and routes first" if now.weight == 0 else "all traffic")
    return Text(f"{now.asked:g} %{_when(now.steps[index], now.at)}")


def _when(step: Step, now: float) -> str:
    if len(step.eta) < 2:
        return ", as soon as it is proven safe (a forecast comes with the second step)"
    median, bound = (max(moment - now, 0.0) for moment in step.eta)
    soon = f"in about {median:.0f} s" if median >= 1 else "any moment"
    return f" {soon} (9 of 10 equally good versions: within {bound:.0f} s)"


def _clients(now: Snapshot) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for title in ("requests/s", "errors/s", "requests", "errors", "share of errors"):
        table.add_column(title, justify="right", min_width=11)
    tallies = {version: tally for version, tally in now.tallies.items() if version}
    for version in (*tallies, *[""] * (3 - len(tallies))):
        if version:
            table.add_row(*_client(version, tallies[version], now))
        else:
            table.add_row("")
    return table


def _client(version: str, tally: Tally, now: Snapshot) -> tuple[Text | str, ...]:
    role = "stable" if version == now.stable else "candidate" if version == now.candidate else ""
    bad = "bold red" if tally.errors_per_second > 0.05 * tally.per_second + 1 else ""
    share = sentences.percent(tally.errors / tally.requests) if tally.requests else "-"
    return (
        Text(f"{version} {role:<9}", colour(version)),
        f"{tally.per_second:,.0f}",
        Text(f"{tally.errors_per_second:,.1f}", bad),
        f"{tally.requests:,}",
        f"{tally.errors:,}",
        share,
    )


def _evidence(now: Snapshot) -> Group:
    table = Table.grid(padding=(0, 2))
    for width in (8, 14, 15, 17, 30):
        table.add_column(min_width=width, no_wrap=True)
    for odds in now.odds:
        table.add_row(*_odds(odds, now))
    for _ in range(4 - len(now.odds)):
        table.add_row("")
    return Group(table, _verdict(now))


def _verdict(now: Snapshot) -> Text:
    if not now.candidate:
        return Text("no release in flight", "dim")
    style, meaning = _VERDICTS.get(now.verdict, ("dim", "no look yet"))
    return Text.assemble("verdict   ", (now.verdict, style), f"  {meaning}")


def _odds(odds: Odds, now: Snapshot) -> tuple[str | Text, ...]:
    question = f"safe for {now.asked:g} %?" if odds.question == "safe" else "worse?"
    tone = "green" if odds.question == "safe" else "red"
    return (
        odds.metric if odds.question == "safe" else "",
        question,
        f"needs {sentences.odds(odds.log_needs)}",
        Text(f"has {sentences.odds(odds.log_has)}", f"bold {tone}" if odds.enough else ""),
        _bar(_progress(odds), tone, 30),
    )


def _progress(odds: Odds) -> float:
    """Return how far the odds have come from 1 to 1, on a logarithmic scale."""
    share = odds.log_has / odds.log_needs
    return min(share, 1.0) if math.isfinite(share) else 0.0


def _happened(notes: list[Note], began: float) -> Table:
    table = Table.grid(padding=(0, 2))
    for note in notes:
        table.add_row(Text(clock(note.at - began), "dim"), note.text)
    return table
