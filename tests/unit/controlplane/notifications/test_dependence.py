"""What one failure shows in several places is told once."""

from tests.unit.controlplane.notifications.world import World, decides


@decides
def test_a_test_that_is_down_is_told_once_and_not_by_its_anomalies_too(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(60)
    rule.down = {"ping"}
    rule.score("a", "ping", field="up", flag=1, value=0)  # sees the first failed run
    rule.run(10)
    rule.score("a", "ping", field="loss", flag=1, value=1)
    rule.run(20)
    rule.down = set()
    rule.run(60)  # the detectors want to see some good values first
    assert rule.alerts()["anomaly ping"].held_back == f"ping has just come up again, seen from {rule.own('a')}"
    rule.score("a", "ping", field="up", flag=0, value=1)
    rule.score("a", "ping", field="loss", flag=0, value=0)
    rule.run(10)
    assert rule.alerts() == {}
    assert rule.told() == [("opened", ["test_down open"]), ("closed", ["test_down closed"])]


@decides
def test_what_goes_on_long_after_the_test_is_up_again_is_told(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(60)
    rule.down = {"ping"}
    rule.score("a", "ping", field="up", flag=1, value=0)
    rule.run(30)
    rule.down = set()
    rule.score("a", "ping", field="up", flag=1, value=1)  # that is no fault, however long the detector wonders
    rule.run(150)
    assert len(rule.told()) == 2
    rule.score("a", "ping", field="up", flag=1, value=0)
    rule.run(10)
    assert rule.told() == [
        ("opened", ["test_down open"]),
        ("closed", ["test_down closed"]),
        ("opened", ["anomaly open"]),
    ]


@decides
def test_runs_that_fail_now_and_then_are_told_although_the_test_is_never_down(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(60)
    rule.score("a", "ping", field="up", flag=1, value=0)
    rule.run(10)
    assert rule.alerts()["anomaly ping"].held_back == "it is told if the test is not down soon"
    rule.run(60)
    assert rule.told() == [("opened", ["anomaly open"])]


@decides
def test_what_was_unusual_before_a_test_went_down_is_told_as_its_own(rule: World) -> None:
    rule.add_agent("a", "ping")
    rule.run(30)
    rule.score("a", "ping", flag=1)
    rule.run(120)
    rule.down = {"ping"}
    rule.run(30)
    rule.score("a", "ping", flag=0)
    rule.run(10)
    assert rule.told() == [
        ("opened", ["anomaly open"]),
        ("opened", ["anomaly open", "test_down open"]),
        ("changed", ["anomaly closed", "test_down open"]),
    ]
