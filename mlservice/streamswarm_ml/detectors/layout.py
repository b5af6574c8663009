"""Where each number of a series' state is kept: rows of the bank's array."""

from enum import IntEnum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamswarm_ml.detectors.base import FEATURES, VIEWS

DAY_HOURS: Final = 24
WEEK_HOURS: Final = 168
HOURS: Final = DAY_HOURS + WEEK_HOURS
"""The season's means: the hours of the day, then the hours of the week."""


class Row(IntEnum):
    """Single numbers; counts are whole numbers kept as floats."""

    COUNT = 0
    ADAPTED = auto()
    INTERVAL = auto()
    # The counter: raw values seen, whether the rate is judged, whether it ever fell, steps within the block.
    RAW_COUNT = auto()
    RAW = auto()
    IS_COUNTER = auto()
    FELL = auto()
    RISES = auto()
    FALLS = auto()
    RATE = auto()
    PREVIOUS = auto()
    LEAST_STEP = auto()
    # Fast robust mean and spread; the smoothed views.
    LOCATION = auto()
    SCALE = auto()
    SHORT_MEAN = auto()
    LONG_MEAN = auto()
    SHORT_LEVEL = auto()
    LONG_LEVEL = auto()
    SHORT_RESIDUAL = auto()
    LONG_RESIDUAL = auto()
    RESIDUAL_SIZE = auto()
    SHORT_STEP = auto()
    LONG_STEP = auto()
    # Novelty.
    NOVELTY = auto()
    USUAL_NOVELTY = auto()
    PEAK = auto()
    REST = auto()
    LASTING = auto()
    RECENT_DEVIATION = auto()
    # The open anomaly: its points so far, 0 if there is none; what follows is of it.
    OPEN = auto()
    QUIET = auto()
    STEADY = auto()
    BEFORE = auto()
    DRIFT_COUNT = auto()
    DRIFT_MEAN = auto()
    DRIFT_UP = auto()
    DRIFT_UP_LEAST = auto()
    DRIFT_DOWN = auto()
    DRIFT_DOWN_GREATEST = auto()


_END: Final = len(Row)
LOW: Final = slice(_END, _END + len(VIEWS))
HIGH: Final = slice(LOW.stop, LOW.stop + len(VIEWS))
CENTRES: Final = slice(HIGH.stop, HIGH.stop + len(FEATURES))
SPREADS: Final = slice(CENTRES.stop, CENTRES.stop + len(FEATURES))
WIDTH: Final = SPREADS.stop
"""Numbers a series, without its season."""
OF_SEASON: Final = slice(0, FEATURES.index("long residual") + 1)
"""The features that are distances from what was expected."""
VALUE_CENTRE: Final = CENTRES.stop - 1
VALUE_SPREAD: Final = SPREADS.stop - 1
RESIDUAL_SPREAD: Final = SPREADS.start
FIRST_RESET: Final = Row.RATE
"""From here on a series starts afresh when it turns out to be a counter."""


def of_version_3(state: NDArray[np.float64]) -> NDArray[np.float64]:
    """States from before there was RECENT_DEVIATION, float64 [WIDTH - 1, series]; it begins at nothing."""
    return np.insert(state, Row.RECENT_DEVIATION, 0.0, axis=0)
