"""Session descriptions (RFC 8866) of one stream of speech, offered and answered (RFC 3264)."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from streamswarm_core.voice.codecs import Codec

_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_MAPPED: Final = re.compile(r"rtpmap:(\d{1,3})\s+([^/\s]+)(?:/.*)?")


class SdpError(ValueError):
    """What was answered can't be used."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Where speech is to go.

    Attributes:
        host: address.
        port: of RTP.
        control_port: of RTCP.
        payload_type: to send with.
        receives: whether the peer takes speech.
    """

    host: str
    port: int
    control_port: int
    payload_type: int
    receives: bool


def make_offer(host: str, port: int, codec: Codec, packet_time: float, session: int) -> bytes:
    """Offer one codec.

    Args:
        host: this host's address.
        port: of RTP; RTCP is on the next.
        codec: what is spoken.
        packet_time: seconds of speech in a packet.
        session: a number that no other session of this host has.
    """
    kind = "IP6" if ":" in host else "IP4"
    lines = [
        "v=0",
        f"o=- {session} 1 IN {kind} {host}",
        "s=-",
        f"c=IN {kind} {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {codec.payload_type}",
        f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock_rate}",
    ]
    if codec.format:
        lines.append(f"a=fmtp:{codec.payload_type} {codec.format}")
    lines += [f"a=ptime:{packet_time * 1000:g}", "a=sendrecv", ""]
    return "\r\n".join(lines).encode()


def read_answer(body: bytes, codec: Codec) -> Answer:
    """Read the answer to an offer of one codec.

    Raises:
        SdpError: it is none, or speech is refused, or another codec chosen.
    """
    try:
        lines = [line.strip() for line in body.decode().splitlines()]
    except UnicodeDecodeError:
        raise SdpError("the session description is not UTF-8") from None
    shared, speech = _parts(lines)
    if not speech:
        raise SdpError("the session description has no m=audio")
    _, port, protocol, *formats = f"{speech[0]} - - -".split()
    if not port.isdecimal() or not 0 <= int(port) < 65_536 or protocol not in {"RTP/AVP", "RTP/AVPF"}:
        raise SdpError(f"the session description offers {speech[0]!r}, which is no RTP")
    if port == "0":
        raise SdpError("the peer refuses speech (port 0)")
    host = _address(speech) or _address(shared)
    if host is None:
        raise SdpError("the session description says no address (c=)")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise SdpError(f"the session description says {host!r} (c=), which is no IP address") from None
    attributes = [line[2:] for line in (*shared, *speech) if line.startswith("a=")]
    direction = next((one for one in reversed(attributes) if one in _DIRECTIONS), "sendrecv")
    return Answer(
        host,
        int(port),
        _control(attributes, int(port)),
        _chosen(formats, attributes, codec),
        direction in {"sendrecv", "recvonly"} and not address.is_unspecified,  # 0.0.0.0 is how RFC 2543 put on hold
    )


def _parts(lines: list[str]) -> tuple[list[str], list[str]]:
    """What holds for all media, and the lines of the first audio."""
    shared: list[str] = []
    speech: list[str] = []
    current: list[str] | None = shared
    for line in lines:
        if line.startswith("m="):
            current = speech if line.startswith("m=audio ") and not speech else None
        if current is not None:
            current.append(line)
    return shared, speech


def _address(lines: list[str]) -> str | None:
    line = next((line for line in lines if line.startswith("c=IN IP")), None)
    words = line.split() if line else []
    return words[2].partition("/")[0] if len(words) > 2 else None


def _control(attributes: list[str], port: int) -> int:
    """RFC 3605 and RFC 5761 let it be another than the next port."""
    if "rtcp-mux" in attributes:
        return port
    named = next((re.fullmatch(r"rtcp:(\d{1,5})(?:\s.*)?", one) for one in attributes if one.startswith("rtcp:")), None)
    return int(named[1]) if named and 0 < int(named[1]) < 65_536 else min(port + 1, 65_535)


def _chosen(formats: list[str], attributes: list[str], codec: Codec) -> int:
    mapped = {found[1]: found[2].upper() for one in attributes if (found := _MAPPED.fullmatch(one))}
    for one in formats:
        named = mapped.get(one, codec.name if one == str(codec.payload_type) else None)
        if one.isdecimal() and int(one) < 128 and named == codec.name:
            return int(one)
    wanted = ", ".join(filter(str.isdecimal, formats))
    raise SdpError(f"the peer chose payload types {wanted}, not {codec.name}")
