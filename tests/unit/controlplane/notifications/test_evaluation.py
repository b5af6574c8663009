"""Alerts from agents, results and scores in a real store, with a clock that the test holds."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from streamswarm_collector.app import create_app as create_collector
from streamswarm_collector.settings import CollectorSettings
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.maintenance.models import MaintenanceWindow
from streamswarm_controlplane.notifications.evaluation import LEASE_SECONDS, Evaluator
from streamswarm_controlplane.notifications.models import Alert, Delivery, Silence
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans.models import TestPlan as Plan
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.clock import to_ns
from streamswarm_core.reader import InfluxQLReader
from tests.support import find_free_port, serve_app
from tests.unit.controlplane.notifications.conftest import Clock
from tests.unit.controlplane.notifications.world import DATABASE, TAGS, Store, World, add_rule

decides = pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")
"""For what is decided from the store's answers, where the database has no part in; all else runs on each."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    settings = CollectorSettings(data=tmp_path_factory.mktemp("store"), auth=False, bucket=DATABASE, flush_seconds=0.01)
    with serve_app(create_collector(settings)) as url:
        yield Store(url)


@pytest.fixture
def world(
    database: Database, settings: ControlPlaneSettings, store: Store, clock: Clock, request: pytest.FixtureRequest
) -> Iterator[World]:
    made = World(database, settings, store, clock, f"{abs(hash(request.node.nodeid)):x}")
    yield made
    made.reader.close()


@pytest.fixture
def rule(world: World) -> World:
    """With a rule that tells everything at once, on one channel."""
    add_rule(world, "all")
    return world


@decides
def test_nothing_is_wrong_while_all_is_well(rule: World) -> None:
    rule.add_agent("a", "ping", "dns")
    rule.run(300)
    assert (rule.alerts(), rule.messages()) == ({}, [])


def test_a_test_is_down_after_two_failed_runs_and_up_after_one_good(rule: World) -> None:
    rule.add_agent("a", "ping", "other")
    rule.run(60)
    rule.down = {"ping"}
    rule.run(10)
    assert rule.alerts() == {}
    rule.run(10)
    alert = rule.alerts()["test_down ping"]
    assert (alert.severity, alert.detail, alert.labels["target"]) == ("critical", "timeout: no reply", "192.0.2.1")
    rule.run(200)
    assert list(rule.alerts()) == ["test_down ping"]  # one alert, however long it lasts
    rule.down = set()
    rule.run(10)
    assert rule.alerts() == {}
    assert rule.alerts(opened=False)["test_down ping"].close_reason == "recovered"
    assert rule.told() == [("opened", ["test_down open"]), ("closed", ["test_down closed"])]


@decides
def test_a_test_without_data_is_an_alert_of_its_own_and_never_good_news(rule: World) -> None:
    rule.add_agent("a", "ping", "other")
    rule.down = {"ping"}
    rule.run(60)
    assert list(rule.alerts()) == ["test_down ping"]
    rule.unmeasured = {"ping"}
    rule.run(200)
    assert sorted(rule.alerts()) == ["no_data ping", "test_down ping"]
    rule.unmeasured, rule.down = set(), set()
    rule.run(10)
    assert rule.alerts() == {}


@decides
def test_a_test_that_never_measured_anything_is_an_alert_after_a_while(rule: World) -> None:
    rule.unmeasured = {"ping"}
    rule.add_agent("a", "ping")
    rule.run(40)
    assert rule.alerts() == {}
    rule.run(60)
    assert list(rule.alerts()) == ["no_data ping"]


@decides
def test_an_offline_agent_is_one_message_and_its_tests_alerts_say_why_they_are_not_told(rule: World) -> None:
    rule.add_agent("a", "ping", "dns", "web")
    rule.add_agent("b", "ping")
    rule.down = {"dns"}
    rule.run(60)
    rule.silent = {"a"}
    rule.run(400)
    found = rule.alerts()
    assert sorted(found) == ["agent_offline a", "no_data dns", "no_data ping", "no_data web", "test_down dns"]
    assert found["agent_offline a"].held_back == ""
    for name in ("no_data ping", "no_data dns", "test_down dns"):
        assert found[name].held_back == f"agent {rule.own('a')} is offline", name
    rule.silent, rule.down = set(), set()
    rule.run(60)
    assert rule.alerts() == {}
    told = rule.told()
    assert told[0] == ("opened", ["test_down open"])
    assert told[1] == ("changed", ["agent_offline open"]) or told[1] == ("opened", ["agent_offline open"])
    # The end of all that had been told, and of nothing else.
    assert sorted(one for _, contents in told[2:] for one in contents) == ["agent_offline closed", "test_down closed"]


@decides
def test_a_returning_agent_has_time_to_send_before_its_tests_are_called_silent(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(30)
    rule.silent = {"a"}
    rule.run(300)
    rule.silent, rule.unmeasured = set(), {"ping"}
    rule.run(30)
    assert rule.alerts()["no_data ping"].held_back == f"agent {rule.own('a')} has just come back"
    rule.run(120)
    assert rule.alerts()["no_data ping"].held_back == ""
    assert rule.told()[-1] == ("opened", ["no_data open"])


@decides
def test_an_anomaly_opens_and_closes_by_the_scores_of_the_series(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(30)
    rule.score("a", "ping", flag=0)
    rule.score("a", "ping", flag=1, detector="mad")
    rule.run(10)
    alert = rule.alerts()["anomaly ping"]
    assert alert.labels["field"] == "rtt_mean"
    assert (alert.value, alert.unit) == (0.5, "seconds")
    assert alert.detail == "500.000 ms, expected 10.000 ms; score 0.90"
    assert alert.summary == f"icmp.rtt_mean (family ipv4) of ping on {rule.own('a')} is unusual"
    rule.run(910)  # the ML service is silent: that is no recovery
    assert "anomaly ping" in rule.alerts()
    rule.score("a", "ping", flag=0, detector="mad")
    rule.run(10)
    assert rule.alerts() == {}


@decides
def test_what_nobody_watches_any_longer_is_closed_and_says_so(rule: World) -> None:
    rule.add_agent("a", "ping", "dns")
    rule.down = {"ping", "dns"}
    rule.run(30)
    assert len(rule.alerts()) == 2
    with rule.database.session() as db:
        plans = {plan.name: plan for plan in db.scalars(select(Plan))}
        plans["ping"].paused = True
        db.delete(plans["dns"])
    rule.run(10)
    assert rule.alerts() == {}
    assert {one.close_reason for one in rule.alerts(opened=False).values()} == {"no longer watched"}


@decides
def test_a_store_that_cannot_be_read_is_an_alert_and_no_recovery(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.down = {"ping"}
    rule.run(30)
    lost = InfluxQLReader(f"http://127.0.0.1:{find_free_port()}", database=DATABASE)
    Evaluator(rule.database, lost, rule.settings, "worker", rule.clock).evaluate()
    lost.close()
    assert sorted(rule.alerts()) == ["store_unavailable", "test_down ping"]
    rule.down = set()
    rule.run(10)
    assert rule.alerts() == {}


def test_alerts_of_a_group_within_the_wait_are_one_message_and_what_passes_within_it_is_none(world: World) -> None:
    add_rule(world, "patient", wait=30, group_by=["agent"])
    world.add_agent("a", "ping", "dns", "web")
    world.add_agent("b", "ping")
    world.run(30)
    world.down = {"web"}
    world.run(20)
    assert len(world.alerts()) == 1
    world.down = set()
    world.run(60)
    assert world.messages() == []  # it was over before anybody was told
    world.down = {"ping"}
    world.run(20)
    world.down = {"ping", "dns"}
    world.run(60)
    found = world.messages()
    assert sorted((one["group"]["agent"].rpartition("-")[0], len(one["alerts"])) for one in found) == [
        ("a", 2),
        ("b", 1),
    ]


@decides
def test_open_alerts_are_repeated_until_somebody_takes_care(world: World) -> None:
    add_rule(world, "insistent", repeat=120)
    world.add_agent("a", "ping")
    world.down = {"ping"}
    world.run(20 + 250)
    assert [kind for kind, _ in world.told()] == ["opened", "repeated", "repeated"]
    with world.database.session() as db:
        alert = db.scalars(select(Alert)).one()
        alert.acknowledged_at, alert.acknowledged_by = world.clock.at, "olga"
    world.run(260)
    assert len(world.messages()) == 3
    world.down = set()
    world.run(10)
    assert world.told()[-1] == ("closed", ["test_down closed"])
    assert world.messages()[-1]["alerts"][0]["acknowledged_by"] == "olga"


def test_a_silence_keeps_alerts_from_being_told_until_it_ends(rule: World) -> None:
    rule.add_agent("a", "ping", "dns")
    with rule.database.session() as db:
        db.add(
            Silence(
                matchers=[{"label": "test", "operator": "~", "value": "ping*"}],
                starts_at=rule.clock.at,
                ends_at=rule.clock.at + timedelta(seconds=100),
                comment="new line card",
                created_by="olga",
                created_at=rule.clock.at,
            )
        )
    rule.down = {"ping", "dns"}
    rule.run(60)
    assert rule.alerts()["test_down ping"].held_back.endswith("by olga: new line card")
    assert [alert["labels"]["test"] for one in rule.messages() for alert in one["alerts"]] == [rule.own("dns")]
    rule.run(60)
    assert rule.alerts()["test_down ping"].held_back == ""
    assert len(rule.messages()) == 2


@decides
def test_a_rule_hears_only_what_it_asked_for(world: World) -> None:
    add_rule(world, "agents", events=["agent_offline"])
    add_rule(world, "warnings", severities=["warning"])
    add_rule(world, "munich", sites=["munich*"])
    add_rule(world, "gold", labels={"tier": "gold"})
    add_rule(world, "quiet", tests=["ping-*"], tell_closed=False)
    add_rule(world, "off", enabled=False)
    world.add_agent("a", "ping", labels={"tier": "gold"})
    world.run(20)
    world.down = {"ping"}
    world.run(20)
    world.down = set()
    world.run(20)
    with world.database.session() as db:
        heard = [(one.rule_name, one.kind) for one in db.scalars(select(Delivery).order_by(Delivery.number))]
    assert heard == [("gold", "opened"), ("quiet", "opened"), ("gold", "closed")]


def test_one_of_several_workers_evaluates_and_another_takes_over(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(10)
    other = Evaluator(rule.database, rule.reader, rule.settings, "other", rule.clock)
    assert not other.evaluate()
    rule.clock.pass_by(max(LEASE_SECONDS, 2 * rule.settings.alert_seconds) + 0.1)
    assert other.evaluate()
    assert not rule.evaluator.evaluate()
    other.leave()
    assert rule.evaluator.evaluate()


def test_a_worker_that_lost_its_lease_while_it_looked_writes_nothing(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.down = {"ping"}
    rule.run(10)

    class Slow:
        """A store that answers after another worker has taken over."""

        def select(self, statement: Any) -> Any:
            rule.clock.pass_by(2 * rule.settings.alert_seconds + 60)
            with rule.database.session() as db:
                from streamswarm_controlplane.jobs.lease import hold  # noqa: PLC0415 - only here
                from streamswarm_controlplane.notifications.evaluation import LEASE  # noqa: PLC0415

                hold(db, LEASE, "other", 10, rule.clock.at)
            return rule.reader.select(statement)

    slow: Any = Slow()
    assert not Evaluator(rule.database, slow, rule.settings, "worker", rule.clock).evaluate()
    assert rule.alerts() == {}


def test_a_restart_repeats_no_message_and_forgets_none(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.down = {"ping"}
    rule.run(30)
    rule.evaluator = Evaluator(rule.database, rule.reader, rule.settings, "worker", rule.clock)
    rule.run(60)
    rule.down = set()
    rule.run(10)
    assert [kind for kind, _ in rule.told()] == ["opened", "closed"]


def test_old_alerts_messages_and_silences_are_forgotten(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.down = {"ping"}
    rule.run(20)
    rule.down = set()
    rule.run(10)
    with rule.database.session() as db:
        for one in db.scalars(select(Delivery)):
            one.status = "delivered"
    rule.clock.pass_by(rule.settings.alert_days * 86_400)
    rule.run(10)
    assert rule.messages() == []
    assert "test_down ping" not in rule.alerts(opened=False)


def change_test(world: World, test: str, **values: Any) -> None:
    with world.database.session() as db:
        plan = db.scalars(select(Plan).where(Plan.key == world.own(test))).one()
        for name, value in values.items():
            setattr(plan, name, value)


@decides
def test_a_crossed_threshold_is_told_and_told_again_when_it_gets_worse_and_closed_when_it_recovers(rule: World) -> None:
    rule.add_agent("a", "ping", "other")
    limits = {"field": "rtt_mean", "warn": 0.02, "bad": 0.2, "window": 60, "share": 0.5}
    change_test(rule, "ping", thresholds=[limits])
    rule.run(60)
    assert rule.alerts() == {}
    rule.rtt = 0.05
    rule.run(60)
    alert = rule.alerts()["threshold ping"]
    assert (alert.severity, alert.value, alert.unit) == ("warning", 0.05, "seconds")
    assert "rtt_mean > 20.000 ms" in alert.detail
    rule.rtt = 0.5
    rule.run(60)
    assert rule.alerts()["threshold ping"].severity == "critical"
    rule.rtt = 0.05
    rule.run(90)  # a little better is no news
    rule.rtt = 0.01
    rule.run(90)
    assert rule.alerts() == {}
    assert [kind for kind, _ in rule.told()] == ["opened", "opened", "closed"]
    assert [one["alerts"][0]["severity"] for one in rule.messages()] == ["warning", "critical", "warning"]


@decides
def test_a_threshold_without_values_is_no_recovery(rule: World) -> None:
    rule.add_agent("a", "ping", "other")
    change_test(rule, "ping", thresholds=[{"field": "rtt_mean", "bad": 0.02, "window": 0}])
    rule.rtt = 0.05
    rule.run(60)
    assert list(rule.alerts()) == ["threshold ping"]
    rule.unmeasured = {"ping"}
    rule.run(200)
    assert sorted(rule.alerts()) == ["no_data ping", "threshold ping"]


@decides
def test_each_agent_is_held_against_the_threshold_by_itself(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.add_agent("b", "ping")
    change_test(
        rule,
        "ping",
        thresholds=[{"field": "loss", "bad": 0.1, "window": 60}, {"field": "up", "bad": 1, "comparison": "<"}],
    )
    rule.run(30)
    rule.store.write(
        *(
            ICMP.point(
                {**TAGS, "agent": rule.own("b"), "test": rule.own("ping")},
                time_ns=to_ns(rule.clock.at - timedelta(seconds=second)),
                up=1,
                loss=1.0,
            )
            for second in range(1, 9)
        )
    )
    rule.run(20)
    assert [one.labels["agent"] for one in rule.alerts().values()] == [rule.own("b")]


def test_maintenance_keeps_what_it_covers_from_being_told(rule: World) -> None:
    rule.add_agent("a", "ping", "dns")
    with rule.database.session() as db:
        plan = db.scalars(select(Plan).where(Plan.key == rule.own("ping"))).one()
        db.add(
            MaintenanceWindow(
                name="new line card",
                test_ids=[plan.id],
                starts_at=rule.clock.at,
                ends_at=rule.clock.at + timedelta(seconds=100),
                created_by="olga",
                created_at=rule.clock.at,
                updated_at=rule.clock.at,
            )
        )
    rule.down = {"ping", "dns"}
    rule.run(60)
    assert rule.alerts()["test_down ping"].held_back == "maintenance: new line card"
    assert [alert["labels"]["test"] for one in rule.messages() for alert in one["alerts"]] == [rule.own("dns")]
    rule.run(60)
    assert rule.alerts()["test_down ping"].held_back == ""
    assert len(rule.messages()) == 2


@decides
def test_a_test_of_a_calendar_is_silent_only_once_a_run_was_due(rule: World) -> None:
    rule.unmeasured = {"ping"}
    rule.add_agent("a", "ping", "other")
    change_test(rule, "ping", schedule={"kind": "cron", "cron": "0 13 * * *", "zone": "UTC"})
    rule.run(120)  # noon and two minutes
    assert rule.alerts() == {}
    rule.clock.at = rule.clock.at.replace(hour=13, minute=0)
    rule.store.write(rule.point(rule.own("a"), rule.own("ping"), rule.clock.at, up=True, rtt=0.01))
    rule.clock.at += timedelta(hours=6)
    rule.run(60)
    assert "no_data ping" not in rule.alerts()
    rule.clock.at += timedelta(days=1)
    rule.run(60)
    assert rule.alerts()["no_data ping"].detail == "no point since a run was due"
