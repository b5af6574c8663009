"""What is found wrong: in agents, results and scores in a real store, with a clock that the test holds."""

from datetime import timedelta

from sqlalchemy import select

from streamswarm_controlplane.notifications.evaluation import Evaluator
from streamswarm_controlplane.notifications.models import Alert
from streamswarm_controlplane.testplans.models import TestPlan as Plan
from streamswarm_core.catalogue.host import HOST_DISK
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.catalogue.path import TRACEROUTE
from streamswarm_core.clock import to_ns
from streamswarm_core.reader import InfluxQLReader
from tests.support import find_free_port
from tests.unit.controlplane.notifications.world import DATABASE, TAGS, World, change_test, decides


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
def test_a_test_that_is_down_says_on_how_many_of_its_agents(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.add_agent("b", "ping")
    rule.add_agent("gone", "ping")
    rule.down = {"ping"}
    rule.run(20)
    rule.silent = {"gone"}
    rule.run(90)
    with rule.database.session() as db:
        found = db.scalars(select(Alert).where(Alert.event == "test_down")).all()
    details = {one.labels["agent"]: one.detail for one in found}
    assert details[rule.own("a")] == details[rule.own("b")] == "timeout: no reply; down on 2 of 2 agents"


@decides
def test_a_test_that_is_down_says_how_many_of_its_agents_tests_are(rule: World) -> None:
    rule.add_agent("a", "ping", "dns", "web")
    rule.run(30)
    rule.down = {"ping"}
    rule.run(20)
    assert rule.alerts()["test_down ping"].detail == "timeout: no reply"
    rule.down = {"ping", "web"}
    rule.run(20)
    for name in ("ping", "web"):
        assert rule.alerts()[f"test_down {name}"].detail == "timeout: no reply; 2 of the agent's 3 tests are down"


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
def test_an_anomaly_opens_and_closes_by_the_scores_of_the_series(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(30)
    rule.score("a", "ping", flag=0)
    rule.score("a", "ping", flag=1, detector="mad")
    rule.run(10)
    alert = rule.alerts()["anomaly ping"]
    assert alert.labels["field"] == "rtt_mean"
    assert (alert.value, alert.unit) == (0.5, "seconds")
    assert alert.detail == "now 500.000 ms, expected 10.000 ms; score 0.90"
    assert alert.summary == f"icmp.rtt_mean (family ipv4) of ping on {rule.own('a')} is unusual"
    rule.run(910)  # the ML service is silent: that is no recovery
    assert "anomaly ping" in rule.alerts()
    rule.score("a", "ping", flag=0, detector="mad")
    rule.run(10)
    assert rule.alerts() == {}


@decides
def test_what_is_unusually_good_is_good_to_know_and_no_warning_unless_it_was_bad_before(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(30)
    for value, severity, better in ((0.001, "info", True), (0.5, "warning", False), (0.001, "warning", False)):
        rule.score("a", "ping", flag=1, value=value)
        rule.run(10)
        alert = rule.alerts()["anomaly ping"]
        assert (alert.severity, alert.summary.endswith("is unusual, for the better")) == (severity, better)


@decides
def test_an_anomaly_says_how_bad_it_was_not_how_well_it_is_at_its_end(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(30)
    for value in (0.08, 0.5, 0.06, 0.009):
        rule.score("a", "ping", flag=1, value=value)
        rule.run(10)
    alert = rule.alerts()["anomaly ping"]
    assert (alert.value, alert.summary.endswith("is unusual")) == (0.5, True)
    assert alert.detail == "now 9.000 ms, expected 10.000 ms; score 0.90; at worst 500.000 ms"
    rule.score("a", "ping", flag=0, value=0.01)
    rule.run(10)
    closed = rule.alerts(opened=False)["anomaly ping"]
    assert (closed.detail, closed.close_reason) == (
        "at worst 500.000 ms; now 10.000 ms, expected 10.000 ms",
        "recovered",
    )


@decides
def test_an_anomaly_says_that_the_way_to_its_target_has_changed(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(30)
    for target, hop in (("192.0.2.1", 2), ("192.0.2.9", 5)):
        tags = {"agent": rule.own("a"), "test": "path", "target": target}
        ends = {"changed_from": "198.51.100.1", "changed_to": "203.0.113.1"}
        changed = TRACEROUTE.point(tags, time_ns=to_ns(rule.clock.at), path_changed=1, changed_hop=hop, **ends)
        rule.store.write(changed)
        same = to_ns(rule.clock.at + timedelta(seconds=5))
        rule.store.write(TRACEROUTE.point(tags, time_ns=same, path_changed=0))
    rule.score("a", "ping", flag=1, value=0.05)
    rule.run(10)
    assert rule.alerts()["anomaly ping"].detail == (
        "now 50.000 ms, expected 10.000 ms; score 0.90; "
        "the way there changed at 12:00:30 UTC at hop 2: 198.51.100.1 → 203.0.113.1"
    )


@decides
def test_an_anomaly_that_stayed_is_closed_as_the_new_normal_and_not_as_recovered(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(30)
    rule.score("a", "ping", flag=1, value=0.08)
    rule.run(10)
    rule.score("a", "ping", flag=0, value=0.08, kind="new normal")
    rule.clock.pass_by(1)
    rule.score("a", "ping", flag=0, value=0.081)  # the first after it
    rule.run(10)
    assert rule.alerts(opened=False)["anomaly ping"].close_reason == "new normal: it stayed as it is"
    rule.score("a", "ping", flag=1, value=0.3)
    rule.run(10)
    rule.score("a", "ping", flag=0, value=0.08, kind="incident")
    rule.run(10)
    assert rule.messages()[-1]["alerts"][0]["close_reason"] == "recovered"


@decides
def test_an_anomaly_of_all_fields_together_says_which_they_are(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(30)
    rule.score_together("a", "ping", view="jitter, loss")
    rule.run(10)
    alert = rule.alerts()["anomaly ping"]
    assert alert.summary == f"icmp, all fields together, (family ipv4) of ping on {rule.own('a')} is unusual"
    assert alert.detail == "the farthest from usual: jitter, loss; score 0.90"


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
    evaluator = Evaluator(rule.database, lost, rule.settings, "worker", rule.clock)
    evaluator.evaluate()
    assert sorted(rule.alerts()) == ["test_down ping"]  # it may just be started again
    rule.clock.pass_by(10)
    evaluator.evaluate()
    lost.close()
    assert sorted(rule.alerts()) == ["store_unavailable", "test_down ping"]
    rule.down = set()
    rule.run(10)
    assert rule.alerts() == {}


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
    assert "rtt_mean is above 20 ms" in alert.detail
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


@decides
def test_one_full_disk_among_several_is_beyond_the_threshold_and_named(rule: World) -> None:
    rule.add_agent("a", "host")
    limit = {"measurement": "host_disk", "field": "usage", "warn": 0.8, "bad": 0.95, "window": 60}
    change_test(rule, "host", probe="system", target="", thresholds=[limit])

    def measure(**usage: float) -> None:
        for _ in range(7):
            tags = {"agent": rule.own("a"), "test": rule.own("host")}
            for path, used in usage.items():
                disk = {**tags, "path": f"/{path}", "device": "sda"}
                rule.store.write(HOST_DISK.point(disk, time_ns=to_ns(rule.clock.at), usage=used))
            rule.run(10)

    measure(home=0.2, data=0.3, var=0.99)
    alert = rule.alerts()["threshold host"]
    assert (alert.severity, alert.value) == ("critical", 0.99)
    assert alert.detail.startswith("path /var, device sda: usage is above 95 % in ")
    measure(home=0.2, data=0.9, var=0.99)
    assert rule.alerts()["threshold host"].detail.endswith("; worst 99.0 %; 2 of 3 are beyond a limit")
    measure(home=0.2, data=0.3)  # what was full has been unmounted
    assert "threshold host" not in rule.alerts()


@decides
def test_a_failed_run_counts_among_the_others_although_it_has_other_tags(rule: World) -> None:
    rule.add_agent("a", "ping")
    change_test(rule, "ping", thresholds=[{"field": "up", "comparison": "<", "bad": 1, "window": 60}])
    rule.run(60)
    unresolved = {"agent": rule.own("a"), "test": rule.own("ping"), "target": "192.0.2.1"}  # no name, no family
    rule.store.write(ICMP.point(unresolved, time_ns=to_ns(rule.clock.at) - 1, up=0, error="dns"))
    rule.run(10)
    assert rule.alerts() == {}


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
    rule.clock.at = rule.clock.at.replace(hour=12, minute=58) + timedelta(days=1)
    rule.run(600)  # the run at 13:00 was missed while somebody looked
    assert rule.alerts()["no_data ping"].detail == "no point since a run was due"
