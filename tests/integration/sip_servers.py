"""Real SIP servers on loopback: SIPp as the one who is called, and Kamailio as registrar and proxy."""

import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tests.support import eventually

_STOP_SECONDS: Final = 10.0
_RUN_SECONDS: Final = 100
_ECHOED: Final = """
      [last_Via:]
      [last_From:]
      [last_To:];tag=sipp[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      [last_Record-Route:]
      Contact: <sip:[local_ip]:[local_port];transport=[transport]>"""
_AGAIN: Final = """
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0"""
_SDP: Final = """
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=sipp 1 1 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [{port}] RTP/AVP {codec}
      a=rtpmap:{codec} {name}/8000
      a={direction}"""


def reply(line: str, more: str = "\n      Content-Length: 0", head: str = _ECHOED, options: str = "") -> str:
    """A response to the last request."""
    return f"<send {options}><![CDATA[\n\n      SIP/2.0 {line}{head}{more}\n\n    ]]></send>"


def again(line: str) -> str:
    """A response within the dialog."""
    return reply(line, "", _AGAIN)


def ok(codec: int = 8, name: str = "PCMA", direction: str = "sendrecv", port: str = "media_port") -> str:
    """The call is answered."""
    described = _SDP.format(codec=codec, name=name, direction=direction, port=port)
    return reply("200 OK", described, options='retrans="500"')


def heard(method: str) -> str:
    """A request that has to come."""
    return f'<recv request="{method}" crlf="true" rrs="true"/>'


def scenario(*steps: str) -> str:
    """SIPp's script of one call."""
    return (
        '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="test">\n' + "\n".join(steps) + "\n</scenario>\n"
    )


RINGING: Final = reply("180 Ringing")
ANSWERS: Final = scenario(heard("INVITE"), RINGING, ok(), heard("ACK"), heard("BYE"), again("200 OK"))
"""Rings, answers, and waits to be hung up on."""


@dataclass
class Sipp:
    """A SIPp that is called.

    Attributes:
        port: of SIP.
        process: it ends by itself when all calls are done.
    """

    port: int
    process: subprocess.Popen[bytes]
    folder: Path

    def succeeded(self) -> bool:
        """Whether every step of every call came as the script says; waits for the end."""
        code = self.process.wait(_STOP_SECONDS)
        return code == 0

    def said(self) -> str:
        """Its errors, for people."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*errors*")))


@contextmanager
def run_sipp(
    folder: Path, script: str, *, host: str = "127.0.0.1", transport: str = "u1", calls: int = 1, echo: bool = True
) -> Iterator[Sipp]:
    """Start SIPp as a server for so many calls."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "script.xml").write_text(script)
    port, media = free_even_port(host), free_even_port(host)
    words = ["sipp", "-sf", "script.xml", "-i", host, "-p", str(port), "-mi", host, "-mp", str(media)]
    words += ["-t", transport, "-m", str(calls), "-nostdin", "-timeout", f"{_RUN_SECONDS}s", "-trace_err"]
    words += ["-error_file", "errors.log", *(["-rtp_echo"] if echo else [])]
    with ExitStack() as closing:
        log = closing.enter_context((folder / "out.log").open("wb"))
        process = closing.enter_context(_stopped(subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)))
        eventually(lambda: listens(process.pid, port), bool)
        yield Sipp(port, process, folder)


REFUSED: Final = (302, 403, 404, 408, 486, 488, 503, 603)
"""Numbers that Kamailio answers with themselves."""
_KAMAILIO: Final = """#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=1
auto_aliases=no
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("auth", "qop", "{qop}")
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "nonce_expire", 300)
modparam("registrar", "min_expires", {least})
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
        sl_send_reply("404", "Not Here");
        exit;
    }}
    if (is_method("REGISTER")) {{
        if ($au != "alice" || !pv_www_authenticate("voip.example", "{password}", "0")) {{
            www_challenge("voip.example", "1");
            exit;
        }}
        save("location");
        exit;
    }}
    if (is_method("INVITE")) {{
        if ($rU == "lost") {{ exit; }}
{refusals}
        if ($au != "alice" || !pv_proxy_authenticate("voip.example", "{password}", "0")) {{
            proxy_challenge("voip.example", "1");
            exit;
        }}
        consume_credentials();
        if (!registered("location", "$fu")) {{ sl_send_reply("403", "Register First"); exit; }}
        record_route();
        $du = "sip:{host}:{callee}";
        t_relay();
        exit;
    }}
    sl_send_reply("405", "Method Not Allowed");
}}
"""


@contextmanager
def run_kamailio(
    folder: Path,
    *,
    callee: int,
    password: str,
    algorithm: str = "MD5",
    qop: str = "auth",
    least_expires: int = 60,
    host: str = "127.0.0.1",
) -> Iterator[int]:
    """Start Kamailio: registers alice, and leads her calls to the callee's port. Yields its port.

    Calls to `lost` get no answer at all; to one of REFUSED, that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_even_port(host)
    refusals = "\n".join(
        f'        if ($rU == "{code}") {{ sl_send_reply("{code}", "As Asked"); exit; }}' for code in REFUSED
    )
    text = _KAMAILIO.format(
        refusals=refusals,
        host=host,
        port=port,
        callee=callee,
        password=password,
        algorithm=algorithm,
        qop=qop,
        least=least_expires,
    )
    (folder / "kamailio.cfg").write_text(text)
    words = ["kamailio", "-DD", "-E", "-f", str(folder / "kamailio.cfg"), "-m", "32", "-M", "4", "-Y", str(folder)]
    with ExitStack() as closing:
        log = closing.enter_context((folder / "kamailio.log").open("wb"))
        process = closing.enter_context(
            _stopped(subprocess.Popen(words, cwd=folder, stdout=log, stderr=log, start_new_session=True))
        )

        def ready() -> bool:
            assert process.poll() is None, (folder / "kamailio.log").read_text()[-2000:]
            return listens(process.pid, port) and accepts(host, port)

        eventually(ready, bool)
        yield port


def listens(pid: int, port: int) -> bool:
    """Whether a process, or one of its children, has a socket on a port."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return any(one.laddr and one.laddr.port == port for each in family for one in each.net_connections())
    except psutil.NoSuchProcess:
        return False


def accepts(host: str, port: int) -> bool:
    """Whether a connection is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trying:
        return trying.connect_ex((host, port)) == 0


def free_even_port(host: str) -> int:
    """A port that is free for UDP and TCP, as are the three after it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randrange(40_000, 60_000, 4)
        with ExitStack() as closing:
            try:
                for number in range(4):
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        closing.enter_context(socket.socket(family, kind)).bind((host, port + number))
            except OSError:
                continue
            return port


@contextmanager
def _stopped(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Stop the process in the end, and what it has started."""
    try:
        yield process
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in psutil.wait_procs(children, timeout=_STOP_SECONDS)[1]:
            child.kill()
