"""What models there are, and what each can do."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from streamswarm_core.point import Point
from streamswarm_ml.failure.model import FailureModel
from streamswarm_ml.forecast.model import ForecastModel
from streamswarm_ml.health.model import HealthModel
from streamswarm_ml.infrastructure.model import InfrastructureModel
from streamswarm_ml.multivariate.model import MultivariateModel
from streamswarm_ml.qos.model import QosModel
from streamswarm_ml.windows import Window


class Model(Protocol):
    """What every model can do."""

    @property
    def samples(self) -> int:
        """Examples learned."""

    def observe(self, window: Window) -> list[Point]:
        """Score what was said of this window, learn it, and say what is to be expected."""

    def forget(self, before: int) -> None:
        """Drop what is kept of series that have had no point since a window."""

    def report(self) -> Mapping[str, Any]:
        """Prequential figures beside those of a naive baseline, JSON-ready."""


MODELS: Final[Mapping[str, Callable[[], Model]]] = {
    "forecast": ForecastModel,
    "failure": FailureModel,
    "health": HealthModel,
    "qos": QosModel,
    "infrastructure": InfrastructureModel,
    "multivariate": MultivariateModel,
}
