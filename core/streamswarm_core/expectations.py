"""What operators expect: tests' thresholds, sites' clocks, and when what is measured is no news as it was planned.

The control plane says it, the ML service heeds it.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streamswarm_core.schedule import CronExpression, moments
from streamswarm_core.thresholds import Threshold
from streamswarm_core.zones import ZoneName


class PlannedWindow(BaseModel):
    """A maintenance window: from `starts_at` to `ends_at`, or for `duration` seconds from each moment of `cron`."""

    model_config = ConfigDict(frozen=True)

    starts_at: AwareDatetime | None = Field(None, description="Beginning; with cron: no moment before.")
    ends_at: AwareDatetime | None = Field(None, description="End; with cron: none from then on.")
    cron: CronExpression | Literal[""] = Field("", description="Empty for a window that doesn't recur.")
    zone: ZoneName = Field("UTC", description="Time zone of the cron expression.")
    duration: float | None = Field(None, description="Seconds that it goes on from each moment of cron.")
    agents: tuple[str, ...] | None = Field(None, description="Names of the agents that it is about; null for all.")
    tests: tuple[str, ...] | None = Field(None, description="Keys of the tests that it is about; null for all.")

    def covers(self, agent: str, test: str) -> bool:
        """Whether it is about what an agent measured for a test, whatever the time.

        >>> PlannedWindow(agents=("berlin",)).covers("berlin", "ping"), PlannedWindow(tests=()).covers("berlin", "ping")
        (True, False)
        """
        return (self.agents is None or agent in self.agents) and (self.tests is None or test in self.tests)

    def spans(self, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Beginning and end of each maintenance that reaches into [begin, end), in the order of beginnings.

        Args:
            begin: with an offset.
            end: with an offset.
        """
        if not self.cron:
            if (
                self.starts_at is not None
                and self.ends_at is not None
                and self.starts_at < end
                and self.ends_at > begin
            ):
                yield self.starts_at, self.ends_at
            return
        length = timedelta(seconds=self.duration or 0.0)
        for start in moments(self.cron, self.zone, begin - length):
            if start >= end or (self.ends_at is not None and start >= self.ends_at):
                return
            if self.starts_at is None or start >= self.starts_at:
                yield start, start + length if self.ends_at is None else min(start + length, self.ends_at)


class ExpectedTest(BaseModel):
    """A test that has thresholds of its own."""

    model_config = ConfigDict(frozen=True)

    test: str = Field(description="The value of the tag `test`.")
    probe: str
    thresholds: tuple[Threshold, ...]


class Expectations(BaseModel):
    """All of it; tests without thresholds are left out."""

    model_config = ConfigDict(frozen=True)

    tests: tuple[ExpectedTest, ...] = ()
    maintenance: tuple[PlannedWindow, ...] = ()
    time_zones: Mapping[str, str] | None = Field(
        None, description="IANA time zones by the tag `site`, of sites that have one; null: nothing is said of them."
    )
