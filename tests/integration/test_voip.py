"""Calls to real SIP servers: SIPp is called, Kamailio registers and leads the way."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from streamswarm_agent.net.keys import Keys
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue
from streamswarm_core.probespecs import SPECS
from tests.integration.sip_servers import (
    ANSWERS,
    RINGING,
    again,
    heard,
    ok,
    reply,
    run_kamailio,
    run_sipp,
    scenario,
)
from tests.support import find_free_port

pytestmark = [pytest.mark.needs("sipp", "sip-tester")]
PASSWORD: Final = "open, Sesame"
Fields = Mapping[str, FieldValue]


@pytest.fixture
async def context() -> AsyncIterator[Context]:
    engines = Engines(Keys({"pbx": SecretStr(PASSWORD), "old": SecretStr("forgotten")}))
    yield Context(engines)
    engines.close()


async def dial(context: Context, port: int, target: str = "127.0.0.1", **options: object) -> Fields:
    # A buffer that nothing is late for, on a busy machine either.
    buffer = {"jitter_buffer": "fixed", "buffer": 0.3}
    given = {"mode": "call", "dial": "echo", "port": port, "seconds": 0.5, "wait": 0.5, **buffer, **options}
    (point,) = await PROBES["voip"].run(target, SPECS["voip"].params.model_validate(given), context)
    return point.fields


# SIPp alone


@pytest.mark.parametrize(
    ("host", "transport"), [("127.0.0.1", "udp"), ("127.0.0.1", "tcp"), ("::1", "udp"), ("::1", "tcp")]
)
async def test_a_call_is_set_up_heard_and_taken_down(
    context: Context, tmp_path: Path, host: str, transport: str
) -> None:
    with run_sipp(tmp_path, ANSWERS, host=host, transport="t1" if transport == "tcp" else "u1") as callee:
        found = await dial(context, callee.port, host, transport=transport)
        assert callee.succeeded(), callee.said()
    assert (found["up"], found["status"], found["media"], found["rtcp"]) == (1, "completed", "echo", 0)
    assert (found["responses"], found["invite_code"], found["bye_code"]) == ("180 200 200", 200, 200)
    assert (found["sent"], found["received"], found["loss"], found["late_back"]) == (25, 25, 0, 0)
    assert 0 < float(found["post_dial_delay"]) <= float(found["setup"])
    assert float(found["teardown"]) > 0
    assert 0 < float(found["rtt_min"]) <= float(found["rtt_mean"]) <= float(found["rtt_max"])
    assert float(found["mouth_to_ear_back"]) >= 0.32
    assert 50 < float(found["r"]) < 75
    assert "error" not in found
    assert "loss_back" not in found  # an echo doesn't tell directions apart


@pytest.mark.parametrize(
    ("codec", "number", "name"), [("PCMU", 0, "PCMU"), ("G729", 18, "G729"), ("GSM-EFR", 110, "GSM-EFR")]
)
async def test_the_peer_chooses_the_number_of_the_codec(
    context: Context, tmp_path: Path, codec: str, number: int, name: str
) -> None:
    script = scenario(heard("INVITE"), ok(number, name), heard("ACK"), heard("BYE"), again("200 OK"))
    with run_sipp(tmp_path, script) as callee:
        found = await dial(context, callee.port, codec=codec)
        assert callee.succeeded(), callee.said()
    assert (found["up"], found["received"]) == (1, 25)
    assert "post_dial_delay" not in found  # it didn't ring


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ok(0, "PCMU"), "payload types 0"),
        (ok(port="auto_media_port", direction="sendonly"), "on hold"),
        (reply("200 OK", options='retrans="500"'), "no m=audio"),
    ],
    ids=["another codec", "on hold", "no description"],
)
async def test_an_answer_without_speech_to_us_is_hung_up_and_said(
    context: Context, tmp_path: Path, answer: str, said: str
) -> None:
    script = scenario(heard("INVITE"), answer, heard("ACK"), heard("BYE"), again("200 OK"))
    with run_sipp(tmp_path, script) as callee:
        found = await dial(context, callee.port)
        assert callee.succeeded(), callee.said()
    assert (found["up"], found["status"], found["invite_code"]) == (0, "no_media", 200)
    assert said in str(found["error_detail"])
    assert "mos" not in found


async def test_a_call_without_speech_back_has_no_score(context: Context, tmp_path: Path) -> None:
    with run_sipp(tmp_path, ANSWERS, echo=False) as callee:
        found = await dial(context, callee.port)
        assert callee.succeeded(), callee.said()
    assert (found["up"], found["status"], found["media"], found["loss"]) == (0, "no_media", "none", 1)
    assert found["error"] in {"refused", "timeout"}
    assert "mos" not in found


async def test_a_peer_that_speaks_by_itself_is_rated_by_its_own_stream(context: Context, tmp_path: Path) -> None:
    (tmp_path / "speech.ulaw").write_bytes(random.Random(1).randbytes(8_000))
    speaks = '<nop><action><exec rtp_stream="speech.ulaw,-1,0,PCMU/8000"/></action></nop>'
    answer = ok(0, "PCMU", port="rtpstream_audio_port")
    script = scenario(heard("INVITE"), answer, heard("ACK"), speaks, heard("BYE"), again("200 OK"))
    with run_sipp(tmp_path, script, echo=False) as callee:
        found = await dial(context, callee.port, codec="PCMU", seconds=2)
    assert (found["up"], found["media"], found["rtcp"]) == (1, "peer", 0)
    assert int(found["received"]) > 50
    assert (found["loss"], found["loss_back"]) == (0, 0)
    assert "jitter_back" in found
    assert "rtt_mean" not in found  # only RTCP would tell
    assert 50 < float(found["r_back"]) == float(found["r"])


def asks(method: str, number: int) -> str:
    """A request of the peer's within the call, once PARTIES are known."""
    return f"""<send retrans="500"><![CDATA[

      {method} [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      [$mine]
      [$theirs]
      [last_Call-ID:]
      CSeq: {number} {method}
      Contact: <sip:[local_ip]:[local_port]>
      Max-Forwards: 70
      Content-Length: 0

    ]]></send>"""


def told(code: int) -> str:
    """The answer to that, which has to come."""
    return f'<recv response="{code}" crlf="true"/>'


# An ACK that is remembered: who is who, seen from the peer.
PARTIES: Final = """<recv request="ACK" crlf="true"><action>
      <ereg regexp=".*" search_in="hdr" header="To:" assign_to="to"/>
      <ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/>
      <assignstr assign_to="mine" value="From:[$to]"/>
      <assignstr assign_to="theirs" value="To:[$from]"/>
    </action></recv>"""


async def test_a_peer_that_hangs_up_first_ends_the_call(context: Context, tmp_path: Path) -> None:
    script = scenario(heard("INVITE"), ok(), PARTIES, '<pause milliseconds="300"/>', asks("BYE", 9), told(200))
    with run_sipp(tmp_path, script) as callee:
        found = await dial(context, callee.port, seconds=20)
        assert callee.succeeded(), callee.said()
    assert (found["up"], found["status"], found["loss"]) == (1, "completed", 0)
    assert float(found["stream"]) < 15
    assert "bye_code" not in found


async def test_what_else_a_peer_asks_in_a_call_is_answered_and_changes_nothing(
    context: Context, tmp_path: Path
) -> None:
    acknowledges = asks("ACK", 3).replace(' retrans="500"', "")
    script = scenario(
        heard("INVITE"),
        ok(),
        PARTIES,
        asks("OPTIONS", 2),
        told(200),
        asks("INVITE", 3),
        told(488),
        acknowledges,
        asks("MESSAGE", 4),
        told(405),
        heard("BYE"),
        again("200 OK"),
    )
    with run_sipp(tmp_path, script) as callee:
        found = await dial(context, callee.port, seconds=1)
        assert callee.succeeded(), callee.said()
    assert (found["up"], found["loss"]) == (1, 0)


def registering(*answers: str, last: str) -> str:
    """A registrar that answers so, one after the other; the last request must match."""
    checked = f"""<recv request="REGISTER" crlf="true"><action>
      <ereg regexp="{last}" search_in="msg" check_it="true" assign_to="found"/><log message="[$found]"/>
    </action></recv>"""
    steps = [step for answer in answers for step in (heard("REGISTER"), answer)]
    return scenario(*steps, checked, reply("403 Enough"))


def challenge(nonce: str, more: str = "") -> str:
    asked = f'\n      WWW-Authenticate: Digest realm="r", nonce="{nonce}"{more}\n      Content-Length: 0'
    return reply("401 Unauthorized", asked)


async def test_a_registration_is_made_as_long_as_the_server_wants(context: Context, tmp_path: Path) -> None:
    brief = reply("423 Interval Too Brief", "\n      Min-Expires: 1234\n      Content-Length: 0")
    with run_sipp(tmp_path, registering(brief, last="Expires: 1234")) as registrar:
        found = await dial(context, registrar.port, register_first=True)
        assert registrar.succeeded(), registrar.said()
    assert (found["status"], found["register_code"], found["responses"]) == ("not_registered", 403, "423 403")


async def test_an_old_nonce_is_no_wrong_password(context: Context, tmp_path: Path) -> None:
    script = registering(challenge("one"), challenge("two", ", stale=true"), last="nonce=.two.")
    with run_sipp(tmp_path, script) as registrar:
        found = await dial(context, registrar.port, register_first=True, key="pbx")
        assert registrar.succeeded(), registrar.said()
    assert (found["register_code"], found["responses"]) == (403, "401 401 403")


async def test_a_call_that_nobody_answers_is_taken_back(context: Context, tmp_path: Path) -> None:
    script = scenario(heard("INVITE"), RINGING, heard("CANCEL"), again("200 OK"), *_terminated(), heard("ACK"))
    with run_sipp(tmp_path, script) as callee:
        found = await dial(context, callee.port, answer_wait=1.5)
        assert callee.succeeded(), callee.said()
    assert (found["up"], found["status"], found["error"]) == (0, "no_answer", "timeout")
    assert "180 Ringing" in str(found["error_detail"])
    assert found["responses"] == "180 200 487"


def _terminated() -> tuple[str, ...]:
    """The INVITE's own answer, once it is cancelled: with the INVITE's Via and number, not the CANCEL's."""
    return (
        """<send retrans="500"><![CDATA[

      SIP/2.0 487 Request Terminated
      [last_Via:]
      [last_From:]
      [last_To:];tag=sipp[call_number]
      [last_Call-ID:]
      CSeq: [cseq] INVITE
      Content-Length: 0

    ]]></send>""",
    )


async def test_a_peer_that_answers_while_it_is_cancelled_is_hung_up_on(context: Context, tmp_path: Path) -> None:
    at_last = ok().replace("[last_CSeq:]", "CSeq: [cseq] INVITE")
    script = scenario(
        heard("INVITE"), RINGING, heard("CANCEL"), again("200 OK"), at_last, heard("ACK"), heard("BYE"), again("200 OK")
    )
    with run_sipp(tmp_path, script) as callee:
        found = await dial(context, callee.port, answer_wait=1.5)
        assert callee.succeeded(), callee.said()
    assert (found["status"], found["error"], found["invite_code"], found["bye_code"]) == (
        "no_answer",
        "timeout",
        200,
        200,
    )


async def test_a_run_that_is_cancelled_while_it_rings_takes_the_call_back(context: Context, tmp_path: Path) -> None:
    script = scenario(heard("INVITE"), RINGING, heard("CANCEL"), again("200 OK"), *_terminated(), heard("ACK"))
    with run_sipp(tmp_path, script) as callee:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await dial(context, callee.port)
        assert callee.succeeded(), callee.said()


async def test_a_run_that_is_cancelled_while_it_speaks_hangs_up(context: Context, tmp_path: Path) -> None:
    with run_sipp(tmp_path, ANSWERS) as callee:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.8):
                await dial(context, callee.port, seconds=30)
        assert callee.succeeded(), callee.said()


async def test_calls_at_the_same_time_dont_meet(context: Context, tmp_path: Path) -> None:
    with run_sipp(tmp_path, ANSWERS, calls=8) as callee:
        runs = await asyncio.gather(*(dial(context, callee.port, seconds=1) for _ in range(8)))
        assert callee.succeeded(), callee.said()
    assert [(one["up"], one["received"], one["loss"]) for one in runs] == [(1, 50, 0)] * 8


async def test_where_no_server_is_the_refusal_is_the_result(context: Context) -> None:
    for transport in ("udp", "tcp"):
        found = await dial(context, find_free_port(), transport=transport)
        assert (found["up"], found["status"], found["error"]) == (0, "failed", "refused")


# Kamailio before it


@pytest.mark.needs("kamailio", "kamailio")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("algorithm", "qop"), [("MD5", "auth"), ("SHA-256", "auth"), ("MD5", "")])
async def test_a_registered_caller_gets_through_the_proxy(
    context: Context, tmp_path: Path, transport: str, algorithm: str, qop: str
) -> None:
    with (
        run_sipp(tmp_path / "callee", ANSWERS) as callee,
        run_kamailio(tmp_path / "proxy", callee=callee.port, password=PASSWORD, algorithm=algorithm, qop=qop) as port,
    ):
        found = await dial(
            context,
            port,
            user="alice",
            key="pbx",
            domain="voip.example",
            register_first=True,
            transport=transport,
        )
        assert callee.succeeded(), callee.said()
    assert (found["up"], found["status"], found["received"]) == (1, "completed", 25), found
    assert (found["register_code"], found["invite_code"], found["bye_code"]) == (200, 200, 200)
    # The registration is taken back with the credentials that the server has seen, or new ones.
    codes = str(found["responses"]).split()
    assert codes[:4] == ["401", "200", "407", "100"]
    assert sorted(codes[4:8]) == ["180", "200", "200", "200"]  # the proxy may pass 200 before 180
    assert float(found["registration"]) > 0
    assert float(found["setup"]) > 0


@pytest.mark.needs("kamailio", "kamailio")
async def test_what_a_proxy_refuses_is_said(context: Context, tmp_path: Path) -> None:
    with run_kamailio(tmp_path, callee=find_free_port(), password=PASSWORD) as port:
        for code, error in [
            (302, "unexpected_answer"),
            (403, "prohibited"),
            (404, "unexpected_answer"),
            (408, "timeout"),
            (486, "unexpected_answer"),
            (488, "unexpected_answer"),
            (503, "unexpected_answer"),
            (603, "prohibited"),
        ]:
            found = await dial(context, port, dial=str(code))
            assert (found["up"], found["status"], found["invite_code"]) == (0, "rejected", code)
            assert (found["error"], found["responses"]) == (error, str(code))
            assert f"INVITE was answered {code}" in str(found["error_detail"])
            assert "sent" not in found
        silent = await dial(context, port, dial="lost", answer_wait=1.2)
        unauthorised = await dial(context, port)
    assert (silent["status"], silent["error"]) == ("no_answer", "timeout")
    assert int(silent["retransmissions"]) >= 1
    assert (unauthorised["status"], unauthorised["invite_code"], unauthorised["error"]) == (
        "rejected",
        407,
        "prohibited",
    )


@pytest.mark.needs("kamailio", "kamailio")
async def test_a_wrong_password_is_said_and_never_repeated(context: Context, tmp_path: Path) -> None:
    with run_kamailio(tmp_path, callee=find_free_port(), password=PASSWORD) as port:
        found = await dial(context, port, user="alice", key="old", register_first=True)
        missing = await dial(context, port, user="alice", key="none of ours", register_first=True)
    assert (found["status"], found["register_code"], found["responses"]) == ("not_registered", 401, "401 401")
    assert found["error"] == "prohibited"
    assert "forgotten" not in str(found)
    assert (missing["status"], missing["error"]) == ("failed", "permission")
