"""A collector for the ML service's tests, and points in it by a clock of their own."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from streamswarm_collector.app import create_app as create_collector
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.reader import InfluxQLReader
from streamswarm_core.writer import LineWriter
from streamswarm_ml.labels import LabelLog
from streamswarm_ml.operations import Operations
from streamswarm_ml.plans import Plans
from streamswarm_ml.registry import ModelStore
from streamswarm_ml.windows import WINDOW_NS
from tests.support import serve_app

START = 5_666_666
"""Number of a window in 2023."""


class Bench:
    """A collector that asks for no token, and who reads it and writes to it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.reader = InfluxQLReader(url, database="streamswarm")
        self.writer = LineWriter(url, lambda: "", bucket="streamswarm")

    @classmethod
    @contextmanager
    def served(cls, folder: Path) -> Iterator[Self]:
        settings = CollectorSettings(data=folder, auth=False, flush_seconds=0.01)
        with serve_app(create_collector(settings)) as url:
            made = cls(url, folder)
            yield made
            made.reader.close()
            made.writer.close()


class ModelBench(Bench):
    """With models."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url, folder)
        self.now = (START + 1) * WINDOW_NS

    def measure(self, first: int, count: int, *, target: str = "gw") -> None:
        """Two runs a window of icmp, and one of the qos probe and the host."""
        lines = []
        for window in range(first, first + count):
            source = random.Random(window)
            for second in (10, 150):
                time_ns = (START + window) * WINDOW_NS + second * NANOSECONDS
                rtt = 0.01 * (1 + 0.3 * math.sin(window / 20)) + source.random() / 1000
                tags = f"agent=a,site=berlin,target={target},test=t"
                lines.append(f"icmp,{tags} up=1i,loss=0,rtt_mean={rtt},jitter={rtt / 20} {time_ns}")
                lines.append(f"qos_class,{tags},dscp=EF rtt_mean={rtt * 20},loss=0,jitter=0.001 {time_ns}")
                lines.append(f"host_cpu,agent=a,site=berlin,test=s usage={0.2 + source.random() / 20} {time_ns}")
        self.writer.write(("\n".join(lines) + "\n").encode())
        self.now = max(self.now, (START + first + count) * WINDOW_NS)

    def operations(self, name: str = "models", plans: Plans | None = None) -> Operations:
        folder = self.folder / name
        store = ModelStore(folder, clock=lambda: self.now)
        labels = LabelLog(folder / "labels.jsonl")
        return Operations(
            self.reader,
            self.writer,
            store,
            labels,
            lookback_seconds=3600,
            lateness_seconds=0,
            plans=plans,
            clock=lambda: self.now,
        )

    def written(self, measurement: str) -> list[tuple[Any, ...]]:
        answer = self.reader.execute(f"SELECT * FROM {measurement}")
        return [tuple(row) for series in answer for row in series.rows]
