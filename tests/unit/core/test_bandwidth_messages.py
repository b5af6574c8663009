import pytest

from streamswarm_core.wire.bandwidth import STEP_SECONDS, MessageError, Meter, is_signed, pack, unpack


def test_a_signed_message_can_not_be_changed() -> None:
    line = pack({"role": "control", "bytes": 5}, nonce="n", key=b"k")
    assert is_signed(unpack(line), nonce="n", key=b"k")
    assert not is_signed(unpack(line.replace(b":5", b":6")), nonce="n", key=b"k")
    assert not is_signed(unpack(line), nonce="n", key=b"other")
    assert not is_signed({"role": "control"}, nonce="n", key=b"k")


@pytest.mark.parametrize("line", [b"", b"GET / HTTP/1.1\r\n", b"[1]\n", b"\xff\n"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(MessageError):
        unpack(line)


def test_the_warm_up_is_at_most_half_of_the_time() -> None:
    meter = Meter()
    for step in range(21):
        meter.add(0 if step < 10 else 1_000, step * STEP_SECONDS * 1.0001)
    assert meter.rate(100) == pytest.approx(11_000 * 8 / (10 * STEP_SECONDS), rel=0.01)
    assert meter.bytes == 11_000


def test_what_is_over_just_after_a_step_has_a_rate_all_the_same() -> None:
    meter = Meter()
    for thousandth in range(53):
        meter.add(1_000, thousandth / 1_000)
    assert meter.rate(0.5) == pytest.approx(53_000 * 8 / 0.052)


def test_a_burst_out_of_buffers_is_no_rate() -> None:
    meter = Meter()
    meter.add(1_000_000, 1.0)
    meter.add(1_000_000, 1.001)
    assert meter.rate(0) is None
    assert Meter().rate(0) is None


def test_late_bytes_are_counted_but_are_no_part_of_the_rate() -> None:
    meter = Meter(limit=1.0)
    for tenth in range(30):
        meter.add(1_000, 5 + tenth / 10)
    assert (meter.bytes, meter.late) == (30_000, 19_000)
    assert meter.rate(0) == pytest.approx(11_000 * 8)
    assert list(meter.per_second()) == [80_000.0]
