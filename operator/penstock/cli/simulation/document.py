"""A simulation for machines."""

from typing import Any

from penstock.cli.simulation import text
from penstock.cli.simulation.play import Told
from penstock.core.simulation.course import Event
from penstock.core.simulation.summary import Spread


def document(told: Told) -> dict[str, Any]:
    """Return all that is told, ready for JSON."""
    shown, all_ = told.shown, told.summary
    return {
        "rollout": told.setting.name,
        "version": told.setting.spec.version,
        "timeline": [
            {
                "t": round(m.seconds, 3),
                "event": str(m.event),
                "weight": m.weight,
                "mirror": m.mirror,
                "why": m.why,
            }
            for m in shown.moments
        ],
        "assumed": list(text.assumptions(told.setting)),
        "notes": shown.notes,
        "runs": all_.runs,
        "seed": told.seed,
        "horizonSeconds": told.setting.end.total_seconds(),
        "promotedPercent": all_.percent(Event.PROMOTED),
        "observedPercent": all_.percent(Event.OBSERVED),
        "rolledBackPercent": all_.percent(Event.ROLLED_BACK),
        "waitingPercent": all_.percent(Event.WAITING),
        "rolledBackByCause": dict(all_.causes),
        "rolledBackByWeight": {f"{weight:g}": n for weight, n in all_.weights.items()},
        "secondsToEnd": _spread(all_.seconds),
        "candidateBad": _spread(all_.bad),
        "candidateBadMoreThanStable": _spread(all_.excess),
    }


def _spread(spread: Spread | None) -> dict[str, float] | None:
    if spread is None:
        return None
    return {"median": round(spread.median, 3), "ninetyPercentWithin": round(spread.ninety, 3)}
