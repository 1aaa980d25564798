"""How fast an alert is obeyed: from Alertmanager's webhook to weight 0 in Envoy."""

import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import requests

from tests.bed.operator import OperatorSetup
from tests.bed.processes import free_port
from tests.bench.reaction import RUNS, WEIGHT, Trial
from tests.bench.rig import MANIFESTS, Rig, Row, quantile, spread

TARGET = 0.3
_TOKEN, _NAME = "bench", "BenchBurns"
_NEVER = "0001-01-01T00:00:00Z"


class Sender:
    """Sends one alert of a namespace as Alertmanager does: begun, then resolved."""

    def __init__(self, url: str, namespace: str) -> None:
        """Send to this receiver."""
        self._url, self._namespace, self._began = url, namespace, ""
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {_TOKEN}"

    def fire(self) -> float:
        """Return when the alert was posted."""
        self._began = datetime.now(UTC).isoformat()
        posted = time.time()
        self._post("firing", _NEVER)
        return posted

    def resolve(self) -> None:
        """Let the alert end."""
        self._post("resolved", datetime.now(UTC).isoformat())

    def _post(self, status: str, ends: str) -> None:
        labels = {"alertname": _NAME, "namespace": self._namespace}
        alert = {"status": status, "labels": labels, "annotations": {}, "startsAt": self._began,
                 "endsAt": ends, "fingerprint": "1"}  # fmt: skip
        body = {"version": "4", "groupKey": "{}", "status": status, "alerts": [alert]}
        self._session.post(self._url, json=body, timeout=10).raise_for_status()


def alert(rig: Rig) -> list[Row]:
    """From the moment at which the webhook is sent."""
    with tempfile.TemporaryDirectory() as folder:
        url = _listen(rig, Path(folder) / "token")
        trial = Trial.start(rig, "alert", "5s")
        with trial.stage.place as place:
            rule = {"match": {"alertname": _NAME}, "action": "Rollback"}
            trial.stage.change(alerts=[rule])
            taken = _measured(trial, Sender(url, place.namespace))
    what = "webhook of an alert → weight 0 in Envoy"
    met = quantile(taken, 0.95) <= TARGET
    return [Row(what, spread(taken, "ms"), f"p95 ≤ {TARGET * 1000:.0f} ms", met)]


def _listen(rig: Rig, token: Path) -> str:
    """Start the operator with a receiver, in place of the rig's, and return its address."""
    token.write_text(_TOKEN)
    settings = {"port": free_port(), "bindAddress": "127.0.0.1", "tokenFile": str(token)}
    rig.operator.stop()
    setup = OperatorSetup(manifests=MANIFESTS, config={"alertReceiver": settings})
    rig.operator = rig.bed.operator(setup)
    rig.operator.start()
    return f"http://127.0.0.1:{settings['port']}/alerts"


def _measured(trial: Trial, sender: Sender) -> list[float]:
    taken: list[float] = []
    for number in range(1, RUNS + 1):
        trial.begin()
        trial.await_share(WEIGHT)
        time.sleep(0.5 + random.random())
        posted = sender.fire()
        taken.append(trial.await_share(0) - posted)
        trial.await_end()
        sender.resolve()
        trial.rig.say(f"alert {number} of {RUNS}: {taken[-1] * 1000:.0f} ms")
    return taken
