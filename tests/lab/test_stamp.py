"""What happens in one direction is seen in that direction, by clocks that nobody has set."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.stamp.sender import StampSender
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reflector.limits import RateLimit
from streamswarm_core.reflector.stamp import StampReflector
from streamswarm_core.wire.stamp import ClockError
from tests.lab import parts
from tests.lab.impairment import Options
from tests.lab.topology import Path, PathBuilder
from tests.lab.wire import Way

KEPT = ClockError(0.000_001, synchronised=True)
"""What the lab's hosts know of their clock: it is one and the same."""
UNKEPT = ClockError(16.0, synchronised=False)
# Behind the IP and UDP headers; the second is the number that the reflector repeats.
SEQUENCE_AT: Mapping[Way, int] = {"there": 28, "back": 52}
KEY = "the lab's"


@contextmanager
def reflecting(
    line: Path,
    *,
    key: bytes = b"",
    limit: RateLimit | None = None,
    stateful: bool = True,
    clock_error: Callable[[], ClockError] | None = None,
) -> Iterator[tuple[StampReflector, int]]:
    limit = limit or RateLimit(each=1e6, total=1e6)
    reflector = StampReflector(key=key, limit=limit, stateful=stateful, clock_error=clock_error)
    with line.far.entered():
        port = reflector.listen([line.target, line.target6], 0)
    try:
        yield reflector, port
    finally:
        reflector.close()


async def measure(
    line: Path, port: int, target: str = "", clock: ClockError = UNKEPT, **options: object
) -> Mapping[str, FieldValue]:
    engines = Engines(StampSender(lambda: clock), Keys({"lab": SecretStr(KEY)}))
    given = {"port": port, "count": 200, "spacing": 0.002, "wait": 0.5, **options}
    with line.near.entered():
        try:
            params = SPECS["stamp"].params.model_validate(given)
            (point,) = await PROBES["stamp"].run(target or line.target, params, Context(engines))
        finally:
            engines.close()
    return point.fields


def set_one(line: Path, way: Way, options: Options) -> None:
    """Change one direction of the wire."""
    line.set(there=options if way == "there" else None, back=options if way == "back" else None)


def really_lost(line: Path, way: Way, count: int) -> int:
    """Packets of the run that the wire lost, without those sent after it to settle what was lost."""
    at = SEQUENCE_AT[way]
    lost = (record.head for record in line.records(way) if record.fate == "lost" and record.head[9] == 17)
    return sum(int.from_bytes(head[at : at + 4], "big") < count for head in lost)


@pytest.mark.parametrize(
    ("there", "back"), [(0.1, 0.0), (0.0, 0.1), (0.05, 0.2)], ids=["there only", "back only", "both"]
)
async def test_loss_is_attributed_to_its_direction_to_the_packet(path: PathBuilder, there: float, back: float) -> None:
    line = path(hops=2, delay_ms=2, there={"loss": there}, back={"loss": back}, record=True, seed=5)
    with reflecting(line) as (_, port):
        found = await measure(line, port)
    truth = really_lost(line, "there", 200), really_lost(line, "back", 200)
    assert sum(truth) > 0
    assert (found["lost_there"], found["lost_back"], found["lost_unknown"]) == (*truth, 0)
    assert found["loss_there"] == truth[0] / 200
    assert found["loss_back"] == truth[1] / (200 - truth[0])
    assert (found["up"], found["stateful"]) == (1, 1)


async def test_bursts_at_the_end_are_attributed_too(path: PathBuilder) -> None:
    for seed in range(1, 6):
        line = path(hops=0, there={"loss": 0.2, "burst": 8}, back={"loss": 0.2, "burst": 8}, record=True, seed=seed)
        with reflecting(line) as (_, port):
            found = await measure(line, port, count=60, wait=0.2)
        there, back = really_lost(line, "there", 60), really_lost(line, "back", 60)
        assert int(found["lost_there"]) <= there <= int(found["lost_there"]) + int(found["lost_unknown"])
        assert int(found["lost_back"]) <= back <= int(found["lost_back"]) + int(found["lost_unknown"])


async def test_a_reflector_that_only_copies_numbers_blames_no_direction(path: PathBuilder) -> None:
    line = path(hops=1, there={"loss": 0.2})
    with reflecting(line, stateful=False) as (_, port):
        found = await measure(line, port, count=50)
    assert found["stateful"] == 0
    assert found["lost_unknown"] == int(found["sent"]) - int(found["received"]) > 0
    assert "loss_there" not in found
    assert "loss_back" not in found


async def test_one_way_delays_are_given_only_with_what_the_clocks_admit(path: PathBuilder) -> None:
    line = path(hops=2, there={"delay_ms": 30}, back={"delay_ms": 5})
    with reflecting(line, clock_error=lambda: KEPT) as (_, port):
        kept = await measure(line, port, clock=KEPT, count=20)
        unkept = await measure(line, port, clock=UNKEPT, count=20)
    assert float(kept["owd_min_there"]) >= 0.030 > float(kept["owd_min_back"]) >= 0.005
    assert float(kept["owd_error"]) == pytest.approx(0.000_002, rel=0.02)
    assert float(kept["rtt_min"]) >= 0.035
    assert float(unkept["rtt_min"]) >= 0.035
    assert "clock_there" in unkept
    assert not {"owd_min_there", "owd_min_back", "owd_error", "clock_here"} & set(unkept)


async def test_jitter_belongs_to_its_direction(path: PathBuilder) -> None:
    line = path(hops=1, delay_ms=1, there={"jitter_ms": 20}, record=True)
    with reflecting(line) as (_, port):
        found = await measure(line, port, count=150, spacing=0.03)
    delays = [record.sent_ns - record.arrived_ns for record in line.records("there") if record.sent_ns]
    truth = (sorted(delays)[int(0.95 * len(delays)) - 1] - min(delays)) / 1e9
    # The relay's own lateness after its stamp, and the time from interface to interface, are not in its records.
    assert float(found["pdv_there"]) == pytest.approx(truth, rel=0.2)
    assert float(found["pdv_there"]) > float(found["pdv_back"])
    assert float(found["ipdv_there"]) > float(found["ipdv_back"])


@pytest.mark.parametrize("way", ["there", "back"])
async def test_overtaking_belongs_to_its_direction(path: PathBuilder, way: Way) -> None:
    line = path(hops=2, delay_ms=1, there={"reorder": 0.0}, back={"reorder": 0.0})
    set_one(line, way, {"reorder": 0.1, "reorder_ms": 20})
    with reflecting(line) as (_, port):
        found = await measure(line, port)
    truth = line.truth
    assert found["reordered_there"] == truth.there.reordered
    assert found["reordered_back"] == truth.back.reordered
    assert getattr(truth, way).reordered > 0


@pytest.mark.parametrize("way", ["there", "back"])
async def test_copies_belong_to_their_direction(path: PathBuilder, way: Way) -> None:
    line = path(hops=2, delay_ms=1)
    set_one(line, way, {"duplicate": 0.1})
    with reflecting(line) as (_, port):
        found = await measure(line, port)
    truth = line.truth
    assert getattr(truth, way).duplicated > 0
    assert (found["loss"], found["received"]) == (0, 200)
    assert (found["duplicates_there"], found["duplicates_back"]) == (truth.there.duplicated, truth.back.duplicated)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
async def test_a_dscp_rewritten_en_route_is_seen_by_the_far_end(path: PathBuilder, family: str) -> None:
    line = path(hops=3, relay=False)
    target = line.target if family == "ipv4" else line.target6
    with reflecting(line, key=KEY.encode()) as (_, port):
        before = await measure(line, port, target, dscp=46, count=3, key="lab")
        rule = parts.rewrite_dscp(line.routers[1], 10, only=46)
        after = await measure(line, port, target, dscp=46, count=3, key="lab")
    assert (before["dscp_sent"], before["dscp_there"], before["dscp_back"]) == (46, 46, 46)
    assert (after["dscp_sent"], after["dscp_there"], after["dscp_back"]) == (46, 10, 10)
    assert rule.packets >= 6
    assert (after["hops_there"], after["hops_back"], after["authenticated"]) == (3, 3, 1)


async def test_another_key_is_refused(path: PathBuilder) -> None:
    line = path(hops=1, relay=False)
    with reflecting(line, key=b"of somebody else") as (reflector, port):
        signed = await measure(line, port, count=5, wait=0.2, key="lab")
        unsigned = await measure(line, port, count=5, wait=0.2)
    assert (signed["up"], signed["error"], signed["loss"]) == (0, "timeout", 1)
    assert "key" in str(signed["error_detail"])
    assert unsigned["up"] == 0
    assert dict(reflector.refused) == {"hmac": 5, "short": 5}


async def test_a_key_that_the_agent_lacks_is_named(path: PathBuilder) -> None:
    found = await measure(path(hops=0, relay=False), 8620, key="office")
    assert (found["up"], found["error"]) == (0, "permission")
    assert "no key 'office'" in str(found["error_detail"])


async def test_an_answer_signed_with_another_key_is_not_believed(path: PathBuilder) -> None:
    line = path(hops=0, relay=False)
    with reflecting(line) as (_, port):  # answers anything, signs nothing
        found = await measure(line, port, count=3, wait=0.2, key="lab")
    assert found["up"] == 0


async def test_where_nobody_reflects_the_refusal_is_the_result(path: PathBuilder) -> None:
    line = path(hops=1, relay=False)
    found = await measure(line, 9, count=3, wait=5)
    assert (found["up"], found["error"], found["lost_unknown"]) == (0, "refused", 3)


async def test_a_limit_keeps_a_reflector_from_answering_more(path: PathBuilder) -> None:
    line = path(hops=0, relay=False)
    with reflecting(line, limit=RateLimit(each=10, total=1000)) as (reflector, port):
        found = await measure(line, port, count=60, spacing=0.001, wait=0.2)
    assert reflector.refused["source_rate"] > 0
    assert int(found["received"]) < 60
