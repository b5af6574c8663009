"""Where a marking is changed, judged from quotes alone."""

import pytest

from streamswarm_agent.net.qos.marking import CONGESTION, ECT_0, Change, Quote, judge_dscp, judge_ecn


def quotes(*dscps: int | None, ecn: int = 0, target: bool = False) -> list[Quote]:
    """One a hop, from hop 1 on; None for a silent hop."""
    return [
        Quote(hop, f"192.0.2.{hop}", dscp << 2 | ecn, target=target and hop == len(dscps))
        for hop, dscp in enumerate(dscps, 1)
        if dscp is not None
    ]


def test_without_quotes_nothing_is_said() -> None:
    assert judge_dscp(46, []) is None
    assert judge_ecn([]) is None


def test_a_marking_that_every_hop_got_is_kept() -> None:
    found = judge_dscp(46, quotes(46, 46, 46))
    assert found is not None
    assert (found.verdict, found.dscp, found.seen, found.changes, found.misquoted) == ("kept", 46, 3, [], 0)


@pytest.mark.parametrize(("value", "verdict"), [(0, "bleached"), (8, "rewritten")])
def test_a_change_lies_between_the_last_hop_that_got_it_and_the_first_that_did_not(value: int, verdict: str) -> None:
    found = judge_dscp(46, quotes(46, 46, value, value))
    assert found is not None
    assert (found.verdict, found.dscp) == (verdict, value)
    assert found.changes == [Change(3, "192.0.2.3", "192.0.2.2", value)]


def test_silent_hops_widen_where_the_change_may_be() -> None:
    found = judge_dscp(46, quotes(46, None, None, 0, None))
    assert found is not None
    assert found.changes == [Change(4, "192.0.2.4", "192.0.2.1", 0)]
    assert found.seen == 4


def test_a_change_before_the_first_hop_has_nobody_before_it() -> None:
    found = judge_dscp(46, quotes(0, 0))
    assert found is not None
    assert found.changes == [Change(1, "192.0.2.1", None, 0)]


def test_several_changes_are_told_in_order() -> None:
    found = judge_dscp(46, quotes(46, 10, 10, 0))
    assert found is not None
    assert found.changes == [Change(2, "192.0.2.2", "192.0.2.1", 10), Change(4, "192.0.2.4", "192.0.2.3", 0)]
    assert found.verdict == "bleached"


def test_a_router_that_quotes_wrongly_is_no_change() -> None:
    found = judge_dscp(46, quotes(46, 0, 0, 46))
    assert found is not None
    assert (found.verdict, found.changes, found.misquoted) == ("kept", [], 2)


def test_a_wrong_quote_after_a_change_is_no_further_change() -> None:
    found = judge_dscp(46, quotes(46, 8, 3, 8, 8))
    assert found is not None
    assert (found.verdict, [change.hop for change in found.changes], found.misquoted) == ("rewritten", [2], 1)


def test_best_effort_that_is_marked_on_the_way_is_rewritten() -> None:
    found = judge_dscp(0, quotes(0, 8))
    assert found is not None
    assert (found.verdict, found.dscp) == ("rewritten", 8)


def ecn_quotes(*codes: int, target: bool = True) -> list[Quote]:
    return [
        Quote(hop, f"192.0.2.{hop}", code, target=target and hop == len(codes)) for hop, code in enumerate(codes, 1)
    ]


def test_ecn_that_arrives_is_kept_and_capable() -> None:
    found = judge_ecn(ecn_quotes(ECT_0, ECT_0))
    assert found is not None
    assert (found.verdict, found.change, found.ce_ratio, found.capable) == ("kept", None, 0.0, True)


def test_ecn_is_not_called_capable_where_the_target_says_nothing() -> None:
    found = judge_ecn(ecn_quotes(ECT_0, ECT_0, target=False))
    assert found is not None
    assert found.capable is None


@pytest.mark.parametrize(("code", "verdict", "capable"), [(0, "cleared", False), (1, "changed", True)])
def test_ecn_that_is_taken_away_or_changed_is_located(code: int, verdict: str, capable: bool) -> None:
    found = judge_ecn(ecn_quotes(ECT_0, code, code))
    assert found is not None
    assert (found.verdict, found.capable) == (verdict, capable)
    assert found.change == Change(2, "192.0.2.2", "192.0.2.1", code)


def test_congestion_on_some_packets_is_a_share_of_those_behind_it() -> None:
    some = [*ecn_quotes(ECT_0, CONGESTION, ECT_0), *ecn_quotes(ECT_0, ECT_0, CONGESTION)]
    found = judge_ecn(some)
    assert found is not None
    assert (found.verdict, found.ce_ratio, found.capable) == ("congestion", 0.5, True)
    assert found.change == Change(2, "192.0.2.2", "192.0.2.1", CONGESTION)
