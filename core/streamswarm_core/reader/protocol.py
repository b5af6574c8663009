from collections.abc import Mapping, Sequence
from typing import Protocol

from streamswarm_core.reader.select import Condition, Select
from streamswarm_core.reader.series import Series


class Reader(Protocol):
    """What the services ask of a store; `open_reader` makes the one that fits it.

    Raw rows of a range are a Select of fields, window means one of aggregates with `every_ns`, newest values one with
    `descending` and `limit=1`. `streamswarm_core.reader.frames` gives the same as pandas DataFrames.
    """

    def select(self, statement: Select) -> list[Series]:
        """Answer one SELECT; no point is an empty list.

        Raises:
            Unavailable: the store can't be reached or is overloaded; the message names its URL.
            Refused: the store doesn't take the statement, or can't answer it; the message says why.
        """

    def series(
        self, measurement: str, *, start_ns: int, stop_ns: int, where: Sequence[Condition] = ()
    ) -> list[Mapping[str, str]]:
        """The tags of every series with a point in [start_ns, stop_ns), without empty ones, sorted.

        A store may answer from its index and then also name series that have points shortly before or after
        (Prometheus: in the same block, VictoriaMetrics: on the same day).

        Raises:
            Unavailable, Refused: as for `select`.
        """

    def measurements(self) -> list[str]:
        """Names of the measurements stored, sorted.

        Raises:
            Unavailable, Refused: as for `select`.
        """

    def complaint(self) -> str:
        """What the store says is wrong with itself, such as a full disk; "" if nothing, or if it can't be asked."""

    def close(self) -> None:
        """Drop the connections."""
