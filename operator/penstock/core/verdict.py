"""What can be said of one metric, and of a whole analysis."""

from enum import StrEnum


class Verdict(StrEnum):
    """The answer of an analysis; the values are what users read in the status."""

    LEARNING = "Learning"
    SAFE = "Safe"
    WORSE = "Worse"
    NO_DATA = "NoData"
    UNTRUSTED = "Untrusted"
