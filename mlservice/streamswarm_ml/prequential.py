"""Test, then train: a model's running loss beside that of a naive baseline, and how it went over time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_core.clock import from_ns

_MOST_MARKS: Final = 200


@dataclass(slots=True)
class Tally:
    """Mean losses of a model and of baselines on the same examples, each scored before it was learned.

    Attributes:
        loss_name: such as "mean absolute error".
        baselines: names; the first is the one that `skill` compares with.
        count: examples scored.
        model_sum: sum of the model's losses.
        baseline_sums: sums of the baselines' losses, in the order of their names.
        marks: (time in nanoseconds, examples, skill of the examples since the mark before), oldest first.

    >>> tally = Tally("mean absolute error", ("as now",))
    >>> tally.add(1.0, (2.0,), time_ns=0)
    >>> tally.skill
    0.5
    """

    loss_name: str
    baselines: tuple[str, ...]
    count: int = 0
    model_sum: float = 0.0
    baseline_sums: list[float] = field(default_factory=list)
    marks: list[tuple[int, int, float]] = field(default_factory=list)
    _every: int = 100
    _marked: tuple[int, float, float] = (0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not self.baseline_sums:
            self.baseline_sums = [0.0] * len(self.baselines)

    def add(self, model: float, baselines: tuple[float, ...], *, time_ns: int) -> None:
        """Add one example's losses."""
        self.count += 1
        self.model_sum += model
        for index, loss in enumerate(baselines):
            self.baseline_sums[index] += loss
        if self.count - self._marked[0] >= self._every:
            self._mark(time_ns)

    @property
    def skill(self) -> float | None:
        """1 - loss / loss of the first baseline: 0 is no better, 1 is perfect; None where the baseline never erred."""
        return _skill(self.model_sum, self.baseline_sums[0])

    def report(self) -> Mapping[str, Any]:
        """JSON-ready: means, skill, and the skill over time."""
        count = max(self.count, 1)
        return {
            "loss": self.loss_name,
            "examples": self.count,
            "model": self.model_sum / count if self.count else None,
            "baselines": {
                name: total / count if self.count else None
                for name, total in zip(self.baselines, self.baseline_sums, strict=True)
            },
            "skill": self.skill,
            "over_time": [
                {"time": from_ns(time_ns).isoformat(), "examples": examples, "skill": skill}
                for time_ns, examples, skill in self.marks
            ],
        }

    def _mark(self, time_ns: int) -> None:
        _, model, baseline = self._marked
        skill = _skill(self.model_sum - model, self.baseline_sums[0] - baseline)
        if skill is not None:
            self.marks.append((time_ns, self.count, skill))
        self._marked = (self.count, self.model_sum, self.baseline_sums[0])
        if len(self.marks) > _MOST_MARKS:
            # Half as many marks for twice as long: the past stays, coarser.
            self.marks = self.marks[1::2]
            self._every *= 2


def _skill(model: float, baseline: float) -> float | None:
    return 1 - model / baseline if baseline > 0 else None
