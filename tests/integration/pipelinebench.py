"""A collector with points of whole minutes, and pipelines that read it by a clock of their own."""

import random
from pathlib import Path
from typing import Any, Final

from streamswarm_core.clock import NANOSECONDS
from streamswarm_ml.pipeline import Pipeline
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import StateFile
from tests.integration.mlbench import Bench

START: Final = 1_700_000_000
Scores = dict[tuple[str, str, int], tuple[Any, ...]]


class PipelineBench(Bench):
    """With pipelines that read it by a clock of our own."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url, folder)
        self.now = START

    def pipeline(self, **changes: Any) -> Pipeline:
        settings = MlSettings(data=self.folder, store_url=self.url, **changes)
        return Pipeline(settings, self.reader, self.writer, StateFile(settings.folder), lambda: self.now * NANOSECONDS)

    def measure(self, second: int, *, up: int = 1, target: str = "gw") -> None:
        rtt = f",rtt_mean={0.01 + random.Random(second).random() / 1000}" if up else ""
        self.writer.write(f"icmp,target={target} up={up}i,loss={1 - up}.0{rtt} {second * NANOSECONDS}\n".encode())
        self.now = max(self.now, second + 1)

    def measure_minutes(self, minutes: int, *, target: str = "gw", outage: range = range(0)) -> None:
        """A run a minute up to now, which moves on; RTT is a thousandfold during the outage."""
        lines = []
        for minute in range(minutes):
            rtt = (10.0 if minute in outage else 0.01) * (1 + random.Random(minute).random() / 10)
            stamp = (START + minute * 60) * NANOSECONDS
            lines.append(f"icmp,target={target} up=1i,loss=0.0,rtt_mean={rtt} {stamp}\n")
        self.writer.write("".join(lines).encode())
        self.now = max(self.now, START + minutes * 60)

    def events(self) -> list[tuple[str, str, int]]:
        answer = self.reader.execute("SELECT event, kind FROM anomaly WHERE target = 'gw'")
        rows = [row for series in answer for row in series.rows if row[1]]
        return [(str(event), str(kind or ""), (int(at or 0) // NANOSECONDS - START) // 60) for at, event, kind in rows]

    def scores(self) -> Scores:
        found: Scores = {}
        for series in self.reader.execute('SELECT score, flag, value FROM anomaly GROUP BY target, "field"'):
            for time_ns, *values in series.rows:
                key = (series.tags["target"], series.tags["field"], int(time_ns or 0) // NANOSECONDS - START)
                assert key not in found
                found[key] = tuple(values)
        return found
