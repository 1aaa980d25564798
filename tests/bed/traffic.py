"""Traffic: a real open-loop load generator (load/) and what it saw, request by request."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.bed.own_programs import own_program
from tests.bed.processes import Child, wait_until

_LONGEST_SECONDS = 600.0
_MOST_REQUESTS = 200_000


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it was due (epoch seconds), how long it took, and who answered.

    `status` is 0 when there was no HTTP answer; `error` then says why. `by_backend` is true for
    an error that a backend made on purpose, false for one of the mesh.
    """

    sent: float
    ms: float
    status: int
    version: str
    pod: str
    user: str
    by_backend: bool
    error: str

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= 500


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a load goes; `users` > 0 takes user-0 … user-<n-1> in turn, in the header.

    With `cookies` each user sends the cookies that it was given.
    """

    url: str
    host: str
    users: int = 0
    header: str = "x-user-id"
    cookies: bool = False


class Load:
    """Requests on a fixed schedule until `stop`, bounded in time and number."""

    def __init__(
        self,
        aim: Aim,
        rate: float,
        out: Path,
        log: Path,
        seconds: float = _LONGEST_SECONDS,
        limit: int = _MOST_REQUESTS,
    ) -> None:
        """Start sending `rate` requests a second."""
        self.rate, self._out, self._read = rate, out, 0
        self._answers: list[Answer] = []
        command = [
            own_program("load"), "-url", aim.url, "-host", aim.host, "-rate", str(rate),
            "-duration", f"{min(seconds, _LONGEST_SECONDS)}s",
            "-limit", str(min(limit, _MOST_REQUESTS)),
            "-users", str(aim.users), "-header", aim.header, "-out", out,
            f"-cookies={str(aim.cookies).lower()}",
        ]  # fmt: skip
        out.touch()
        self._child = Child("load", command, log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self._child.alive

    def set_rate(self, rate: float) -> None:
        """Go on with another rate; 0 makes a gap."""
        self.rate = rate
        self._child.say(f"rate {rate}")

    def wait(self, timeout: float = _LONGEST_SECONDS) -> list[Answer]:
        """Wait until the load has ended by itself, and return all answers."""
        wait_until("end of the load", lambda: not self.running, timeout)
        return self.results()

    def stop(self) -> list[Answer]:
        """End the load, wait for the answers under way, and return all."""
        if self._child.process.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.process.stdin.close()
        with contextlib.suppress(Exception):
            self._child.process.wait(20)
        self._child.kill()
        return self.results()

    def results(self, since: float = 0.0) -> list[Answer]:
        """Return the answers so far, in the order in which they came; also while it runs."""
        self._answers.extend(self._new())
        return [answer for answer in self._answers if answer.sent >= since]

    def _new(self) -> Iterator[Answer]:
        with self._out.open("rb") as lines:
            lines.seek(self._read)
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                yield _answer(json.loads(line))


def _answer(found: dict[str, Any]) -> Answer:
    return Answer(
        sent=float(found["t"]),
        ms=float(found["ms"]),
        status=int(found["s"]),
        version=str(found.get("v", "")),
        pod=str(found.get("p", "")),
        user=str(found.get("u", "")),
        by_backend=bool(found.get("b")),
        error=str(found.get("e", "")),
    )


def versions(answers: list[Answer]) -> Counter[str]:
    """Return how many answers came from each version ("" = from none)."""
    return Counter(answer.version for answer in answers)


def statuses(answers: list[Answer]) -> Counter[int]:
    """Return how many answers had each status (0 = no answer)."""
    return Counter(answer.status for answer in answers)
