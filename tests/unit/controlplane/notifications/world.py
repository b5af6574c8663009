"""An installation whose alerts are evaluated, with a clock that the test holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.notifications.evaluation import Evaluator
from streamswarm_controlplane.notifications.models import Alert, Delivery, Rule
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans.models import TestPlan as Plan
from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.catalogue.platform import AGENT
from streamswarm_core.clock import to_ns
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.point import Point
from streamswarm_core.reader import InfluxQLReader
from tests.unit.controlplane.notifications.tools import SECRET, Clock, add_channel

DATABASE = "alerts"
INTERVAL = 10.0
TAGS = {"site": "berlin", "target": "192.0.2.1", "family": "ipv4"}


decides = pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")
"""For what is decided from the store's answers, where the database has no part in; all else runs on each."""


@dataclass
class Store:
    """A collector with its embedded store."""

    url: str

    def write(self, *points: Point) -> None:
        answer = httpx.post(f"{self.url}/api/v2/write?bucket={DATABASE}", content=encode_lines(points))
        answer.raise_for_status()


class World:
    """An installation with agents that beat, tests that measure, and an evaluator."""

    def __init__(
        self, database: Database, settings: ControlPlaneSettings, store: Store, clock: Clock, name: str
    ) -> None:
        self.database = database
        self.settings = settings
        self.store = store
        self.clock = clock
        self.name = name
        self.reader = InfluxQLReader(store.url, database=DATABASE)
        self.evaluator = Evaluator(database, self.reader, settings, "worker", clock)
        self.silent: set[str] = set()
        self.stuck: set[str] = set()  # agents that beat, but whose points don't arrive
        self.down: set[str] = set()
        self.unmeasured: set[str] = set()
        self.rtt = 0.01

    def add_agent(self, agent: str, *tests: str, **more: Any) -> None:
        with self.database.session() as db:
            made = Agent(
                name=self.own(agent),
                site="berlin",
                secret_hash="",
                enrolled_at=self.clock.at,
                last_seen_at=self.clock.at,
                **more,
            )
            db.add(made)
            db.flush()
            for test in tests:
                plan = db.scalar(select(Plan).where(Plan.key == self.own(test)))
                if plan is None:
                    plan = Plan(
                        key=self.own(test),
                        name=test,
                        probe="icmp",
                        target="192.0.2.1",
                        interval=INTERVAL,
                        timeout=10.0,
                        created_at=self.clock.at,
                        updated_at=self.clock.at,
                    )
                    db.add(plan)
                    db.flush()
                db.add(AssignmentRow(test_id=plan.id, agent_id=made.id, created_at=self.clock.at))

    def own(self, name: str) -> str:
        """The store is shared, names are not."""
        return f"{name}-{self.name}"

    def run(self, seconds: float) -> None:
        """Let time pass, second by interval: heartbeats, runs, evaluations."""
        for _ in range(round(seconds / INTERVAL)):
            at = self.clock.pass_by(INTERVAL)
            points = []
            with self.database.session() as db:
                for agent in db.scalars(select(Agent)):
                    if agent.name.rpartition("-")[0] not in self.silent:
                        agent.last_seen_at = at
                        if agent.name.rpartition("-")[0] not in self.stuck:
                            tags = {"agent": agent.name, "site": "berlin"}
                            points.append(AGENT.point(tags, time_ns=to_ns(at), assignments=1))
                for row in db.scalars(select(AssignmentRow)):
                    test = row.test.key.rpartition("-")[0]
                    gone = row.agent.name.rpartition("-")[0] in self.silent | self.stuck
                    if not gone and test not in self.unmeasured:
                        points.append(
                            self.point(row.agent.name, row.test.key, at, up=test not in self.down, rtt=self.rtt)
                        )
            if points:
                self.store.write(*points)
            assert self.evaluator.evaluate()

    @staticmethod
    def point(agent: str, test: str, at: datetime, *, up: bool, rtt: float) -> Point:
        tags = {**TAGS, "agent": agent, "test": test}
        if up:
            return ICMP.point(tags, time_ns=to_ns(at), up=1, rtt_mean=rtt)
        return ICMP.point(tags, time_ns=to_ns(at), up=0, error="timeout", error_detail="no reply")

    def score(
        self,
        agent: str,
        test: str,
        *,
        flag: int,
        field: str = "rtt_mean",
        detector: str = "hst",
        value: float = 0.5,
        kind: str = "",
    ) -> None:
        values: dict[str, Any] = {
            "score": 0.9,
            "threshold": 0.8,
            "expected": 0.01 if field != "up" else 0.9,
            "value": value,
        }
        if kind:
            values |= {"event": "close", "kind": kind}
        tags = self._scored(agent, test, field=field, detector=detector)
        self.store.write(ANOMALY.point(tags, time_ns=to_ns(self.clock.at), flag=flag, **values))

    def score_together(self, agent: str, test: str, *, view: str) -> None:
        """An anomaly of all fields, which has no one value."""
        tags = self._scored(agent, test, field="all", detector="multivariate")
        self.store.write(
            ANOMALY.point(tags, time_ns=to_ns(self.clock.at), flag=1, score=0.9, threshold=0.75, view=view)
        )

    def _scored(self, agent: str, test: str, *, field: str, detector: str) -> dict[str, str]:
        return {
            **TAGS,
            "agent": self.own(agent),
            "test": self.own(test),
            "measurement": "icmp",
            "field": field,
            "detector": detector,
        }

    def alerts(self, *, opened: bool = True) -> dict[str, Alert]:
        """Open (or closed) alerts by event and agent or test."""
        with self.database.session() as db:
            found = db.scalars(
                select(Alert).where(Alert.closed_at.is_(None) if opened else Alert.closed_at.is_not(None))
            )
            return {f"{one.event} {self.short(one)}".strip(): one for one in found}

    @staticmethod
    def short(alert: Alert) -> str:
        return (alert.labels.get("test") or alert.labels.get("agent", "")).rpartition("-")[0]

    def messages(self) -> list[dict[str, Any]]:
        with self.database.session() as db:
            return [one.payload for one in db.scalars(select(Delivery).order_by(Delivery.number))]

    def told(self) -> list[tuple[str, list[str]]]:
        """Kind and contents of each message."""
        return [
            (one["kind"], sorted(f"{alert['event']} {alert['state']}" for alert in one["alerts"]))
            for one in self.messages()
        ]


def add_rule(world: World, name: str, **more: Any) -> None:
    channel_id = add_channel(world.database, f"channel of {name}", url="http://192.0.2.9/", secret=SECRET)
    fields: dict[str, Any] = {"wait": 0, "repeat": 0, "group_by": [], **more}
    with world.database.session() as db:
        made = Rule(name=name, channel_ids=[channel_id], created_at=world.clock.at, updated_at=world.clock.at, **fields)
        db.add(made)


def change_test(world: World, test: str, **values: Any) -> None:
    with world.database.session() as db:
        plan = db.scalars(select(Plan).where(Plan.key == world.own(test))).one()
        for name, value in values.items():
            setattr(plan, name, value)
