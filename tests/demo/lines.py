"""A line per change, for where there is no terminal."""

from dataclasses import dataclass

from tests.demo.scene import Snapshot
from tests.demo.story import Told
from tests.demo.view import clock


@dataclass
class Lines:
    """Prints what is new at each moment."""

    _notes: int = 0
    _shown: tuple[object, ...] = ()

    def __call__(self, now: Snapshot, told: Told) -> None:
        """Print the notes that are new, and the state when weights, phase or verdict changed."""
        for note in told.notes[self._notes :]:
            print(f"{clock(note.at - told.began)}  {note.text}", flush=True)
        self._notes = len(told.notes)
        key = (now.subject, now.phase, now.weight, now.envoy, now.verdict)
        if key != self._shown:
            self._shown = key
            print(f"{clock(now.at - told.began)}    {_state(now)}", flush=True)


def _state(now: Snapshot) -> str:
    verdict = [f"verdict {now.verdict}"] if now.verdict else []
    clients = [
        f"{version} {tally.requests:,} ({tally.errors:,} errors)"
        for version, tally in now.tallies.items()
    ]
    answered = [f"answers: {', '.join(clients)}"] if clients else []
    weights = f"{now.subject} at {now.weight:g} % as decided, {now.envoy:g} % in Envoy"
    return "; ".join([now.phase, weights, *verdict, *answered])
