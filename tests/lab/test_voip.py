"""What a stream is rated on an impaired path, held against the E-model of what the wire says it did."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby

import pytest

from streamswarm_agent.net.stamp.sender import StampSender
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reflector.limits import RateLimit
from streamswarm_core.reflector.stamp import StampReflector
from streamswarm_core.voice.emodel import Connection, mean_opinion, rate
from tests.lab.impairment import Options
from tests.lab.topology import Path, PathBuilder
from tests.lab.wire import Record, Way

# Behind the IP and UDP headers: what the sender numbers, and what the reflector repeats of it.
SEQUENCE_AT: Mapping[Way, int] = {"there": 28, "back": 52}
WAYS: tuple[Way, Way] = ("there", "back")
EF = 46 << 2


@contextmanager
def reflecting(line: Path) -> Iterator[int]:
    reflector = StampReflector(limit=RateLimit(each=1e6, total=1e6))
    with line.far.entered():
        port = reflector.listen([line.target, line.target6], 0)
    try:
        yield port
    finally:
        reflector.close()


async def measure(line: Path, target: str = "", **options: object) -> Mapping[str, FieldValue]:
    engines = Engines(StampSender())
    with reflecting(line) as port, line.near.entered():
        try:
            params = SPECS["voip"].params.model_validate({"port": port, "seconds": 4, "wait": 0.5, **options})
            (point,) = await PROBES["voip"].run(target or line.target, params, Context(engines))
        finally:
            engines.close()
    return point.fields


def speech(line: Path, way: Way, count: int) -> list[Record]:
    """The stream's packets in the order in which they reached the wire, without those that closed the run."""
    at = SEQUENCE_AT[way]
    packets = sorted((one for one in line.records(way) if one.head[9] == 17), key=lambda one: one.arrived_ns)
    return [record for record in packets if int.from_bytes(record.head[at : at + 4], "big") < count]


def truth(records: list[Record]) -> tuple[float, float, float]:
    """Mean delay in ms, loss in percent, and burst ratio, of one direction."""
    delays = [(record.sent_ns - record.arrived_ns) / 1e6 for record in records if record.sent_ns is not None]
    lost = [record.fate == "lost" for record in records]
    share = sum(lost) / len(lost)
    gaps = [len(list(run)) for gone, run in groupby(lost) if gone]
    return sum(delays) / len(delays), 100 * share, sum(gaps) / len(gaps) * (1 - share) if gaps else 1.0


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ({"delay_ms": 20}, {"delay_ms": 20}),
        ({"delay_ms": 120}, {"delay_ms": 180}),
        ({"delay_ms": 10, "loss": 0.05}, {"delay_ms": 10}),
        ({"delay_ms": 10}, {"delay_ms": 10, "loss": 0.1, "burst": 4}),
        ({"delay_ms": 60, "loss": 0.03}, {"delay_ms": 60, "loss": 0.08, "burst": 3}),
    ],
    ids=["near", "far", "loss there", "bursts back", "both"],
)
async def test_the_rating_is_the_e_models_for_what_the_wire_did(
    path: PathBuilder, there: Options, back: Options
) -> None:
    line = path(hops=1, there=there, back=back, record=True, seed=7)
    found = await measure(line, jitter_buffer="fixed", buffer=0.25)
    count = int(found["sent"])
    ways = [truth(speech(line, way, count)) for way in WAYS]
    # The buffer of 250 ms loses nothing on a busy machine; it counts in the rating, as do the codec's 20.
    mouth_to_ear = sum(delay for delay, _, _ in ways) / 2 + 250 + 20.125
    # Where a gap has losses of both directions, nobody knows their order, so bursts are known roughly.
    exact = not all(loss for _, loss, _ in ways)
    for way, (_, loss, bursts) in zip(WAYS, ways, strict=True):
        assert float(found[f"loss_{way}"]) == pytest.approx(loss / 100)
        assert float(found[f"late_{way}"]) == 0
        if exact:
            assert float(found.get(f"burst_ratio_{way}", 1)) == pytest.approx(bursts)
        expected = rate(
            Connection(
                delay=mouth_to_ear,
                echo_delay=mouth_to_ear,
                round_trip=2 * mouth_to_ear,
                bpl=25.1,
                ppl=loss,
                burst_ratio=bursts,
            )
        ).r
        # The relay's lateness after its stamp, and the time from interface to interface, are not in its records.
        assert float(found[f"r_{way}"]) == pytest.approx(expected, abs=0.5 if exact else 2)
        assert float(found[f"mos_{way}"]) == pytest.approx(mean_opinion(float(found[f"r_{way}"])))
    assert float(found["rtt_min"]) >= (there["delay_ms"] + back["delay_ms"]) / 1_000
    assert found["mos"] == min(found["mos_there"], found["mos_back"])


async def test_jitter_beyond_the_buffer_is_heard_in_its_direction(path: PathBuilder) -> None:
    # Packets on the wire keep their order, so a uniform jitter up to 80 ms is late now and then, for a buffer of 20 ms.
    line = path(hops=0, delay_ms=5, there={"jitter_ms": 80})
    small = await measure(line, jitter_buffer="fixed", buffer=0.02)
    large = await measure(line, jitter_buffer="fixed", buffer=0.4)
    assert float(small["late_there"]) > 0.02
    assert float(large["late_there"]) == 0
    assert float(small["loss_there"]) == float(small["loss_back"]) == 0
    assert float(small["jitter_there"]) > float(small["jitter_back"])
    assert float(small["jitter_max_there"]) >= float(small["jitter_there"])
    assert float(small["mos_there"]) < float(small["mos_back"])


async def test_an_adaptive_buffer_costs_delay_where_a_small_fixed_one_costs_packets(path: PathBuilder) -> None:
    line = path(hops=0, delay_ms=5, there={"jitter_ms": 60})
    fixed = await measure(line, jitter_buffer="fixed", buffer=0.01)
    adaptive = await measure(line, jitter_buffer="adaptive", buffer=0.01)
    assert float(adaptive["late_there"]) < float(fixed["late_there"])
    assert float(adaptive["buffer_there"]) > float(fixed["buffer_there"])


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
async def test_the_packets_have_the_codecs_size_and_class(path: PathBuilder, family: str) -> None:
    line = path(hops=0, record=True)
    found = await measure(line, line.target if family == "ipv4" else line.target6, seconds=0.5, codec="PCMU")
    sent = [record for record in line.records("there") if record.size == (200 if family == "ipv4" else 220)]
    assert len(sent) == found["sent"] == found["received"] == 25
    if family == "ipv4":
        assert {record.head[1] for record in sent} == {EF}
    assert (found["dscp_there"], found["dscp_back"]) == (46, 46)
