"""At which instants a release is looked at, so that releases share their questions.

Looks of all releases with one interval end on a common grid, in a few phases: releases of one phase
are asked about in one query, and the phases spread the work over the interval.
"""

from datetime import UTC, datetime, timedelta
from zlib import crc32

PHASES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def looks_from(started: datetime, interval: timedelta, rollout: str) -> datetime:
    """Return the instant from which looks are counted: the last of the grid up to the start.

    Args:
        started: When the release started.
        interval: The time between looks.
        rollout: Namespace and name of the Rollout; they choose the phase.
    """
    phase = timedelta(milliseconds=round(interval / timedelta(milliseconds=PHASES))) * (
        crc32(rollout.encode()) % PHASES
    )
    return _EPOCH + phase + (started - _EPOCH - phase) // interval * interval
