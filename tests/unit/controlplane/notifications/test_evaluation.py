"""Who is told of it, when and how often; and of several workers, by whom."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from streamswarm_controlplane.maintenance.models import MaintenanceWindow
from streamswarm_controlplane.notifications.evaluation import LEASE_SECONDS, Evaluator
from streamswarm_controlplane.notifications.models import Alert, Delivery, Silence
from streamswarm_controlplane.testplans.models import TestPlan as Plan
from tests.unit.controlplane.notifications.world import World, add_rule, decides


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
def test_warnings_that_join_one_after_another_are_gathered_and_what_is_critical_is_not(world: World) -> None:
    tests = ["ping", "dns", "web", "voip"]
    add_rule(world, "patient", wait=20)
    world.add_agent("a", *tests)
    world.run(30)
    for test in tests[:3]:
        world.score("a", test, flag=1)
        world.run(40)
    assert world.told() == [("opened", ["anomaly open"])]
    world.run(120)
    assert world.told()[1:] == [("opened", ["anomaly open"] * 3)]
    world.down = {"voip"}
    world.run(40)
    assert world.told()[2:] == [("opened", ["anomaly open"] * 3 + ["test_down open"])]
    for test in tests[:3]:
        world.score("a", test, flag=0)
    world.down = set()
    world.run(40)
    assert world.told()[3:] == [("closed", ["anomaly closed"] * 3 + ["test_down closed"])]


@decides
def test_a_message_says_what_is_new_in_it(rule: World) -> None:
    rule.add_agent("a", "ping", "dns")
    rule.run(30)
    for name in ("ping", "dns"):
        rule.down |= {name}
        rule.run(30)
    news = [[(one["summary"][:3], one["news"]) for one in message["alerts"]] for message in rule.messages()]
    assert news == [[("pin", True)], [("pin", False), ("dns", True)]]
    rule.down = {"dns"}
    rule.run(10)
    assert [(one["state"], one["news"]) for one in rule.messages()[-1]["alerts"]] == [("open", False), ("closed", True)]


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

        def complaint(self) -> str:
            return ""

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
