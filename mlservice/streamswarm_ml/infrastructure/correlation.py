from collections.abc import Sequence
from typing import Final

import numpy as np

_LEAST: Final = 8
_TINY: Final = 1e-9


def lagged_partial(cause: Sequence[float], effect: Sequence[float], given: Sequence[float], most_lag: int = 2) -> float:
    """The largest correlation of an effect with a cause up to some steps before, with what a third explains taken out.

    Partial correlation: cause and effect are each regressed on the third (and a constant), and their residuals
    correlated. An effect before its cause counts for nothing.

    Args:
        cause: one value a step, oldest first.
        effect: of the same steps.
        given: the confounder, of the same steps.
        most_lag: how many steps an effect may come later.

    Returns:
        0..1; 0 too where one of the two doesn't vary or there are fewer than eight steps.

    >>> load = [0.0, 1, 0, 2, 0, 3, 0, 1, 5, 5, 5, 0]
    >>> round(lagged_partial(load, [0.0, *load[:-1]], [0.0] * 12), 2)
    1.0
    >>> lagged_partial(load, load, load)
    0.0
    """
    best = 0.0
    for lag in range(most_lag + 1):
        count = len(effect) - lag
        if count < _LEAST:
            break
        first = _residual(np.asarray(cause[:count], float), np.asarray(given[:count], float))
        second = _residual(np.asarray(effect[lag:], float), np.asarray(given[lag:], float))
        scale = float(np.sqrt((first @ first) * (second @ second)))
        if scale > _TINY:
            best = max(best, float(first @ second) / scale)
    return min(best, 1.0)


def _residual(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    values, given = values - values.mean(), given - given.mean()
    power = float(given @ given)
    if power > _TINY:
        values = values - given * (float(given @ values) / power)
    # What rounding leaves is nothing.
    return np.where(np.abs(values) < _TINY, 0.0, values)
