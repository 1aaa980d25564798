"""What users saw, in numbers, and how to look around afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from penstock.core import sentences
from tests.bed.bed import Bed
from tests.bed.recorder import Change
from tests.bed.traffic import Answer
from tests.demo.story import ERRORS, RATE, SERVICE, Act, Told
from tests.demo.view import clock, colour


@dataclass(frozen=True, slots=True)
class Fall:
    """How a version that turned bad lost its traffic; times in epoch seconds.

    Attributes:
        first_bad: When a client got the first bad answer.
        cut: When Envoy sent it nothing any more.
        bad: Bad answers it served meanwhile.
        share: Their share of its answers, 0 to 1.
        avoidable: Bad answers in that time, had it had all traffic.
    """

    first_bad: float
    cut: float
    bad: int
    share: float
    avoidable: int

    @property
    def seconds(self) -> float:
        """Return how long users were exposed to the fault."""
        return self.cut - self.first_bad


def fall_of(act: Act, answers: Sequence[Answer], envoy: Sequence[Change]) -> Fall | None:
    """Return how a version fell; None where it did not, or made no error."""
    turned = act.turned
    if turned is None:
        return None
    since = [answer for answer in answers if arrived(answer) >= turned]
    mine = [answer for answer in since if answer.version == act.version]
    bad = [answer for answer in mine if answer.failed]
    cut = next((c.time for c in envoy if c.time > turned and c.share(act.version) == 0), None)
    if not bad or cut is None:
        return None
    first = min(arrived(answer) for answer in bad)
    share = len(bad) / len(mine)
    exposed = sum(first <= answer.sent < cut for answer in since)
    return Fall(first, cut, len(bad), share, round(share * exposed))


def arrived(answer: Answer) -> float:
    """Return when a client had the answer, in epoch seconds."""
    return answer.sent + answer.ms / 1000


def summary(told: Told) -> RenderableType:
    """Return what users saw."""
    answers = told.answers
    span = clock(answers[-1].sent - answers[0].sent) if answers else "0:00"
    head = f"What users saw: {len(answers):,} requests in {span}"
    parts: list[RenderableType] = [Text(head, "bold"), _table(told)]
    for act in told.acts:
        fall = fall_of(act, answers, told.envoy)
        parts += [Text(), _fallen(act, fall)] if fall else []
    return Padding(Group(*parts), (1, 0, 0, 1))


def _table(told: Told) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    for title in ("", "requests", "errors", "share"):
        table.add_column(title, justify="right" if title else "left")
    table.add_column("")
    for version in sorted({answer.version for answer in told.answers}):
        mine = [answer for answer in told.answers if answer.version == version]
        errors = sum(answer.failed for answer in mine)
        share = sentences.percent(errors / len(mine))
        name = Text(version or "no version", colour(version))
        table.add_row(name, f"{len(mine):,}", f"{errors:,}", share, _fate(version, told))
    return table


def _fate(version: str, told: Told) -> str:
    act = next((act for act in told.acts if act.version == version), None)
    if act is None:
        return "served before" if version else "errors of the mesh itself"
    took = f"{(act.ended or act.began) - act.began:.0f} s"
    return f"rolled back after {took}" if act.turned else f"good: promoted after {took}"


def _fallen(act: Act, fall: Fall) -> Group:
    """Return the fate of the bad version, against what it would have done with all traffic."""
    a_minute = round(fall.share * RATE * 60)
    return Group(
        Text.assemble(
            (f"{act.version} broke", f"bold {colour(act.version)}"),
            f" ({fall.share * 100:.0f} % of its answers were errors; {ERRORS * 100:g} % are normal "
            "here). From the first bad answer to no more traffic: ",
            (f"{fall.seconds:.1f} s", "bold"),
            ".",
        ),
        Text.assemble(
            "It served ",
            (f"{fall.bad} bad answers", "bold"),
            f". With all traffic on it, users had got {fall.avoidable:,} in that time, and "
            f"{a_minute:,} more with every minute until somebody noticed.",
        ),
    )


def around(bed: Bed, namespace: str) -> str:
    """Return how to look at what is there now."""
    kubectl = bed.program("kubectl")
    return f"""
Look around in another terminal:

  export KUBECONFIG={bed.kubeconfig}
  alias k='{kubectl} -n {namespace}'
  k get rollouts.penstock.dev,releases.penstock.dev
  k describe rollouts.penstock.dev {SERVICE}     # status, conditions and events, in sentences
  k get virtualservice {SERVICE}-split -o yaml   # what Penstock wrote
  k annotate rollouts.penstock.dev {SERVICE} penstock.dev/retry={SERVICE}-2#again   # try v3 again

  Prometheus   {bed.prometheus.url}
  Envoy        http://{bed.mesh.edge.metrics_target}
  logs         {bed.logs}
"""


def show(console: Console, told: Told) -> None:
    """Print what users saw."""
    console.print(summary(told), width=min(console.size.width, 100))
