"""A line per change, for where there is no terminal."""

from dataclasses import dataclass

from penstock.core import sentences
from tests.demo.scene import Snapshot
from tests.demo.story import Told
from tests.demo.view import clock


@dataclass
class Lines:
    """Prints what is new at each moment."""

    _notes: int = 0
    _shown: tuple[object, ...] = ()

    def __call__(self, now: Snapshot, told: Told) -> None:
        """Print the notes that are new, and a line when weights or the verdict have changed."""
        for note in told.notes[self._notes :]:
            print(f"{clock(note.at - told.began)}  {note.text}", flush=True)
        self._notes = len(told.notes)
        key = (now.subject, now.phase, now.weight, now.envoy, now.verdict)
        if key != self._shown:
            self._shown = key
            print(f"{clock(now.at - told.began)}  {_state(now)}", flush=True)


def _state(now: Snapshot) -> str:
    parts = [f"{now.phase or 'new'}, {now.subject}: decided {now.weight:g} %",
             f"in Envoy {now.envoy:g} %"]  # fmt: skip
    if now.verdict:
        parts.append(f"verdict {now.verdict}")
    parts += [
        f"{odds.metric} {odds.question}: needs {sentences.odds(odds.log_needs)}, "
        f"has {sentences.odds(odds.log_has)}"
        for odds in now.odds
    ]
    parts += [
        f"{version} answered {tally.requests:,} ({tally.errors:,} errors)"
        for version, tally in now.tallies.items()
    ]
    return "; ".join(parts)
