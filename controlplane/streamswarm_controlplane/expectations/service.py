"""What is expected, told in the names that results carry: agents, tests and sites by their tags, not by ids."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments.selection import selects
from streamswarm_controlplane.maintenance.models import MaintenanceWindow
from streamswarm_controlplane.sites.models import Site
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.expectations import Expectations, ExpectedTest, PlannedWindow
from streamswarm_core.thresholds import Threshold


def expectations(db: Session) -> Expectations:
    """Thresholds of all tests that have some, all maintenance windows, past ones included, and sites' time zones.

    In an order of their own each, so that the same is told in the same words.
    """
    tests = db.scalars(select(TestPlan).order_by(TestPlan.key)).all()
    agents = db.scalars(select(Agent).order_by(Agent.name)).all()
    windows = db.scalars(select(MaintenanceWindow).order_by(MaintenanceWindow.created_at, MaintenanceWindow.id))
    sites = db.scalars(select(Site).order_by(Site.name))
    keys = {test.id: test.key for test in tests}
    return Expectations(
        tests=tuple(_expected(test) for test in tests if test.thresholds),
        maintenance=tuple(_planned(window, agents, keys) for window in windows),
        time_zones={site.name: site.time_zone for site in sites if site.time_zone},
    )


def _expected(test: TestPlan) -> ExpectedTest:
    thresholds = tuple(Threshold.model_validate(one) for one in test.thresholds)
    return ExpectedTest(test=test.key, probe=test.probe, thresholds=thresholds)


def _planned(window: MaintenanceWindow, agents: Iterable[Agent], keys: Mapping[str, str]) -> PlannedWindow:
    """As `maintenance.service.covers` reads it: a window without agents is about all of them."""
    named = bool(window.agent_ids or window.selector) and not window.everything
    chosen = (agent.name for agent in agents if agent.id in window.agent_ids or selects(window.selector, agent))
    tests = tuple(sorted(keys[one] for one in window.test_ids if one in keys))
    return PlannedWindow(
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        cron=window.cron,
        zone=window.zone,
        duration=window.duration,
        agents=tuple(chosen) if named else None,
        tests=tests if window.test_ids and not window.everything else None,
    )
