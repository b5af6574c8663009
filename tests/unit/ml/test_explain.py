import random

from streamswarm_core.clock import NANOSECONDS
from streamswarm_ml.explain.contributions import leading, leading_text
from streamswarm_ml.explain.grouping import Anomaly, group

MINUTE = 60 * NANOSECONDS


def anomaly(minute: int, *, field: str = "rtt_mean", score: float = 0.9, **tags: str) -> Anomaly:
    return Anomaly("icmp", field, tags, minute * MINUTE, (minute + 3) * MINUTE, score, 0.5, 0.01)


def test_one_target_seen_by_many_agents_is_one_incident() -> None:
    found = group(anomaly(index, agent=agent, target="gw", site=agent) for index, agent in enumerate("abcd"))
    assert [(one.shared, len(one.anomalies)) for one in found] == [(("target", "gw"), 4)]


def test_one_agent_that_sees_many_targets_is_one_incident() -> None:
    found = group(anomaly(index, agent="a", target=target) for index, target in enumerate("wxyz"))
    assert [(one.shared, len(one.anomalies)) for one in found] == [(("agent", "a"), 4)]


def test_hops_of_different_tests_at_the_same_address_are_one_incident() -> None:
    found = group(
        anomaly(0, agent=agent, target=agent * 2, test=agent, address="192.0.2.1") for agent in ("a", "b", "c")
    )
    assert [(one.shared, len(one.anomalies)) for one in found] == [(("address", "192.0.2.1"), 3)]


def test_what_shares_nothing_or_comes_much_later_stays_apart() -> None:
    found = group(
        [
            anomaly(0, agent="a", target="x"),
            anomaly(1, agent="b", target="y"),
            anomaly(60, agent="a", target="x"),
        ]
    )
    assert [len(one.anomalies) for one in found] == [1, 1, 1]


def test_what_follows_within_ten_minutes_is_the_same_incident() -> None:
    first = anomaly(0, agent="a", target="x")  # until minute 3
    assert len(group([first, anomaly(13, agent="a", target="x")])) == 1
    assert len(group([first, anomaly(14, agent="a", target="x")])) == 2


def test_a_site_draws_an_anomaly_in_only_where_most_of_the_incident_is_there() -> None:
    seen = [
        anomaly(0, agent=agent, target="x", site=site) for agent, site in (("a", "oslo"), ("b", "oslo"), ("c", "rome"))
    ]
    assert len(group([*seen, anomaly(1, agent="d", target="y", site="oslo")])) == 1
    assert len(group([*seen, anomaly(1, agent="d", target="y", site="rome")])) == 2


def test_the_order_of_arrival_does_not_matter() -> None:
    members = [anomaly(index, agent=agent, target="gw") for index, agent in enumerate("abcdef")]
    shuffled = members[:]
    random.Random(1).shuffle(shuffled)
    assert group(members) == group(shuffled)


def test_the_strongest_come_first_with_their_share() -> None:
    found = group([anomaly(0, agent="a", target="x", score=0.3), anomaly(0, agent="b", target="x", score=0.9)])
    members = found[0].as_json()["anomalies"]
    assert [(one["tags"]["agent"], round(one["share"], 2), one["baseline"]) for one in members] == [
        ("b", 0.75, 0.01),
        ("a", 0.25, 0.01),
    ]


def test_a_past_incident_of_the_same_kind_is_shown_and_another_kind_is_not() -> None:
    found = group(
        [
            anomaly(0, agent="a", target="x"),
            anomaly(100, agent="z", target="q", field="loss"),
            anomaly(200, agent="a", target="x"),
        ]
    )
    newest = found[0]
    assert [(past.start_ns // MINUTE, share) for past, share in newest.alike] == [(0, 1.0)]


def test_an_incident_never_looks_like_a_later_one() -> None:
    oldest = group([anomaly(0, agent="a", target="x"), anomaly(100, agent="a", target="x")])[-1]
    assert oldest.alike == ()


def test_contributions_name_the_few_that_matter() -> None:
    many = {f"f{index}": 0.01 for index in range(20)} | {"loss": 5.0, "latency": -2.0}
    assert [name for name, _ in leading(many)] == ["loss", "latency"]
    assert leading_text({}) is None
