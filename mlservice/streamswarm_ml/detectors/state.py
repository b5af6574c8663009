from collections.abc import Sequence
from typing import Final, Self

from streamswarm_ml.detectors.base import TOLD_VIEWS, Ending, Verdict

_RARE_SHARE: Final = 0.05
STATE_THRESHOLD: Final = (1 - _RARE_SHARE) ** 2
"""Score from which a state's anomaly opens: the bad state was rare so far."""


class StateDetector:
    """Watches a series of zeros and ones, such as `up`: the bad state is unusual where it is rare.

    The score is one minus the share of the bad state so far (exponentially weighted), squared, while the series is in
    it, and 0 in the good state. Ten values are warm-up enough: a state has no distribution to be learned first.

    Args:
        bad: the value of the bad state.
        warmup: values before anything can be flagged.

    >>> detector = StateDetector()
    >>> flags = [detector.update(1.0, i).flag for i in range(20)]
    >>> any(flags), detector.update(0.0, 20).flag, detector.update(1.0, 21).flag
    (False, True, False)
    """

    name: Final = "state"

    def __init__(self, bad: float = 0.0, warmup: int = 10) -> None:
        self._bad = bad
        self._warmup = warmup
        self._seen = 0
        self._bad_share = 0.0
        self._open = False

    @property
    def numbers(self) -> tuple[float, float, float]:
        """Everything that is to be remembered."""
        return float(self._seen), self._bad_share, float(self._open)

    @classmethod
    def restored(cls, numbers: Sequence[float]) -> Self:
        """The detector whose `numbers` these were."""
        made = cls()
        made._seen, made._bad_share, made._open = int(numbers[0]), float(numbers[1]), bool(numbers[2])
        return made

    @property
    def open(self) -> bool:
        """Whether the series is in an anomaly."""
        return self._open

    def update(self, value: float, time_ns: int) -> Verdict:
        """Score a value, then learn it."""
        _ = time_ns
        is_bad = value == self._bad
        was_open = self._open
        score = (1 - self._bad_share) ** 2 if is_bad and self._seen >= self._warmup else 0.0
        if not is_bad:
            self._open = False
        elif self._seen >= self._warmup and self._bad_share < _RARE_SHARE:
            self._open = True
        self._seen += 1
        # While an anomaly is open the bad state is learned slowly, so that a long outage does not make itself normal.
        weight = max(1 / self._seen, 0.0002 if self._open else 0.002)
        if not self._open or weight < 0.01:
            self._bad_share += weight * (float(is_bad) - self._bad_share)
        usual = self._bad if self._bad_share > 0.5 else 1.0 - self._bad
        return Verdict(
            score,
            STATE_THRESHOLD,
            self._open,
            usual,
            opened=self._open and not was_open,
            ending=Ending.INCIDENT if was_open and not self._open else Ending.NONE,
            view=TOLD_VIEWS.index("value"),
        )
