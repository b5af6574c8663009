"""Makes models anew from all that is stored: points, and what operators said of them."""

import logging
from collections import deque
from collections.abc import Iterable, Mapping

from streamswarm_core.clock import from_ns
from streamswarm_core.reader import Reader, Select
from streamswarm_ml.health.model import HealthModel, UnknownWindowError
from streamswarm_ml.infrastructure.model import InfrastructureModel, UnknownResultError
from streamswarm_ml.labels import Label, learn_label
from streamswarm_ml.models import Model
from streamswarm_ml.windows import WINDOW_NS, Window, learned_fields, learned_measurements

log = logging.getLogger(__name__)


def replay(fresh: Mapping[str, Model], labels: deque[Label], windows: Iterable[Window]) -> None:
    """Let models learn windows, and each label right behind the window that it is about.

    Args:
        fresh: the models by name.
        labels: the oldest first; those that were learned are taken out.
        windows: the oldest first.
    """
    for window in windows:
        for model in fresh.values():
            model.observe(window)
        while labels and labels[0].time_ns // WINDOW_NS <= window.index:
            _teach(fresh, labels.popleft())


def oldest_window(reader: Reader, now_ns: int) -> int:
    """Number of the first window with a point; the one of `now_ns` if there is none.

    Raises:
        Unavailable, Refused: as of the reader.
    """
    found = []
    stored = set(reader.measurements())
    for measurement in learned_measurements():
        names = learned_fields(measurement)
        if measurement.name in stored and names:
            answer = reader.select(Select(measurement.name, names, limit=1))
            found += [int(row[0] or 0) for series in answer for row in series.rows]
    return min(found, default=now_ns) // WINDOW_NS


def _teach(fresh: Mapping[str, Model], label: Label) -> None:
    model = fresh.get(label.model)
    if isinstance(model, HealthModel | InfrastructureModel):
        try:
            learn_label(model, label)
        except (UnknownWindowError, UnknownResultError):
            log.info("a label of %s is left out: its window is not in the store any more", from_ns(label.time_ns))
