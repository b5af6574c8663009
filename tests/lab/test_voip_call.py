"""SIP calls over an impaired path to a real SIPp."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path as FilePath

import pytest

from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue
from streamswarm_core.probespecs import SPECS
from tests.integration.sip_servers import ANSWERS
from tests.lab.topology import Path, PathBuilder
from tests.support import eventually

pytestmark = pytest.mark.needs("sipp", "sip-tester")
SIP, SPEECH = 5060, 6000


@contextmanager
def called(line: Path, folder: FilePath) -> Iterator[None]:
    """SIPp in the far host."""
    (folder / "script.xml").write_text(ANSWERS)
    program = shutil.which("sipp") or "sipp"
    words = [program, "-sf", str(folder / "script.xml"), "-i", line.target, "-p", str(SIP), "-mi", line.target]
    words += ["-mp", str(SPEECH), "-rtp_echo", "-nostdin", "-timeout", "100s"]
    process = line.far.popen(words)
    try:
        eventually(lambda: line.far.run(["ss", "-Hlun"]).stdout, lambda sockets: f":{SIP} " in sockets)
        yield
    finally:
        process.terminate()
        process.wait(10)


async def dial(line: Path, **options: object) -> Mapping[str, FieldValue]:
    engines = Engines()
    buffer = {"jitter_buffer": "fixed", "buffer": 0.3}
    given = {"mode": "call", "dial": "echo", "seconds": 2, "answer_wait": 20, **buffer, **options}
    with line.near.entered():
        try:
            (point,) = await PROBES["voip"].run(
                line.target, SPECS["voip"].params.model_validate(given), Context(engines)
            )
        finally:
            engines.close()
    return point.fields


async def test_times_of_signalling_and_speech_are_those_of_the_path(path: PathBuilder, tmp_path: FilePath) -> None:
    line = path(hops=1, there={"delay_ms": 60}, back={"delay_ms": 20})
    with called(line, tmp_path):
        found = await dial(line)
    assert (found["up"], found["status"], found["loss"]) == (1, "completed", 0)
    for name in ("post_dial_delay", "setup", "teardown", "rtt_min"):
        assert float(found[name]) >= 0.080
    assert float(found["mouth_to_ear_back"]) >= 0.040 + 0.3


async def test_lost_messages_are_sent_again_until_the_call_is_over(path: PathBuilder, tmp_path: FilePath) -> None:
    resent = 0
    for seed in (1, 2, 3):
        line = path(hops=0, delay_ms=2, loss=0.3, record=True, seed=seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        with called(line, folder):
            found = await dial(line, seconds=1)
        assert found.get("invite_code") == 200, dict(found)
        assert 0.2 < float(found["loss"]) < 0.9
        resent += int(found["retransmissions"])
    assert resent > 0


async def test_lost_speech_is_what_the_wire_lost(path: PathBuilder, tmp_path: FilePath) -> None:
    line = path(hops=0, delay_ms=5, record=True, seed=4)
    with called(line, tmp_path):
        line.set(there={"loss": 0.05}, back={"loss": 0.05})
        found = await dial(line)
    lost = 0
    for records, port_at in ((line.records("there"), 22), (line.records("back"), 20)):
        for record in records:
            speech = record.head[9] == 17 and int.from_bytes(record.head[port_at : port_at + 2], "big") == SPEECH
            lost += speech and record.fate == "lost"
    assert lost > 0
    assert round(float(found["loss"]) * int(found["sent"])) == lost
    assert float(found["mos"]) < 4.3
