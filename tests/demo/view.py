"""The live view in the terminal: one frame per moment."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.live import Live
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from penstock.core import sentences
from tests.demo.scene import Odds, Snapshot, Step, Tally
from tests.demo.story import Note, Told

WIDTH = 100
_LEAST_BOXED = 32  # lines; in fewer there is no room for boxes
_BOXED_LINES, _PLAIN_LINES = 28, 19
_WORDS = 4
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
        size = self._console.size
        frame = Frame(min(size.width, WIDTH), size.height)
        self._live.update(Group(*self._parts(now, told, frame)), refresh=True)

    def _parts(self, now: Snapshot, told: Told, frame: "Frame") -> Iterator[RenderableType]:
        act = told.acts[-1] if told.acts else None
        what = f"{act.version}: {act.title}" if act else "v1 serves"
        yield _header(f"{self._title}   {what}", clock(now.at - told.began), frame.width)
        yield frame.part(_traffic(now, frame.inside), f"Traffic of {now.subject}")
        yield frame.part(_clients(now), "What clients get")
        yield frame.part(_evidence(now, frame.inside), f"Evidence on {now.subject}")
        words = Text(now.message, overflow="fold")
        yield frame.part(words, "In the operator's words", _WORDS)
        if frame.room > 0:
            notes = told.notes[-frame.room :]
            yield frame.part(_happened(notes, told.began), "So far", frame.room)


@dataclass(frozen=True, slots=True)
class Frame:
    """How much fits into the terminal."""

    width: int
    height: int

    @property
    def boxed(self) -> bool:
        return self.height >= _LEAST_BOXED

    @property
    def inside(self) -> int:
        """Return the columns that a part may take."""
        return self.width - 4 if self.boxed else self.width

    @property
    def room(self) -> int:
        """Return the lines that are left for what happened so far."""
        left = self.height - (_BOXED_LINES + 2 if self.boxed else _PLAIN_LINES)
        return max(min(left, 8), 0)

    def part(self, content: RenderableType, title: str, lines: int | None = None) -> RenderableType:
        """Return a part with a title and, if given, of exactly so many lines."""
        if not self.boxed:
            return Constrain(Fixed(content, lines), self.width)
        height = None if lines is None else lines + 2
        return Panel(content, title=title, title_align="left", box=box.ROUNDED, width=self.width,
                     border_style="dim", height=height)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fixed:
    """Cuts or fills its content to so many lines; None leaves it as it is."""

    content: RenderableType
    lines: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        if self.lines is None:
            yield self.content
            return
        rows = console.render_lines(self.content, options.update(height=None), pad=False)
        for row in [*rows[: self.lines], *[[]] * (self.lines - len(rows))]:
            yield from row
            yield Segment.line()


def _header(left: str, right: str, width: int) -> Table:
    row = Table.grid(expand=False)
    row.width = width
    row.add_column(ratio=1)
    row.add_column(justify="right")
    row.add_row(Text(left, "bold"), Text(right, "bold"))
    return row


def _bar(share: float, style: str, width: int) -> Text:
    full = round(width * min(max(share, 0.0), 1.0))
    if share > 0:
        full = max(full, 1)
    return Text("█" * full, style) + Text("░" * (width - full), "dim")


def _traffic(now: Snapshot, width: int) -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(min_width=8)
    rows.add_column(justify="right", min_width=5)
    rows.add_column()
    tone = colour(now.subject)
    rows.add_row("decided", f"{now.weight:g} %", _bar(now.weight / 100, tone, width - 20))
    rows.add_row("in Envoy", f"{now.envoy:g} %", _bar(now.envoy / 100, tone, width - 20))
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
        return ", as soon as it is proven safe"
    median, bound = (max(moment - now, 0.0) for moment in step.eta)
    if bound < 1:
        return ", later than 9 of 10 equally good versions"
    soon = f"in about {median:.0f} s" if median >= 1 else "any moment"
    return f" {soon}, in 9 of 10 cases within {bound:.0f} s"


def _clients(now: Snapshot) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", min_width=12, no_wrap=True)
    for title in ("requests/s", "errors/s", "requests", "errors", "of all"):
        table.add_column(title, justify="right", min_width=10, no_wrap=True)
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


def _evidence(now: Snapshot, width: int) -> Group:
    table = Table.grid(padding=(0, 2))
    for least in (6, 14, 15, 16):
        table.add_column(min_width=least, no_wrap=True)
    table.add_column(no_wrap=True)
    for odds in now.odds:
        table.add_row(*_odds(odds, now, max(width - 62, 10)))
    for _ in range(4 - len(now.odds)):
        table.add_row("")
    return Group(table, _verdict(now))


def _verdict(now: Snapshot) -> Text:
    if not now.candidate:
        return Text("no release in flight", "dim")
    style, meaning = _VERDICTS.get(now.verdict, ("dim", "no look yet"))
    return Text.assemble("verdict ", (now.verdict, style), f"  {meaning}")


def _odds(odds: Odds, now: Snapshot, width: int) -> tuple[str | Text, ...]:
    question = f"safe for {now.asked:g} %?" if odds.question == "safe" else "worse?"
    tone = "green" if odds.question == "safe" else "red"
    return (
        odds.metric if odds.question == "safe" else "",
        question,
        f"needs {sentences.odds(odds.log_needs)}",
        Text(f"has {sentences.odds(odds.log_has)}", f"bold {tone}" if odds.enough else ""),
        _bar(_progress(odds), tone, width),
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
