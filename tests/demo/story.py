"""The story: v1 serves, v2 is good and gets all traffic, v3 turns bad and loses it again.

Everything that was seen is kept, for the summary here and for the picture in the README.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from tests.bed.bed import Bed
from tests.bed.operator import REPOSITORY, OperatorSetup
from tests.bed.place import Place
from tests.bed.processes import BedError
from tests.bed.recorder import Change, Recorder
from tests.bed.traffic import Answer, Load
from tests.demo.scene import Scene, Snapshot

SERVICE = "shop"
MANIFESTS = REPOSITORY / "manifests" / "testbed"
ERRORS, BAD_ERRORS, SLOW = 0.005, 0.3, 0.005  # shares of all answers
RATE = 300.0
FALLS_AT, FALLS_AFTER = 25.0, 3.0
PATIENCE = 150.0
TICK_SECONDS = 0.25
_TEXT = Template((Path(__file__).parent / "shop.yaml").read_text())


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened, for people."""

    at: float
    text: str


@dataclass
class Act:
    """One release: `turned` is when its version turned bad, None for the good one."""

    version: str
    title: str
    began: float
    turned: float | None = None
    ended: float | None = None


Show = Callable[[Snapshot, "Told"], None]


@dataclass
class Told:
    """All that was seen so far."""

    began: float
    acts: list[Act] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    answers: Sequence[Answer] = ()
    envoy: Sequence[Change] = ()


class Story:
    """Plays on a bed and shows each moment to `show`."""

    def __init__(self, bed: Bed, show: Show, say: Callable[[str], None]) -> None:
        """Take the bed; `say` is told what is prepared before the first act."""
        self._show = show
        self._said: set[tuple[object, ...]] = set()
        say("operator")
        operator = bed.operator(OperatorSetup(manifests=MANIFESTS))
        operator.start()
        self.place: Place = bed.place(SERVICE)
        self._recorder: Recorder = self.place.recorder()
        self._load: Load = self._prepare(say)
        self._scene = Scene(self.place, operator, SERVICE, self._load)
        self.told = Told(time.time())

    def _prepare(self, say: Callable[[str], None]) -> Load:
        """Deploy v1 and its Rollout; return the traffic, once it can reach v1."""
        say("v1, its route and its Rollout")
        self._deploy("v1")
        self._apply("v1")
        status = lambda: self.place.get("rollout", SERVICE).get("status", {})  # noqa: E731
        self.place.wait(lambda: status().get("stable"), 20, "v1 is stable")
        edge = self.place.cluster.edge()
        self.place.wait(lambda: edge and edge.routes(self.place.hostname), 10, "route at the edge")
        say(f"traffic, {RATE:.0f} requests a second")
        return self.place.load(RATE)

    def _deploy(self, version: str) -> None:
        self.place.behave(version, errors=ERRORS, delay_ms=5, jitter_ms=5, slow=SLOW, slow_ms=700)
        self.place.deploy(SERVICE, version)

    def _apply(self, version: str) -> None:
        """Name a version in the spec, as Git would."""
        place = self.place
        names = {"host": place.hostname, "gateway": place.cluster.gateway,
                 "namespace": place.namespace, "version": version}  # fmt: skip
        place.apply(_TEXT.substitute(names))

    def play(self) -> Told:
        """Play both acts and return what was seen."""
        self._rest(2)
        self._good("v2")
        self._rest(2)
        self._bad("v3")
        self._rest(2)
        return self.told

    def _good(self, version: str) -> None:
        act = self._begin(version, "a good version")
        self._until(lambda now: now.phase == "Promoted", f"{version} is promoted")
        act.ended = time.time()

    def _bad(self, version: str) -> None:
        act = self._begin(version, f"fine at first, breaks at {FALLS_AT:g} %")
        self._until(lambda now: now.envoy >= FALLS_AT, f"{version} at {FALLS_AT:g} %")
        self._rest(FALLS_AFTER)
        act.turned = time.time()
        self.place.behave(version, errors=BAD_ERRORS, delay_ms=5, jitter_ms=5)
        self._note(f"{version} breaks: {BAD_ERRORS * 100:.0f} % of its answers are errors")
        self._until(lambda now: now.phase == "RolledBack" and now.envoy == 0, "the rollback")
        act.ended = time.time()

    def _begin(self, version: str, title: str) -> Act:
        act = Act(version, title, time.time())
        self.told.acts.append(act)
        self._note(f"{version} is deployed ({title}) and named in the spec")
        self._deploy(version)
        self._apply(version)
        return act

    def _note(self, text: str) -> None:
        self.told.notes.append(Note(time.time(), text))

    def _rest(self, seconds: float) -> None:
        until = time.time() + seconds
        self._until(lambda now: now.at >= until, "")

    def _until(self, done: Callable[[Snapshot], bool], what: str) -> None:
        """Look and show until something is so."""
        until = time.monotonic() + PATIENCE
        while not done(now := self._look()):
            if time.monotonic() > until:
                raise BedError(f"{what}: not within {PATIENCE:g} s; {now.message}")
            time.sleep(TICK_SECONDS)

    def _look(self) -> Snapshot:
        told = self.told
        now = self._scene.snapshot(told.acts[-1].version if told.acts else "v1")
        told.notes.extend(self._news(told.snapshots[-1] if told.snapshots else None, now))
        told.snapshots.append(now)
        told.answers, told.envoy = self._load.results(), tuple(self._recorder.used)
        self._show(now, told)
        return now

    def _news(self, before: Snapshot | None, now: Snapshot) -> list[Note]:
        """Return what is new; a verdict that comes and goes is told once per step."""
        news = changes(before, now)
        for odds in now.odds:
            what = f"safe for {now.asked:g} %" if odds.question == "safe" else "worse"
            said = (now.subject, odds.metric, what)
            if odds.enough and said not in self._said:
                self._said.add(said)
                news.insert(0, Note(now.at, f"{odds.metric}: {what} ({odds.text})"))
        return news


def changes(before: Snapshot | None, now: Snapshot) -> list[Note]:
    """Return the changes of weight and phase from one moment to the next."""
    if before is None or before.subject != now.subject:
        return []
    found = []
    if now.weight != before.weight:
        found.append(f"{now.subject} gets {now.weight:g} % of the traffic")
    if now.phase != before.phase and now.phase in ("Promoted", "RolledBack"):
        done = "promoted" if now.phase == "Promoted" else "rolled back"
        found.append(f"{now.subject} is {done}")
    return [Note(now.at, text) for text in found]
