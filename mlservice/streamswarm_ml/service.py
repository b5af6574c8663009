"""The models' part of the ML service: what they need, their loop, their routes."""

from typing import Final

from starlette.routing import Route

from streamswarm_core.reader import TokenFile, open_reader
from streamswarm_core.writer import LineWriter
from streamswarm_ml.access import Gatekeeper
from streamswarm_ml.failure.model import Objective
from streamswarm_ml.health.rule import Limits
from streamswarm_ml.labels import LabelLog
from streamswarm_ml.loops import repeat
from streamswarm_ml.operations import Operations
from streamswarm_ml.plans import Plans
from streamswarm_ml.registry import ModelStore
from streamswarm_ml.routes import model_routes
from streamswarm_ml.settings import MlSettings

_INTERVAL: Final = 60.0
_LONGEST_DELAY: Final = 600.0
_LONGEST_WAIT: Final = 30.0


class ModelService:
    """Everything about the models but the app that it is mounted in.

    Args:
        settings: of the ML service.
        plans: what is maintained, and the tests' own thresholds.
        gatekeeper: says who may ask.

    Raises:
        OSError: the data folder can't be used.
    """

    def __init__(self, settings: MlSettings, plans: Plans, gatekeeper: Gatekeeper) -> None:
        token = TokenFile(settings.token_path)
        folder = settings.folder / "models"
        store = ModelStore(folder)
        # A reader and a writer of its own: the detectors' loop runs at the same time.
        self._reader = open_reader(settings, token)
        self._writer = LineWriter(settings.scores_url, token, bucket=settings.bucket)
        self._interval = max(_INTERVAL, settings.interval)
        self.operations: Final = Operations(
            self._reader,
            self._writer,
            store,
            LabelLog(folder / "labels.jsonl"),
            lookback_seconds=settings.lookback_hours * 3600,
            lateness_seconds=settings.lateness_seconds,
            limits=Limits(settings.latency_limits, settings.loss_limits, settings.down_limits),
            objective=Objective(settings.objective_down, settings.objective_loss, settings.objective_latency),
            false_alarms=settings.false_alarms,
            plans=plans,
        )
        self.routes: Final[list[Route]] = model_routes(self.operations, gatekeeper)

    async def run_forever(self) -> None:
        """Learn what is new every minute, less often while that fails, until cancelled."""
        operations = self.operations

        def note(failure: str) -> None:
            operations.progress.last_error = failure

        await repeat(operations.cycle, note, name="the models", interval=self._interval, longest=_LONGEST_DELAY)

    def close(self) -> None:
        """End the job, save what was learned, drop the connections."""
        self.operations.cancel()
        self.operations.wait(_LONGEST_WAIT)
        self.operations.save()
        self._reader.close()
        self._writer.close()
