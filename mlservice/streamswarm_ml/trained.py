"""A model in use, and what is told of it."""

from dataclasses import dataclass

from streamswarm_ml.models import Model


@dataclass(slots=True)
class Trained:
    """A model and how far it has read.

    Attributes:
        model: itself.
        next_window: number of the first window that it hasn't seen.
        refused: why a stored version was not loaded; empty if it was, or if there was none.
    """

    model: Model
    next_window: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class ModelGauge:
    """What metrics tell of a model.

    Attributes:
        samples: examples learned.
        trained_until: end of the newest window that it has seen, seconds since the epoch.
        lag: age of that, seconds.
        bytes_on_disk: of all its versions.
    """

    samples: int
    trained_until: float
    lag: float
    bytes_on_disk: int
