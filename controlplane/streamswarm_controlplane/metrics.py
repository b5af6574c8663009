"""What the control plane says about itself at `/metrics`.

Several workers keep their counts in files of one folder, and whichever answers adds them up, with those of workers that
have ended. What is in the database is the same whoever answers.
"""

import os
import time
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import Engine, event, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamswarm_controlplane.agents.schemas import AgentState
from streamswarm_controlplane.agents.service import list_agents, state_of
from streamswarm_controlplane.metricsfolder import FOLDER_VARIABLE
from streamswarm_controlplane.notifications.events import DeliveryStatus, Severity
from streamswarm_controlplane.notifications.models import Alert, Delivery
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now

_PREFIX: Final = "streamswarm_controlplane"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BEGUN: Final = "streamswarm_begun"
_UNKNOWN_ROUTE: Final = "none"


class Metrics:
    """The registry of one control plane process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._agents = self._gauge("agents", "Agents by state.", "state")
        self._alerts = self._gauge("alerts_open", "Open alerts by severity.", "severity")
        self._outbox = self._gauge("outbox_messages", "Messages that are neither delivered nor given up.")
        self._outbox_age = self._gauge("outbox_oldest_seconds", "Age of the oldest of them; 0 without any.")
        self._requests = Histogram(
            f"{_PREFIX}_request_duration_seconds",
            "Time to answer a request of the API.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._statements = Histogram(
            f"{_PREFIX}_database_statement_duration_seconds",
            "Time that the database takes for a statement.",
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        # Whoever is asked has just read it from the database.
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry, multiprocess_mode="mostrecent")

    @property
    def of_all_workers(self) -> CollectorRegistry:
        """What to expose."""
        if FOLDER_VARIABLE not in os.environ:
            return self.registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return registry

    def watch(self, engine: Engine) -> None:
        """Time the statements of a database."""

        def begin(connection: Connection, *_arguments: Any) -> None:
            connection.info[_BEGUN] = time.perf_counter()

        def end(connection: Connection, *_arguments: Any) -> None:
            begun = connection.info.pop(_BEGUN, None)
            if begun is not None:
                self._statements.observe(time.perf_counter() - begun)

        event.listen(engine, "before_cursor_execute", begin)
        event.listen(engine, "after_cursor_execute", end)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take note of a request."""
        self._requests.labels(method, route, status).observe(seconds)

    def read(self, db: Session, settings: ControlPlaneSettings) -> None:
        """Bring what is in the database up to date."""
        at = now()
        states = [state_of(agent, settings, at) for agent in list_agents(db)]
        for state in AgentState:
            self._agents.labels(state.value).set(states.count(state))
        alerts = db.scalars(select(Alert.severity).where(Alert.closed_at.is_(None))).all()
        for severity in Severity:
            self._alerts.labels(severity.value).set(alerts.count(severity.value))
        waiting = Delivery.status.not_in([DeliveryStatus.DELIVERED, DeliveryStatus.DEAD])
        count, oldest = db.execute(select(func.count(), func.min(Delivery.created_at)).where(waiting)).one()
        self._outbox.set(count)
        self._outbox_age.set(max(0.0, (at - oldest).total_seconds()) if oldest else 0.0)


class Timed:
    """ASGI middleware that times the API's requests, by the route's template: paths hold ids without end."""

    def __init__(self, app: ASGIApp, metrics: Metrics, prefix: str) -> None:
        self._app = app
        self._metrics = metrics
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", _UNKNOWN_ROUTE)
            self._metrics.answered(_method(scope["method"]), route, status, time.perf_counter() - begun)


def _method(given: str) -> str:
    """Anybody can send any word; each would be a time series for good."""
    return given if given in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
