"""Agents that are online and whose points don't arrive: one cause, one alert, with what is known of it."""

import shutil
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from streamswarm_collector.app import create_app as create_collector
from streamswarm_collector.settings import CollectorSettings
from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.notifications.evaluation import Evaluator
from streamswarm_core.reader import InfluxQLReader
from tests.support import serve_app
from tests.unit.controlplane.notifications.world import DATABASE, Store, World, decides

pytestmark = decides


def change_agent(world: World, agent: str, **values: object) -> None:
    with world.database.session() as db:
        found = db.scalars(select(Agent).where(Agent.name == world.own(agent))).one()
        for name, value in values.items():
            setattr(found, name, value)


def test_an_agent_whose_points_do_not_arrive_is_one_alert_that_says_how_many_wait(rule: World) -> None:
    rule.add_agent("a", "ping", "dns", "web")
    rule.add_agent("b", "ping")
    rule.run(60)
    rule.stuck = {"a"}
    change_agent(rule, "a", queued_points=1234)
    rule.run(200)
    found = rule.alerts()
    assert sorted(found) == ["no_data a", "no_data dns", "no_data ping", "no_data web"]
    told = found["no_data a"]
    assert (told.severity, told.held_back) == ("critical", "")
    assert "1,234 wait on it" in told.detail
    assert found["no_data web"].held_back == f"nothing of agent {rule.own('a')} arrives"
    rule.stuck, rule.unmeasured = set(), {"web"}
    rule.run(20)
    assert list(rule.alerts()) == ["no_data web"]
    assert rule.alerts()["no_data web"].held_back.endswith("have just begun to arrive again")
    rule.unmeasured = set()
    rule.run(100)
    assert rule.told() == [("opened", ["no_data open"]), ("closed", ["no_data closed"])]


def test_nothing_of_any_agent_is_one_alert_about_the_way_to_the_store(rule: World) -> None:
    for agent in ("a", "b", "c"):
        rule.add_agent(agent, "ping", "dns")
    rule.run(60)
    rule.stuck = {"a", "b", "c"}
    rule.run(200)
    audible = [alert for alert in rule.alerts().values() if not alert.held_back]
    assert [alert.summary for alert in audible] == ["No data of any agent"]
    rule.stuck = {"c"}
    rule.run(200)
    assert rule.told() == [
        ("opened", ["no_data open"]),
        ("closed", ["no_data closed"]),
        ("opened", ["no_data open"]),
    ]
    assert rule.messages()[-1]["alerts"][0]["labels"]["agent"] == rule.own("c")


def test_what_the_collector_says_is_wrong_with_it_is_in_the_alert(rule: World, tmp_path: Path) -> None:
    settings = CollectorSettings(data=tmp_path, auth=False, bucket=DATABASE, flush_seconds=0.01)
    with serve_app(create_collector(settings)) as url, InfluxQLReader(url, database=DATABASE) as reader:
        rule.store = Store(url)
        rule.evaluator = Evaluator(rule.database, reader, rule.settings, "worker", rule.clock)
        rule.add_agent("a", "ping")
        rule.run(60)
        assert reader.complaint() == ""
        shutil.rmtree(settings.folder / "wal")
        with pytest.raises(httpx.HTTPStatusError):
            rule.store.write(rule.point(rule.own("a"), rule.own("ping"), rule.clock.at, up=True, rtt=0.01))
        rule.stuck = {"a"}
        rule.run(100)
    assert "; the store says: log: " in rule.alerts()["no_data a"].detail
    assert "restart the collector" in rule.alerts()["no_data a"].detail


def test_an_agent_that_is_offline_is_not_called_without_data_as_well(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(60)
    rule.silent = {"a"}
    rule.run(300)
    assert sorted(rule.alerts()) == ["agent_offline a", "no_data ping"]


def test_points_of_a_clock_that_was_ahead_say_nothing_of_now(rule: World) -> None:
    rule.add_agent("a", "ping")
    at = rule.clock.at + timedelta(hours=1)
    rule.store.write(rule.point(rule.own("a"), rule.own("ping"), at, up=True, rtt=0.01))
    rule.run(20)
    rule.down = {"ping"}
    rule.run(20)
    assert list(rule.alerts()) == ["test_down ping"]


def test_an_agent_whose_clock_is_off_is_said_to_be(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(60)
    rule.stuck = {"a"}
    change_agent(rule, "a", clock_offset=-3599.99)
    rule.run(200)
    assert "its clock is 1 h ahead, so its points have wrong times" in rule.alerts()["no_data a"].detail
