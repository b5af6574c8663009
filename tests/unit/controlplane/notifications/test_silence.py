"""What was silent while nobody listened is no alert: after a stop of the control plane, or of the store."""

from streamswarm_controlplane.notifications.evaluation import Evaluator
from streamswarm_core.reader import InfluxQLReader
from tests.support import find_free_port
from tests.unit.controlplane.notifications.world import DATABASE, World, decides

HOUR = 3600.0


def test_after_a_stop_all_have_the_time_that_they_always_have(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.add_agent("b", "dns")
    rule.run(60)
    rule.clock.pass_by(HOUR)
    rule.silent = {"b"}
    rule.run(60)
    assert (rule.alerts(), rule.messages()) == ({}, [])
    rule.run(120)
    assert sorted(rule.alerts()) == ["agent_offline b", "no_data dns"]
    assert rule.told() == [("opened", ["agent_offline open"])]


def test_a_restart_in_between_does_not_begin_the_time_anew(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(60)
    rule.silent = {"a"}
    for _ in range(13):
        rule.evaluator.leave()
        rule.evaluator = Evaluator(rule.database, rule.reader, rule.settings, "another", rule.clock)
        rule.run(10)
    assert "agent_offline a" in rule.alerts()


@decides
def test_what_was_wrong_before_a_stop_stays_so_until_it_is_seen_to_be_good(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.add_agent("b", "dns", "web")
    rule.silent, rule.unmeasured = {"a"}, {"web"}
    rule.run(400)
    before, told = sorted(rule.alerts()), len(rule.messages())
    assert before == ["agent_offline a", "no_data ping", "no_data web"]
    rule.clock.pass_by(HOUR)
    rule.run(30)
    assert (sorted(rule.alerts()), len(rule.messages())) == (before, told)
    rule.silent, rule.unmeasured = set(), set()
    rule.run(30)
    assert rule.alerts() == {}


@decides
def test_after_a_stop_of_the_store_points_have_time_to_arrive(rule: World) -> None:
    rule.add_agent("a", "ping", "dns")
    rule.run(60)
    lost = InfluxQLReader(f"http://127.0.0.1:{find_free_port()}", database=DATABASE)
    working, rule.evaluator = rule.evaluator, Evaluator(rule.database, lost, rule.settings, "worker", rule.clock)
    rule.unmeasured = {"ping", "dns"}  # agents keep what they can't deliver
    rule.run(300)
    assert sorted(rule.alerts()) == ["store_unavailable"]
    lost.close()
    rule.evaluator = working
    rule.run(30)
    assert rule.alerts() == {}
    rule.unmeasured = {"dns"}
    rule.run(90)
    assert sorted(rule.alerts()) == ["no_data dns"]
