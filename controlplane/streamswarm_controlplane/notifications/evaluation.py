"""One round of alerting. Of several workers the one with the lease does it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.jobs.lease import hold, release
from streamswarm_controlplane.notifications.alerts import open_alerts, purge, reconcile
from streamswarm_controlplane.notifications.limits import ThresholdWatch
from streamswarm_controlplane.notifications.routing import Route, route
from streamswarm_controlplane.notifications.watch import StoreWatch, look_at_agents, look_at_results
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sysconfig.service import effective
from streamswarm_core.clock import now
from streamswarm_core.reader import Reader

LEASE: Final = "alert evaluation"
LEASE_SECONDS: Final = 10.0


class Evaluator:
    """Looks, brings the alerts in line, and writes the messages that are due.

    Args:
        database: of the control plane.
        reader: of the store.
        settings: of the control plane.
        worker: name of this worker.
        clock: tells the time.
    """

    def __init__(
        self,
        database: Database,
        reader: Reader,
        settings: ControlPlaneSettings,
        worker: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._reader = reader
        self._settings = settings
        self._worker = worker
        self._clock = clock
        self._limits = ThresholdWatch()
        self._store = StoreWatch()

    def evaluate(self) -> bool:
        """One round; whether it was this worker's to do.

        The store is asked without a transaction, which may take a while. All writing is one transaction, and it begins
        with the lease: a worker that has lost it meanwhile writes nothing.

        Silence counts from when somebody listened, without a gap, for what was silent: after a stop of the control
        plane or of the store, agents and points of which nothing was heard meanwhile get the time they always have.
        """
        at = self._clock()
        with self._database.session() as db:
            since = hold(db, LEASE, self._worker, self._lease_seconds, at)
            if since is None:
                return False
        # Not in the same transaction: on SQLite no heartbeat could be written meanwhile.
        with self._database.session(reading=True) as db:
            settings = effective(db, self._settings)
            look = look_at_agents(db, settings, since, at)
        look_at_results(look, self._reader, settings, at, self._limits, self._store)
        with self._database.session() as db:
            if hold(db, LEASE, self._worker, self._lease_seconds, self._clock()) is None:
                return False
            reconcile(db, look, at, steady=timedelta(seconds=self._settings.steady_seconds))
            shape = Route(self._settings.url, timedelta(hours=self._settings.give_up_hours))
            route(db, open_alerts(db), shape, at)
            purge(db, timedelta(days=self._settings.alert_days), at)
        return True

    def leave(self) -> None:
        """Let another worker take over at once."""
        with self._database.session() as db:
            release(db, LEASE, self._worker, self._clock())

    @property
    def _lease_seconds(self) -> float:
        return max(LEASE_SECONDS, 2 * self._settings.alert_seconds)
